"""Lists and sums of frames, for pages and the command line."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, select, true, union, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from dbclient.records import FrameRecord, FrameRow, RunRow, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Job,
    JobState,
    Node,
    Replica,
    ReplicaState,
    TallyLevel,
    Transfer,
    TransferState,
)
from dbclient.stores.tallies import Tallies

COLUMNS = tuple(Frame.__table__.c)
"""All columns, read as plain rows: a third of the time that mapped objects take."""
NEED_CALIBRATIONS = (FrameState.VALID, FrameState.PLACED)
"""States in which an exposure's flat and mask are wanted here."""

AT_REST = (FrameState.REJECTED, FrameState.FAILED, FrameState.SUPERSEDED)
"""States in which nothing is on its way with a frame."""


class FrameLists:
    """The reading half of `dbclient.stores.frames.Frames`."""

    async def search(
        self,
        session: AsyncSession,
        *,
        name: str | None = None,
        state: FrameState | None = None,
        runid: str | None = None,
        filter: str | None = None,  # noqa: A002 - the word of the trade
        node: str | None = None,
        kind: FrameKind | None = FrameKind.OBJECT,
        after: int | None = None,
        limit: int = 100,
        newest: bool = True,
        superseded: bool = False,
    ) -> list[FrameRow]:
        """Find frames, newest or oldest first; only the newest generation of each name unless asked otherwise.

        Parameters
        ----------
        name : its beginning is enough
        after : row number of the last frame of the page before
        superseded : older generations as well
        """
        told = ((Frame.state, state), (Frame.runid, runid), (Frame.filter, filter), (Frame.kind, kind))
        wanted = [column == value for column, value in told if value is not None]
        if not superseded and state is not FrameState.SUPERSEDED:
            wanted.append(Frame.current == true())
            if kind and not (name or state or runid or node):
                wanted = [Frame.id.in_(_foremost(wanted, after=after, limit=limit, newest=newest))]
        query = select(*COLUMNS, _holder().label("holder")).where(*wanted)
        number: Any = Frame.id
        if name:
            query = query.where(*beginning_with(name))
        if node:
            number = Replica.frame_id
            query = query.join(Replica, Replica.frame_id == Frame.id).where(
                Replica.node_id == select(Node.id).where(Node.name == node).scalar_subquery(),
                Replica.state == ReplicaState.HELD,
            )
        order = number + 0 if name else number  # names are looked up in their own index, then sorted
        if after is not None:
            query = query.where(_behind(number, after, newest=newest))
        query = query.order_by(order.desc() if newest else order).limit(limit)
        rows = (await session.execute(query)).all()
        shares = await self._shares(session) if rows and state not in AT_REST else {}
        return [record(FrameRow, row, node=row.holder, progress=shares.get(row.id)) for row in rows]

    async def _shares(self, session: AsyncSession) -> dict[int, float]:
        """Give the share done of every transfer and job that runs now, by frame: there are few of them."""
        moving = select(Transfer.frame_id, Transfer.bytes_done, Transfer.bytes_total).where(
            Transfer.state == TransferState.RUNNING
        )
        shares = {frame: done / total for frame, done, total in await session.execute(moving) if total}
        running = select(Job.frame_id, Job.done_share).where(Job.state == JobState.RUNNING)
        return shares | dict((await session.execute(running)).all())

    async def counts(self, session: AsyncSession) -> dict[FrameState, int]:
        """Count the exposures in each state; of each name the newest generation counts."""
        counted = Tallies().counted(session, TallyLevel.ALL).c
        query = select(counted.state, func.sum(counted.frames)).where(*_newest_exposures(counted))
        rows = (await session.execute(query.group_by(counted.state))).all()
        return {state: int(frames) for state, frames in rows if frames}

    async def weighted_since(self, session: AsyncSession, since: datetime) -> int:
        """Count the exposures that became weighted after a moment."""
        query = select(func.count()).select_from(Frame).where(Frame.weighted_at >= since)
        return int(await session.scalar(query) or 0)

    async def runs(self, session: AsyncSession, *, runids: Sequence[str | None] | None = None) -> list[RunRow]:
        """Sum the exposures of each run, or of some."""
        counted = Tallies().counted(session, TallyLevel.RUN_FILTER).c
        words = (counted.runid, counted.state, counted.filter)
        query = select(*words, func.sum(counted.frames), func.sum(counted.bytes)).where(*_newest_exposures(counted))
        if runids is not None:
            query = query.where(counted.runid.in_([name or "" for name in runids]))
        states: dict[str | None, dict[FrameState, int]] = defaultdict(dict)
        filters: dict[str | None, set[str]] = defaultdict(set)
        sizes: dict[str | None, int] = defaultdict(int)
        for name, state, band, frames, size in (await session.execute(query.group_by(*words))).all():
            if not frames:
                continue
            runid = name or None
            states[runid][state] = states[runid].get(state, 0) + int(frames)
            sizes[runid] += int(size)
            filters[runid] |= {band} if band else set()
        return [
            RunRow(runid, sum(states[runid].values()), sizes[runid], tuple(sorted(filters[runid])), dict(states[runid]))
            for runid in sorted(states, key=lambda name: name or "")
        ]

    async def placed_without(self, session: AsyncSession, reason: str, *, limit: int) -> list[FrameRecord]:
        """Give placed exposures that do not tell this as their reason."""
        told = Frame.reason.is_not_distinct_from(reason)
        query = select(Frame).where(Frame.state == FrameState.PLACED, Frame.kind == FrameKind.OBJECT, ~told)
        return [record(FrameRecord, row) for row in await session.scalars(query.order_by(Frame.id).limit(limit))]

    async def calibrations_missing(self, session: AsyncSession) -> list[str]:
        """Give names of flats and masks that exposures here name and that were never sighted."""
        wanted = union(
            *(
                select(column.label("name")).where(
                    Frame.state.in_(NEED_CALIBRATIONS), Frame.kind == FrameKind.OBJECT, column.is_not(None)
                )
                for column in (Frame.flat, Frame.mask)
            )
        ).subquery()
        query = select(wanted.c.name).where(~exists().where(Frame.name == wanted.c.name)).order_by(wanted.c.name)
        return [str(name) for name in await session.scalars(query)]


