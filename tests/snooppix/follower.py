"""A follower whose steps a test takes one by one, that can be stopped, started again, and killed at any moment.

It is as cheap as can be: its database is a copy of an empty one, its trust in
TLS authorities is read once, and it is told to lie in memory. Time is the
test's: whoever sleeps by the clock is let go on at once, and the clock with it.
"""

import asyncio
import contextlib
import functools
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from dbclient.database import Database
from snooppix.archives import archive_of
from snooppix.errors import ArchiveError
from snooppix.names import Names
from snooppix.service import Snooppix
from snooppix.wire import Wire
from terapix.clock import SetClock
from terapix.daemon import Daemon
from terapix.instruments import Instrument
from terapix.sections import Settings
from terapix.settings import Loaded
from tests.snooppix.desk import Desk, InThread, settings_for
from tests.support.awaits import power_cut

T = TypeVar("T")

IMPATIENCE = 0.06
"""Seconds without a byte after which a connection is cut: what stalls costs a test no more than that."""
TICK = 0.1
"""Seconds by which the clock goes on while somebody sleeps by it."""
AT_ONCE = 4
"""Downloads at the same time."""


def place_in_memory() -> Path:
    """Make a directory where a flush costs nothing, if there is such a place."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="follower-", dir=memory if memory.is_dir() else None))


async def empty_database() -> bytes:
    """Give the file of a database with its schema and nothing in it."""
    if not _empty:
        place = place_in_memory()
        try:
            await (await Database.open(f"sqlite+aiosqlite:///{place / 'empty.sqlite'}", create=True)).close()
            _empty.append((place / "empty.sqlite").read_bytes())
        finally:
            shutil.rmtree(place)
    return _empty[0]


_empty: list[bytes] = []
"""The file, once it was made."""


@functools.cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


async def passing(clock: SetClock, work: Coroutine[Any, Any, T]) -> T:
    """Do something while time passes for whoever waits by the clock."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.001)
            if clock.sleepers:
                clock.advance(TICK)

    ticking = asyncio.create_task(tick())
    try:
        return await work
    finally:
        ticking.cancel()


class Follower:
    """SNOOPPIX in a directory, put together as the daemon does it, without the loops that would take its steps."""

    def __init__(
        self, place: Path, registry: str, *, camera: Instrument, clock: SetClock, patience: float = IMPATIENCE
    ) -> None:
        self.place = place
        self.registry = registry
        self.camera = camera
        self.clock = clock
        self.patience = patience
        """Seconds without a byte after which a connection is cut."""
        self.lives = 0
        self.root = place / "life0"
        self.desk: Desk
        self._open = contextlib.AsyncExitStack()

    @property
    def settings(self) -> Settings:
        return settings_for(self.root, self.registry, read_timeout=self.patience, connect_timeout=5.0, attempts=3)

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        return [running.task for running in self.desk.snooppix.fetcher.running.values() if running.task]

    async def start(self) -> None:
        """Do what the daemon does before its loops begin."""
        self.desk = await self._open.enter_async_context(self._laid_out())
        await self.desk.snooppix.healer.begin()
        await self.desk.snooppix.breakers.load()

    async def stop(self) -> None:
        """Do what the daemon does at its end."""
        await self.desk.snooppix.fetcher.stop()
        self.desk.snooppix.receptions.release()
        await self._open.aclose()

    async def die(self) -> None:
        """Be killed now: another life begins with what a power cut leaves of this one."""
        self.lives += 1
        left = self.place / f"life{self.lives}"
        power_cut(self.root, self.root / "terapix.sqlite", left)
        await self.stop()
        self.root = left
        await self.start()

    @contextlib.asynccontextmanager
    async def _laid_out(self) -> AsyncIterator[Desk]:
        settings = self.settings
        daemon = Daemon("snooppix", loaded=Loaded(settings, {}, None), status=("127.0.0.1", 0), clock=self.clock)
        self.root.mkdir(exist_ok=True)
        if not (file := self.root / "terapix.sqlite").exists():
            file.write_bytes(await empty_database())
        database = await Database.open(settings.database_url)
        try:
            wire = Wire(settings.archive, settings.snooppix)
            wire.credential._trust = _trust()
            async with wire, InThread(self.camera, compression=0.3, processes=1) as verifier:
                archive = archive_of(settings, wire, names=Names(published=False), clock=self.clock)
                yield Desk(settings, database, Snooppix(daemon, database, archive, wire, verifier))
        finally:
            await database.close()

    async def look(self) -> None:
        with contextlib.suppress(ArchiveError):
            await self.desk.snooppix.watcher.look()

    async def look_at_releases(self) -> None:
        with contextlib.suppress(ArchiveError):
            await self.desk.snooppix.watcher.look_at_releases()

    async def compare(self, *, trusting: bool = False) -> None:
        await self.desk.snooppix.discovery.differ.compare(asked_by="the test", trusting=trusting)

    async def fetch(self) -> None:
        """Begin what is due, and wait for the end of everything that was begun."""
        await self.desk.snooppix.fetcher.start_due(AT_ONCE)
        await asyncio.gather(*self.tasks)

    async def begin(self, turns: int) -> None:
        """Begin what is due, and let it come as far as so many turns of the loop bring it."""
        await self.desk.snooppix.fetcher.start_due(AT_ONCE)
        for _ in range(turns):
            await asyncio.sleep(0)

    async def sort(self) -> None:
        await self.desk.snooppix.sorter.sort_due(asyncio.Event())

    async def heal(self) -> None:
        await self.desk.snooppix.healer.heal(busy=self.desk.snooppix._busy())
