"""Returns: frames that were placed again after a loss, and jobs that are done and whose products were lost."""

from dataclasses import dataclass

from sqlalchemy import and_, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import (
    Frame,
    FrameState,
    Job,
    JobState,
    Product,
    ProductState,
    Publication,
    PublicationState,
    Replica,
    ReplicaState,
)

LOST = (ProductState.DAMAGED, ProductState.GONE, ProductState.AWAY)
"""States of a product that is made again if its frame is held."""


@dataclass(frozen=True, slots=True)
class Return:
    """A job that is done, and a node that holds its frame."""

    job_id: int
    frame_id: int
    node_id: int
    """The job's own where that holds the frame, else the first that does."""
    lost: int
    """Products of the job that are not to be had any more, neither here nor in the archive."""


class Returns:
    """Reads only."""

    async def placed(self, session: AsyncSession, *, stage: str, recipe: str) -> list[Return]:
        """Give placed frames whose job under this recipe is done: they were lost and brought again since."""
        return await self._list(
            session, Frame.state == FrameState.PLACED, Job.stage == stage, Job.recipe == recipe, least=0
        )

    async def bereft(self, session: AsyncSession) -> list[Return]:
        """Give weighted frames whose products were lost."""
        return await self._list(session, Frame.state == FrameState.WEIGHTED, least=1)

    async def _list(self, session: AsyncSession, *conditions: object, least: int) -> list[Return]:
        safe = exists().where(
            Publication.product_id == Product.id,
            Publication.wire_digest == Product.digest,
            Publication.state == PublicationState.ACKNOWLEDGED,
        )
        lost = (
            select(Product.job_id, func.count().label("count"))
            .where(Product.state.in_(LOST), ~safe)
            .group_by(Product.job_id)
            .subquery()
        )
        here = and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
        query = (
            select(Job.id, Job.frame_id, Job.node_id, Replica.node_id, func.coalesce(lost.c.count, 0))
            .join(Frame, Frame.id == Job.frame_id)
            .join(Replica, here)
            .join(lost, lost.c.job_id == Job.id, isouter=not least)
            .where(Job.state == JobState.DONE, *conditions)  # type: ignore[arg-type]
            .order_by(Job.id, Replica.id)
        )
        found: dict[int, Return] = {}
        for job_id, frame_id, own, node_id, count in (await session.execute(query)).all():
            if job_id not in found or node_id == own:
                found[job_id] = Return(job_id, frame_id, node_id, int(count))
        return list(found.values())
