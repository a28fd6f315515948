"""Replicas: which node holds which frame."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import ReplicaRecord, record
from dbclient.schema import Replica, ReplicaState


class Replicas:
    async def hold(
        self, session: AsyncSession, *, frame_id: int, node_id: int, path: str, size: int, digest: str, now: datetime
    ) -> int:
        """Say that a node holds a frame, verified just now; give the row's number."""
        row = await session.scalar(select(Replica).where(Replica.frame_id == frame_id, Replica.node_id == node_id))
        if row is None:
            row = Replica(frame_id=frame_id, node_id=node_id)
            session.add(row)
        row.path, row.size, row.digest, row.state, row.verified_at = path, size, digest, ReplicaState.HELD, now
        await session.flush()
        return row.id

    async def of_frame(self, session: AsyncSession, frame_id: int) -> list[ReplicaRecord]:
        query = select(Replica).where(Replica.frame_id == frame_id).order_by(Replica.id)
        return [record(ReplicaRecord, row) for row in await session.scalars(query)]

    async def on_node(self, session: AsyncSession, node_id: int) -> list[ReplicaRecord]:
        """Give what a node holds, verified."""
        query = (
            select(Replica).where(Replica.node_id == node_id, Replica.state == ReplicaState.HELD).order_by(Replica.id)
        )
        return [record(ReplicaRecord, row) for row in await session.scalars(query)]

    async def mark(self, session: AsyncSession, replica_id: int, state: ReplicaState) -> None:
        row = await session.get(Replica, replica_id)
        if row is None:
            raise NoSuchRow("replica", replica_id)
        row.state = state
