"""Audits and what they found; the latest reports are kept, older ones give their rows up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.findings import AuditFindingRecord, AuditRecord
from dbclient.records import record
from dbclient.schema import Audit, AuditFinding, AuditState, Discrepancy, Frame, Node

KEPT: Final = 5
"""Reports of which each finding is kept; of older ones only the counts are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFinding:
    """A discrepancy as an audit hands it in."""

    kind: Discrepancy
    node_id: int | None
    frame_id: int | None
    path: str | None
    evidence: dict[str, Any]
    action: str
    done: bool


class Audits:
    async def begin(
        self,
        session: AsyncSession,
        *,
        asked_by: str,
        node: str | None,
        runid: str | None,
        repair: bool,
        now: datetime,
    ) -> int:
        """Open an audit and give its number; the findings of old ones are forgotten."""
        row = Audit(asked_by=asked_by, node=node, runid=runid, repair=repair, started_at=now, state=AuditState.RUNNING)
        session.add(row)
        await session.flush()
        latest = select(Audit.id).order_by(Audit.id.desc()).limit(KEPT).subquery()
        await session.execute(delete(AuditFinding).where(AuditFinding.audit_id.not_in(select(latest.c.id))))
        return row.id

    async def note(self, session: AsyncSession, audit_id: int, findings: Sequence[NewFinding]) -> None:
        """Write findings down; it wakes no daemon."""
        if findings:
            rows = [
                {
                    "audit_id": audit_id,
                    "kind": item.kind,
                    "node_id": item.node_id,
                    "frame_id": item.frame_id,
                    "path": item.path,
                    "evidence": item.evidence,
                    "action": item.action,
                    "done": item.done,
                }
                for item in findings
            ]
            await session.execute(insert(AuditFinding), rows)

    async def end(
        self,
        session: AsyncSession,
        audit_id: int,
        state: AuditState,
        *,
        now: datetime,
        files: int = 0,
        bytes_: int = 0,
        reason: str | None = None,
    ) -> AuditRecord:
        """Close an audit with its counts."""
        here = AuditFinding.audit_id == audit_id
        found = int(await session.scalar(select(func.count()).where(here)) or 0)
        repaired = int(await session.scalar(select(func.count()).where(here, AuditFinding.done)) or 0)
        counts = {"files": files, "bytes": bytes_, "found": found, "repaired": repaired}
        await session.execute(
            update(Audit).where(Audit.id == audit_id).values(state=state, ended_at=now, reason=reason, **counts)
        )
        return await self.get(session, audit_id)

    async def get(self, session: AsyncSession, audit_id: int) -> AuditRecord:
        row = await session.get(Audit, audit_id, populate_existing=True)
        if row is None:
            raise NoSuchRow("audit", audit_id)
        return record(AuditRecord, row)

    async def latest(self, session: AsyncSession, *, whole: bool = False) -> AuditRecord | None:
        """Give the latest audit that was completed; with `whole`, the latest of all nodes and runs."""
        query = select(Audit).where(Audit.state == AuditState.DONE).order_by(Audit.id.desc()).limit(1)
        if whole:
            query = query.where(Audit.node.is_(None), Audit.runid.is_(None))
        row = await session.scalar(query)
        return record(AuditRecord, row) if row else None

    async def counts(self, session: AsyncSession, audit_id: int) -> dict[Discrepancy, int]:
        """Count the findings of an audit by kind."""
        query = select(AuditFinding.kind, func.count()).where(AuditFinding.audit_id == audit_id)
        return dict((await session.execute(query.group_by(AuditFinding.kind))).all())

    async def findings(
        self,
        session: AsyncSession,
        audit_id: int,
        *,
        kind: Discrepancy | None = None,
        behind: int = 0,
        limit: int = 500,
    ) -> list[AuditFindingRecord]:
        """Give findings of an audit in order, those behind a row."""
        query = (
            select(AuditFinding, Node.name, Frame.name)
            .outerjoin(Node, Node.id == AuditFinding.node_id)
            .outerjoin(Frame, Frame.id == AuditFinding.frame_id)
            .where(AuditFinding.audit_id == audit_id, AuditFinding.id > behind)
            .order_by(AuditFinding.id)
            .limit(limit)
        )
        if kind is not None:
            query = query.where(AuditFinding.kind == kind)
        return [
            record(AuditFindingRecord, row, node=node, frame=frame)
            for row, node, frame in (await session.execute(query)).all()
        ]
