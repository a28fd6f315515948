"""Products: what stages made of frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import ProductRecord, record
from dbclient.schema import Frame, FrameState, Job, Product, ProductState


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What a product that is held was made of."""

    job_id: int
    name: str
    """Of the frame."""
    runid: str | None
    began: datetime | None
    """When the job's last try began."""
    facts: dict[str, str]
    """By kind of input, as its provenance tells them."""


class Products:
    async def of_frame(self, session: AsyncSession, frame_id: int) -> list[ProductRecord]:
        query = select(Product).where(Product.frame_id == frame_id).order_by(Product.id)
        return [record(ProductRecord, row) for row in await session.scalars(query)]

    async def on_node(self, session: AsyncSession, node_id: int) -> list[ProductRecord]:
        query = (
            select(Product).where(Product.node_id == node_id, Product.state == ProductState.HELD).order_by(Product.id)
        )
        return [record(ProductRecord, row) for row in await session.scalars(query)]

    async def made_of(self, session: AsyncSession, *, stage: str, kind: str, kinds: Sequence[str]) -> list[MadeOf]:
        """Give, for the products of one kind of weighted frames, what their provenance says of `kinds` of inputs."""
        query = (
            select(Product.job_id, Frame.name, Frame.runid, Job.started_at, Product.provenance)
            .join(Frame, Frame.id == Product.frame_id)
            .join(Job, Job.id == Product.job_id)
            .where(
                Product.stage == stage, Product.kind == kind, Product.state == ProductState.HELD,
                Frame.state == FrameState.WEIGHTED,
            )
            .order_by(Product.id)
        )  # fmt: skip
        return [
            MadeOf(job, name, runid, began, {kind: facts[kind] for kind in kinds if kind in facts})
            for job, name, runid, began, facts in (await session.execute(query)).all()
        ]

    async def get(self, session: AsyncSession, product_id: int) -> ProductRecord:
        row = await session.get(Product, product_id)
        if row is None:
            raise NoSuchRow("product", product_id)
        return record(ProductRecord, row)
