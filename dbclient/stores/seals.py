"""Seals of the history: read in order, added, never changed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Text, cast, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.chain import ALL_ENDED, Range, Transactions
from dbclient.records import EventRecord, SealRecord, record
from dbclient.schema import Event, Level, Seal
from dbclient.stores.insertion import insert_unless_there

EVENTS = tuple(Event.__table__.c)
MOST_GAPS = 200
"""Awaited gaps of which one seal looks for the events: others wait for the next one."""


class Seals:
    async def newest(self, session: AsyncSession) -> SealRecord | None:
        row = await session.scalar(select(Seal).order_by(Seal.id.desc()).limit(1))
        return record(SealRecord, row) if row else None

    async def following(self, session: AsyncSession, seal_id: int) -> SealRecord | None:
        """Give the seal that comes after a number."""
        row = await session.scalar(select(Seal).where(Seal.id > seal_id).order_by(Seal.id).limit(1))
        return record(SealRecord, row) if row else None

    async def append(self, session: AsyncSession, columns: dict[str, Any]) -> bool:
        """Add a seal; False if another process has sealed behind the same one meanwhile."""
        return await insert_unless_there(session, Seal, **columns) is not None

    async def behind(self, session: AsyncSession, event_id: int, *, limit: int) -> list[EventRecord]:
        """Give the events behind a number, in order."""
        query = select(*EVENTS).where(Event.id > event_id).order_by(Event.id).limit(limit)
        return await _read(session, query)

    async def between(self, session: AsyncSession, after: int, last: int) -> list[EventRecord]:
        """Give the events behind a number up to another, in order."""
        query = select(*EVENTS).where(Event.id > after, Event.id <= last).order_by(Event.id)
        return await _read(session, query)

    async def within(self, session: AsyncSession, ranges: Sequence[Range], *, limit: int) -> list[EventRecord]:
        """Give events whose numbers lie in one of some ranges, in order."""
        if not ranges:
            return []
        inside = or_(*(Event.id.between(first, last) for first, last in ranges[:MOST_GAPS]))
        query = select(*EVENTS).where(inside).order_by(Event.id).limit(limit)
        return await _read(session, query)

    async def numbered(self, session: AsyncSession, numbers: Sequence[int]) -> list[EventRecord]:
        """Give the events of some numbers, in order."""
        found: list[EventRecord] = []
        for start in range(0, len(numbers), 500):
            query = select(*EVENTS).where(Event.id.in_(numbers[start : start + 500])).order_by(Event.id)
            found += await _read(session, query)
        return found

    async def unsealed(self, session: AsyncSession, last: int) -> int:
        """Count the events behind the last that is sealed."""
        return int(await session.scalar(select(func.count()).select_from(Event).where(Event.id > last)) or 0)

    async def running(self, session: AsyncSession) -> Transactions:
        """Tell which transactions run as this unit sees them."""
        if session.get_bind().dialect.name == "sqlite":
            return ALL_ENDED
        seen = func.pg_current_snapshot()
        query = select(cast(func.pg_snapshot_xmin(seen), Text), cast(func.pg_snapshot_xmax(seen), Text))
        oldest, coming = (await session.execute(query)).one()
        return Transactions(int(oldest), int(coming))


async def _read(session: AsyncSession, query: Select[Any]) -> list[EventRecord]:
    try:
        return [record(EventRecord, row) for row in await session.execute(query)]
    except (ValueError, TypeError):
        return await _one_by_one(session, query)


async def _one_by_one(session: AsyncSession, query: Select[Any]) -> list[EventRecord]:
    """Read events of which some hold what no event can hold: each of those comes as one that says nothing."""
    found: list[EventRecord] = []
    for number in list(await session.scalars(query.with_only_columns(Event.id))):
        try:
            found.append(record(EventRecord, (await session.execute(select(*EVENTS).where(Event.id == number))).one()))
        except (ValueError, TypeError):
            epoch = datetime.fromtimestamp(0, UTC)
            found.append(EventRecord(number, epoch, "", "illegible", Level.ERROR, "", None, None, None))
    return found
