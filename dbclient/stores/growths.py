"""Growth: what stages write of frames, noted as it is written and read in a few rows, however many frames there are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.growth import GrowthRecord
from dbclient.records import record
from dbclient.schema import Growth

FORGET: Final = 0.995
"""What is left of the weight of a frame when the next one was counted: the last 200 or so make the figure."""


class Growths:
    """Running sums by instrument, stage and kind of product."""

    async def note(
        self,
        session: AsyncSession,
        *,
        instrument: str | None,
        stage: str,
        written: Mapping[str, int],
        file: int,
        unpacked: float,
        now: datetime,
    ) -> None:
        """Count what a stage wrote of a frame.

        Parameters
        ----------
        written : bytes by kind of product
        file, unpacked : bytes of the frame's file and of its pixels; a frame of which they are unknown counts nothing
        """
        if file <= 0 or unpacked <= 0:
            return
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        for kind in sorted(written):  # always in this order, so that two who count never wait for each other
            row = insert(Growth).values(
                instrument=instrument or "",
                stage=stage,
                kind=kind,
                product_bytes=float(written[kind]),
                file_bytes=float(file),
                unpacked_bytes=float(unpacked),
                products=1,
                counted_at=now,
            )
            sums = {
                name: getattr(Growth, name) * FORGET + row.excluded[name]
                for name in ("product_bytes", "file_bytes", "unpacked_bytes")
            }
            await session.execute(
                row.on_conflict_do_update(
                    index_elements=[Growth.instrument, Growth.stage, Growth.kind],
                    set_={**sums, "products": Growth.products + 1, "counted_at": now},
                )
            )

    async def measured(self, session: AsyncSession) -> list[GrowthRecord]:
        """Give all sums."""
        query = select(Growth).order_by(Growth.instrument, Growth.stage, Growth.kind)
        rows = await session.scalars(query.execution_options(populate_existing=True))
        return [record(GrowthRecord, row) for row in rows]
