"""Engines of SQLAlchemy as TERAPIX needs them, and the errors of drivers in plain words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dbclient.checkpoint import AT_LATEST
from dbclient.errors import Busy, DatabaseError, Full, NotADatabase, Unreachable
from dbclient.lengths import filled_up
from dbclient.nearby import open_nearby

BUSY: Final = 30.0
"""Seconds a writer waits for the others on SQLite; a write unit takes milliseconds."""
READERS: Final = 5
"""Connections kept for reading; more are opened for a while when pages ask for them."""
NO_COMPILER: Final[dict[str, Any]] = {"server_settings": {"jit": "off"}}
"""To compile a question takes PostgreSQL longer than all of ours take to be answered: bench_pages.py."""
DEADLOCK: Final = "40P01"
"""PostgreSQL's word for two units that wait for each other: it undoes one after a second, which may be tried again."""
PRAGMAS: Final = (f"busy_timeout={int(BUSY * 1000)}", "synchronous=FULL", f"wal_autocheckpoint={AT_LATEST}")
"""FULL: a commit is on the disk when it returns. With NORMAL a power cut could take back the row
that said where a frame went, after the mover had removed the frame from where it came."""
ROOM: Final = 8192
"""Kilobytes of pages that the writer keeps: what ten thousand rows change is written once. bench_listing.py."""


def parse(url: str) -> URL:
    """Read an address; PostgreSQL is reached through asyncpg, SQLite through aiosqlite.

    Raises
    ------
    DatabaseError
        The address is none, or of a database that TERAPIX does not use.
    """
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise DatabaseError("database.url is no address: sqlite+aiosqlite:///FILE or postgresql+asyncpg://…") from None
    kind = parsed.drivername.partition("+")[0]
    if kind not in drivers:
        raise DatabaseError(f"database.url names {kind}: TERAPIX works on sqlite and postgresql")
    return parsed.set(drivername=drivers[kind])


def shown(url: str | URL) -> str:
    """Give an address as it may be shown: without its password."""
    return make_url(url).render_as_string(hide_password=True)


def file_of(url: str) -> Path | None:
    """Give the file of a SQLite address; none for servers."""
    parsed = parse(url)
    return Path(parsed.database) if parsed.drivername.startswith("sqlite") and parsed.database else None


def make_engine(url: str, *, writes: bool, foreign_keys: bool = True) -> AsyncEngine:
    """Make an engine for reading or for writing.

    SQLite: every unit of a writing engine begins with ``BEGIN IMMEDIATE``, and
    there is one connection, so that the tasks of a process queue up here
    instead of at the file. Readers never wait (WAL) and cannot write.

    `foreign_keys` is off for migrations only, which copy whole tables.

    PostgreSQL: units that read see one moment (REPEATABLE READ, read only);
    those that write lock the rows they decide on (READ COMMITTED).
    """
    parsed = parse(url)
    if not parsed.drivername.startswith("sqlite"):
        engine = create_async_engine(parsed, pool_pre_ping=True, pool_size=READERS, connect_args=NO_COMPILER)
        options: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
        if not writes:
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return engine.execution_options(**options)
    size = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 4 * BUSY} if writes else {"pool_size": READERS}
    near = {"async_creator_fn": open_nearby} if writes else {}
    engine = create_async_engine(parsed, connect_args={"timeout": BUSY, "isolation_level": None, **near}, **size)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        own = (f"cache_size=-{ROOM}",) if writes else ()
        for pragma in (*PRAGMAS, *own, f"foreign_keys={int(foreign_keys)}", f"query_only={int(not writes)}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def undo(connection: Any, *_: Any) -> None:
        """Roll back what a cancelled task has begun: a cursor that was not read to its end outlives the connection.

        It would keep the lock of the whole database until it is collected.
        """
        with contextlib.suppress(Exception):
            connection.rollback()

    @event.listens_for(engine.sync_engine, "before_cursor_execute", retval=True)
    def fill_up(*told: Any) -> tuple[str, Any]:
        """Have few lengths of lists: of connection, cursor, statement, values, context, and whether there are many."""
        statement, values, many = told[2], told[3], told[5]
        return (statement, values) if many else filled_up(statement, values)

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextlib.contextmanager
def plain_errors(url: str | URL) -> Iterator[None]:
    """Turn what a driver raises when the database cannot be worked with into our own errors.

    Faults of our own (a constraint that is violated, SQL that is wrong) pass unchanged.
    """
    try:
        yield
    except PoolTimeout as problem:
        raise Busy(shown(url), seconds=4 * BUSY) from problem
    except DBAPIError as problem:
        translated = _translated(shown(url), problem)
        if translated is None:
            raise
        raise translated from problem


@contextlib.contextmanager
def connecting(url: str | URL) -> Iterator[None]:
    """Do the same while a connection is made, when drivers also raise what is not of SQLAlchemy."""
    try:
        with plain_errors(url):
            yield
    except NoSuchModuleError as problem:
        raise DatabaseError(f"the driver of the database {shown(url)} is not installed: {problem}") from problem
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
        raise Unreachable(shown(url), str(problem) or type(problem).__name__) from problem


def _translated(url: str, problem: DBAPIError) -> DatabaseError | None:
    said = str(problem.orig)
    low = said.lower()
    if "is not a database" in low or "malformed" in low:
        return NotADatabase(url, said)
    if "database is locked" in low:
        return Busy(url, seconds=BUSY)
    if "is full" in low or "no space left" in low or "disk i/o error" in low:
        return Full(url, said)
    state = getattr(problem.orig, "sqlstate", None) or ""
    if state == DEADLOCK:
        return Busy(url, seconds=1)
    connection_lost = problem.connection_invalidated or state[:2] in {"08", "28", "3D", "53", "57"}
    may_not_write = "readonly database" in low and (problem.statement or "").startswith("BEGIN")
    no_line = isinstance(problem, OperationalError | InterfaceError) and "connection" in low
    if connection_lost or may_not_write or no_line or "unable to open" in low:
        return Unreachable(url, said)
    return None
