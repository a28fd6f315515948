"""Audits and what they found, as values; units as in `dbclient.schema.audits`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbclient.schema import AuditState, Discrepancy


@dataclass(frozen=True, slots=True)
class AuditRecord:
    id: int
    state: AuditState
    asked_by: str
    node: str | None
    runid: str | None
    repair: bool
    started_at: datetime
    ended_at: datetime | None
    files: int
    bytes: int
    found: int
    repaired: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class AuditFindingRecord:
    id: int
    audit_id: int
    kind: Discrepancy
    node_id: int | None
    frame_id: int | None
    path: str | None
    evidence: dict[str, Any]
    action: str
    done: bool
    node: str | None
    frame: str | None
    """Name of the frame."""
