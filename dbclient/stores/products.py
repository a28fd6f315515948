"""Products, and how large they grow."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import ProductRecord, record
from dbclient.schema import Frame, Product, ProductState

LATEST = 1000
"""Products over which their growth is averaged: about 200 frames, read in a millisecond."""


class Products:
    async def of_frame(self, session: AsyncSession, frame_id: int) -> list[ProductRecord]:
        query = select(Product).where(Product.frame_id == frame_id).order_by(Product.id)
        return [record(ProductRecord, row) for row in await session.scalars(query)]

    async def on_node(self, session: AsyncSession, node_id: int) -> list[ProductRecord]:
        query = (
            select(Product).where(Product.node_id == node_id, Product.state == ProductState.HELD).order_by(Product.id)
        )
        return [record(ProductRecord, row) for row in await session.scalars(query)]

    async def get(self, session: AsyncSession, product_id: int) -> ProductRecord:
        row = await session.get(Product, product_id)
        if row is None:
            raise NoSuchRow("product", product_id)
        return record(ProductRecord, row)

    async def growth(self, session: AsyncSession) -> dict[str, float]:
        """Give, by kind of product, its bytes as a share of the unpacked frame, averaged over the latest ones."""
        latest = (
            select(Product.kind, Product.size, Product.frame_id).order_by(Product.id.desc()).limit(LATEST).subquery()
        )
        unpacked = Frame.needs["unpacked"].as_float()
        query = (
            select(latest.c.kind, func.sum(latest.c.size), func.sum(unpacked))
            .join(Frame, Frame.id == latest.c.frame_id)
            .where(unpacked > 0)
            .group_by(latest.c.kind)
        )
        return {kind: float(size) / float(whole) for kind, size, whole in (await session.execute(query)).all() if whole}
