"""News: who waits for a change of the database learns of it soon, at next to no cost.

A change is told to tasks: each task is told of every change once, whatever the
others have heard. SQLite is asked for its change counter, which costs
microseconds; PostgreSQL tells by NOTIFY.
"""

import asyncio
import contextlib
import sqlite3
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import asyncpg
from sqlalchemy.engine import URL

from dbclient.units import EVENT
from terapix.journal import logger

log = logger("database")

LOOK: Final = 0.25
"""Seconds between two looks at SQLite's change counter while much goes on."""
CALM: Final = 0.5
"""Seconds between two looks after `QUIET` seconds without news: to wake costs 50 times what the look costs."""
QUIET: Final = 10.0
CALL: Final = 5.0
"""Seconds between two looks at whether PostgreSQL's line still holds."""
CHANNEL: Final = "terapix"
"""PostgreSQL channel on which commits are told."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How much had been written when a task last heard."""

    events: int
    commits: int


class News(ABC):
    """Counts events and commits as far as they are known here."""

    every: float
    """Seconds between two looks while a task waits."""

    def __init__(self) -> None:
        self.now = Mark(0, 0)
        self._start = self.now
        self._heard: weakref.WeakKeyDictionary[asyncio.Task[object], Mark] = weakref.WeakKeyDictionary()
        self._told = asyncio.Event()

    async def open(self) -> None:
        await self.look()
        self._start = self.now

    @abstractmethod
    async def close(self) -> None:
        """Stop listening."""

    @abstractmethod
    async def look(self) -> None:
        """Bring `now` up to date."""

    async def wait(self, *, timeout: float, stop: asyncio.Event | None, progress: bool) -> bool:
        """Wait for news to this task; False at the time's end or when stopped."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("news are told to tasks")
        heard = self._heard.get(task, self._start)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        end = begin + timeout
        with _waiting(stop, self._told) as waits:
            while True:
                self._told.clear()
                await self.look()
                if self.now.events != heard.events or (progress and self.now.commits != heard.commits):
                    self._heard[task] = self.now
                    return True
                left = end - loop.time()
                pause = self.every if loop.time() < begin + QUIET else max(self.every, CALM)
                if left <= 0 or (stop and stop.is_set()):
                    self._heard[task] = self.now
                    return False
                await asyncio.wait(waits(), timeout=min(pause, left), return_when=asyncio.FIRST_COMPLETED)


@contextlib.contextmanager
def _waiting(*events: asyncio.Event | None) -> Iterator[Callable[[], list[asyncio.Task[Literal[True]]]]]:
    """Give a function that gives tasks waiting for the events; those that still wait are used again."""
    tasks = {event: asyncio.ensure_future(event.wait()) for event in events if event}

    def waits() -> list[asyncio.Task[Literal[True]]]:
        for event, task in tasks.items():
            if task.done():
                tasks[event] = asyncio.ensure_future(event.wait())
        return list(tasks.values())

    try:
        yield waits
    finally:
        for task in tasks.values():
            task.cancel()


class Counter(News):
    """SQLite's change counter, read on a connection of its own."""

    every = LOOK

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._version = -1

    async def look(self) -> None:
        if self._connection is None:
            self._connection = sqlite3.connect(str(self._file), isolation_level=None, timeout=0)
        try:
            version = int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            if version != self._version:
                newest = self._connection.execute("SELECT max(id) FROM events").fetchone()[0] or 0
                self._version, self.now = version, Mark(int(newest), self.now.commits + 1)
        except sqlite3.OperationalError as problem:  # a writer that recovers the file; the next look sees it
            log.debug("change counter could not be read", problem=str(problem))

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Listener(News):
    """A line to PostgreSQL on which every commit of ours is told; a line that broke is made anew."""

    every = CALL

    def __init__(self, url: URL) -> None:
        super().__init__()
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._line: asyncpg.Connection | None = None

    async def open(self) -> None:
        await self._call()
        await super().open()

    async def look(self) -> None:
        if self._line is not None and not self._line.is_closed():
            return
        try:
            await self._call()
        except (OSError, asyncpg.PostgresError) as problem:
            log.warning("database does not tell its news", problem=str(problem))
        else:  # nobody knows what was missed meanwhile
            self._hear(EVENT)

    async def close(self) -> None:
        if self._line is not None and not self._line.is_closed():
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._line.close(timeout=2.0)

    async def _call(self) -> None:
        self._line = await asyncpg.connect(self._address)
        await self._line.add_listener(CHANNEL, lambda *heard: self._hear(str(heard[-1])))

    def _hear(self, word: str) -> None:
        self.now = Mark(self.now.events + (word == EVENT), self.now.commits + 1)
        self._told.set()
