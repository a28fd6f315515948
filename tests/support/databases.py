"""Databases for tests: a fresh one each, of both kinds, on a PostgreSQL that is thrown away afterwards."""

import asyncio
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest

from dbclient import migration
from dbclient.database import Database
from dbclient.schema import Base

T = TypeVar("T")

KINDS = ("sqlite", "postgresql")
BINARIES = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin")
PROGRAMS = ("initdb", "postgres", "pg_isready")
SERVER_USER = "postgres"
"""PostgreSQL refuses to run as root."""
PATIENCE = 30.0
"""Seconds for the server to answer."""
IN_A_HURRY = (
    *("fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off"),
    *("listen_addresses=", "shared_buffers=64MB", "max_connections=60", "timezone=America/Chicago"),
)
"""Nothing needs to survive; the odd time zone shows who forgets UTC."""
TEMPLATE = "terapix_template"


@dataclass(slots=True)
class Cluster:
    """A PostgreSQL server of our own, on a socket in a directory of its own."""

    directory: Path
    server: subprocess.Popen[bytes]
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    spare: list[str] = field(default_factory=list)
    """Databases that are empty and free."""

    def url(self, database: str) -> str:
        return f"postgresql+asyncpg://{SERVER_USER}@/{database}?host={self.directory}"

    async def command(self, statement: str, database: str = "postgres") -> None:
        line = await asyncpg.connect(self.url(database).replace("+asyncpg", ""))
        try:
            await line.execute(statement)
        finally:
            await line.close()

    async def fresh(self) -> str:
        """Give an empty database with the schema: an emptied one of an earlier test, or a copy of the template."""
        if self.spare:
            return self.spare.pop()
        name = f"test_{next(self.numbers)}"
        await self.command(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return name

    async def give_back(self, name: str) -> None:
        """Empty a database for the next test; one that still has somebody inside is thrown away."""
        tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
        empty = (
            f"SET lock_timeout = '1s'; TRUNCATE {tables} RESTART IDENTITY CASCADE; "
            f"UPDATE alembic_version SET version_num = '{migration.head()}'"
        )
        try:
            await self.command(empty, name)
        except asyncpg.PostgresError:
            await self.command(f"DROP DATABASE {name} WITH (FORCE)")
        else:
            self.spare.append(name)


def binaries(config: pytest.Config) -> Path:
    """Directory of PostgreSQL's programs; the test is skipped where there is none."""
    places = [Path(name) for name in BINARIES]
    places += [Path(found).resolve().parent for name in PROGRAMS if (found := shutil.which(name))]
    places = [place for place in places if all((place / name).exists() for name in PROGRAMS)]
    if not places:
        conftest: Any = config.pluginmanager.get_plugin(str(config.rootpath / "conftest.py"))
        conftest.lacking("PostgreSQL", "apt-get install postgresql")
    return places[0]


@contextlib.contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """Start a server and throw it away at the end; it also ends when the tests are killed."""
    directory = Path(tempfile.mkdtemp(prefix="terapix-pg-"))
    become = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        user = pwd.getpwnam(SERVER_USER)
        os.chown(directory, user.pw_uid, user.pw_gid)
        become += [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups"]
    data = directory / "data"
    initdb = [programs / "initdb", "-D", data, "-U", SERVER_USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"]
    options = [word for option in IN_A_HURRY for word in ("-c", option)]
    with (directory.parent / f"{directory.name}.log").open("wb") as log:
        subprocess.run([*become, *initdb, "--no-sync"], check=True, stdout=log, stderr=log, cwd="/")
        server = subprocess.Popen(
            [*become, programs / "postgres", "-D", data, "-k", directory, *options], stdout=log, stderr=log, cwd="/"
        )
    try:
        _until_it_answers(programs, directory, server)
        made = Cluster(directory, server)
        apart(_make_template(made))
        yield made
    finally:
        server.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(5)
        server.kill()
        server.wait()
        shutil.rmtree(directory, ignore_errors=True)
        Path(log.name).unlink(missing_ok=True)


def _until_it_answers(programs: Path, directory: Path, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while subprocess.run([programs / "pg_isready", "-q", "-h", directory], check=False).returncode:
        if server.poll() is not None or time.monotonic() > end:
            raise RuntimeError((directory.parent / f"{directory.name}.log").read_text())
        time.sleep(0.05)


async def _make_template(made: Cluster) -> None:
    await made.command(f"CREATE DATABASE {TEMPLATE}")
    await migration.upgrade(made.url(TEMPLATE))


def apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a thread of its own, whatever loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def postgresql(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """Give the server of this run."""
    with cluster(binaries(pytestconfig)) as started:
        yield started


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a migrated file that each test copies."""
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    apart(migration.upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a fresh database with the schema: the test runs once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "terapix.sqlite"
        shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite+aiosqlite:///{path}"
        return
    server: Cluster = request.getfixturevalue("postgresql")
    name = apart(server.fresh())
    yield server.url(name)
    apart(server.give_back(name))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Give a fresh database, opened."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()
