"""The history: events are added and read, never changed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import EventRecord, record
from dbclient.schema import Event, Level
from dbclient.units import EVENT

INSERT: Final = insert(cast("Table", Event.__table__))
"""Made once: to make a statement costs more than to carry it out."""


def about(name: str, message: str) -> str:
    """Make a sentence name whom it is about, once."""
    if name in message:
        return message
    return f"{name} {message}" if message[:1].islower() else f"{name}: {message}"


class Events:
    async def append(
        self,
        session: AsyncSession,
        *,
        source: str,
        kind: str,
        message: str,
        now: datetime,
        level: Level = Level.INFO,
        frame_id: int | None = None,
        node_id: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> int:
        """Add an event and give its number; at commit it wakes the daemons."""
        if session.new:  # rows that it is about, and events that came before it
            await session.flush()
        session.info[EVENT] = True
        written = await session.execute(
            INSERT,
            {
                "at": now,
                "source": source,
                "kind": kind,
                "message": message,
                "level": level,
                "frame_id": frame_id,
                "node_id": node_id,
                "data": data,
            },
        )
        return int(written.inserted_primary_key[0])  # type: ignore[attr-defined]

    async def append_all(
        self,
        session: AsyncSession,
        told: Sequence[tuple[str, int | None, int | None]],
        *,
        source: str,
        kind: str,
        now: datetime,
        level: Level = Level.INFO,
    ) -> None:
        """Add many events of a kind in one statement: message, frame and node of each."""
        if not told:
            return
        if session.new:
            await session.flush()
        session.info[EVENT] = True
        common = {"at": now, "source": source, "kind": kind, "level": level, "data": None}
        rows = [common | {"message": message, "frame_id": frame, "node_id": node} for message, frame, node in told]
        await session.execute(INSERT, rows)

    async def append_once(
        self,
        session: AsyncSession,
        *,
        source: str,
        kind: str,
        message: str,
        now: datetime,
        frame_id: int,
        level: Level = Level.INFO,
    ) -> None:
        """Add an event of a frame unless the latest of its kind says the same."""
        query = select(Event.message).where(Event.frame_id == frame_id, Event.kind == kind)
        if await session.scalar(query.order_by(Event.id.desc()).limit(1)) != message:
            await self.append(
                session, source=source, kind=kind, message=message, level=level, frame_id=frame_id, now=now
            )

    async def after(self, session: AsyncSession, event_id: int, *, limit: int = 500) -> list[EventRecord]:
        """Give events newer than `event_id`, oldest first."""
        query = select(Event).where(Event.id > event_id).order_by(Event.id).limit(limit)
        return [record(EventRecord, row) for row in await session.scalars(query)]

    async def of_frame(self, session: AsyncSession, frame_id: int) -> list[EventRecord]:
        """Give the history of a frame, oldest first."""
        query = select(Event).where(Event.frame_id == frame_id).order_by(Event.id)
        return [record(EventRecord, row) for row in await session.scalars(query)]

    async def refusals(self, session: AsyncSession, name: str) -> list[EventRecord]:
        """Give the events of listings that claimed to be a frame and could not be taken, and so have no row."""
        claims = Event.message.startswith(f"{name} ", autoescape=True)
        query = select(Event).where(Event.kind == "listing-refused", claims).order_by(Event.id)
        return [record(EventRecord, row) for row in await session.scalars(query)]

    async def latest(
        self,
        session: AsyncSession,
        *,
        limit: int = 50,
        level: Level | None = None,
        before: int | None = None,
        since: datetime | None = None,
    ) -> list[EventRecord]:
        """Give the latest events, newest first.

        Parameters
        ----------
        level : only events at least as grave
        before : an event number: the page of events before it
        since : only events of this moment or later
        """
        query = select(Event).order_by(Event.id.desc()).limit(limit)
        if level is not None:
            query = query.where(Event.level.in_(list(Level)[list(Level).index(level) :]))
        if before is not None:
            query = query.where(Event.id < before)
        if since is not None:
            query = query.where(Event.at >= since, Event.id > await self._before(session, since))
        return [record(EventRecord, row) for row in await session.scalars(query)]

    async def _before(self, session: AsyncSession, moment: datetime) -> int:
        """Give a number up to which events are older than a moment, by halving: they have no index of their moments.

        Numbers follow the moments but for a clock that was set back, so a day is allowed for that.
        """
        low, high = 0, await self.newest_id(session)
        while low < high:
            middle = (low + high + 1) // 2
            at = await session.scalar(select(Event.at).where(Event.id >= middle).order_by(Event.id).limit(1))
            if at is not None and at < moment - timedelta(days=1):
                low = middle
            else:
                high = middle - 1
        return low

    async def newest_id(self, session: AsyncSession) -> int:
        """Give the number of the newest event; 0 if there is none."""
        return int(await session.scalar(select(func.max(Event.id))) or 0)
