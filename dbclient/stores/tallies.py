"""Sums over frames: read from rows that are kept, folded by one daemon, and counted anew to be sure of them.

What is read is exact at any moment, whether or not anybody folds: kept rows, the changes that triggers told of since,
and on SQLite the frames behind the mark. Folding only makes that few rows. See `dbclient.schema.tallies`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from typing import cast as cast_to

from sqlalchemy import (
    ColumnElement,
    Select,
    String,
    Subquery,
    Table,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal,
    select,
    type_coerce,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Frame, Replica, ReplicaState, Tally, TallyChange, TallyLevel, TallyMark
from dbclient.schema.base import BigKey
from dbclient.schema.tallies import LARGEST, LONGEST

WORDS: Final = ("day", "node_id", "runid", "filter", "kind", "state", "current")
MEASURES: Final = ("frames", "withdrawn", "bytes", "exposure", "received", "received_bytes")
LEVELS: Final[Mapping[TallyLevel, tuple[str, ...]]] = {
    TallyLevel.ALL: (),
    TallyLevel.RUN: ("runid",),
    TallyLevel.FILTER: ("filter",),
    TallyLevel.RUN_FILTER: ("runid", "filter"),
    TallyLevel.DAY: ("day", "runid", "filter"),
    TallyLevel.DATE: ("day",),
    TallyLevel.NODE: ("node_id",),
    TallyLevel.NODE_DATE: ("node_id", "day"),
}
"""Which words frames of one row have in common, beside kind, state and current; the others are empty."""
FINEST: Final = (TallyLevel.DAY, TallyLevel.NODE_DATE)
"""Levels that all others can be summed from."""
_NONE: Final[Mapping[str, Any]] = {"day": "", "node_id": 0, "runid": "", "filter": ""}
"""What stands where frames of a level do not have a word in common."""
OF_NODES: Final = frozenset({TallyLevel.NODE, TallyLevel.NODE_DATE})
STINT: Final = 50_000
"""Frames, and changes, that are folded in one write unit: some 0.1 s of SQLite's lock."""


class Group(NamedTuple):
    """What the frames of one kept row have in common."""

    level: TallyLevel
    day: str
    node_id: int
    runid: str
    filter: str
    kind: str
    state: str
    current: bool


Sums = dict[Group, list[int]]
"""`MEASURES` of each group."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What one fold did."""

    frames: int
    """Frames behind the mark that are in the kept sums now."""
    changes: int
    more: bool
    """Whether there may be more to fold."""


class Tallies:
    def counted(
        self, session: AsyncSession, level: TallyLevel, *, since: str | None = None, until: str | None = None
    ) -> Subquery:
        """Give the rows whose sums are the sums over frames, as a table of `WORDS` and `MEASURES`.

        Rows of one group may come more than once, and may be negative: they are to be summed.

        Parameters
        ----------
        since, until : first and last day, as 2008-03-30, of levels that have days
        """
        kept = select(*_named(Tally)).where(Tally.level == level)
        changed = select(*_named(TallyChange))
        changed = changed.where(TallyChange.node_id > 0 if level in OF_NODES else TallyChange.node_id == 0)
        parts = [
            _between(kept, Tally.__table__.c.day, since, until),
            _between(changed, TallyChange.__table__.c.day, since, until),
        ]
        if _dialect(session) == "sqlite":
            behind = Frame.id > func.coalesce(select(TallyMark.counted).scalar_subquery(), 0)
            parts.append(_between(_rows(level, "sqlite").where(behind), _day("sqlite"), since, until))
        return union_all(*parts).subquery("counted")

    async def fold(self, session: AsyncSession, *, most: int = STINT) -> Folded:
        """Fold what changed into the kept sums, in a write unit."""
        sums: Sums = defaultdict(lambda: [0] * len(MEASURES))
        frames = 0
        if _dialect(session) == "sqlite":
            frames = await self._fold_new(session, sums, most)
        else:  # one at a time: another one waits here
            await session.execute(select(TallyMark.counted).with_for_update())
        first = select(TallyChange.id).order_by(TallyChange.id).limit(most)
        taken = delete(TallyChange).where(TallyChange.id.in_(first)).returning(*_named(TallyChange))
        changes = (await session.execute(taken.execution_options(synchronize_session=False))).all()
        _add(sums, changes)
        await _write(session, sums)
        return Folded(frames, len(changes), more=max(frames, len(changes)) >= most)

    async def idle(self, session: AsyncSession) -> bool:
        """Tell whether there is nothing to fold."""
        if await session.scalar(select(TallyChange.id).limit(1)) is not None:
            return False
        return _dialect(session) != "sqlite" or await _newest(session) <= (await _mark(session) or 0)

    async def recount(self, session: AsyncSession) -> Sums:
        """Count all frames anew, in a read unit, and give by how much the sums that are told are too small.

        It takes half a minute for a million frames of many days, runs and filters, and nobody waits meanwhile: both
        are of one moment, and what is written later adds to either in the same way.
        """
        told: Sums = defaultdict(lambda: [0] * len(MEASURES))
        for level in TallyLevel:
            _add(told, await _summed(session, select(self.counted(session, level))), only=level)
        found = await _counted_anew(session)
        nothing = [0] * len(MEASURES)
        lacking = {
            group: [
                right - said for right, said in zip(found.get(group, nothing), told.get(group, nothing), strict=True)
            ]
            for group in told.keys() | found.keys()
        }
        return {group: measures for group, measures in lacking.items() if any(measures)}

    async def mend(self, session: AsyncSession, lacking: Sums) -> None:
        """Add to the kept sums what a count anew found them to lack, in a write unit."""
        await _write(session, lacking)

    async def _fold_new(self, session: AsyncSession, sums: Sums, most: int) -> int:
        """Add frames behind the mark, and move it on; give how many rows that were."""
        begin = await _mark(session) or 0
        end = min(await _newest(session), begin + most)
        if end <= begin:
            return 0
        for level in FINEST:
            some = _rows(level, "sqlite").where(Frame.id > begin, Frame.id <= end)
            _add(sums, await _summed(session, some))
        await _set_mark(session, end)
        return end - begin


