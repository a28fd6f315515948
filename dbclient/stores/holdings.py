"""Holdings: every file that a node should hold, be it a frame's, a calibration's or a product's.

Who reads files again, compares disks or makes room asks nothing else of a file
than what all three have: where it lies, how large it is, and its digest.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import case, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Node,
    Product,
    ProductState,
    Publication,
    PublicationState,
    Replica,
    ReplicaState,
)


class Sort(enum.StrEnum):
    """Which table tells of a file."""

    REPLICA = "replica"  #: of a frame or calibration
    PRODUCT = "product"  #: made of a frame by a stage


class Fate(enum.StrEnum):
    """What becomes of a file that is not held any more; words of `ReplicaState` and `ProductState` both."""

    DAMAGED = "damaged"  #: it reads otherwise
    GONE = "gone"  #: it is not there
    AWAY = "away"  #: its node is missing
    RETIRED = "retired"  #: retention removed it


@dataclass(frozen=True, slots=True)
class Holding:
    """A file that a node should hold."""

    sort: Sort
    id: int
    """Row of its table."""
    frame_id: int
    node_id: int
    path: str
    """Below the node's root."""
    size: int
    digest: str
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a node's files were read again."""

    files: int
    bytes: int
    due: int
    """Files whose turn it is."""
    due_bytes: int
    oldest: datetime | None
    """When the file was compared whose turn was longest ago."""


TABLES: Final[dict[Sort, type[Replica | Product]]] = {Sort.REPLICA: Replica, Sort.PRODUCT: Product}
HELD: Final[dict[Sort, ReplicaState | ProductState]] = {
    Sort.REPLICA: ReplicaState.HELD,
    Sort.PRODUCT: ProductState.HELD,
}


def _state(sort: Sort, word: str) -> ReplicaState | ProductState:
    return ReplicaState(word) if sort is Sort.REPLICA else ProductState(word)


def holding_of(sort: Sort, row: Any) -> Holding:
    """Make a holding of a row of its table."""
    return Holding(sort, row.id, row.frame_id, row.node_id, row.path, row.size, row.digest, row.verified_at)


