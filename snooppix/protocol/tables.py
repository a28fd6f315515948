"""Tables of caom2 in SQLite, in memory, and queries on them: read only, of these tables only, and with an end."""

import math
import sqlite3
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from snooppix.protocol.adql import BadQuery, translate
from snooppix.protocol.schema import COLUMNS, TABLES, Column, schema_rows
from snooppix.protocol.spool import BLOCK, Cells, Spool

STEP = 100_000
"""Instructions of SQLite between two looks at how many a query has used."""
STEPS = 10_000
"""Such looks before a query is stopped: about 5 s of work."""
TOGETHER = 500
"""Observations that are taken out of the tables by one statement."""
LONGEST_VALUE = 1_000_000
"""Bytes of one value, so that a query can not fill the memory."""

FUNCTIONS: dict[str, tuple[int, Callable[..., Any]]] = {
    "ceiling": (1, math.ceil),
    "floor": (1, math.floor),
    "truncate": (1, math.trunc),
    "sqrt": (1, math.sqrt),
    "exp": (1, math.exp),
    "log": (1, math.log),
    "log10": (1, math.log10),
    "power": (2, math.pow),
    "mod": (2, math.fmod),
    "pi": (0, lambda: math.pi),
    "degrees": (1, math.degrees),
    "radians": (1, math.radians),
    "sin": (1, math.sin),
    "cos": (1, math.cos),
    "tan": (1, math.tan),
    "asin": (1, math.asin),
    "acos": (1, math.acos),
    "atan": (1, math.atan),
    "atan2": (2, math.atan2),
}
"""Functions of ADQL that SQLite lacks or means otherwise (its LOG is decimal)."""
OWN = {
    *("abs", "avg", "count", "max", "min", "round", "sum", "total"),
    *("coalesce", "ifnull", "nullif", "instr", "length", "like", "lower", "upper", "substr", "replace"),
    *("trim", "ltrim", "rtrim"),
}
"""Functions of SQLite that queries may use."""


READABLE = frozenset((schema, table.name.lower()) for table in TABLES for schema in (table.schema, ""))
"""Schema (or none) and name of each table that queries may read; names in capitals and in small letters are one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found."""

    columns: tuple[Column, ...]
    rows: list[Cells] | Spool
    """A large answer lies on disk."""
    overflow: bool
    """There are more rows than were asked for."""

    def blocks(self) -> Iterator[list[Cells]]:
        """Give all rows, some at a time."""
        if isinstance(self.rows, Spool):
            return self.rows.blocks()
        return (self.rows[start : start + BLOCK] for start in range(0, len(self.rows), BLOCK))

    def first(self, count: int) -> "Answer":
        """Give the answer with no more rows than these, overflowing if it had more."""
        if len(self.rows) <= count:
            return self
        return Answer(self.columns, list(islice(self.rows, count)), overflow=True)


Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class News:
    """Observations that were added, changed or taken away."""

    observations: Sequence[str]
    """Their obsID."""
    rows: Mapping[str, Sequence[Row]]
    """What they consist of now, by table."""


