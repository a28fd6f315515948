"""Archives of the history: what is due for one, what lies in which, and the rows that go once they lie there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.archive import ArchiveRecord
from dbclient.records import SealRecord, record
from dbclient.schema import Archive, ArchiveKind, Event, Lease, Seal, Transfer, TransferKind
from dbclient.stores.transfers import OVER

TABLES: Final[dict[ArchiveKind, Table]] = {
    ArchiveKind.EVENTS: cast("Table", Event.__table__),
    ArchiveKind.TRANSFERS: cast("Table", Transfer.__table__),
    ArchiveKind.LEASES: cast("Table", Lease.__table__),
}
MOMENTS: Final = {ArchiveKind.EVENTS: "at", ArchiveKind.TRANSFERS: "ended_at", ArchiveKind.LEASES: "ended_at"}
"""Column of the moment from which the days of a row count."""


@dataclass(frozen=True, slots=True)
class Due:
    """How much of the history is old enough."""

    rows: int
    begins: datetime | None
    ends: datetime | None


class Archives:
    """Reads and writes the list of archives; its files are written by who calls it."""

    async def all(self, session: AsyncSession) -> list[ArchiveRecord]:
        """Give all archives, in the order in which they were made."""
        rows = await session.scalars(select(Archive).order_by(Archive.id))
        return [record(ArchiveRecord, row) for row in rows]

    async def of_events(self, session: AsyncSession) -> list[ArchiveRecord]:
        """Give the archives of events, in the order of their numbers."""
        query = select(Archive).where(Archive.kind == ArchiveKind.EVENTS).order_by(Archive.last)
        return [record(ArchiveRecord, row) for row in await session.scalars(query)]

    async def newest(self, session: AsyncSession, kind: ArchiveKind) -> ArchiveRecord | None:
        """Give the archive of a kind that was made last; of events it reaches furthest."""
        row = await session.scalar(select(Archive).where(Archive.kind == kind).order_by(Archive.id.desc()).limit(1))
        return record(ArchiveRecord, row) if row else None

    async def uncleared(self, session: AsyncSession) -> ArchiveRecord | None:
        """Give the first archive whose rows have not all left the tables."""
        row = await session.scalar(select(Archive).where(Archive.cleared_at.is_(None)).order_by(Archive.id).limit(1))
        return record(ArchiveRecord, row) if row else None

    async def add(self, session: AsyncSession, **columns: Any) -> None:
        """Write an archive down whose file is whole on its disk."""
        session.add(Archive(**columns))
        await session.flush()

    async def cleared(self, session: AsyncSession, archive_id: int, *, now: datetime) -> None:
        """Say that none of its rows is in the tables any more."""
        await session.execute(update(Archive).where(Archive.id == archive_id).values(cleared_at=now))

    async def seals_due(self, session: AsyncSession, *, behind: int, before: datetime, limit: int) -> list[SealRecord]:
        """Give seals, in order, behind the event of a number, that were made before a moment."""
        query = select(Seal).where(Seal.last > behind).order_by(Seal.id).limit(limit)
        found: list[SealRecord] = []
        for row in await session.scalars(query):
            if row.at >= before:
                break
            found.append(record(SealRecord, row))
        return found

    async def over(
        self, session: AsyncSession, kind: ArchiveKind, *, before: datetime, limit: int
    ) -> list[dict[str, Any]]:
        """Give transfers or leases that were over before a moment, of each sort the longest over first, by number."""
        table, found = TABLES[kind], list[dict[str, Any]]()
        ended = table.c[MOMENTS[kind]]
        for sort in _sorts(kind):  # each is a range of an index
            query = select(table).where(*sort, ended < before).order_by(ended).limit(limit - len(found))
            found += [dict(row) for row in (await session.execute(query)).mappings()]
            if len(found) >= limit:
                break
        return sorted(found, key=lambda row: int(row["id"]))

    async def remove(self, session: AsyncSession, kind: ArchiveKind, numbers: Sequence[int]) -> int:
        """Remove rows by their numbers; those that are gone already are no error."""
        table = TABLES[kind]
        gone = await session.execute(
            delete(table).where(table.c.id == bindparam("number")), [{"number": number} for number in numbers]
        )
        return max(0, int(gone.rowcount))  # type: ignore[attr-defined]

    async def due(self, session: AsyncSession, kind: ArchiveKind, *, before: datetime) -> Due:
        """Count the rows that are old enough and in no archive yet."""
        if kind is ArchiveKind.EVENTS:
            last = await self.newest(session, kind)
            behind = last.last if last else 0
            query = select(func.sum(Seal.events), func.max(Seal.last))
            count, end = (await session.execute(query.where(Seal.last > behind, Seal.at < before))).one()
            if not count:
                return Due(0, None, None)
            first_at = select(func.min(Event.at)).where(Event.id == select(func.min(Event.id)).scalar_subquery())
            last_at = select(Event.at).where(Event.id <= end).order_by(Event.id.desc()).limit(1)
            return Due(int(count), await session.scalar(first_at), await session.scalar(last_at))
        ended = TABLES[kind].c[MOMENTS[kind]]
        sums = select(func.count(), func.min(ended), func.max(ended)).where(ended < before)
        rows = [(await session.execute(sums.where(*sort))).one() for sort in _sorts(kind)]
        begins, ends = (sorted(row[at] for row in rows if row[0]) for at in (1, 2))
        return Due(sum(int(row[0]) for row in rows), begins[0] if begins else None, ends[-1] if ends else None)


def _sorts(kind: ArchiveKind) -> list[tuple[ColumnElement[bool], ...]]:
    """Give what tells the sorts of a kind apart whose moments an index has in order."""
    if kind is ArchiveKind.LEASES:
        return [()]
    columns = TABLES[kind].c
    return [(columns.kind == way, columns.state == state) for way in TransferKind for state in OVER]
