"""The schema's history: where a database stands, and how it is brought forward (Alembic underneath)."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from dbclient.errors import Unreachable
from dbclient.schema import Base

T = TypeVar("T")

SCRIPTS = Path(__file__).parent / "migrations"
LOCK = 20031220
"""Advisory lock on PostgreSQL: two hosts that upgrade at once do it one after the other."""


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(SCRIPTS))


def head() -> str:
    """Give the schema this version needs."""
    return str(_scripts().get_current_head())


@cache
def known() -> frozenset[str]:
    """Give every schema this version has heard of."""
    return frozenset(script.revision for script in _scripts().walk_revisions())


async def current(url: str) -> str | None:
    """Give the schema a database has; None for one that is empty or not there yet.

    Raises
    ------
    Unreachable
    """
    file = file_of(url)
    if file is not None and not await asyncio.to_thread(file.exists):
        return None
    return await _with_connection(url, lambda connection: MigrationContext.configure(connection).get_current_revision())


async def upgrade(url: str) -> None:
    """Bring a database to `head`; one that is there already is left as it is.

    Raises
    ------
    Unreachable
    """
    if (file := file_of(url)) is not None:
        await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)

    def run(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
        else:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        config = Config()
        config.set_main_option("script_location", str(SCRIPTS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    await _with_connection(url, run)


def file_of(url: str) -> Path | None:
    """Give the file of a SQLite address; none for servers."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.drivername.startswith("sqlite") and parsed.database else None


async def differences(url: str) -> list[object]:
    """Give what a migrated database has otherwise than the schema in the code: empty when they are equal."""

    def compare(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))

    return list(await _with_connection(url, compare))


async def _with_connection(url: str, work: Callable[[Connection], T]) -> T:
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(work)
    except (OSError, DBAPIError) as problem:
        shown = make_url(url).render_as_string(hide_password=True)
        raise Unreachable(shown, str(getattr(problem, "orig", problem))) from problem
    finally:
        await engine.dispose()
