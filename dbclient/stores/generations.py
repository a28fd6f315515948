"""Generations of a frame: what happens to one is told, and one that is replaced goes with all that hangs on it."""

from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import (
    Frame,
    FrameState,
    Job,
    JobState,
    Lease,
    Level,
    Product,
    ProductState,
    Transfer,
    TransferKind,
    TransferState,
)
from dbclient.stores.events import Events, about


class Named(Protocol):
    """A generation, in as far as its history needs it."""

    id: Any
    name: Any


async def told(
    session: AsyncSession,
    row: Named,
    kind: str,
    message: str,
    *,
    now: datetime,
    source: str,
    level: Level = Level.INFO,
) -> None:
    """Write what happened to a generation into the history."""
    await Events().append(
        session, source=source, kind=kind, message=about(row.name, message), level=level, frame_id=row.id, now=now
    )


async def supersede(session: AsyncSession, row: Frame, *, now: datetime, source: str) -> None:
    """Set a generation aside, with all that hangs on it: whoever works for it finds its claim gone."""
    row.state, row.reason, row.retry_at = FrameState.SUPERSEDED, None, None
    mine = row.id
    reason = "a newer generation has come"
    await session.execute(update(Product).where(Product.frame_id == mine).values(state=ProductState.SUPERSEDED))
    await session.execute(
        update(Job)
        .where(Job.frame_id == mine, Job.state != JobState.DONE)
        .values(state=JobState.SUPERSEDED, claim=None, reason=reason, retry_at=None, ended_at=now)
    )
    await session.execute(
        update(Transfer)
        .where(Transfer.frame_id == mine, Transfer.kind == TransferKind.FETCH, Transfer.ended_at.is_(None))
        .values(state=TransferState.FAILED, reason=reason, ended_at=now)
    )
    await session.execute(update(Lease).where(Lease.frame_id == mine, Lease.ended_at.is_(None)).values(ended_at=now))
    await told(session, row, "superseded", f"generation {row.generation} is superseded", now=now, source=source)
