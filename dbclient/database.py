"""The one database: read units, write units, and a cheap way to learn that somebody wrote.

SQLite is the embedded default, PostgreSQL where several hosts share it. A unit is
a session and a transaction: ``async with database.write() as session``.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self

from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from dbclient import migration
from dbclient.checkpoint import Checkpoint
from dbclient.convoy import Convoy, Step, T
from dbclient.engines import connecting, file_of, make_engine, parse, plain_errors, shown
from dbclient.errors import Busy, SchemaOutdated, SchemaTooNew
from dbclient.news import CHANNEL, Counter, Listener, News
from dbclient.units import EVENT, WRITES

TRIES: Final = 3
"""Times that a write unit asks for the lock of SQLite, each for 30 s, before it is given up."""


class Database:
    """Units of work on the one database; made by `open`."""

    def __init__(self, url: URL, reader: AsyncEngine, writer: AsyncEngine, news: News) -> None:
        self.url = url
        self.sqlite = url.drivername.startswith("sqlite")
        self._engines = (reader, writer)
        self._readers = async_sessionmaker(reader, expire_on_commit=False)
        self._writers = async_sessionmaker(writer, expire_on_commit=False, info={WRITES: True})
        self._news = news
        self._convoy = Convoy(self.write)
        self._checkpoint = Checkpoint(Path(url.database)) if self.sqlite and url.database else None

    @property
    def engine(self) -> AsyncEngine:
        """Engine of the read units."""
        return self._engines[0]

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
        SchemaOutdated, SchemaTooNew, NotADatabase, Unreachable
        """
        parsed = parse(url)
        held, needed = await migration.current(url), migration.head()
        if held is not None and held not in migration.known():
            raise SchemaTooNew(shown(url), held=held, needed=needed)
        if held != needed:
            if not create:
                raise SchemaOutdated(shown(url), held=held, needed=needed)
            await migration.upgrade(url)
        file = file_of(url)
        news: News = Counter(file) if file else Listener(parsed)
        with connecting(url):
            await news.open()
        return cls(parsed, make_engine(url, writes=False), make_engine(url, writes=True), news)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Give a session that sees one moment and writes nothing; it never waits for writers.

        Raises
        ------
        Unreachable, Busy
        """
        with plain_errors(self.url):
            async with self._readers() as session:
                with connecting(self.url):
                    await session.connection()
                yield session

    @contextlib.asynccontextmanager
    async def write(self, *, much: bool = False) -> AsyncIterator[AsyncSession]:
        """Give a session that commits at the end of the block, or undoes everything if the block raises.

        Parameters
        ----------
        much : megabytes are written, and more will follow

        Raises
        ------
        Unreachable, Busy, Full
        """
        with plain_errors(self.url):
            async with await self._begun() as session:
                yield session
                if not self.sqlite:
                    await _tell(session)
                await session.commit()
        if much and self._checkpoint is not None:
            self._checkpoint.begin()

    async def together(self, step: Step[T]) -> T:
        """Do a step in a write unit that it shares with what other tasks have to write just now; wait for the commit.

        The step may be called again after it was undone, when another one of the unit failed.

        Raises
        ------
        Unreachable, Busy, Full
        """
        if self.sqlite:
            return await self._convoy.carry(step)
        async with self.write() as session:  # PostgreSQL lets many units commit at once, and locks row by row
            return await step(session)

    async def _begun(self) -> AsyncSession:
        """Open a session that holds SQLite's write lock."""
        for left in reversed(range(TRIES)):
            session = self._writers()
            try:
                with connecting(self.url):
                    await session.connection()
            except Busy:
                await session.close()
                if not left:
                    raise
            except BaseException:
                await session.close()
                raise
            else:
                return session
        raise AssertionError("unreachable")

    async def changed(self, *, timeout: float, stop: asyncio.Event | None = None, progress: bool = False) -> bool:
        """Wait until somebody has written an event since this task last asked.

        Heartbeats, measurements and progress write no event and wake nobody, so
        that idle daemons do not wake each other; with `progress` any commit
        counts. What is written between two calls is never missed.

        Returns
        -------
        bool
            False when the time is over or `stop` is set.
        """
        return await self._news.wait(timeout=timeout, stop=stop, progress=progress)

    async def close(self) -> None:
        await self._convoy.end()
        if self._checkpoint is not None:
            await self._checkpoint.end()
        await self._news.close()
        for engine in self._engines:
            await engine.dispose()


async def _tell(session: AsyncSession) -> None:
    """Tell the commit that follows to whoever listens on PostgreSQL."""
    word = EVENT if session.info.get(EVENT) else "progress"
    await session.execute(text("SELECT pg_notify(:channel, :word)"), {"channel": CHANNEL, "word": word})
