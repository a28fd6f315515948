"""The schema's history: where a database stands, and how it is brought forward (Alembic underneath)."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from dbclient.engines import BUSY, connecting, file_of, make_engine, shown
from dbclient.errors import DatabaseError, NotADatabase, SchemaTooNew, Unreachable
from dbclient.schema import Base

T = TypeVar("T")

SCRIPTS = Path(__file__).parent / "migrations"
HISTORY: Final = (
    *("0001", "0002", "0003", "0004", "0005", "0006"),
    *("0007", "0010", "0011", "0009", "0008", "0012", "0014", "0015", "0016", "0017", "0018", "0019"),
)
"""Every schema there was, oldest first: the revisions in migrations/versions (a test compares)."""
PAGE: Final = 8192
"""Bytes a page of a new SQLite database: a listing writes fewer of them. bench_listing.py."""
LOCK = 20031220
"""Advisory lock on PostgreSQL: two hosts that upgrade at once do it one after the other."""


def head() -> str:
    """Give the schema this version needs."""
    return HISTORY[-1]


def known() -> frozenset[str]:
    """Give every schema this version has heard of."""
    return frozenset(HISTORY)


async def current(url: str) -> str | None:
    """Give the schema a database has; None for one that is empty or not there yet.

    Raises
    ------
    Unreachable, NotADatabase
    """
    file = file_of(url)
    if file is not None and not await asyncio.to_thread(file.exists):
        return None
    engine = make_engine(url, writes=False)
    return await _within(engine, _held)


async def upgrade(url: str) -> None:
    """Bring a database to `head`; one that is there already is left as it is.

    Everything is one transaction: it is done whole or not at all, and of two
    processes that upgrade at once the second finds nothing left to do.

    Raises
    ------
    Unreachable, NotADatabase, SchemaTooNew
    """
    held = await current(url)
    if held is not None and held not in known():
        raise SchemaTooNew(shown(url), held=held, needed=head())
    file = file_of(url)
    if file is not None:
        with connecting(url):
            await asyncio.to_thread(_prepare, file, shown(url))
    engine = make_engine(url, writes=True, foreign_keys=False)
    await _within(engine, _upgrade)


def _held(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    held: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return held


def _prepare(file: Path, url: str) -> None:
    """Make the file, and turn on the write-ahead log, which stays with it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=BUSY, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size={PAGE}")
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    except sqlite3.DatabaseError as problem:
        kind = NotADatabase if "not a database" in str(problem) else Unreachable
        raise kind(url, str(problem)) from problem
    if mode != "wal":
        raise Unreachable(url, "no write-ahead log is possible there: SQLite needs a local disk, not a network one")


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - Alembic is for upgrades only and takes as long to load as all else
    from alembic.config import Config  # noqa: PLC0415 - as above

    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
        if orphans:
            raise DatabaseError(
                f"the upgrade would leave {len(orphans)} rows without what they name: nothing was changed"
            )


async def differences(url: str) -> list[object]:
    """Give what a migrated database has otherwise than the schema in the code: empty when they are equal."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - as in `_upgrade`
    from alembic.migration import MigrationContext  # noqa: PLC0415 - as in `_upgrade`

    def compare(connection: Connection) -> list[object]:
        def meant(thing: Any, *_: Any) -> bool:
            return thing.info.get("only") in {None, connection.dialect.name}

        told = {"compare_type": True, "compare_server_default": True, "include_object": meant}
        context = MigrationContext.configure(connection, opts=told)
        return list(compare_metadata(context, Base.metadata))

    return list(await _within(make_engine(url, writes=False), compare))


async def _within(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    """Do work in one transaction of an engine that is there for nothing else."""
    try:
        with connecting(engine.url):
            async with engine.begin() as connection:
                return await connection.run_sync(work)
    finally:
        await engine.dispose()
