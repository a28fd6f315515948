"""Frames: sighted, moved from state to state with an event each, found again."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import IllegalMove, NoSuchRow
from dbclient.lifecycle import UNFINISHED, may_go
from dbclient.records import FrameRecord, record
from dbclient.schema import Frame, FrameKind, FrameState, Level, Product, ProductState
from dbclient.stores.events import Events
from dbclient.stores.listings import FrameLists

STAMPS = {
    FrameState.FETCHED: "fetched_at",
    FrameState.VALID: "valid_at",
    FrameState.PLACED: "placed_at",
    FrameState.WEIGHTED: "weighted_at",
}
DESCRIBED = ("runid", "filter", "object", "exposure_time", "observed_at", "release")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A file that the archive lists."""

    name: str
    uri: str
    kind: FrameKind | str = FrameKind.OBJECT
    size: int | None = None
    digest: str | None = None
    """As md5:<hex>, if the archive tells."""
    modified: datetime | None = None
    release: datetime | None = None
    runid: str | None = None
    filter: str | None = None
    object: str | None = None
    exposure_time: float | None = None
    observed_at: datetime | None = None


class Sighted(enum.Enum):
    NEW = "new"  #: never seen before
    KNOWN = "known"  #: seen before, the same bytes
    REPROCESSED = "re-processed"  #: same name, other bytes: a new generation


