"""Acknowledgements that we owe the publisher of products: an outbox whose letters are rows, so that none is lost."""

from datetime import datetime

from sqlalchemy import or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.errors import NoSuchRow
from dbclient.records import FrameRecord, record
from dbclient.schema import Frame, FrameKind, FrameState
from dbclient.stores.events import Events, about


class Acknowledgements:
    """Products that are verified here and whose publisher does not know it yet."""

    async def due(self, session: AsyncSession, *, now: datetime, limit: int) -> list[FrameRecord]:
        """Give those whose next try is due, the oldest first."""
        query = (
            select(Frame)
            .where(
                Frame.state == FrameState.VALID,
                Frame.kind == FrameKind.PRODUCT,
                Frame.current == true(),
                Frame.offered.is_not(None),
                Frame.acknowledged_at.is_(None),
                or_(Frame.retry_at.is_(None), Frame.retry_at <= now),
            )
            .order_by(Frame.id)
            .limit(limit)
        )
        return [record(FrameRecord, row) for row in await session.scalars(query)]

    async def done(self, session: AsyncSession, frame_id: int, *, now: datetime, source: str) -> None:
        """Say that the publisher knows."""
        row = await session.get(Frame, frame_id)
        if row is None:
            raise NoSuchRow("frame", frame_id)
        row.acknowledged_at, row.reason, row.retry_at, row.attempts = now, None, None, 0
        said = f"generation {row.offered} is acknowledged to its publisher"
        await Events().append(
            session, source=source, kind="acknowledged", message=about(row.name, said), frame_id=row.id, now=now
        )

    async def held(self, session: AsyncSession) -> list[FrameRecord]:
        """Give the products that are verified here, by name; of each name the newest that is."""
        query = (
            select(Frame)
            .where(Frame.kind == FrameKind.PRODUCT, Frame.state == FrameState.VALID)
            .order_by(Frame.name, Frame.generation)
        )
        return [record(FrameRecord, row) for row in await session.scalars(query)]
