"""The one database: read units, write units, and a cheap way to learn that somebody wrote.

SQLite (WAL, ``BEGIN IMMEDIATE`` for every write unit, synchronous=FULL since a
rename relies on the row that was committed before it) or PostgreSQL by its URL.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from typing import Any, Self

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from dbclient import migration
from dbclient.errors import SchemaOutdated, SchemaTooNew

BUSY = 30.0
"""Seconds a writer waits for the others on SQLite."""
LOOK = 0.25
"""Seconds between two looks at SQLite's change counter: each costs microseconds."""
CHANNEL = "terapix"
"""PostgreSQL channel on which commits are told."""


class Database:
    """Sessions on the one database; made by `open`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._counter: sqlite3.Connection | None = None
        self._seen = -1
        self._newest = -1
        self._listener: asyncpg.Connection | None = None
        self._told = asyncio.Event()
        self._news: set[str] = set()

    @classmethod
    async def open(cls, url: str, *, create: bool = False) -> Self:
        """Open the database.

        Parameters
        ----------
        url : str
            SQLAlchemy address, as ``sqlite+aiosqlite:////var/lib/terapix/terapix.sqlite``.
        create : bool
            Make or upgrade the schema first.

        Raises
        ------
        SchemaOutdated, SchemaTooNew, Unreachable
        """
        if create:
            await migration.upgrade(url)
        held, needed = await migration.current(url), migration.head()
        shown = make_url(url).render_as_string(hide_password=True)
        if held is not None and held not in migration.known():
            raise SchemaTooNew(shown, held=held, needed=needed)
        if held != needed:
            raise SchemaOutdated(shown, held=held, needed=needed)
        self = cls(make_engine(url))
        if self.sqlite:
            self._counter = sqlite3.connect(
                str(self.engine.url.database), isolation_level=None, check_same_thread=False
            )
            self._something_new(progress=False)
        else:
            await self._listen()
        return self

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Give a session that reads one moment's state and writes nothing."""
        async with self._sessions() as session:
            if self.sqlite:
                await session.execute(text("BEGIN"))
            yield session
            await session.rollback()

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """Give a session that commits at the end of the block, or undoes everything if the block raises."""
        async with self._sessions() as session:
            if self.sqlite:
                await session.execute(text("BEGIN IMMEDIATE"))
            yield session
            if not self.sqlite:
                news = "event" if session.info.get("event") else "progress"
                await session.execute(text(f"NOTIFY {CHANNEL}, '{news}'"))
            await session.commit()

    async def changed(self, *, timeout: float, stop: asyncio.Event | None = None, progress: bool = False) -> bool:
        """Wait until somebody has written an event; False when the time is over or `stop` is set.

        Heartbeats and progress write no event and wake nobody, so that idle
        daemons do not wake each other; with `progress`, any commit counts.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        while True:
            if self._something_new(progress=progress):
                return True
            left = end - loop.time()
            if left <= 0 or await _waited(stop, min(LOOK, left) if self.sqlite else left, self._told):
                return False

    def _something_new(self, *, progress: bool) -> bool:
        if self._counter is None:
            found, self._news = self._news, set()
            self._told.clear()
            return bool(found) if progress else "event" in found
        version = int(self._counter.execute("PRAGMA data_version").fetchone()[0])
        if version == self._seen:
            return False
        self._seen = version
        newest = self._counter.execute("SELECT max(id) FROM events").fetchone()[0] or 0
        told, self._newest = newest != self._newest, newest
        return progress or told

    async def close(self) -> None:
        if self._counter:
            self._counter.close()
        if self._listener and not self._listener.is_closed():
            await self._listener.close()
        await self.engine.dispose()

    async def _listen(self) -> None:
        url = self.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._listener = await asyncpg.connect(url)
        await self._listener.add_listener(CHANNEL, self._hear)

    def _hear(self, *told: object) -> None:
        self._news.add(str(told[-1]))
        self._told.set()


async def _waited(stop: asyncio.Event | None, seconds: float, told: asyncio.Event) -> bool:
    """Wait for the time, for news or for the stop; True if it was the stop."""
    waits = [asyncio.ensure_future(one.wait()) for one in (told, stop) if one]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return bool(stop and stop.is_set())


def make_engine(url: str) -> AsyncEngine:
    """Make an engine with what each connection needs."""
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_pre_ping=True, isolation_level="READ COMMITTED")
    engine = create_async_engine(url, connect_args={"timeout": BUSY, "isolation_level": None})

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={int(BUSY * 1000)}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
