"""What comes from the archive and what goes back to it: lists and sums, read only, for the page of SNOOPPIX."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, case, func, literal, select, true, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.bookmark import BookmarkRecord
from dbclient.records import (
    DifferenceRecord,
    FrameRecord,
    HostRecord,
    PublicationRecord,
    TransferRecord,
    record,
)
from dbclient.schema import (
    Bookmark,
    Difference,
    Frame,
    FrameKind,
    FrameState,
    Host,
    HostState,
    Node,
    Publication,
    PublicationState,
    TallyLevel,
    Transfer,
    TransferKind,
    TransferState,
)
from dbclient.stores.tallies import Tallies
from dbclient.stores.turns import turns

BEFORE_VALID = (FrameState.SPOTTED, FrameState.FETCHED)
"""States in which a frame is still SNOOPPIX's concern."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What arrived within an hour or a day."""

    begin: datetime
    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Frames of one kind, run and state; of each name the newest generation."""

    kind: FrameKind
    runid: str | None
    state: FrameState
    frames: int
    withdrawn: int
    """Of these, how many the archive was found to list no more."""


@dataclass(frozen=True, slots=True)
class PublishedRun:
    """A run with how far its products are on their way back."""

    runid: str | None
    """None: stacks and what was registered by hand."""
    states: dict[PublicationState, int]
    bytes: int

    @property
    def files(self) -> int:
        return sum(self.states.values())


class Exchange:
    """Sums and lists; reads only, and never more rows than it is asked for."""

    async def tallies(self, session: AsyncSession, *, runids: Sequence[str | None] | None = None) -> list[Tally]:
        """Count frames, flats, masks and products by kind, run and state; of all runs, or of some."""
        counted = Tallies().counted(session, TallyLevel.RUN).c
        words = (counted.kind, counted.runid, counted.state)
        query = select(*words, func.sum(counted.frames), func.sum(counted.withdrawn)).where(counted.current == true())
        if runids is not None:
            query = query.where(counted.runid.in_([name or "" for name in runids]))
        rows = (await session.execute(query.group_by(*words))).all()
        return [
            Tally(kind, runid or None, state, int(frames), int(withdrawn))
            for kind, runid, state, frames, withdrawn in rows
            if frames
        ]

    async def states(self, session: AsyncSession) -> dict[FrameState, int]:
        """Count frames, flats, masks and products in each state."""
        counted = Tallies().counted(session, TallyLevel.ALL).c
        query = select(counted.state, func.sum(counted.frames)).where(counted.current == true())
        rows = (await session.execute(query.group_by(counted.state))).all()
        return {state: int(frames) for state, frames in rows if frames}

    async def least_whole(
        self,
        session: AsyncSession,
        *,
        kinds: Collection[FrameKind],
        held: Collection[FrameState],
        limit: int,
        skip: int = 0,
    ) -> list[str | None]:
        """Name runs: those first of which not all that is listed is held.

        Parameters
        ----------
        kinds : that count
        held : states in which a frame is held
        """
        counted = Tallies().counted(session, TallyLevel.RUN).c
        listed = func.sum(counted.frames - counted.withdrawn)
        here = func.coalesce(func.sum(counted.frames - counted.withdrawn).filter(counted.state.in_(held)), 0)
        query = select(counted.runid).where(counted.kind.in_(kinds), counted.current == true())
        query = query.group_by(counted.runid).having(func.sum(counted.frames) > 0)
        order = case((listed == here, 1), else_=0), counted.runid
        return [name or None for name in await session.scalars(query.order_by(*order).limit(limit).offset(skip))]

    async def waiting(self, session: AsyncSession, *, now: datetime, limit: int, skip: int = 0) -> list[FrameRecord]:
        """Give frames that wait for their next try, the next first."""
        query = select(Frame).where(*_waits(now)).order_by(Frame.retry_at, Frame.id).limit(limit).offset(skip)
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def waiting_count(self, session: AsyncSession, *, now: datetime) -> int:
        """Count the frames that wait for their next try."""
        return int(await session.scalar(select(func.count()).select_from(Frame).where(*_waits(now))) or 0)

    async def queued(self, session: AsyncSession, *, now: datetime, limit: int, skip: int = 0) -> list[FrameRecord]:
        """Give frames that are fetched next, in their order; those that are being fetched are not among them."""
        at_work = select(Transfer.frame_id).where(
            Transfer.kind == TransferKind.FETCH, Transfer.state == TransferState.RUNNING
        )
        numbers = await turns(session, FrameState.SPOTTED, now=now, limit=skip + limit, without=at_work)
        if not numbers[skip:]:
            return []
        rows = await session.scalars(select(Frame).where(Frame.id.in_(numbers[skip:])))
        found = {row.id: record(FrameRecord, row) for row in rows}
        return [found[number] for number in numbers[skip:]]

    async def arrived(self, session: AsyncSession, *, limit: int, skip: int = 0) -> list[TransferRecord]:
        """Give the fetches that ended well, the latest first."""
        query = (
            select(Transfer, Frame.name, Node.name)
            .join(Frame, Frame.id == Transfer.frame_id)
            .outerjoin(Node, Node.id == Transfer.node_id)
            .where(Transfer.kind == TransferKind.FETCH, Transfer.state == TransferState.DONE)
            .order_by(Transfer.ended_at.desc())
            .limit(limit)
            .offset(skip)
        )
        found = (await session.execute(query)).all()
        return [record(TransferRecord, row, frame=frame, node=node) for row, frame, node in found]

    async def flow(self, session: AsyncSession, *, begins: Sequence[datetime]) -> list[Flow]:
        """Sum what was fetched in each step of time; the last step has no end, steps without anything are left out."""
        well = Transfer.kind == TransferKind.FETCH, Transfer.state == TransferState.DONE
        came = _in_steps(session, begins, Transfer.ended_at, Transfer.bytes_done, where=well).c
        query = select(came.number, func.count(), func.sum(came.bytes_done)).group_by(came.number).order_by(came.number)
        rows = (await session.execute(query)).all()
        return [Flow(begins[number], files, int(size or 0)) for number, files, size in rows]

    async def next_released(
        self, session: AsyncSession, *, now: datetime, limit: int, skip: int = 0
    ) -> list[FrameRecord]:
        """Give frames whose pixels become public next."""
        query = select(Frame).where(*_released_after(now)).order_by(Frame.release, Frame.id).limit(limit).offset(skip)
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def releases(
        self, session: AsyncSession, *, now: datetime, begins: Sequence[datetime]
    ) -> list[tuple[datetime, int]]:
        """Count the frames that become public after now in each step of time; steps without any are left out."""
        later = [max(begin, now + timedelta.resolution) for begin in begins]
        exposures = Frame.kind == FrameKind.OBJECT, Frame.current == true()
        ahead = _in_steps(session, later, Frame.release, where=exposures).c
        query = select(ahead.number, func.count()).group_by(ahead.number).order_by(ahead.number)
        return [(begins[number], count) for number, count in (await session.execute(query)).all()]

    async def hosts(self, session: AsyncSession, *, limit: int) -> list[HostRecord]:
        """Give the hosts that files come from; those that are not asked at present first."""
        rests = case((Host.state == HostState.CLOSED, 1), else_=0)
        query = select(Host).order_by(rests, Host.name).limit(limit)
        return [record(HostRecord, row) for row in await session.scalars(query)]

    async def differences(self, session: AsyncSession, *, limit: int, skip: int = 0) -> list[DifferenceRecord]:
        """Give the full differences, the latest first."""
        query = select(Difference).order_by(Difference.id.desc()).limit(limit).offset(skip)
        return [record(DifferenceRecord, row) for row in await session.scalars(query)]

    async def bookmarks(self, session: AsyncSession, *, limit: int) -> list[BookmarkRecord]:
        """Give how far each archive was read, the one looked at last first."""
        query = select(Bookmark).order_by(Bookmark.looked_at.desc()).limit(limit)
        return [record(BookmarkRecord, row) for row in await session.scalars(query)]

    async def published(self, session: AsyncSession) -> list[PublishedRun]:
        """Count the products on their way back, by run and state."""
        query = select(
            Publication.runid, Publication.state, func.count(), func.coalesce(func.sum(Publication.size), 0)
        ).group_by(Publication.runid, Publication.state)
        states: dict[str | None, dict[PublicationState, int]] = defaultdict(dict)
        sizes: dict[str | None, int] = defaultdict(int)
        for runid, state, count, size in (await session.execute(query)).all():
            states[runid][state] = count
            sizes[runid] += int(size or 0)
        return [PublishedRun(runid, states[runid], sizes[runid]) for runid in sorted(states, key=lambda run: run or "")]

    async def publications(
        self, session: AsyncSession, *, limit: int, state: PublicationState | None = None, skip: int = 0
    ) -> list[PublicationRecord]:
        """Give publications, the latest first."""
        query = select(Publication).order_by(Publication.id.desc()).limit(limit).offset(skip)
        if state is not None:
            query = query.where(Publication.state == state)
        return [record(PublicationRecord, row) for row in await session.scalars(query)]


def _waits(now: datetime) -> tuple[ColumnElement[bool], ...]:
    # wrapped, so that the index of those that wait is walked and not that of states
    return func.coalesce(Frame.state, FrameState.SPOTTED).in_(BEFORE_VALID), Frame.retry_at > now


def _released_after(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Frame.kind == FrameKind.OBJECT,
        Frame.current == true(),
        and_(Frame.release.is_not(None), Frame.release > now),
    )


def _in_steps(
    session: AsyncSession, begins: Sequence[datetime], moment: Any, *columns: Any, where: Sequence[ColumnElement[bool]]
) -> Subquery:
    """Give rows with the number of the step of time in which they lie; no moment is reckoned with.

    PostgreSQL reads one range of an index and sorts the rows into the steps, SQLite reads a range for each step.

    Parameters
    ----------
    begins : in their order; the last step has no end
    """
    if session.get_bind().dialect.name == "sqlite":
        steps = _steps(begins, moment)
        within = and_(*where, moment >= steps.c.begin, moment < steps.c.end)
        joined = select(steps.c.number, *columns).select_from(steps).join(moment.class_, within)
        return joined.subquery()
    number = func.width_bucket(moment, literal(list(begins), ARRAY(moment.type))) - 1
    return select(number.label("number"), *columns).where(*where, moment >= begins[0]).subquery()


def _steps(begins: Sequence[datetime], column: Any) -> Subquery:
    """Give steps of time as a table: each is then a range of an index, and no moment is reckoned with."""
    ends = (*begins[1:], datetime.max.replace(tzinfo=UTC))
    rows = (
        select(
            literal(number).label("number"),
            literal(begin, column.type).label("begin"),
            literal(end, column.type).label("end"),
        )
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True))
    )
    return union_all(*rows).subquery()
