"""What nodes hold and what they lack, summed over the tables: the facts that placement and dispatch decide on."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, select, true, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from dbclient.records import ReplicaRecord, record
from dbclient.schema import (
    Frame,
    FrameKind,
    FrameState,
    Replica,
    ReplicaState,
    Transfer,
    TransferKind,
    TransferState,
)
from dbclient.stores.transfers import TO_NODES

OPEN = (TransferState.PROMISED, TransferState.RUNNING)
AT_ONCE: Final = 500
"""Names asked for in one statement."""
_HERE: Final[ColumnElement[bool]] = literal_column("frames.state IN ('valid', 'placed', 'weighted')")
"""Written out, for only then does a database see that ix_frames_field has all these frames."""


@dataclass(frozen=True, slots=True)
class Company:
    """Frames of one kind that a node holds or expects."""

    node_id: int
    runid: str | None
    target: str | None
    filter: str | None
    ra: float | None
    dec: float | None
    frames: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A flat or mask that frames on a node name."""

    name: str
    node_id: int
    frame_id: int | None
    """Its own row; none if it was never sighted."""
    state: FrameState | None
    reason: str | None
    disk: str | None
    """Reception disk on which it lies."""
    path: str | None
    """Path below the reception disk."""
    size: int | None
    digest: str | None
    held: bool
    """Whether the node has it."""


class Inventory:
    """Sums and differences; reads only."""

    async def open_moves(self, session: AsyncSession) -> dict[int, int]:
        """Give the node to which each frame with a promised or running move or copy goes, by frame row."""
        query = select(Transfer.frame_id, Transfer.node_id).where(
            Transfer.kind.in_(TO_NODES), Transfer.state.in_(OPEN), Transfer.node_id.is_not(None)
        )
        return {frame_id: node_id for frame_id, node_id in (await session.execute(query)).all() if node_id}

    async def company(
        self, session: AsyncSession, by: Literal["run", "field", "filter"], names: Collection[str | None]
    ) -> list[Company]:
        """Give the frames that nodes hold or expect, of these runs, fields or filters.

        Parameters
        ----------
        by, names : RUNIDs; or targets as observers named them, none for frames without; or filters. Of filters, and of
            fields without a target, only frames count whose maps are not made yet: old ones lie everywhere.
        """
        wanted = sorted({name for name in names if name is not None})
        found: list[Company] = []
        for start in range(0, len(wanted), AT_ONCE):
            found += await self._company(session, by, _named_so(by, wanted[start : start + AT_ONCE]))
        if by == "field" and None in names:
            found += await self._company(session, by, [Frame.state == FrameState.PLACED, Frame.object.is_(None)])
        return found

    async def _company(
        self, session: AsyncSession, by: Literal["run", "field", "filter"], those: Sequence[ColumnElement[bool]]
    ) -> list[Company]:
        column: InstrumentedAttribute[Any] = {"run": Frame.runid, "field": Frame.object, "filter": Frame.filter}[by]
        columns: list[InstrumentedAttribute[Any]] = [column, Frame.ra, Frame.dec] if by == "field" else [column]
        held = (
            select(Replica.node_id, *columns, func.count())
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Frame.kind == FrameKind.OBJECT, Frame.current == true(), Replica.state == ReplicaState.HELD, *those)
            .group_by(Replica.node_id, *columns)
        )
        coming = (
            select(Transfer.node_id, *columns, func.count())
            .join(Frame, Frame.id == Transfer.frame_id)
            .where(Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN), Transfer.node_id.is_not(None))
            .group_by(Transfer.node_id, *columns)
        )
        rows = [*await session.execute(held), *await session.execute(coming)]
        return [_company_of(by, list(row)) for row in rows]

    async def left_behind(self, session: AsyncSession, node_id: int) -> list[ReplicaRecord]:
        """Give the replicas that a node held once and that were moved on."""
        query = select(Replica).where(Replica.node_id == node_id, Replica.state == ReplicaState.GONE)
        return [record(ReplicaRecord, row) for row in await session.scalars(query)]

    async def calibrations(self, session: AsyncSession, *, weighted: bool = False) -> list[Calibration]:
        """List the flats and masks that each node needs for frames it holds or is to receive.

        Parameters
        ----------
        weighted : whether frames count that are weighted already, as after a change of the recipe
        """
        states = (FrameState.VALID, FrameState.PLACED, *((FrameState.WEIGHTED,) if weighted else ()))
        needed = union(*(_named(column, states) for column in (Frame.flat, Frame.mask))).subquery()
        rows = select(Frame).where(Frame.current, Frame.kind != FrameKind.OBJECT).subquery()
        query = (
            select(
                needed.c.name,
                needed.c.node_id,
                rows.c.id,
                rows.c.state,
                rows.c.reason,
                rows.c.disk,
                rows.c.path,
                rows.c.size,
                rows.c.wire_digest,
                Replica.id,
            )
            .select_from(needed)
            .outerjoin(rows, rows.c.name == needed.c.name)
            .outerjoin(
                Replica,
                and_(
                    Replica.frame_id == rows.c.id,
                    Replica.node_id == needed.c.node_id,
                    Replica.state == ReplicaState.HELD,
                ),
            )
            .order_by(needed.c.name, needed.c.node_id)
        )
        return [
            Calibration(name, node_id, frame_id, state, reason, disk, path, size, digest, replica is not None)
            for name, node_id, frame_id, state, reason, disk, path, size, digest, replica in await session.execute(
                query
            )
        ]

    async def calibrations_held(self, session: AsyncSession) -> dict[int, set[str]]:
        """Give the names of the calibrations that each node holds, by node row."""
        query = (
            select(Replica.node_id, Frame.name)
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Frame.kind != FrameKind.OBJECT, Replica.state == ReplicaState.HELD)
        )
        held: dict[int, set[str]] = defaultdict(set)
        for node_id, name in (await session.execute(query)).all():
            held[node_id].add(name)
        return dict(held)


def _named_so(by: Literal["run", "field", "filter"], names: Sequence[str]) -> list[ColumnElement[bool]]:
    match by:
        case "run":
            return [Frame.runid.in_(names)]
        case "field":
            return [Frame.object.in_(names), _HERE]
        case "filter":
            return [Frame.filter.in_(names), Frame.state == FrameState.PLACED]


def _company_of(by: Literal["run", "field", "filter"], row: list[Any]) -> Company:
    node_id, name, *place, count = row
    ra, dec = place or (None, None)
    names = {"run": (name, None, None), "field": (None, name, None), "filter": (None, None, name)}[by]
    return Company(node_id, *names, ra, dec, count)


def _named(column: InstrumentedAttribute[str | None], states: Sequence[FrameState]) -> Select[str | None, int]:
    """Give name and node of what frames on nodes, or on their way there, name in one column."""
    here = and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
    coming = and_(Transfer.frame_id == Frame.id, Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN))
    node = func.coalesce(Transfer.node_id, Replica.node_id)
    return (
        select(column.label("name"), node.label("node_id"))
        .select_from(Frame)
        .outerjoin(Replica, here)
        .outerjoin(Transfer, coming)
        .where(
            column.is_not(None),
            Frame.kind == FrameKind.OBJECT,
            Frame.state.in_(states),
            or_(Transfer.node_id.is_not(None), Replica.node_id.is_not(None)),
        )
    )
