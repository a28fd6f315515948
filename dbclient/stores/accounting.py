"""Accounting: what the database says of every file, asked page by page by who compares it with disks and archive."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRecord, record
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
from dbclient.stores.holdings import HELD, TABLES, Holding, Sort, holding_of
from dbclient.stores.listings import COLUMNS

RECEIVED = (FrameState.FETCHED, FrameState.VALID)
"""States in which a frame's file lies at reception."""
HAD = (FrameState.PLACED, FrameState.WEIGHTED)
"""States in which a frame's file lies on a node."""
HELD_SOMEWHERE = exists().where(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
"""Whether a frame has a verified file on a node that counts."""


@dataclass(frozen=True, slots=True)
class Received:
    """A file that should lie at reception."""

    frame_id: int
    name: str
    state: FrameState
    disk: str | None
    path: str
    size: int | None


@dataclass(frozen=True, slots=True)
class Unheld:
    """A frame of which too few verified files are left."""

    frame_id: int
    name: str
    withdrawn_at: datetime | None
    replicas: int
    """Verified files that are left."""
    rows: int
    """Files that there ever were on nodes."""


class Accounting:
    """Reads only."""

    async def page(
        self,
        session: AsyncSession,
        node_id: int,
        sort: Sort,
        *,
        behind: int,
        limit: int,
        runid: str | None = None,
    ) -> list[Holding]:
        """Give what a node holds in the order of rows, those behind a row; of one run if it is named."""
        table = TABLES[sort]
        query = select(table).where(table.node_id == node_id, table.state == HELD[sort], table.id > behind)
        if runid is not None:
            query = query.join(Frame, Frame.id == table.frame_id).where(Frame.runid == runid)
        rows = await session.scalars(query.order_by(table.id).limit(limit))
        return [holding_of(sort, row) for row in rows]

    async def at(self, session: AsyncSession, node_id: int, path: str) -> list[tuple[Holding, str]]:
        """Give every row that ever placed a file there, each with its state."""
        found: list[tuple[Holding, str]] = []
        for sort, table in TABLES.items():
            query = select(table).where(table.node_id == node_id, table.path == path).order_by(table.id)
            rows: list[Replica | Product] = list(await session.scalars(query))
            found += [(holding_of(sort, row), row.state.value) for row in rows]
        return found

    async def superseded_paths(self, session: AsyncSession, node_id: int) -> set[str]:
        """Give the places of products that were superseded: known, and left to retention."""
        query = select(Product.path).where(Product.node_id == node_id, Product.state == ProductState.SUPERSEDED)
        return set(await session.scalars(query))

    async def in_hand(self, session: AsyncSession, frame_id: int) -> bool:
        """Tell whether a move, a fetch or a job of a frame is under way: its files come and go now."""
        moving = exists().where(
            Transfer.frame_id == frame_id, Transfer.state.in_((TransferState.PROMISED, TransferState.RUNNING))
        )
        working = exists().where(Job.frame_id == frame_id, Job.state == JobState.RUNNING)
        return bool(await session.scalar(select(moving | working)))

    async def unheld(self, session: AsyncSession, *, runid: str | None, behind: int, limit: int) -> list[Unheld]:
        """Give exposures that count as placed or weighted, and that no node holds."""
        query = self._counted(runid=runid, behind=behind, limit=limit).where(
            Frame.state.in_(HAD), Frame.path.is_(None), ~HELD_SOMEWHERE
        )
        return [Unheld(*row) for row in (await session.execute(query)).all()]

    async def withdrawn(self, session: AsyncSession, *, runid: str | None, behind: int, limit: int) -> list[Unheld]:
        """Give exposures that the archive has no more, and of which one verified file is left."""
        held = (
            select(func.count())
            .where(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
            .correlate(Frame)
            .scalar_subquery()
        )
        query = self._counted(runid=runid, behind=behind, limit=limit).where(
            Frame.withdrawn_at.is_not(None), Frame.state.in_(HAD), held == 1
        )
        return [Unheld(*row) for row in (await session.execute(query)).all()]

    async def received(self, session: AsyncSession, *, runid: str | None, behind: int, limit: int) -> list[Received]:
        """Give what should lie at reception, in the order of rows."""
        query = (
            select(Frame.id, Frame.name, Frame.state, Frame.disk, Frame.path, Frame.size)
            .where(Frame.state.in_(RECEIVED), Frame.path.is_not(None), Frame.id > behind)
            .order_by(Frame.id)
            .limit(limit)
        )
        if runid is not None:
            query = query.where(Frame.runid == runid)
        return [Received(*row) for row in (await session.execute(query)).all()]  # type: ignore[arg-type]

    async def with_digest(self, session: AsyncSession, names: Sequence[str], digest: str) -> list[FrameRecord]:
        """Give generations of these names whose file has a digest, newest first."""
        query = select(*COLUMNS).where(Frame.name.in_(names), Frame.wire_digest == digest)
        rows = await session.execute(query.order_by(Frame.generation.desc()))
        return [record(FrameRecord, row) for row in rows]

    @staticmethod
    def _counted(*, runid: str | None, behind: int, limit: int) -> Select[int, str, datetime | None, int, int]:
        ever = select(func.count()).where(Replica.frame_id == Frame.id).correlate(Frame).scalar_subquery()
        held = (
            select(func.count())
            .where(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
            .correlate(Frame)
            .scalar_subquery()
        )
        query = (
            select(Frame.id, Frame.name, Frame.withdrawn_at, held, ever)
            .where(Frame.kind == FrameKind.OBJECT, Frame.id > behind)
            .order_by(Frame.id)
            .limit(limit)
        )
        return query if runid is None else query.where(Frame.runid == runid)
