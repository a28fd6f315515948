"""Modes and rules as values: how transfers are paced, and what operators laid down for the automatic ones."""

from dataclasses import dataclass
from datetime import datetime

from dbclient.schema import TransferMode


@dataclass(frozen=True, slots=True)
class ModeRecord:
    name: TransferMode
    paused: bool = False
    every: float | None = None
    ran_at: datetime | None = None
    next_at: datetime | None = None
    asked_at: datetime | None = None
    said: str | None = None
    changed_by: str | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RuleRecord:
    id: int
    position: int
    runid: str
    filter: str
    instrument: str
    program: str
    priority: int
    policy: str | None
    node: str | None
    enabled: bool
    comment: str
    changed_by: str
    changed_at: datetime