class Frames(FrameLists):
    def __init__(self) -> None:
        self._events = Events()

    async def sight(self, session: AsyncSession, sighting: Sighting, *, now: datetime, source: str) -> Sighted:
        """Take a sighting in: a new row, a new generation, or nothing new. Doing it twice does no harm."""
        rows = list(
            await session.scalars(
                select(Frame).where(Frame.name == sighting.name).order_by(Frame.generation.desc()).with_for_update()
            )
        )
        newest = rows[0] if rows else None
        if newest and _same(newest, sighting):
            newest.archive_modified = sighting.modified or newest.archive_modified
            newest.release = sighting.release or newest.release
            newest.uri = sighting.uri
            return Sighted.KNOWN
        frame = Frame(
            name=sighting.name,
            generation=newest.generation + 1 if newest else 1,
            kind=FrameKind(sighting.kind),
            state=FrameState.SPOTTED,
            uri=sighting.uri,
            archive_modified=sighting.modified,
            size=sighting.size,
            wire_digest=sighting.digest,
            spotted_at=now,
            supersedes=newest.id if newest else None,
            attempts=0,
            priority=0,
            **{field: getattr(sighting, field) for field in DESCRIBED},
        )
        session.add(frame)
        await session.flush()
        again = "re-processed: a new generation" if newest else "spotted at the archive"
        await self._event(session, frame, "reprocessed" if newest else "spotted", again, now=now, source=source)
        for older in rows:
            if older.state in UNFINISHED:
                await self._supersede(session, older, now=now, source=source)
        return Sighted.REPROCESSED if newest else Sighted.NEW

    async def get(self, session: AsyncSession, frame_id: int) -> FrameRecord:
        return record(FrameRecord, await self._row(session, frame_id))

    async def named(self, session: AsyncSession, name: str) -> FrameRecord | None:
        """Give the newest generation of a name."""
        generations = await self.generations(session, name)
        return generations[0] if generations else None

    async def generations(self, session: AsyncSession, name: str) -> list[FrameRecord]:
        """Give all generations of a name, newest first."""
        query = select(Frame).where(Frame.name == name).order_by(Frame.generation.desc())
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def due(
        self,
        session: AsyncSession,
        state: FrameState,
        *,
        now: datetime,
        limit: int = 100,
        kinds: Iterable[FrameKind] | None = None,
    ) -> list[FrameRecord]:
        """Give frames in a state whose next try is due: by priority, then in the order in which they were spotted."""
        query = (
            select(Frame)
            .where(Frame.state == state, (Frame.retry_at.is_(None)) | (Frame.retry_at <= now))
            .order_by(Frame.priority.desc(), Frame.id)
            .limit(limit)
        )
        if kinds is not None:
            query = query.where(Frame.kind.in_(list(kinds)))
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def advance(
        self,
        session: AsyncSession,
        frame_id: int,
        to: FrameState,
        *,
        now: datetime,
        source: str,
        message: str,
        event: str | None = None,
        level: Level = Level.INFO,
        **columns: Any,
    ) -> None:
        """Move a frame to a state, clear its waiting, stamp the time, and write the event.

        Raises
        ------
        IllegalMove
            If the frame cannot go there from where it is.
        """
        row = await self._row(session, frame_id, lock=True)
        if not may_go(FrameState(row.state), to):
            raise IllegalMove(row.name, source=FrameState(row.state).value, target=to.value)
        row.state, row.reason, row.retry_at, row.attempts = to, None, None, 0
        if to in STAMPS:
            setattr(row, STAMPS[to], now)
        _set(row, columns)
        await self._event(session, row, event or to.value, message, now=now, source=source, level=level)
        if to is FrameState.VALID and row.supersedes is not None:
            older = select(Frame).where(Frame.name == row.name, Frame.generation < row.generation)
            for generation in list(await session.scalars(older)):
                if generation.state != FrameState.SUPERSEDED:
                    await self._supersede(session, generation, now=now, source=source)

    async def wait(
        self,
        session: AsyncSession,
        frame_id: int,
        *,
        reason: str,
        retry_at: datetime | None,
        now: datetime,
        source: str,
        count: bool = True,
    ) -> None:
        """Let a frame wait in its state, with its reason; an event only when the reason is another one."""
        row = await self._row(session, frame_id, lock=True)
        changed = row.reason != reason
        row.reason, row.retry_at = reason, retry_at
        if count:
            row.attempts += 1
        if changed:
            await self._event(session, row, "waits", f"waits: {reason}", now=now, source=source, level=Level.WARNING)

    async def fail(self, session: AsyncSession, frame_id: int, *, reason: str, now: datetime, source: str) -> None:
        """Give a frame up until an operator asks for it again."""
        await self.advance(
            session,
            frame_id,
            FrameState.FAILED,
            now=now,
            source=source,
            message=f"failed: {reason}",
            level=Level.ERROR,
            reason=reason,
        )

    async def retry(self, session: AsyncSession, frame_id: int, *, now: datetime, source: str) -> None:
        """Make a failed or waiting frame due at once; a failed one goes back to the last state it had reached."""
        row = await self._row(session, frame_id, lock=True)
        if row.state == FrameState.FAILED:
            reached = [state for state, stamp in STAMPS.items() if getattr(row, stamp) and state != FrameState.WEIGHTED]
            row.state = reached[-1] if reached else FrameState.SPOTTED
        row.reason, row.retry_at, row.attempts, row.priority = None, None, 0, 100
        await self._event(session, row, "retry", "to be tried again at once", now=now, source=source)

    async def describe(self, session: AsyncSession, frame_id: int, **columns: Any) -> None:
        """Set columns of a frame without an event."""
        _set(await self._row(session, frame_id), columns)

    async def prioritise(self, session: AsyncSession, frame_id: int, priority: int) -> None:
        await session.execute(update(Frame).where(Frame.id == frame_id).values(priority=priority))

    async def _row(self, session: AsyncSession, frame_id: int, *, lock: bool = False) -> Frame:
        row = await session.get(Frame, frame_id, with_for_update=lock or None)
        if row is None:
            raise NoSuchRow("frame", frame_id)
        return row

    async def _supersede(self, session: AsyncSession, row: Frame, *, now: datetime, source: str) -> None:
        row.state, row.reason, row.retry_at = FrameState.SUPERSEDED, None, None
        await session.execute(update(Product).where(Product.frame_id == row.id).values(state=ProductState.SUPERSEDED))
        await self._event(
            session, row, "superseded", f"generation {row.generation} is superseded", now=now, source=source
        )

    async def _event(
        self,
        session: AsyncSession,
        row: Frame,
        kind: str,
        message: str,
        *,
        now: datetime,
        source: str,
        level: Level = Level.INFO,
    ) -> None:
        await self._events.append(
            session, source=source, kind=kind, message=f"{row.name} {message}", level=level, frame_id=row.id, now=now
        )


def _same(row: Frame, sighting: Sighting) -> bool:
    """Tell whether a sighting is of the bytes that the row knows."""
    if sighting.digest and row.wire_digest:
        return sighting.digest == row.wire_digest
    if sighting.size is not None and row.size is not None and sighting.size != row.size:
        return False
    if sighting.digest or row.wire_digest or sighting.modified is None or row.archive_modified is None:
        return True
    return sighting.modified <= row.archive_modified


def _set(row: Frame, columns: dict[str, Any]) -> None:
    for name, value in columns.items():
        if name not in Frame.__table__.columns:
            raise AttributeError(f"frames have no column {name}")
        setattr(row, name, value)
