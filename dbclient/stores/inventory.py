"""What nodes hold and what they lack, summed over the tables: the facts that placement and dispatch decide on."""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Product,
    ProductState,
    Replica,
    ReplicaState,
    Transfer,
    TransferKind,
    TransferState,
)

OPEN = (TransferState.PROMISED, TransferState.RUNNING)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A flat or mask that frames on a node name."""

    name: str
    node_id: int
    frame_id: int | None
    """Its own row; none if it was never sighted."""
    state: FrameState | None
    reason: str | None
    path: str | None
    """Path below the reception disk."""
    size: int | None
    digest: str | None
    held: bool
    """Whether the node has it."""


class Inventory:
    """Sums and differences; reads only."""

    async def held_bytes(self, session: AsyncSession) -> dict[int, int]:
        """Give the bytes of all frames, calibrations and products that each node holds, by node row."""
        sums: dict[int, int] = defaultdict(int)
        for query in (
            select(Replica.node_id, func.sum(Replica.size))
            .where(Replica.state == ReplicaState.HELD)
            .group_by(Replica.node_id),
            select(Product.node_id, func.sum(Product.size))
            .where(Product.state == ProductState.HELD)
            .group_by(Product.node_id),
        ):
            for node_id, size in (await session.execute(query)).all():
                sums[node_id] += int(size or 0)
        return dict(sums)

    async def open_moves(self, session: AsyncSession) -> dict[int, int]:
        """Give the node to which each frame with a promised or running move goes, by frame row."""
        query = select(Transfer.frame_id, Transfer.node_id).where(
            Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN), Transfer.node_id.is_not(None)
        )
        return {frame_id: node_id for frame_id, node_id in (await session.execute(query)).all() if node_id}

    async def calibrations(self, session: AsyncSession) -> list[Calibration]:
        """List the flats and masks that each node needs for frames it holds unweighted or is to receive."""
        needed = union(*(self._named(column) for column in (Frame.flat, Frame.mask))).subquery()
        newest = (
            select(Frame.name, func.max(Frame.generation).label("generation"))
            .where(Frame.kind != FrameKind.OBJECT)
            .group_by(Frame.name)
            .subquery()
        )
        current = and_(Frame.name == newest.c.name, Frame.generation == newest.c.generation)
        rows = select(Frame).join(newest, current).subquery()
        query = (
            select(
                needed.c.name,
                needed.c.node_id,
                rows.c.id,
                rows.c.state,
                rows.c.reason,
                rows.c.path,
                rows.c.size,
                rows.c.wire_digest,
                Replica.id,
            )
            .select_from(needed)
            .outerjoin(rows, rows.c.name == needed.c.name)
            .outerjoin(
                Replica,
                and_(
                    Replica.frame_id == rows.c.id,
                    Replica.node_id == needed.c.node_id,
                    Replica.state == ReplicaState.HELD,
                ),
            )
            .order_by(needed.c.name, needed.c.node_id)
        )
        return [
            Calibration(name, node_id, frame_id, state, reason, path, size, digest, replica is not None)
            for name, node_id, frame_id, state, reason, path, size, digest, replica in await session.execute(query)
        ]

    async def calibrations_held(self, session: AsyncSession) -> dict[int, set[str]]:
        """Give the names of the calibrations that each node holds, by node row."""
        query = (
            select(Replica.node_id, Frame.name)
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Frame.kind != FrameKind.OBJECT, Replica.state == ReplicaState.HELD)
        )
        held: dict[int, set[str]] = defaultdict(set)
        for node_id, name in (await session.execute(query)).all():
            held[node_id].add(name)
        return dict(held)

    @staticmethod
    def _named(column: "ColumnElement[str | None] | object") -> "Select[tuple[str, int]]":
        """Give name and node of what frames on nodes name in one column."""
        here = and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD, Frame.state == FrameState.PLACED)
        coming = and_(Transfer.frame_id == Frame.id, Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN))
        node = func.coalesce(Transfer.node_id, Replica.node_id)
        return (  # type: ignore[no-any-return]
            select(column.label("name"), node.label("node_id"))  # type: ignore[union-attr,call-overload]
            .select_from(Frame)
            .outerjoin(Replica, here)
            .outerjoin(Transfer, coming)
            .where(
                column.is_not(None),  # type: ignore[union-attr]
                Frame.kind == FrameKind.OBJECT,
                Frame.state.in_((FrameState.VALID, FrameState.PLACED)),
                or_(Transfer.node_id.is_not(None), Replica.node_id.is_not(None)),
            )
        )
