"""Slabs: new frames by the ten thousand, written as lines of bytes of which SQLite cuts its values itself.

Binding values takes three of the ten microseconds in which a row goes into its
table and seven indexes, and nothing else may run while they are bound. A slab
is bound once, and its statement runs while the next page is read. bench_listing.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.schema import Frame, FrameKind

if TYPE_CHECKING:
    from dbclient.stores.sightings import Sighting

LINE: Final = (
    *("name", "uri", "size", "wire_digest", "archive_modified", "release", "runid", "filter", "object"),
    *("exposure", "exposure_scale", "observed_at", "processed_at", "elixir_version"),
)
"""What a line has, in this order.

Moments as SQLAlchemy writes them in SQLite; exposure as a whole number, to be
divided by `exposure_scale`, a power of two, since SQLite does not read every
decimal as the nearest float, or 0 where it is unknown; spaces behind the end
of each, and nothing but spaces where there is none.
"""
_SINGLE: Final = frozenset({"name"})
"""What has no space within it."""
_SPACE: Final = ord(" ")
_STEPS: Final = 256
"""Lines that the statement counts beside one start."""


class Cut(NamedTuple):
    """Where in a line a value is."""

    begin: int
    width: int


@dataclass(frozen=True, slots=True, eq=False)
class Slab:
    """Exposures of one page that are listed as nearly all are, no name twice; made by `of`."""

    lines: bytes
    count: int
    cuts: Mapping[str, Cut]
    full: frozenset[str]
    """Columns that fill their place in every line."""
    places: frozenset[str]
    """Beginnings of the addresses: archive and collection."""
    ends: tuple[str, str]
    """First and last of its names, in their order."""
    latest: str
    """When the archive changed what it changed last; spaces if it tells of none."""
    read: Callable[[Iterable[int]], "list[Sighting]"]
    """Reads some of its lines as sightings, by number."""

    @classmethod
    def of(
        cls,
        columns: Mapping[str, NDArray[np.uint8]],
        *,
        places: frozenset[str],
        read: Callable[[Iterable[int]], "list[Sighting]"],
    ) -> Self:
        """Write lines of columns, each (rows, width)."""
        cuts, begin = {}, 0
        for name in LINE:
            width = columns[name].shape[1]
            cuts[name] = Cut(begin, width)
            begin += width
        lines = np.concatenate([columns[name] for name in LINE], axis=1)
        full = {name for name in LINE if (columns[name][:, -1] != _SPACE).all()}
        ends = _utmost(columns["name"], np.min).strip(), _utmost(columns["name"], np.max).strip()
        latest = _utmost(columns["archive_modified"], np.max)
        return cls(lines.tobytes(), len(lines), cuts, frozenset(full), places, ends, latest, read)

    @property
    def line(self) -> int:
        """Bytes of a line."""
        return len(self.lines) // self.count

    def sightings(self) -> "list[Sighting]":
        return self.read(range(self.count))

    @property
    def names(self) -> list[str]:
        return [name.decode() for name in self._column("name").tolist()]

    def reaches(self, moment: datetime) -> bool:
        """Whether the archive changed any of it at a moment or later."""
        return self.latest >= _stamp(moment)

    def since(self, moment: datetime) -> list[int]:
        """Lines of what the archive changed at a moment or later."""
        changed = self._column("archive_modified") >= np.bytes_(_stamp(moment))
        return [int(line) for line in np.flatnonzero(changed)]

    def _column(self, name: str) -> NDArray[np.bytes_]:
        """(rows,): all values of a column, with no spaces behind them."""
        begin, width = self.cuts[name]
        letters = np.frombuffer(self.lines, dtype=np.uint8).reshape(self.count, self.line)[:, begin : begin + width]
        kept = np.where(letters == _SPACE, 0, letters) if name in _SINGLE else letters
        return np.ascontiguousarray(kept).view(f"S{width}").ravel()


def _utmost(letters: NDArray[np.uint8], choose: Callable[[NDArray[np.uint8]], np.uint8]) -> str:
    """Give the first or the last of some words, (rows, width), in their order."""
    for place in range(letters.shape[1]):
        best = choose(letters[:, place])
        if not (same := letters[:, place] == best).all():
            letters = letters[same]
    return bytes(letters[0].tolist()).decode()


class Compared(NamedTuple):
    """A slab beside the rows of its names."""

    differing: list[int]
    """Lines that differ from their row, or have none."""
    listed: int
    """Lines of which the row is not marked as withdrawn."""


def fits(session: AsyncSession) -> bool:
    """Whether the database takes slabs."""
    return session.get_bind().dialect.name == "sqlite"


async def pour(session: AsyncSession, slab: Slab, *, now: datetime) -> list[str] | None:
    """Insert what has no row yet; give its names, or none if no line had one."""
    before = int(await session.scalar(select(func.max(Frame.id))) or 0)
    line = await session.connection()
    done = await line.exec_driver_sql(_pouring(slab), _bound(slab) | {"spotted": _stamp(now)})
    if done.rowcount == slab.count:
        return None
    made = await session.scalars(select(Frame.name).where(Frame.id > before, Frame.generation == 1))
    return list(made)


async def compare(session: AsyncSession, slab: Slab, *, kinds: Iterable[FrameKind]) -> Compared:
    """Find the lines that a sighting of which would change anything, or be judged at least.

    What is certain to change nothing: the same digest, and no word of the archive that the row lacks or that replaces
    the row's. See `dbclient.stores.sightings.difference` and `learnt`.
    """
    line = await session.connection()
    words = ",".join(f"'{kind.value}'" for kind in kinds)
    rows: Sequence[Any] = (await line.exec_driver_sql(_comparing(slab, words), _bound(slab))).all()
    return Compared([row[0] for row in rows], slab.count - sum(row[1] for row in rows))


def _bound(slab: Slab) -> dict[str, Any]:
    return {"lines": slab.lines, "line": slab.line, "end": len(slab.lines)}


def _stamp(moment: datetime) -> str:
    """Write a moment as SQLAlchemy has it in SQLite."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _lines(slab: Slab) -> str:
    """Write where lines begin, in their order: a join of numbers takes a third of the time of a recursion."""
    steps = ",".join(f"({step})" for step in range(_STEPS))
    starts = ",".join(f"({start})" for start in range(0, slab.count, _STEPS))
    joined = (f"(VALUES {starts}) AS a", "CROSS JOIN", f"(VALUES {steps}) AS b")
    return " ".join(("(SELECT (a.column1 + b.column1) * :line AS n FROM", *joined, "WHERE n < :end)"))