class Holdings:
    """Files of nodes, whatever they are of."""

    async def of_node(self, session: AsyncSession, node_id: int, *, fate: Fate | None = None) -> list[Holding]:
        """Give what a node holds, verified; or what has met a fate there."""
        found: list[Holding] = []
        for sort, table in TABLES.items():
            state = HELD[sort] if fate is None else _state(sort, fate.value)
            query = select(table).where(table.node_id == node_id, table.state == state).order_by(table.id)
            found += [holding_of(sort, row) for row in await session.scalars(query)]
        return found

    async def unread(self, session: AsyncSession, node_id: int, *, since: datetime, limit: int = 100) -> list[Holding]:
        """Give what a node holds and was not compared since a moment, longest ago first."""
        found: list[Holding] = []
        for sort, table in TABLES.items():
            query = (
                select(table)
                .where(table.node_id == node_id, table.state == HELD[sort], table.verified_at < since)
                .order_by(table.verified_at, table.id)
                .limit(limit)
            )
            found += [holding_of(sort, row) for row in await session.scalars(query)]
        return sorted(found, key=lambda holding: holding.verified_at)[:limit]

    async def progress(self, session: AsyncSession, node_id: int, *, since: datetime) -> Progress:
        """Count what a node holds, and of it what was not compared since a moment."""
        sums = [0, 0, 0, 0]
        oldest: list[datetime] = []
        for sort, table in TABLES.items():
            here = (table.node_id == node_id, table.state == HELD[sort])
            old = case((table.verified_at < since, 1), else_=0)
            counts = select(func.count(), func.sum(table.size), func.sum(old), func.sum(old * table.size)).where(*here)
            sums = [
                held + int(more or 0) for held, more in zip(sums, (await session.execute(counts)).one(), strict=True)
            ]
            first = select(table.verified_at).where(*here).order_by(table.verified_at).limit(1)
            oldest += list(await session.scalars(first))
        return Progress(sums[0], sums[1], sums[2], sums[3], min(oldest, default=None))

    async def put_away(self, session: AsyncSession, node_id: int) -> int:
        """Say of everything that a node holds that its node is missing; return how many files that are."""
        count = 0
        for sort, table in TABLES.items():
            here = (table.node_id == node_id, table.state == HELD[sort])
            done = await session.execute(
                update(table).where(*here).values(state=_state(sort, Fate.AWAY.value)),
                execution_options={"synchronize_session": False},
            )
            count += int(done.rowcount)  # type: ignore[attr-defined]
        return count

    async def bereaved(self, session: AsyncSession, node_id: int, *, behind: int, limit: int) -> list[Holding]:
        """Give files of placed or weighted frames that a missing node had and no other node holds, in order of rows.

        Parameters
        ----------
        behind : a replica's row: only those after it are given
        """
        other = aliased(Replica)
        held = exists().where(other.frame_id == Replica.frame_id, other.state == ReplicaState.HELD)
        query = (
            select(Replica)
            .join(Frame, Frame.id == Replica.frame_id)
            .where(
                Replica.node_id == node_id,
                Replica.state == ReplicaState.AWAY,
                Replica.id > behind,
                Frame.state.in_((FrameState.PLACED, FrameState.WEIGHTED)),
                ~held,
            )
            .order_by(Replica.id)
            .limit(limit)
        )
        return [holding_of(Sort.REPLICA, row) for row in await session.scalars(query)]

    async def count_away(self, session: AsyncSession, node_id: int) -> int:
        """Count what a node had when it was missing, and what was not read since it is back."""
        count = 0
        for sort, table in TABLES.items():
            here = (table.node_id == node_id, table.state == _state(sort, Fate.AWAY.value))
            count += int(await session.scalar(select(func.count()).select_from(table).where(*here)) or 0)
        return count

    async def away(self, session: AsyncSession, node_id: int, *, limit: int = 100) -> list[Holding]:
        """Give what a node had when it was missing, products first: a frame without its maps would have them made."""
        found: list[Holding] = []
        for sort in (Sort.PRODUCT, Sort.REPLICA):
            table = TABLES[sort]
            state = _state(sort, Fate.AWAY.value)
            query = select(table).where(table.node_id == node_id, table.state == state).order_by(table.id)
            found += [holding_of(sort, row) for row in await session.scalars(query.limit(limit - len(found)))]
        return found

    async def verify(self, session: AsyncSession, holding: Holding, *, now: datetime) -> bool:
        """Say that a file was read again and is as it was; False if the database says something else of it by now."""
        return await self._set(session, holding, {"verified_at": now})

    async def lose(self, session: AsyncSession, holding: Holding, fate: Fate, *, was: str | None = None) -> bool:
        """Say that a file is not held any more; False if it was moved on, replaced or lost already.

        Parameters
        ----------
        was : the state in which it was, if that was not held
        """
        return await self._set(session, holding, {"state": _state(holding.sort, fate.value)}, was=was)

    async def find_again(self, session: AsyncSession, holding: Holding, *, now: datetime) -> bool:
        """Say that a file that had met a fate stands there as it was; False if its row says that it is held."""
        table = TABLES[holding.sort]
        found = await session.execute(
            update(table)
            .where(table.id == holding.id, table.node_id == holding.node_id, table.state != HELD[holding.sort])
            .values(
                state=HELD[holding.sort],
                path=holding.path,
                size=holding.size,
                digest=holding.digest,
                verified_at=now,
            )
        )
        return bool(found.rowcount)  # type: ignore[attr-defined]

    async def others(self, session: AsyncSession, holding: Holding) -> list[tuple[str, Holding]]:
        """Give the other verified files of the same frame with the same bytes, each with the name of its node."""
        query = (
            select(Replica, Node.name)
            .join(Node, Node.id == Replica.node_id)
            .where(
                Replica.frame_id == holding.frame_id,
                Replica.id != holding.id,
                Replica.state == ReplicaState.HELD,
                Replica.digest == holding.digest,
            )
            .order_by(Replica.id)
        )
        return [(name, holding_of(Sort.REPLICA, row)) for row, name in (await session.execute(query)).all()]

    async def laid_out(self, session: AsyncSession, holding: Holding) -> list[tuple[str | None, str]]:
        """Give reception disk and path of the files of a product that are offered to the archive, with its bytes."""
        query = select(Publication.disk, Publication.path).where(
            Publication.product_id == holding.id,
            Publication.wire_digest == holding.digest,
            Publication.path.is_not(None),
            Publication.state.in_((PublicationState.OFFERED, PublicationState.ACKNOWLEDGED)),
        )
        return [(disk, path) for disk, path in (await session.execute(query)).all() if path]

    async def made_meanwhile(self, session: AsyncSession, holding: Holding) -> list[str]:
        """Name the frames whose products on this node were made since a frame or calibration was last verified."""
        frame = await session.get_one(Frame, holding.frame_id)
        made_of = Frame.id == frame.id
        if frame.kind is not FrameKind.OBJECT:
            made_of = (Frame.flat == frame.name) | (Frame.mask == frame.name)
        query = (
            select(Frame.name)
            .join(Product, Product.frame_id == Frame.id)
            .where(
                made_of,
                Product.node_id == holding.node_id,
                Product.state == ProductState.HELD,
                Product.created_at > holding.verified_at,
            )
            .distinct()
            .order_by(Frame.name)
        )
        return list(await session.scalars(query))

    async def _set(
        self, session: AsyncSession, holding: Holding, values: dict[str, Any], *, was: str | None = None
    ) -> bool:
        table = TABLES[holding.sort]
        done = await session.execute(
            update(table)
            .where(
                table.id == holding.id,
                table.node_id == holding.node_id,
                table.state == (HELD[holding.sort] if was is None else _state(holding.sort, was)),
                table.path == holding.path,
                table.digest == holding.digest,
            )
            .values(**values)
        )
        return bool(done.rowcount)  # type: ignore[attr-defined]
