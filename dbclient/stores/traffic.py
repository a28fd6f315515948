"""What goes to the nodes, what waits for it and what went: lists and sums, read only, for the pages of transfers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, func, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import TransferRecord, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Node,
    TallyLevel,
    Transfer,
    TransferKind,
    TransferMode,
    TransferState,
)
from dbclient.stores.tallies import Tallies
from dbclient.stores.transfers import OVER, TO_NODES

COMING: Final = (FrameState.SPOTTED, FrameState.FETCHED)
"""States in which a frame is still on its way to reception."""


@dataclass(frozen=True, slots=True)
class RunRoom:
    """A run of which frames are to be placed."""

    runid: str | None
    waiting: int
    """Frames that are verified and on no node."""
    waiting_bytes: int
    coming: int
    """Frames that are listed, and not verified yet."""
    coming_bytes: int
    frames: int
    """All its frames."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which transfers a list is asked for."""

    runid: str | None = None
    node: str | None = None
    mode: TransferMode | None = None
    kind: TransferKind | None = None
    state: TransferState | None = None
    to_nodes: bool = False
    """Only those to nodes, of any kind."""


class Traffic:
    """Reads only, and never more rows than it is asked for."""

    async def counts(self, session: AsyncSession) -> dict[tuple[TransferMode | None, TransferState], int]:
        """Count what goes to nodes now, and what has room there and waits for its turn, by mode."""
        query = (
            select(Transfer.mode, Transfer.state, func.count())
            .where(Transfer.state.in_((TransferState.PROMISED, TransferState.RUNNING)), Transfer.kind.in_(TO_NODES))
            .group_by(Transfer.mode, Transfer.state)
        )
        return {(mode, state): count for mode, state, count in (await session.execute(query)).all()}

    async def queue(self, session: AsyncSession, *, limit: int) -> list[TransferRecord]:
        """Give what has room on a node and waits for its turn, the next first."""
        waits = Transfer.state == TransferState.PROMISED, Transfer.kind.in_(TO_NODES), Transfer.paused_at.is_(None)
        query = _listed().where(*waits)
        return await _records(session, query.order_by(Transfer.priority.desc(), Transfer.id).limit(limit))

    async def history(
        self, session: AsyncSession, wanted: Wanted, *, limit: int, before: int | None = None
    ) -> list[TransferRecord]:
        """Give transfers that are over, newest first.

        Parameters
        ----------
        before : number of the last one of the page before
        """
        if wanted.state is TransferState.FAILED:  # few: they are looked up
            query = _listed().where(Transfer.state == wanted.state)
        else:  # wrapped: nearly all are, and SQLite would sort them
            states = (wanted.state,) if wanted.state else OVER
            query = _listed().where(func.coalesce(Transfer.state, Transfer.state).in_(states))
        number: Any = Transfer.id
        if wanted.runid:  # frames of a run are looked up in their index, and their transfers are sorted
            number = Transfer.id + 0
            query = query.where(Frame.runid == wanted.runid, Frame.kind == FrameKind.OBJECT, Frame.current == true())
        if wanted.node:
            query = query.where(Transfer.node_id == select(Node.id).where(Node.name == wanted.node).scalar_subquery())
        for column, value in ((Transfer.mode, wanted.mode), (Transfer.kind, wanted.kind)):
            query = query if value is None else query.where(column == value)
        if wanted.to_nodes:
            query = query.where(Transfer.node_id.is_not(None))
        query = query if before is None else query.where(number < before)
        return await _records(session, query.order_by(number.desc()).limit(limit))

    async def arrived(self, session: AsyncSession, *, since: datetime) -> dict[int, int]:
        """Count what came to each node after a moment, by node row; where nothing came there is none."""
        came = Transfer.kind.in_(TO_NODES), Transfer.state == TransferState.DONE, Transfer.ended_at >= since
        query = select(Transfer.node_id, func.count()).where(*came, Transfer.node_id.is_not(None))
        rows = (await session.execute(query.group_by(Transfer.node_id))).all()
        return {node: count for node, count in rows if node is not None}

    async def runs_to_place(self, session: AsyncSession, *, limit: int) -> list[RunRoom]:
        """Give the runs that still have frames to be placed: those with most bytes at reception first."""
        counted = Tallies().counted(session, TallyLevel.RUN).c
        mine = counted.kind == FrameKind.OBJECT, counted.current == true()

        def total(value: Any, *states: FrameState) -> Any:
            return func.coalesce(func.sum(value).filter(counted.state.in_(states)), 0)

        waiting, coming = total(counted.frames, FrameState.VALID), total(counted.frames, *COMING)
        query = (
            select(
                counted.runid,
                waiting,
                total(counted.bytes, FrameState.VALID).label("waiting_bytes"),
                coming,
                total(counted.bytes, *COMING),
                func.sum(counted.frames),
                func.sum(counted.bytes),
            )
            .where(*mine)
            .group_by(counted.runid)
            .having(waiting + coming > 0)
            .order_by(total(counted.bytes, FrameState.VALID).desc(), counted.runid.desc())
            .limit(limit)
        )
        rows = (await session.execute(query)).all()
        return [RunRoom(runid or None, *(int(value) for value in sums)) for runid, *sums in rows]

    async def run_names(
        self, session: AsyncSession, *, limit: int, below: str | None = None, beginning: str | None = None
    ) -> list[str]:
        """Name runs, the last ones in their order first; the empty name stands for frames of which it is not known.

        Parameters
        ----------
        below : only names before this one
        beginning : only names that begin so
        """
        counted = Tallies().counted(session, TallyLevel.RUN).c
        query = select(counted.runid).where(counted.kind == FrameKind.OBJECT, counted.current == true())
        if below is not None:
            query = query.where(counted.runid < below)
        if beginning:
            query = query.where(counted.runid.startswith(beginning, autoescape=True))
        query = query.group_by(counted.runid).having(func.sum(counted.frames) > 0)
        return list(await session.scalars(query.order_by(counted.runid.desc()).limit(limit)))

    async def run_counts(self, session: AsyncSession, *, done: FrameState) -> tuple[int, int]:
        """Count the runs, and those whose frames are all in a state."""
        counted = Tallies().counted(session, TallyLevel.RUN).c
        there = func.sum(counted.frames).filter(counted.state == done)
        each = select((func.coalesce(there, 0) == func.sum(counted.frames)).label("whole")).where(
            counted.kind == FrameKind.OBJECT, counted.current == true()
        )
        each = each.group_by(counted.runid).having(func.sum(counted.frames) > 0)
        runs = each.subquery()
        row = (await session.execute(select(func.count(), func.count().filter(runs.c.whole)).select_from(runs))).one()
        return int(row[0]), int(row[1])

    async def filters(self, session: AsyncSession) -> Mapping[str | None, int]:
        """Count the exposures of each filter."""
        counted = Tallies().counted(session, TallyLevel.FILTER).c
        mine = counted.kind == FrameKind.OBJECT, counted.current == true()
        query = select(counted.filter, func.sum(counted.frames)).where(*mine).group_by(counted.filter)
        return {band or None: int(count) for band, count in (await session.execute(query)).all() if count}

    async def filters_of_runs(self, session: AsyncSession, *, limit: int) -> dict[str, dict[str, int]]:
        """Count the exposures of the last runs in their order, by filter."""
        names = await self.run_names(session, limit=limit)
        counted = Tallies().counted(session, TallyLevel.RUN_FILTER).c
        mine = counted.kind == FrameKind.OBJECT, counted.current == true(), counted.runid.in_(names)
        query = select(counted.runid, counted.filter, func.sum(counted.frames)).where(*mine)
        found: dict[str, dict[str, int]] = {name: {} for name in names}
        for runid, band, count in (await session.execute(query.group_by(counted.runid, counted.filter))).all():
            if count:
                found[runid][band] = int(count)
        return found


def _listed() -> Select[Transfer, str, str]:
    return (
        select(Transfer, Frame.name, Node.name)
        .join(Frame, Frame.id == Transfer.frame_id)
        .outerjoin(Node, Node.id == Transfer.node_id)
    )


async def _records(session: AsyncSession, query: Select[Transfer, str, str]) -> list[TransferRecord]:
    found = (await session.execute(query)).all()
    return [record(TransferRecord, row, frame=frame, node=node) for row, frame, node in found]


def seconds_of(transfer: TransferRecord, *, now: datetime) -> float | None:
    """Give how long a transfer took, or takes by now; none if it has not begun."""
    return ((transfer.ended_at or now) - transfer.started_at).total_seconds() if transfer.started_at else None
