"""Lists and sums of frames, for pages and the command line."""

from collections import defaultdict
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRow, RunRow, record
from dbclient.schema import Frame, FrameKind, FrameState, Node, Replica, ReplicaState

ON_THE_WAY = (FrameState.VALID, FrameState.PLACED, FrameState.WEIGHTED)


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
        """Find frames; `after` is the last row number of the page before. `name` may be its beginning."""
        query: Select[Frame, str] = (
            select(Frame, Node.name)
            .outerjoin(Replica, (Replica.frame_id == Frame.id) & (Replica.state == ReplicaState.HELD))
            .outerjoin(Node, Node.id == Replica.node_id)
            .limit(limit)
        )
        if name:
            query = query.where(Frame.name.startswith(name, autoescape=True))
        for column, value in ((Frame.state, state), (Frame.runid, runid), (Frame.filter, filter), (Frame.kind, kind)):
            if value is not None:
                query = query.where(column == value)
        if state is None and not superseded:
            query = query.where(Frame.state != FrameState.SUPERSEDED)
        if node:
            query = query.where(Node.name == node)
        if newest:
            query = query.order_by(Frame.id.desc())
            query = query if after is None else query.where(Frame.id < after)
        else:
            query = query.order_by(Frame.id)
            query = query if after is None else query.where(Frame.id > after)
        found: dict[int, FrameRow] = {}
        for row, held_by in (await session.execute(query)).all():
            found.setdefault(row.id, record(FrameRow, row, node=held_by))
        return list(found.values())

    async def counts(self, session: AsyncSession) -> dict[FrameState, int]:
        """Count the exposures in each state; superseded generations do not count."""
        query = (
            select(Frame.state, func.count())
            .where(Frame.kind == FrameKind.OBJECT, Frame.state != FrameState.SUPERSEDED)
            .group_by(Frame.state)
        )
        return {FrameState(state): count for state, count in (await session.execute(query)).all()}

    async def weighted_since(self, session: AsyncSession, since: datetime) -> int:
        """Count the exposures that became weighted after a moment."""
        query = select(func.count()).select_from(Frame).where(Frame.weighted_at >= since)
        return int(await session.scalar(query) or 0)

    async def runs(self, session: AsyncSession) -> list[RunRow]:
        """Sum the exposures of each run."""
        query = (
            select(Frame.runid, Frame.state, Frame.filter, func.count(), func.coalesce(func.sum(Frame.size), 0))
            .where(Frame.kind == FrameKind.OBJECT, Frame.state != FrameState.SUPERSEDED)
            .group_by(Frame.runid, Frame.state, Frame.filter)
        )
        states: dict[str | None, dict[FrameState, int]] = defaultdict(lambda: defaultdict(int))
        filters: dict[str | None, set[str]] = defaultdict(set)
        sizes: dict[str | None, int] = defaultdict(int)
        for runid, state, band, count, size in (await session.execute(query)).all():
            states[runid][FrameState(state)] += count
            sizes[runid] += int(size or 0)
            filters[runid] |= {band} if band else set()
        return [
            RunRow(runid, sum(states[runid].values()), sizes[runid], tuple(sorted(filters[runid])), dict(states[runid]))
            for runid in sorted(states, key=lambda name: name or "")
        ]

    async def calibrations_missing(self, session: AsyncSession) -> list[str]:
        """Give names of flats and masks that exposures here name and that were never sighted."""
        wanted: set[str] = set()
        for column in (Frame.flat, Frame.mask):
            query = select(column).where(
                Frame.kind == FrameKind.OBJECT, Frame.state.in_(ON_THE_WAY), column.is_not(None)
            )
            wanted |= {str(name) for name in await session.scalars(query.distinct())}
        known = set(await session.scalars(select(Frame.name).where(Frame.name.in_(wanted))))
        return sorted(wanted - known)
