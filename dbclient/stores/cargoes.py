"""Cargoes: frames that lie on nodes with all that goes along when they leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord, ProductRecord, ReplicaRecord, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Job,
    JobState,
    Product,
    ProductState,
    Replica,
    ReplicaState,
    Transfer,
    TransferState,
)
from dbclient.stores.listings import COLUMNS

ON_NODES: Final = (FrameState.PLACED, FrameState.WEIGHTED, FrameState.FAILED)
"""States in which a frame may lie on a node and be sent to another one."""
_REPLICA: Final = tuple(Replica.__table__.c)
_AT_ONCE: Final = 500
"""Frames in one question to the database."""


@dataclass(frozen=True, slots=True)
class Cargo:
    """A frame on a node, and its products there."""

    frame: FrameRecord
    replica: ReplicaRecord
    products: tuple[ProductRecord, ...] = ()
    works: bool = False
    """Whether a job works on it."""
    moving: bool = False
    """Whether it is promised room elsewhere, or being moved or copied there."""

    @property
    def busy(self) -> bool:
        """Whether it must stay for now."""
        return self.works or self.moving

    @property
    def size(self) -> int:
        """Bytes of the frame and its products."""
        return self.replica.size + sum(product.size for product in self.products)


class Cargoes:
    """Finds what lies on nodes, and writes down that products followed their frame."""

    async def on_node(self, session: AsyncSession, node_id: int, *, limit: int = 100_000) -> list[Cargo]:
        """Give what lies on a node, oldest frame first."""
        return await self._list(session, self._query().where(Replica.node_id == node_id).limit(limit))

    async def of_run(
        self, session: AsyncSession, runid: str, *, filters: Sequence[str] = (), limit: int = 100_000
    ) -> list[Cargo]:
        """Give the frames of a run on all nodes; one that lies on two comes twice."""
        query = self._query().where(Frame.runid == runid)
        return await self._list(session, (query.where(Frame.filter.in_(filters)) if filters else query).limit(limit))

    async def of_frame(self, session: AsyncSession, frame_id: int, node_id: int) -> Cargo | None:
        """Give a frame as it lies on a node; none if it does not."""
        query = self._query().where(Frame.id == frame_id, Replica.node_id == node_id)
        return next(iter(await self._list(session, query)), None)

    async def count(self, session: AsyncSession, node_id: int) -> int:
        """Count the frames that lie on a node."""
        query = select(func.count()).select_from(self._query().where(Replica.node_id == node_id).subquery())
        return int(await session.scalar(query) or 0)

    async def follow(self, session: AsyncSession, products: Sequence[ProductRecord], node_id: int) -> None:
        """Say that products lie on another node now, under the same path."""
        numbers = [product.id for product in products]
        await session.execute(update(Product).where(Product.id.in_(numbers)).values(node_id=node_id))

    def _query(self) -> Select[Any]:
        return (
            select(*COLUMNS, *(column.label(f"r_{column.name}") for column in _REPLICA))
            .join(Replica, Replica.frame_id == Frame.id)
            .where(
                Replica.state == ReplicaState.HELD,
                Frame.kind == FrameKind.OBJECT,
                Frame.state.in_(ON_NODES),
            )
            .order_by(Frame.id, Replica.id)
        )

    async def _list(self, session: AsyncSession, query: Select[Any]) -> list[Cargo]:
        rows = (await session.execute(query)).all()
        numbers = sorted({row.id for row in rows})
        products: dict[tuple[int, int], list[ProductRecord]] = {}
        moving: set[int] = set()
        works: set[int] = set()
        for start in range(0, len(numbers), _AT_ONCE):
            some = numbers[start : start + _AT_ONCE]
            held = select(Product).where(Product.frame_id.in_(some), Product.state == ProductState.HELD)
            for product in await session.scalars(held.order_by(Product.id)):
                products.setdefault((product.frame_id, product.node_id), []).append(record(ProductRecord, product))
            goes = (Transfer.frame_id.in_(some), Transfer.state.in_((TransferState.PROMISED, TransferState.RUNNING)))
            moving |= set(await session.scalars(select(Transfer.frame_id).where(*goes)))
            runs = (Job.frame_id.in_(some), Job.state == JobState.RUNNING)
            works |= set(await session.scalars(select(Job.frame_id).where(*runs)))
        return [
            Cargo(
                record(FrameRecord, row),
                ReplicaRecord(**{column.name: getattr(row, f"r_{column.name}") for column in _REPLICA}),
                tuple(products.get((row.id, row.r_node_id), ())),
                row.id in works,
                row.id in moving,
            )
            for row in rows
        ]
