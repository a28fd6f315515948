"""Retirees: files of nodes that might go, each with what replaces it and where that is held."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from dbclient.schema import (
    Frame,
    FrameState,
    Node,
    Product,
    ProductState,
    Publication,
    PublicationState,
    Replica,
    ReplicaState,
)
from dbclient.stores.holdings import Holding, Sort, holding_of

ARCHIVE: Final = "the archive"
RECEPTION: Final = "the reception"


@dataclass(frozen=True, slots=True)
class Survivor:
    """A place where verified bytes remain."""

    where: str
    """Node, the reception or the archive."""
    holding: Holding | None
    """File there, if it is a node."""


@dataclass(frozen=True, slots=True)
class Retiree:
    """A file that might go."""

    holding: Holding
    state: str
    """As its row has it: held or superseded."""
    frame: str
    since: datetime | None
    """When it was replaced or acknowledged; none: it was not, as far as is known."""
    survivors: tuple[Survivor, ...]


class Retirees:
    """Reads only; `row` asks of one file alone, as it is within the transaction that lets it go."""

    async def superseded_frames(self, session: AsyncSession, node_id: int, *, row: int | None = None) -> list[Retiree]:
        """Give files of generations that were superseded; survivors are files of newer ones."""
        query = (
            select(Replica, Frame.name, Frame.generation)
            .join(Frame, Frame.id == Replica.frame_id)
            .where(
                Replica.node_id == node_id,
                Replica.state == ReplicaState.HELD,
                Frame.state == FrameState.SUPERSEDED,
                *_of(Replica.id, row),
            )
            .order_by(Replica.id)
        )
        return [
            await self._frame(session, holding_of(Sort.REPLICA, replica), name, generation)
            for replica, name, generation in (await session.execute(query)).all()
        ]

    async def _frame(self, session: AsyncSession, holding: Holding, name: str, generation: int) -> Retiree:
        newer = (Frame.name == name, Frame.generation > generation)
        moment = select(func.min(func.coalesce(Frame.valid_at, Frame.placed_at))).where(*newer)
        survivors = await self._replicas(session, *newer)
        lies = exists().where(*newer, Frame.state == FrameState.VALID, Frame.path.is_not(None))
        if await session.scalar(select(lies)):
            survivors.append(Survivor(RECEPTION, None))
        return Retiree(holding, "held", name, await session.scalar(moment), tuple(survivors))

    async def superseded_products(
        self, session: AsyncSession, node_id: int, *, row: int | None = None
    ) -> list[Retiree]:
        """Give products that were superseded and whose place was not taken by a newer one; survivors are newer ones."""
        taker = aliased(Product)
        taken = exists().where(
            taker.node_id == Product.node_id,
            taker.path == Product.path,
            taker.id != Product.id,
            taker.state == ProductState.HELD,
        )
        query = (
            select(Product, Frame.name)
            .join(Frame, Frame.id == Product.frame_id)
            .where(
                Product.node_id == node_id,
                Product.state == ProductState.SUPERSEDED,
                ~taken,
                *_of(Product.id, row),
            )
            .order_by(Product.id)
        )
        return [await self._product(session, product, name) for product, name in (await session.execute(query)).all()]

    async def _product(self, session: AsyncSession, product: Product, name: str) -> Retiree:
        query = (
            select(Product, Node.name)
            .join(Frame, Frame.id == Product.frame_id)
            .join(Node, Node.id == Product.node_id)
            .where(
                Frame.name == name,
                Product.stage == product.stage,
                Product.kind == product.kind,
                Product.state.in_((ProductState.HELD, ProductState.RETIRED)),
                Product.id != product.id,
                Product.created_at >= product.created_at,
            )
            .order_by(Product.id)
        )
        found = (await session.execute(query)).all()
        since = min((newer.created_at for newer, _ in found), default=None)
        survivors = tuple(
            Survivor(node, holding_of(Sort.PRODUCT, newer)) if _is_held(newer) else Survivor(ARCHIVE, None)
            for newer, node in found
        )
        return Retiree(holding_of(Sort.PRODUCT, product), "superseded", name, since, survivors)

    async def acknowledged(self, session: AsyncSession, node_id: int, *, row: int | None = None) -> list[Retiree]:
        """Give products of which the archive has acknowledged these very bytes, in the newest generation there."""
        newer = aliased(Publication)
        query = (
            select(Product, Frame.name, Publication.acknowledged_at)
            .join(Frame, Frame.id == Product.frame_id)
            .join(
                Publication,
                and_(Publication.product_id == Product.id, Publication.wire_digest == Product.digest),
            )
            .where(
                Product.node_id == node_id,
                Product.state == ProductState.HELD,
                Publication.state == PublicationState.ACKNOWLEDGED,
                ~exists().where(newer.name == Publication.name, newer.generation > Publication.generation),
                *_of(Product.id, row),
            )
            .order_by(Product.id)
        )
        return [
            Retiree(holding_of(Sort.PRODUCT, product), "held", name, since, (Survivor(ARCHIVE, None),))
            for product, name, since in (await session.execute(query)).all()
        ]

    async def remains(self, session: AsyncSession, path: str, names: Sequence[str]) -> tuple[bool, list[Survivor]]:
        """Say of what a file was that was set aside: whether we know its like, and where verified bytes of that are.

        Parameters
        ----------
        path : where it lay once
        names : of the frames after which it may be named
        """
        made = select(Product, Node.name).join(Node, Node.id == Product.node_id).where(Product.path == path)
        products = (await session.execute(made)).all()
        if products:
            held = [Survivor(node, holding_of(Sort.PRODUCT, row)) for row, node in products if _is_held(row)]
            retired = any(row.state is ProductState.RETIRED for row, _ in products)
            return True, held + ([Survivor(ARCHIVE, None)] if retired else [])
        known = await session.scalar(select(exists().where(Frame.name.in_(names))))
        if not known:
            return False, []
        current = and_(Frame.name.in_(names), Frame.state != FrameState.SUPERSEDED)
        lies = exists().where(current, Frame.state == FrameState.VALID, Frame.path.is_not(None))
        survivors = await self._replicas(session, current)
        if await session.scalar(select(lies)):
            survivors.append(Survivor(RECEPTION, None))
        return True, survivors

    @staticmethod
    async def _replicas(session: AsyncSession, *conditions: Any) -> list[Survivor]:
        query: Select[Replica, str] = (
            select(Replica, Node.name)
            .join(Frame, Frame.id == Replica.frame_id)
            .join(Node, Node.id == Replica.node_id)
            .where(Replica.state == ReplicaState.HELD, Frame.state != FrameState.REJECTED, *conditions)
            .order_by(Replica.id)
        )
        return [
            Survivor(node, holding_of(Sort.REPLICA, replica)) for replica, node in (await session.execute(query)).all()
        ]


def _of(column: Any, row: int | None) -> list[Any]:
    return [] if row is None else [column == row]


def _is_held(product: Product) -> bool:
    return product.state is ProductState.HELD
