"""What nodes hold and what they lack, summed over the tables: the facts that placement and dispatch decide on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, and_, func, or_, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from dbclient.records import ReplicaRecord, record
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
from dbclient.stores.transfers import TO_NODES

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
    disk: str | None
    """Reception disk on which it lies."""
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
        """Give the node to which each frame with a promised or running move or copy goes, by frame row."""
        query = select(Transfer.frame_id, Transfer.node_id).where(
            Transfer.kind.in_(TO_NODES), Transfer.state.in_(OPEN), Transfer.node_id.is_not(None)
        )
        return {frame_id: node_id for frame_id, node_id in (await session.execute(query)).all() if node_id}

    async def runs_coming(self, session: AsyncSession) -> dict[int, frozenset[str]]:
        """Give the runs of which frames are on their way to each node, by node row."""
        query = (
            select(Transfer.node_id, Frame.runid)
            .join(Frame, Frame.id == Transfer.frame_id)
            .where(Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN), Frame.runid.is_not(None))
            .distinct()
        )
        runs: dict[int, set[str]] = defaultdict(set)
        for node_id, runid in (await session.execute(query)).all():
            if node_id and runid:
                runs[node_id].add(runid)
        return {node_id: frozenset(names) for node_id, names in runs.items()}

    async def left_behind(self, session: AsyncSession, node_id: int) -> list[ReplicaRecord]:
        """Give the replicas that a node held once and that were moved on."""
        query = select(Replica).where(Replica.node_id == node_id, Replica.state == ReplicaState.GONE)
        return [record(ReplicaRecord, row) for row in await session.scalars(query)]

    async def calibrations(self, session: AsyncSession, *, weighted: bool = False) -> list[Calibration]:
        """List the flats and masks that each node needs for frames it holds or is to receive.

        Parameters
        ----------
        weighted : whether frames count that are weighted already, as after a change of the recipe
        """
        states = (FrameState.VALID, FrameState.PLACED, *((FrameState.WEIGHTED,) if weighted else ()))
        needed = union(*(_named(column, states) for column in (Frame.flat, Frame.mask))).subquery()
        rows = select(Frame).where(Frame.current, Frame.kind != FrameKind.OBJECT).subquery()
        query = (
            select(
                needed.c.name,
                needed.c.node_id,
                rows.c.id,
                rows.c.state,
                rows.c.reason,
                rows.c.disk,
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
            Calibration(name, node_id, frame_id, state, reason, disk, path, size, digest, replica is not None)
            for name, node_id, frame_id, state, reason, disk, path, size, digest, replica in await session.execute(
                query
            )
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


def _named(column: InstrumentedAttribute[str | None], states: Sequence[FrameState]) -> Select[str | None, int]:
    """Give name and node of what frames on nodes, or on their way there, name in one column."""
    here = and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
    coming = and_(Transfer.frame_id == Frame.id, Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN))
    node = func.coalesce(Transfer.node_id, Replica.node_id)
    return (
        select(column.label("name"), node.label("node_id"))
        .select_from(Frame)
        .outerjoin(Replica, here)
        .outerjoin(Transfer, coming)
        .where(
            column.is_not(None),
            Frame.kind == FrameKind.OBJECT,
            Frame.state.in_(states),
            or_(Transfer.node_id.is_not(None), Replica.node_id.is_not(None)),
        )
    )
