"""Statistics of exposures, summed in the database: a row a run, filter, node or day comes back, not the frames."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Date, and_, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Frame, FrameKind, FrameState, Node, TallyLevel
from dbclient.stores.tallies import Tallies

HELD = (FrameState.WEIGHTED, FrameState.PLACED, FrameState.VALID)
"""States in which a frame is here and verified."""
ASIDE = (FrameState.REJECTED, FrameState.FAILED)


class Grouping(enum.StrEnum):
    RUN = "run"  #: RUNID
    FILTER = "filter"  #: FILTER, as r.MP9601
    NODE = "node"  #: the node that holds the frame
    DAY = "day"  #: day (UTC) on which it was received; of what is not here yet, on which it was first listed
    WEEK = "week"  #: likewise, by its Monday
    MONTH = "month"  #: likewise, by its first day


LEVELS: Final[Mapping[Grouping, tuple[TallyLevel, TallyLevel]]] = {
    Grouping.RUN: (TallyLevel.RUN, TallyLevel.DAY),
    Grouping.FILTER: (TallyLevel.FILTER, TallyLevel.DAY),
    Grouping.NODE: (TallyLevel.NODE, TallyLevel.NODE_DATE),
    Grouping.DAY: (TallyLevel.DATE, TallyLevel.DATE),
    Grouping.WEEK: (TallyLevel.DATE, TallyLevel.DATE),
    Grouping.MONTH: (TallyLevel.DATE, TallyLevel.DATE),
}
"""Of which tallies sums are made: of all days, and of some."""
MONTH: Final = 7
"""Signs of a day that name its month."""


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
    """Sums only, from the tallies: as quick with ten million frames as with ten."""

    async def sums(
        self, session: AsyncSession, by: Grouping, *, since: date | None = None, until: date | None = None
    ) -> list[Sums]:
        """Sum the exposures by run, filter, node or day, in the order of their keys; what is not known comes last.

        Nodes count what lies on them: a frame on two nodes counts on both, one that is on none on none.

        Parameters
        ----------
        since, until : first and last day (UTC), both included; a frame's day is that of `Grouping.DAY`
        """
        whole, by_day = LEVELS[by]
        level = whole if since is None and until is None else by_day
        first, last = (day.isoformat() if day else None for day in (since, until))
        counted = Tallies().counted(session, level, since=first, until=last).c
        column = _key(session, by, counted)
        query = select(column.label("key"), *_columns(counted)).where(counted.kind == FrameKind.OBJECT)
        rows = (await session.execute(query.group_by(column).having(func.sum(counted.frames) > 0))).all()
        nodes = dict((await session.execute(select(Node.id, Node.name))).all()) if by is Grouping.NODE else {}
        found = [_sums(_named(row.key, by, nodes), row) for row in rows]
        return sorted(found, key=lambda sums: (sums.key is None, sums.key or ""))

    async def begin(self, session: AsyncSession) -> datetime | None:
        """Give when the first frame was listed; none if there is no frame."""
        return await session.scalar(select(Frame.spotted_at).order_by(Frame.id).limit(1))


def _columns(counted: Any) -> tuple[ColumnElement[Any], ...]:
    newest = counted.current == true()
    held = and_(newest, counted.state.in_(HELD))

    def total(value: Any, *which: Any) -> ColumnElement[Any]:
        return func.coalesce(func.sum(value).filter(*which), 0) if which else func.sum(value)

    return (
        total(counted.frames - counted.withdrawn, newest).label("expected"),
        total(counted.frames, held).label("held"),
        total(counted.frames, newest, counted.state == FrameState.WEIGHTED).label("weighted"),
        total(counted.frames, newest, counted.state.in_(ASIDE)).label("aside"),
        total(counted.exposure, held).label("exposure"),
        total(counted.bytes, held).label("bytes"),
        total(counted.received).label("received"),
        total(counted.received_bytes).label("received_bytes"),
    )


def _key(session: AsyncSession, by: Grouping, counted: Any) -> ColumnElement[Any]:
    columns = {Grouping.RUN: counted.runid, Grouping.FILTER: counted.filter, Grouping.NODE: counted.node_id}
    if by in columns:
        column: ColumnElement[Any] = columns[by]
        return column
    if by is Grouping.DAY:
        return counted.day  # type: ignore[no-any-return]
    if by is Grouping.MONTH:
        return func.substr(counted.day, text("1"), text(str(MONTH)))
    if session.get_bind().dialect.name == "sqlite":
        return func.date(counted.day, text("'-6 days'"), text("'weekday 1'"))
    return func.to_char(func.date_trunc(text("'week'"), counted.day.cast(Date)), text("'YYYY-MM-DD'"))


def _named(key: Any, by: Grouping, nodes: Mapping[int, str]) -> str | None:
    if by is Grouping.NODE:
        return nodes.get(key)
    return f"{key}-01" if by is Grouping.MONTH else key


def _sums(key: str | None, row: Any) -> Sums:
    _, expected, held, weighted, aside, exposure, size, received, received_size = row
    counts = (int(expected), int(held), int(weighted), int(aside))
    return Sums(key or None, *counts, int(exposure) / 1000, int(size), int(received), int(received_size))
