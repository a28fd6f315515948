"""Full differences: what each found, and the database's side of the comparison, page by page."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Row, false, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import DifferenceRecord, FrameRecord, record
from dbclient.schema import Difference, DifferenceState, Frame, FrameKind, FrameState
from dbclient.stores import slab as slabs
from dbclient.stores.listings import COLUMNS
from dbclient.stores.sightings import ASKED_AT_ONCE, KEPT
from dbclient.stores.slab import Slab

RECEIVED: Final = (FrameState.FETCHED, FrameState.VALID)
"""States in which the file of a frame lies on a reception disk."""


class Beside(NamedTuple):
    """A slab, and what the database knows between two names."""

    differing: list[int]
    """Lines that a sighting of which may change something, or that have no row."""
    unlisted: list[tuple[int, str]]
    """Row and address of frames that are known there, not marked as withdrawn, and in no line."""
    known: int
    """Rows between the names."""


class Differences:
    async def begin(self, session: AsyncSession, archive: str, *, asked_by: str, now: datetime) -> int:
        """Open a difference and give its number; one that an earlier life left open has failed."""
        reason = "snooppix ended while it ran"
        await session.execute(
            update(Difference)
            .where(Difference.archive == archive, Difference.state == DifferenceState.RUNNING)
            .values(state=DifferenceState.FAILED, reason=reason, ended_at=now)
        )
        row = Difference(archive=archive, state=DifferenceState.RUNNING, asked_by=asked_by, started_at=now)
        session.add(row)
        await session.flush()
        return row.id

    async def progress(self, session: AsyncSession, number: int, **counts: int) -> None:
        """Write down how far it is; it wakes no daemon."""
        await session.execute(update(Difference).where(Difference.id == number).values(**counts))

    async def end(
        self,
        session: AsyncSession,
        number: int,
        state: DifferenceState,
        *,
        now: datetime,
        reason: str | None = None,
        **counts: int,
    ) -> None:
        """Close a difference."""
        ended = {"state": state, "reason": reason, "ended_at": now}
        await session.execute(update(Difference).where(Difference.id == number).values(**ended, **counts))

    async def get(self, session: AsyncSession, number: int) -> DifferenceRecord:
        row = await session.get(Difference, number, populate_existing=True)
        if row is None:
            raise NoSuchRow("difference", number)
        return record(DifferenceRecord, row)

    async def latest(
        self,
        session: AsyncSession,
        *,
        archive: str | None = None,
        state: DifferenceState | None = None,
        limit: int = 10,
    ) -> list[DifferenceRecord]:
        """Give the latest differences, newest first."""
        query = select(Difference).order_by(Difference.id.desc()).limit(limit)
        if archive is not None:
            query = query.where(Difference.archive == archive)
        if state is not None:
            query = query.where(Difference.state == state)
        return [record(DifferenceRecord, row) for row in await session.scalars(query)]

    async def last_done(self, session: AsyncSession) -> DifferenceRecord | None:
        """Give the last difference that compared everything."""
        query = select(Difference).where(Difference.state == DifferenceState.DONE).order_by(Difference.id.desc())
        row = await session.scalar(query.limit(1))
        return record(DifferenceRecord, row) if row else None

    async def of_run(self, session: AsyncSession, runid: str, *, names: Sequence[str]) -> list[FrameRecord]:
        """Give all generations of the exposures of a run, and of those with certain names, whatever their run."""
        mine = Frame.kind.in_((FrameKind.OBJECT, FrameKind.PRODUCT))
        found: dict[int, FrameRecord] = {}
        for current in (true(), false()):  # each by itself, so that the index of runs is walked
            of_run = select(*COLUMNS).where(mine, Frame.current == current, Frame.runid == runid)
            found |= {row.id: record(FrameRecord, row) for row in await session.execute(of_run)}
        for start in range(0, len(names), ASKED_AT_ONCE):
            query = select(Frame).where(Frame.name.in_(names[start : start + ASKED_AT_ONCE]))
            found |= {row.id: record(FrameRecord, row) for row in await session.scalars(query)}
        return list(found.values())

    async def lacking(
        self, session: AsyncSession, runid: str, *, held: Collection[FrameState], limit: int
    ) -> list[FrameRecord]:
        """Give frames of a run that are listed and not held, by name, with their older generations behind each."""
        newest = select(*COLUMNS).where(*_of_run(runid), Frame.withdrawn_at.is_(None), Frame.state.not_in(held))
        rows = list(await session.execute(newest.order_by(Frame.name).limit(limit)))
        older = select(*COLUMNS).where(Frame.name.in_([row.name for row in rows]), Frame.current == false())
        rows += await session.execute(older.order_by(Frame.generation.desc()))
        return [record(FrameRecord, row) for row in rows]

    async def unlisted(
        self, session: AsyncSession, runid: str, *, held: Collection[FrameState], limit: int
    ) -> list[str]:
        """Name frames of a run that are held and listed no more."""
        query = select(Frame.name).where(*_of_run(runid), Frame.withdrawn_at.is_not(None), Frame.state.in_(held))
        return list(await session.scalars(query.order_by(Frame.name).limit(limit)))

    async def known(
        self, session: AsyncSession, *, after: str, kinds: Iterable[FrameKind], limit: int, up_to: str | None = None
    ) -> Sequence[Row[Any]]:
        """Give a page of what the database knows, by name: of each name the newest generation, as sightings see it.

        Parameters
        ----------
        after : the last name of the page before
        up_to : the last name that is wanted; none: there is no such
        """
        query = select(*KEPT).where(*_between(after, up_to, kinds)).order_by(Frame.name).limit(limit)
        return (await session.execute(query)).all()

    async def beside(
        self, session: AsyncSession, slab: Slab, *, after: str, up_to: str, kinds: Iterable[FrameKind]
    ) -> Beside | None:
        """Lay a slab beside what the database knows between two names; none if the database takes no slabs."""
        if not slabs.fits(session):
            return None
        between = _between(after, up_to, kinds)
        here = func.count().filter(Frame.withdrawn_at.is_(None))
        known, alive = (await session.execute(select(func.count(), here).select_from(Frame).where(*between))).one()
        found = await slabs.compare(session, slab, kinds=kinds)
        unlisted: list[tuple[int, str]] = []
        if found.listed != alive:
            names = set(slab.names)
            query = select(Frame.name, Frame.id, Frame.uri).where(*between, Frame.withdrawn_at.is_(None))
            unlisted = [(row.id, row.uri) for row in await session.execute(query) if row.name not in names]
        return Beside(found.differing, unlisted, known)

    async def received(self, session: AsyncSession, *, after: int, limit: int) -> list[FrameRecord]:
        """Give a page of the frames and calibrations whose file lies on a reception disk, by row."""
        query = (
            select(Frame)
            .where(Frame.id > after, Frame.state.in_(RECEIVED), Frame.path.is_not(None))
            .order_by(Frame.id)
            .limit(limit)
        )
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def paths(self, session: AsyncSession, names: Sequence[str]) -> set[tuple[str | None, str | None]]:
        """Give the disk and path of each generation of these names that has a file on a reception disk."""
        query = select(Frame.disk, Frame.path).where(Frame.name.in_(names), Frame.path.is_not(None))
        return {(disk, path) for disk, path in await session.execute(query)}


def _between(after: str, up_to: str | None, kinds: Iterable[FrameKind]) -> list[ColumnElement[bool]]:
    """Conditions of what is compared: newest generations of some kinds behind one name, up to another."""
    # wrapped, so that the index of names is walked and none of kinds is sorted: 176 s for a million rows, else
    current, kind = func.coalesce(Frame.current, false()), func.coalesce(Frame.kind, FrameKind.OBJECT)
    bounds = [Frame.name > after, current == true(), kind.in_(list(kinds))]
    return bounds if up_to is None else [*bounds, Frame.name <= up_to]


def _of_run(runid: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions of the newest generations of a run's exposures and products."""
    return Frame.kind.in_((FrameKind.OBJECT, FrameKind.PRODUCT)), Frame.current == true(), Frame.runid == runid