def _dialect(session: AsyncSession) -> str:
    return str(session.get_bind().dialect.name)


def _named(table: type[Tally | TallyChange]) -> list[Any]:
    return [table.__table__.c[name] for name in (*WORDS, *MEASURES)]


def _between(query: Select[Any], day: ColumnElement[str], since: str | None, until: str | None) -> Select[Any]:
    query = query if since is None else query.where(day >= since)
    return query if until is None else query.where(day <= until)


def _day(dialect: str) -> ColumnElement[str]:
    """Day of reception of a frame's row, UTC, as the triggers write it."""
    moment = func.coalesce(Frame.fetched_at, Frame.spotted_at)
    if dialect == "sqlite":
        return func.substr(type_coerce(moment, String), 1, 10)
    return func.to_char(func.timezone("UTC", moment), "YYYY-MM-DD")


def _rows(level: TallyLevel, dialect: str) -> Select[Any]:
    """Give the frames themselves as rows of `WORDS` and `MEASURES`, as the triggers of migration 0011 tell of them."""
    size = case((Frame.size.between(0, LARGEST), Frame.size), else_=0)
    whole = cast(func.round(Frame.exposure_time * 1000), BigKey)
    received = Frame.fetched_at.is_not(None)
    node: ColumnElement[int] = Replica.__table__.c.node_id if level in OF_NODES else literal(0)
    columns: tuple[Any, ...] = (
        _day(dialect).label("day"),
        node.label("node_id"),
        func.coalesce(Frame.runid, "").label("runid"),
        func.coalesce(Frame.filter, "").label("filter"),
        # wrapped: SQLite would walk an index of all frames of a kind, and not the few rows behind the mark
        *(func.coalesce(column, column).label(column.key) for column in (Frame.kind, Frame.state, Frame.current)),
        literal(1).label("frames"),
        case((Frame.withdrawn_at.is_(None), 0), else_=1).label("withdrawn"),
        size.label("bytes"),
        case((Frame.exposure_time.between(0, LONGEST), whole), else_=0).label("exposure"),
        case((received, 1), else_=0).label("received"),
        case((received, size), else_=0).label("received_bytes"),
    )
    query: Select[Any] = select(*columns)
    if level not in OF_NODES:
        return query
    return query.join(Replica, and_(Replica.frame_id == Frame.id, Replica.state == ReplicaState.HELD))


async def _summed(session: AsyncSession, rows: Select[Any]) -> Sequence[Any]:
    table = rows.subquery("rows")
    words = [table.c[name] for name in WORDS]
    query = select(*words, *(func.sum(table.c[name]) for name in MEASURES)).group_by(*words)
    return (await session.execute(query)).all()


async def _counted_anew(session: AsyncSession) -> Sums:
    found: Sums = defaultdict(lambda: [0] * len(MEASURES))
    for level in FINEST:
        _add(found, await _summed(session, _rows(level, _dialect(session))))
    return found


def _add(sums: Sums, rows: Iterable[Any], *, only: TallyLevel | None = None) -> None:
    """Add rows of `WORDS` and `MEASURES` to the sums of every level, or of one, that they belong to."""
    same: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0] * len(MEASURES))
    for row in rows:  # what is told under the same words goes to the same sums
        held = same[tuple(row[: len(WORDS)])]
        for number, value in enumerate(row[len(WORDS) :]):
            held[number] += int(value)
    for told, measures in same.items():
        words = dict(zip(WORDS, told, strict=True))
        of_nodes = words["node_id"] > 0
        for level, common in LEVELS.items():
            if (level in OF_NODES) is not of_nodes or only not in {None, level}:
                continue
            named = {name: words[name] if name in common else nothing for name, nothing in _NONE.items()}
            group = Group(level, **named, **{name: words[name] for name in ("kind", "state", "current")})
            held = sums[group]
            for number, value in enumerate(measures):
                held[number] += value


async def _write(session: AsyncSession, sums: Sums) -> None:
    """Add sums to the kept ones; groups that have no frame any more go."""
    values = [group._asdict() | dict(zip(MEASURES, added, strict=True)) for group, added in sums.items() if any(added)]
    if not values:
        return
    insert = postgresql.insert if _dialect(session) == "postgresql" else sqlite.insert
    table = cast_to("Table", Tally.__table__)
    row = insert(table)
    keys = list(Group._fields)
    more = {name: table.c[name] + row.excluded[name] for name in MEASURES}
    line = await session.connection()
    await line.execute(row.on_conflict_do_update(index_elements=keys, set_=more), values)
    less = [{f"at_{name}": value[name] for name in keys} for value in values if value["frames"] <= 0]
    if less:
        here = [table.c[name] == bindparam(f"at_{name}", type_=table.c[name].type) for name in keys]
        await line.execute(delete(table).where(*here, table.c.frames == 0), less)


async def _mark(session: AsyncSession) -> int | None:
    mark: int | None = await session.scalar(select(TallyMark.counted))
    return mark


async def _set_mark(session: AsyncSession, counted: int) -> None:
    if await _mark(session) is None:
        session.add(TallyMark(id=1, counted=counted))
        await session.flush()
    else:
        await session.execute(update(TallyMark).values(counted=counted))


async def _newest(session: AsyncSession) -> int:
    return int(await session.scalar(select(func.max(Frame.id))) or 0)
