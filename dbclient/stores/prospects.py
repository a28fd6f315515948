"""Prospects: what the nodes have, or will have, room for, and what is on its way to them. Reads only."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Frame, FrameKind, FrameState, Lease, Node


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a node can take, now or once the jobs that run there have ended."""

    node: str
    most: int
    """Bytes it could take if it were empty."""
    left: int
    """Bytes it has, or will have when the jobs' scratch is given back: frames and maps that are promised are off."""


class Prospects:
    async def nodes(self, session: AsyncSession) -> list[Prospect]:
        """Give every node that was ever measured; one that is down or drains has its room again when it is back."""
        promised = (
            select(Lease.node_id, func.sum(Lease.frame_bytes + Lease.product_bytes))
            .where(Lease.ended_at.is_(None))
            .group_by(Lease.node_id)
        )
        leased = dict((await session.execute(promised)).all())
        rows = await session.scalars(select(Node).where(Node.seen_at.is_not(None)).order_by(Node.name))
        return [
            Prospect(row.name, row.capacity - row.reserve, row.free - row.reserve - int(leased.get(row.id) or 0))
            for row in rows
        ]

    async def coming(self, session: AsyncSession) -> int:
        """Count the frames that are at reception and have no node yet."""
        leased = select(Lease.frame_id).where(Lease.ended_at.is_(None))
        query = select(func.count()).where(
            Frame.state.in_((FrameState.FETCHED, FrameState.VALID)),
            Frame.kind == FrameKind.OBJECT,
            Frame.id.not_in(leased),
        )
        return int(await session.scalar(query) or 0)
