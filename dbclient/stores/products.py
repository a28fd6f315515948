"""Products: what stages made of frames."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import ProductRecord, record
from dbclient.schema import Product, ProductState


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
