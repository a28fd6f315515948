"""Statistics of exposures, summed in the database: a row a run, filter, node or day comes back, not the frames."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, String, and_, func, or_, select, true, type_coerce
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Frame, FrameKind, FrameState, Node, Replica, ReplicaState

HELD = (FrameState.WEIGHTED, FrameState.PLACED, FrameState.VALID)
"""States in which a frame is here and verified."""
ASIDE = (FrameState.REJECTED, FrameState.FAILED)


class Grouping(enum.StrEnum):
    RUN = "run"  #: RUNID
    FILTER = "filter"  #: FILTER, as r.MP9601
    NODE = "node"  #: the node that holds the frame; none: not on a node
    DAY = "day"  #: day (UTC) on which it was received; of what is not here yet, on which it was first listed


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the exposures of one group.

    The newest generation of each exposure counts, but for what was received: files came as often as they came.
    """

    key: str | None
    """RUNID, filter, node, or day as 2008-03-30; none if it is not known."""
    expected: int = 0
    """Exposures that the archive lists."""
    held: int = 0
    """Of all exposures, those that are here, verified."""
    weighted: int = 0
    """Of those held, the ones with weight and flag maps."""
    aside: int = 0
    """Rejected and given up."""
    exposure: float = 0.0
    """Seconds that those held were exposed."""
    bytes: int = 0
    """Of those held, as the archive serves them."""
    received: int = 0
    """Files that came, of every generation."""
    received_bytes: int = 0


class Statistics:
    """Sums only; reads all rows of frames once, and keeps none."""

    async def sums(
        self, session: AsyncSession, by: Grouping, *, since: date | None = None, until: date | None = None
    ) -> list[Sums]:
        """Sum the exposures by run, filter, node or day, in the order of their keys; what is not known comes last.

        A frame on two nodes counts on both.

        Parameters
        ----------
        since, until : first and last day (UTC), both included; a frame's day is that of `Grouping.DAY`
        """
        key = _key(session, by)
        query = select(key.label("key"), *_columns()).select_from(Frame)
        if by is Grouping.NODE:
            here = and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD)
            query = query.outerjoin(Replica, here)
        # wrapped: SQLite would walk an index of kinds and look up every row of the table by it, out of order
        query = query.where(func.coalesce(Frame.kind, FrameKind.OBJECT) == FrameKind.OBJECT)
        if since is not None:
            query = query.where(_moment() >= _midnight(since))
        if until is not None and until < date.max:
            query = query.where(_moment() < _midnight(until + timedelta(days=1)))
        # by its label: PostgreSQL takes an expression with parameters for another one each time it is written
        rows = (await session.execute(query.group_by("key"))).all()
        names = dict((await session.execute(select(Node.id, Node.name))).all()) if by is Grouping.NODE else None
        found = [_sums(names.get(row.key) if names is not None else row.key, row) for row in rows]
        return sorted(found, key=lambda sums: (sums.key is None, sums.key or ""))

    async def begin(self, session: AsyncSession) -> datetime | None:
        """Give when the first frame was listed; none if there is no frame."""
        return await session.scalar(select(Frame.spotted_at).order_by(Frame.id).limit(1))


def _key(session: AsyncSession, by: Grouping) -> ColumnElement[Any]:
    columns: dict[Grouping, Any] = {
        Grouping.RUN: Frame.runid,
        Grouping.FILTER: Frame.filter,
        Grouping.NODE: Replica.node_id,
    }
    if by is not Grouping.DAY:
        column: ColumnElement[Any] = columns[by]
        return column
    if session.get_bind().dialect.name == "sqlite":
        return func.substr(type_coerce(_moment(), String), 1, 10)
    return func.substr(func.timezone("UTC", _moment()).cast(String), 1, 10)


def _moment() -> ColumnElement[datetime]:
    """When a frame was received; when it was first listed, if it is not here yet."""
    return func.coalesce(Frame.fetched_at, Frame.spotted_at)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _columns() -> tuple[ColumnElement[Any], ...]:
    newest = Frame.current == true()
    held = and_(newest, _is(HELD))
    came = Frame.fetched_at.is_not(None)
    return (
        func.count().filter(and_(newest, Frame.withdrawn_at.is_(None))).label("expected"),
        func.count().filter(held).label("held"),
        func.count().filter(and_(newest, Frame.state == FrameState.WEIGHTED)).label("weighted"),
        func.count().filter(and_(newest, _is(ASIDE))).label("aside"),
        func.sum(Frame.exposure_time).filter(held).label("exposure"),
        func.sum(Frame.size).filter(held).label("bytes"),
        func.count(Frame.fetched_at).label("received"),
        func.sum(Frame.size).filter(came).label("received_bytes"),
    )


def _is(states: Sequence[FrameState]) -> ColumnElement[bool]:
    # in words, not as IN: SQLite would look each row up in a table of states, a fifth of all its work
    return or_(*(Frame.state == state for state in states))


def _sums(key: str | None, row: Any) -> Sums:
    return Sums(
        key=key or None,
        expected=row.expected,
        held=row.held,
        weighted=row.weighted,
        aside=row.aside,
        exposure=float(row.exposure or 0.0),
        bytes=int(row.bytes or 0),
        received=row.received,
        received_bytes=int(row.received_bytes or 0),
    )