class Tables(ABC):
    """The three tables of caom2 and TAP_SCHEMA, made anew whenever what they describe has changed."""

    def __init__(self, *, steps: int = STEPS) -> None:
        self._connection: sqlite3.Connection | None = None
        self._made: Hashable = None
        self._lock = threading.Lock()
        self._looks = 0
        self._most_looks = steps

    @abstractmethod
    def _look_again(self) -> Hashable:
        """Bring what is described up to date; give its version, another one whenever any row is. Blocks."""

    @abstractmethod
    def _batches(self, visible_at: str | None) -> Iterator[Mapping[str, Sequence[Row]]]:
        """Give the rows of each table of caom2, some at a time; with a time, only what was released before it."""

    def _news(self, before: Hashable, now: Hashable) -> "News | None":
        """Give what differs between two versions; none where all tables are to be made anew."""
        del before, now
        return None

    def query(self, text: str, *, most: int | None, visible_at: str | None = None) -> Answer:
        """Run one ADQL query; blocks.

        Parameters
        ----------
        text : str
            ADQL.
        most : int or None
            Rows to return at most.
        visible_at : str or None
            Time before which a description must have been released to be seen; None shows all.

        Raises
        ------
        BadQuery
            The query is wrong, asks for what is not there, or takes too long.
        """
        translated = translate(text)
        with self._lock:
            version = self._look_again()
            connection = self._current(version) if visible_at is None else self._make(visible_at)
            self._looks = 0
            try:
                cursor = connection.execute(translated.sql)
                rows, types = _taken(cursor, sys.maxsize if most is None else most)
                more = cursor.fetchone() if most is not None else None
            except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
                raise BadQuery(_reason(error)) from error
            finally:
                if visible_at is not None:
                    connection.close()
        names = [str(entry[0]).replace("`", "") for entry in cursor.description]
        types = types if rows or more is None else [{type(cell)} for cell in more]
        columns = tuple(_column(name, translated.sources, types[index]) for index, name in enumerate(names))
        return Answer(columns, rows, overflow=more is not None)

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                self._made = None

    def _current(self, version: Hashable) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._make(None)
        elif version != self._made:
            news = self._news(self._made, version)
            if news is None:
                self._connection.close()
                self._connection = None
                self._connection = self._make(None)
            else:
                self._change(self._connection, news)
        self._made = version
        return self._connection

    def _change(self, connection: sqlite3.Connection, news: "News") -> None:
        """Put the rows of some observations in place of those that they had."""
        connection.set_authorizer(None)
        connection.set_progress_handler(None, 0)
        try:
            connection.execute("BEGIN")
            for start in range(0, len(news.observations), TOGETHER):
                some = news.observations[start : start + TOGETHER]
                these = f"WHERE obsID IN ({', '.join('?' * len(some))})"
                planes = f"(SELECT planeID FROM caom2.Plane {these})"  # noqa: S608 - question marks alone
                connection.execute(f"DELETE FROM caom2.Artifact WHERE planeID IN {planes}", some)  # noqa: S608 - as above
                for table in ("Plane", "Observation"):
                    connection.execute(f"DELETE FROM caom2.{table} {these}", some)  # noqa: S608 - as above
            _fill(connection, news.rows)
            connection.execute("COMMIT")
        finally:
            self._close_in(connection)

    def _make(self, visible_at: str | None) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        for schema in dict.fromkeys(table.schema for table in TABLES):
            connection.execute(f"ATTACH ':memory:' AS {schema}")
        for table in TABLES:
            connection.execute(table.create)
        connection.execute("BEGIN")
        for rows in self._batches(visible_at):
            _fill(connection, rows)
        for name, values in schema_rows():
            _insert(connection, f"tap_schema.{name}", [values])
        connection.execute("COMMIT")
        for table in TABLES:
            for index in table.indices:
                connection.execute(index)
        self._close_in(connection)
        return connection

    def _close_in(self, connection: sqlite3.Connection) -> None:
        """Allow nothing but reading these tables, within bounds."""
        connection.execute("PRAGMA case_sensitive_like = ON")
        for name, (arguments, function) in FUNCTIONS.items():
            connection.create_function(name, arguments, _guarded(function), deterministic=True)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.set_progress_handler(self._look, STEP)
        connection.set_authorizer(_allowed)

    def _look(self) -> int:
        self._looks += 1
        return int(self._looks > self._most_looks)


def _allowed(action: int, first: str | None, second: str | None, database: str | None, _: str | None) -> int:
    if action == sqlite3.SQLITE_SELECT:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and ((database or "").lower(), (first or "").lower()) in READABLE:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and str(second).lower() in OWN | FUNCTIONS.keys():
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(*values: Any) -> Any:
        if None in values:
            return None
        try:
            return function(*values)
        except (ValueError, TypeError, OverflowError, ZeroDivisionError):
            return None

    return guarded


def _fill(connection: sqlite3.Connection, rows: Mapping[str, Sequence[Row]]) -> None:
    for table in TABLES:
        if table.name in rows:
            names = table.names
            _insert(connection, table.full_name, [tuple(map(row.get, names)) for row in rows[table.name]])


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[object]]) -> None:
    if rows:
        marks = ", ".join("?" * len(rows[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 - names are of schema.py


def _taken(cursor: sqlite3.Cursor, most: int) -> tuple[list[Cells] | Spool, list[set[type]]]:
    """Take rows, to disk if they are many; also which types the cells of each column have."""
    types: list[set[type]] = [set() for _ in cursor.description]
    held: list[Cells] = []
    spool: Spool | None = None
    left = most
    while left and (block := cursor.fetchmany(min(BLOCK, left))):
        left -= len(block)
        for found, column in zip(types, zip(*block, strict=True), strict=True):
            found.update(map(type, column))
        if held and spool is None:
            spool = Spool()
            spool.add(held)
        if spool is not None:
            spool.add(block)
        held = block
    return held if spool is None else spool, types


def _column(name: str, sources: dict[str, str], types: set[type]) -> Column:
    known = COLUMNS.get(sources.get(name.lower(), name.lower()))
    values = types - {type(None)}
    fits: dict[str, set[type]] = {"TEXT": {str}, "INTEGER": {int}, "REAL": {float, int}}
    if known is not None and values <= fits[known.affinity]:
        return Column(name, known.type, known.meaning, known.unit)
    if values and values <= {int}:
        return Column(name, "long")
    return Column(name, "double" if values and values <= {int, float} else "char")


def _reason(error: Exception) -> str:
    text = str(error)
    if "interrupted" in text:
        return "the query was stopped: it took more work than is given to one query"
    if "prohibited" in text or "not authorized" in text:
        return f"{text}: only the tables of caom2 and tap_schema can be read"
    return text
