"""What nodes hold and what they lack, summed over the tables: the facts that placement and dispatch decide on."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, select, true
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
By = Literal["run", "field", "filter"]
NEWEST: Final = 200
"""Frames of a field that tell where it lies; one that was observed for years has ten thousands."""
AT_ONCE: Final = 500
"""Names asked for in one statement."""
_HERE: Final[ColumnElement[bool]] = literal_column("frames.state IN ('valid', 'placed', 'weighted')")
"""Written out, for only then does a database see that ix_frames_field has all these frames."""
_COLUMNS: Final[Mapping[By, tuple[InstrumentedAttribute[Any], ...]]] = {
    "run": (Frame.runid,),
    "field": (Frame.object, Frame.ra, Frame.dec),
    "filter": (Frame.filter,),
}


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

    async def company(self, session: AsyncSession, by: By, names: Collection[str | None]) -> list[Company]:
        """Give the frames that nodes hold or expect, of these runs, fields or filters.

        Parameters
        ----------
        by, names : RUNIDs; or targets as observers named them, none for frames without; or filters. Of a target the
            newest frames count; of filters, and of fields without a target, those whose maps are not made yet.
        """
        wanted = sorted({name for name in names if name is not None})
        found: list[Company] = []
        match by:
            case "run":
                for start in range(0, len(wanted), AT_ONCE):
                    found += await self._held(session, by, [Frame.runid.in_(wanted[start : start + AT_ONCE])])
            case "filter":
                found += await self._held(session, by, [Frame.filter.in_(wanted), Frame.state == FrameState.PLACED])
            case "field":
                for name in wanted:
                    latest = select(Frame.id).where(Frame.object == name, _HERE).order_by(Frame.id.desc()).limit(NEWEST)
                    found += await self._held(session, by, [Frame.id.in_(latest)])
                if None in names:
                    found += await self._held(session, by, [Frame.state == FrameState.PLACED, Frame.object.is_(None)])
        return found + await self._coming(session, by)

    async def _held(self, session: AsyncSession, by: By, those: Sequence[ColumnElement[bool]]) -> list[Company]:
        columns = _COLUMNS[by]
        query = (
            select(Replica.node_id, *columns, func.count())
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Frame.kind == FrameKind.OBJECT, Frame.current == true(), Replica.state == ReplicaState.HELD, *those)
            .group_by(Replica.node_id, *columns)
        )
        return [_company_of(by, list(row)) for row in await session.execute(query)]

    async def _coming(self, session: AsyncSession, by: By) -> list[Company]:
        columns = _COLUMNS[by]
        query = (
            select(Transfer.node_id, *columns, func.count())
            .join(Frame, Frame.id == Transfer.frame_id)
            .where(Transfer.kind == TransferKind.MOVE, Transfer.state.in_(OPEN), Transfer.node_id.is_not(None))
            .group_by(Transfer.node_id, *columns)
        )
        return [_company_of(by, list(row)) for row in await session.execute(query)]

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
        states = (FrameState.PLACED, *((FrameState.WEIGHTED,) if weighted else ()))
        needed: set[tuple[str, int]] = set()
        for column in (Frame.flat, Frame.mask):
            for query in (_named_by_held(column, states), _named_by_coming(column)):
                needed |= {(name, node_id) for name, node_id in await session.execute(query) if name and node_id}
        rows = await self._rows(session, sorted({name for name, _ in needed}))
        held = await self._holders(session, [row.id for row in rows.values()])
        return [
            Calibration(name, node_id, None, None, None, None, None, None, None, held=False)
            if (row := rows.get(name)) is None
            else Calibration(
                name,
                node_id,
                row.id,
                row.state,
                row.reason,
                row.disk,
                row.path,
                row.size,
                row.wire_digest,
                held=(row.id, node_id) in held,
            )
            for name, node_id in sorted(needed)
        ]

    async def _rows(self, session: AsyncSession, names: Sequence[str]) -> dict[str, Any]:
        """Give the newest generation of calibrations, by name."""
        found: dict[str, Any] = {}
        columns = (Frame.id, Frame.name, Frame.state, Frame.reason, Frame.disk, Frame.path, Frame.size)
        for start in range(0, len(names), AT_ONCE):
            query = select(*columns, Frame.wire_digest).where(
                Frame.name.in_(names[start : start + AT_ONCE]), Frame.current == true(), Frame.kind != FrameKind.OBJECT
            )
            found |= {row.name: row for row in await session.execute(query)}
        return found

    async def _holders(self, session: AsyncSession, frame_ids: Sequence[int]) -> set[tuple[int, int]]:
        """Give frame and node of each replica that is held of some frames."""
        found: set[tuple[int, int]] = set()
        for start in range(0, len(frame_ids), AT_ONCE):
            query = select(Replica.frame_id, Replica.node_id).where(
                Replica.frame_id.in_(frame_ids[start : start + AT_ONCE]), Replica.state == ReplicaState.HELD
            )
            found |= {(frame_id, node_id) for frame_id, node_id in await session.execute(query)}
        return found

    async def calibrations_held(self, session: AsyncSession) -> dict[int, set[str]]:
        """Give the names of the calibrations that each node holds, by node row."""
        query = (
            select(Replica.node_id, Frame.name)
            .join(Frame, Frame.id == Replica.frame_id)
            .where(Frame.kind.in_((FrameKind.FLAT, FrameKind.MASK)), Replica.state == ReplicaState.HELD)
        )
        held: dict[int, set[str]] = defaultdict(set)
        for node_id, name in (await session.execute(query)).all():
            held[node_id].add(name)
        return dict(held)


def _company_of(by: By, row: list[Any]) -> Company:
    node_id, name, *place, count = row
    ra, dec = place or (None, None)
    names = {"run": (name, None, None), "field": (None, name, None), "filter": (None, None, name)}[by]
    return Company(node_id, *names, ra, dec, count)


def _named_by_held(
    column: InstrumentedAttribute[str | None], states: Sequence[FrameState]
) -> Select[str | None, int | None]:
    """Give what exposures on nodes name in one column, and the nodes."""
    return (
        select(column, Replica.node_id)
        .join(Replica, and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD))
        .where(
            column.is_not(None),
            Frame.kind == FrameKind.OBJECT,
            Frame.current.in_((True, False)),  # of no matter which generation; named, for ix_frames_states has it
            Frame.state.in_(states),
        )
        .distinct()
    )


def _named_by_coming(column: InstrumentedAttribute[str | None]) -> Select[str | None, int | None]:
    """Give what exposures on their way to nodes name in one column, and the nodes."""
    return (
        select(column, Transfer.node_id)
        .join(Transfer, Transfer.frame_id == Frame.id)
        .where(
            Transfer.kind == TransferKind.MOVE,
            Transfer.state.in_(OPEN),
            Transfer.node_id.is_not(None),
            column.is_not(None),
            Frame.kind == FrameKind.OBJECT,
            Frame.state.in_((FrameState.VALID, FrameState.PLACED)),
        )
        .distinct()
    )