def _value(slab: Slab, name: str) -> str:
    """Write the expression that cuts a value out of the line which begins behind n bytes."""
    begin, width = slab.cuts[name]
    cut = f"SUBSTR(:lines, n + {begin + 1}, {width})"
    if name in {"size", "exposure", "exposure_scale"}:
        return f"CAST({cut} AS INTEGER)"
    if name in slab.full:
        return f"CAST({cut} AS TEXT)"
    return f"NULLIF(RTRIM(CAST({cut} AS TEXT)), '')"


def _pouring(slab: Slab) -> str:
    named = {name: _value(slab, name) for name in LINE if not name.startswith("exposure")}
    named["exposure_time"] = (
        f"{_value(slab, 'exposure')} / (1.0 * {_value(slab, 'exposure_scale')})"  # NULL if that is 0
    )
    named |= {"kind": "'object'", "spotted_at": ":spotted", "generation": "1", "current": "1"}
    named |= {"cause": "'new'", "state": "'spotted'", "attempts": "0", "priority": "0"}
    chosen = ("SELECT", ", ".join(named.values()), "FROM", _lines(slab), "WHERE true ON CONFLICT DO NOTHING")
    return " ".join(("INSERT INTO frames", f"({', '.join(named)})", *chosen))


def _comparing(slab: Slab, kinds: str) -> str:
    known = {name: _value(slab, name) for name in LINE if not name.startswith("exposure")}
    same = ["f.withdrawn_at IS NULL", f"f.wire_digest = {known['wire_digest']}", "f.offered IS NULL"]
    newest = ("archive_modified", "release", "uri", "elixir_version", "processed_at")
    same += [f"COALESCE(f.{name} = {known[name]}, {known[name]} IS NULL)" for name in newest]
    same.append("f.size IS NOT NULL")
    same += [f"(f.{name} IS NOT NULL OR {known[name]} IS NULL)" for name in ("runid", "filter", "object")]
    same.append(f"(f.exposure_time IS NOT NULL OR {_value(slab, 'exposure_scale')} = 0)")
    same.append("f.observed_at IS NOT NULL")
    # the pluses keep SQLite from walking another index than that of names
    same_frame = f"f.name = {known['name']} AND +f.current = 1 AND +f.kind IN ({kinds})"
    chosen = ("SELECT n / :line, f.id IS NULL OR f.withdrawn_at IS NOT NULL", "FROM", _lines(slab))
    return " ".join(
        (*chosen, "LEFT JOIN frames AS f ON", same_frame, "WHERE NOT COALESCE(", " AND ".join(same), ", 0)")
    )
