"""Stocks: what each node holds, summed up from the few rows that the database's triggers keep."""

from collections import defaultdict
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Stock, StockKind

MANY: Final = 2000
"""Rows from which on they are worth adding up; so many are summed in a millisecond."""


class Stocks:
    """Sums of replicas and products that are held, exact in every transaction."""

    async def bytes(self, session: AsyncSession) -> dict[int, int]:
        """Give the bytes of all frames, calibrations and products that each node holds, by node row."""
        query = select(Stock.node_id, func.sum(Stock.bytes)).group_by(Stock.node_id)
        return {node: int(size) for node, size in await session.execute(query) if size}

    async def files(self, session: AsyncSession, kind: StockKind) -> dict[int, int]:
        """Count the files of a kind that each node holds, by node row."""
        query = select(Stock.node_id, func.sum(Stock.files)).where(Stock.kind == kind).group_by(Stock.node_id)
        return {node: int(count) for node, count in await session.execute(query) if count}

    async def many(self, session: AsyncSession) -> bool:
        """Tell whether there are so many rows that they should be added up."""
        return int(await session.scalar(select(func.count()).select_from(Stock)) or 0) > MANY

    async def add_up(self, session: AsyncSession) -> None:
        """Put one row in place of all that are there; what others write meanwhile stays beside it."""
        sums: dict[tuple[int, StockKind], list[int]] = defaultdict(lambda: [0, 0])
        gone = delete(Stock).returning(Stock.node_id, Stock.kind, Stock.files, Stock.bytes)
        for node, kind, files, size in await session.execute(gone):
            sums[node, kind][0] += files
            sums[node, kind][1] += size
        rows = [
            {"node_id": node, "kind": kind, "files": files, "bytes": size}
            for (node, kind), (files, size) in sums.items()
            if files or size
        ]
        if rows:
            await session.execute(insert(Stock), rows)
