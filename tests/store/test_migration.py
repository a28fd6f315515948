"""The migrated schema is the one in the code, on both databases; an old, a new or a foreign one is refused."""

import asyncio
import socket
import sqlite3

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from dbclient import migration
from dbclient.database import Database
from dbclient.engines import make_engine
from dbclient.errors import DatabaseError, NotADatabase, SchemaOutdated, SchemaTooNew, Unreachable


async def pretend(url: str, revision: str) -> None:
    """Make a database say that it has another schema."""
    engine = make_engine(url, writes=True)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :held"), {"held": revision})
    await engine.dispose()


async def test_the_migrations_give_the_schema_of_the_code(database_url):
    assert await migration.current(database_url) == migration.head()
    assert await migration.differences(database_url) == []


def test_the_history_names_every_migration_in_order():
    scripts = ScriptDirectory(str(migration.SCRIPTS))
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(migration.HISTORY))


async def test_an_upgrade_done_twice_and_at_once_does_no_harm(database_url):
    await asyncio.gather(*(migration.upgrade(database_url) for _ in range(3)))
    assert await migration.current(database_url) == migration.head()


async def test_an_older_schema_is_refused_with_the_command_that_upgrades_it(database_url, monkeypatch):
    monkeypatch.setattr(migration, "head", lambda: "0099")
    with pytest.raises(SchemaOutdated, match="terapix db upgrade") as refused:
        await Database.open(database_url)
    assert (refused.value.held, refused.value.needed) == (migration.HISTORY[-1], "0099")


async def test_a_newer_schema_is_refused_and_not_touched(database_url):
    await pretend(database_url, "4711")
    for create in (False, True):
        with pytest.raises(SchemaTooNew, match="upgrade TERAPIX"):
            await Database.open(database_url, create=create)
    with pytest.raises(SchemaTooNew):
        await migration.upgrade(database_url)
    assert await migration.current(database_url) == "4711"


async def test_a_file_that_is_not_there_is_not_made_by_looking(tmp_path):
    file = tmp_path / "none" / "terapix.sqlite"
    with pytest.raises(SchemaOutdated, match="has schema none"):
        await Database.open(f"sqlite+aiosqlite:///{file}")
    assert not file.parent.exists()
    opened = await Database.open(f"sqlite:///{file}", create=True)
    await opened.close()
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_another_file_is_named_as_what_it_is(tmp_path):
    file = tmp_path / "979412p.fits"
    file.write_bytes(b"SIMPLE  =                    T".ljust(2880))
    for create in (False, True):
        with pytest.raises(NotADatabase, match=r"979412p\.fits is no database"):
            await Database.open(f"sqlite+aiosqlite:///{file}", create=create)
    assert file.read_bytes().startswith(b"SIMPLE")


async def test_a_server_that_does_not_answer_is_told_without_its_password():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(Unreachable) as refused:
            await Database.open(f"postgresql+asyncpg://spica:secret@127.0.0.1:{port}/terapix")
    assert refused.value.retryable
    assert "secret" not in str(refused.value)
    assert f":{port}/terapix" in str(refused.value)


async def test_a_database_that_the_server_lacks_is_unreachable(postgresql):
    with pytest.raises(Unreachable, match="nowhere"):
        await Database.open(postgresql.url("nowhere"))


@pytest.mark.parametrize("url", ["", "terapix.sqlite", "mysql://host/terapix"])
async def test_an_address_of_another_kind_is_refused(url):
    with pytest.raises(DatabaseError, match=r"database\.url"):
        await Database.open(url)
