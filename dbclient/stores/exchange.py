"""What comes from the archive and what goes back to it: lists and sums, read only, for the page of SNOOPPIX."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, extract, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import (
    BookmarkRecord,
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
    Transfer,
    TransferKind,
    TransferState,
)

BEFORE_VALID = (FrameState.SPOTTED, FrameState.FETCHED)
"""States in which a frame is still SNOOPPIX's concern."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What arrived within an hour or a day."""

    begin: datetime
    files: int
    bytes: int


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

    async def states(self, session: AsyncSession) -> dict[FrameState, int]:
        """Count frames, flats and masks in each state; of each name the newest generation counts."""
        query = (
            select(Frame.state, func.count())
            .where(Frame.kind.in_(tuple(FrameKind)), Frame.current == true())
            .group_by(Frame.state)
        )
        return dict((await session.execute(query)).all())

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
        query = (
            select(Frame)
            .where(
                Frame.state == FrameState.SPOTTED,
                or_(Frame.retry_at.is_(None), Frame.retry_at <= now),
                Frame.id.not_in(at_work),
            )
            .order_by(Frame.priority.desc(), Frame.id)
            .limit(limit)
            .offset(skip)
        )
        return [record(FrameRecord, row) for row in await session.scalars(query)]

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

    async def flow(self, session: AsyncSession, *, since: datetime, step: timedelta) -> list[Flow]:
        """Sum what was fetched in each step of time (UTC) since a moment; steps without anything are left out."""
        begin = _floor(Transfer.ended_at, step)
        query = (
            select(begin, func.count(), func.sum(Transfer.bytes_done))
            .where(
                Transfer.kind == TransferKind.FETCH, Transfer.state == TransferState.DONE, Transfer.ended_at >= since
            )
            .group_by(begin)
            .order_by(begin)
        )
        rows = (await session.execute(query)).all()
        return [Flow(datetime.fromtimestamp(int(at), UTC), files, int(size or 0)) for at, files, size in rows]

    async def next_released(
        self, session: AsyncSession, *, now: datetime, limit: int, skip: int = 0
    ) -> list[FrameRecord]:
        """Give frames whose pixels become public next."""
        query = select(Frame).where(*_released_after(now)).order_by(Frame.release, Frame.id).limit(limit).offset(skip)
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def releases(self, session: AsyncSession, *, now: datetime, until: datetime) -> list[tuple[datetime, int]]:
        """Count the frames that become public on each day (UTC) ahead."""
        day = _floor(Frame.release, timedelta(days=1))
        query = select(day, func.count()).where(*_released_after(now), Frame.release < until).group_by(day)
        found = (await session.execute(query.order_by(day))).all()
        return [(datetime.fromtimestamp(int(at), UTC), count) for at, count in found]

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
    return Frame.state.in_(BEFORE_VALID), Frame.retry_at > now


def _released_after(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        Frame.kind == FrameKind.OBJECT,
        Frame.current == true(),
        and_(Frame.release.is_not(None), Frame.release > now),
    )


def _floor(column: Any, step: timedelta) -> ColumnElement[Any]:
    """Give the beginning of the step of time that a moment lies in, in seconds since 1970."""
    seconds = extract("epoch", column)
    return seconds - seconds % int(step.total_seconds())