def _newest_exposures(counted: Any) -> tuple[ColumnElement[bool], ...]:
    return counted.kind == FrameKind.OBJECT, counted.current == true()


def beginning_with(name: str) -> Sequence[ColumnElement[bool]]:
    """Conditions for names that begin so: a range, which the index of names serves on every database."""
    last = name[-1]
    return Frame.name >= name, Frame.name < name[:-1] + chr(min(ord(last) + 1, 0x10FFFF))


def _behind(number: Any, after: int, *, newest: bool) -> ColumnElement[bool]:
    """Condition for the pages that follow a row."""
    behind: ColumnElement[bool] = number < after if newest else number > after
    return behind


def _foremost(
    wanted: Sequence[ColumnElement[bool]], *, after: int | None, limit: int, newest: bool
) -> Select[tuple[int]]:
    """Numbers of the first rows of a list over all states: of each state its first, of which the index knows the order.

    So a list needs no index of its own, which each of a million new rows would have to be written into.
    """
    here = list(wanted) if after is None else [*wanted, _behind(Frame.id, after, newest=newest)]
    order = Frame.id.desc() if newest else Frame.id
    first = (
        select(Frame.id).where(*here, Frame.state == state).order_by(order).limit(limit).subquery()
        for state in FrameState
        if state is not FrameState.SUPERSEDED
    )
    numbers = union_all(*(select(part.c.id) for part in first)).subquery()
    return select(numbers.c.id)


def _holder() -> ColumnElement[str | None]:
    """Name of the node that holds a frame; none if no node does."""
    held = aliased(Replica)
    return (
        select(Node.name)
        .join(held, held.node_id == Node.id)
        .where(held.frame_id == Frame.id, held.state == ReplicaState.HELD)
        .order_by(held.node_id)
        .limit(1)
        .correlate(Frame)
        .scalar_subquery()
    )
