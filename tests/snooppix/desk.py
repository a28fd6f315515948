"""A whole SNOOPPIX in this process, for tests: real archive, real database, real disk, small frames."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from dbclient.database import Database
from dbclient.records import EventRecord, FrameRecord
from dbclient.schema import FrameState
from dbclient.stores import Events, Frames
from snooppix.archives import archive_of
from snooppix.names import Names
from snooppix.service import Snooppix
from snooppix.verification import Verifier
from snooppix.wire import Wire
from terapix.clock import Clock, SystemClock
from terapix.daemon import Daemon
from terapix.instruments import Instrument, load_instrument
from terapix.sections import Settings
from terapix.settings import Loaded, load

CCDS = 36


def small_camera() -> Instrument:
    """MegaCam with CCDs of 32x16 pixels, as `tests.support.archive` makes them."""
    camera = load_instrument("megacam")
    accepted = replace(camera.acceptance, primary=("RUNID", "FILTER", "IMRED_FF", "IMRED_MK"), ccd=("CRPIX1",))
    return replace(camera, width=32, height=16, acceptance=accepted)


def settings_for(directory: Path, registry: str, **snooppix: object) -> Settings:
    overrides = {
        "paths": {"directory": str(directory)},
        "archive": {"registry": registry},
        "snooppix": {"poll": 0.2, "reserve": 0, "read_timeout": 2.0, **snooppix},
    }
    return load(environment={}, overrides=overrides).settings


class InThread(Verifier):
    """Unpacks in a thread: starting a process takes longer than a small frame."""

    def _begin(self) -> ThreadPoolExecutor:  # type: ignore[override]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1)
        return self._pool

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


@dataclass(slots=True)
class Desk:
    """SNOOPPIX at work in one directory."""

    settings: Settings
    database: Database
    snooppix: Snooppix

    async def frame(self, name: str) -> FrameRecord | None:
        async with self.database.read() as session:
            return await Frames().named(session, name)

    async def generations(self, name: str) -> list[FrameRecord]:
        async with self.database.read() as session:
            return await Frames().generations(session, name)

    async def events(self) -> list[EventRecord]:
        async with self.database.read() as session:
            return list(reversed(await Events().latest(session, limit=1000)))

    async def until(
        self, condition: Callable[[FrameRecord | None], bool], name: str, *, seconds: float = 60.0
    ) -> FrameRecord:
        """Wait until a frame is as it should be."""
        try:
            async with asyncio.timeout(seconds):
                while not condition(frame := await self.frame(name)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            told = "\n".join(event.message for event in await self.events())
            raise AssertionError(f"{name} did not come there: {await self.frame(name)}\n{told}") from None
        assert frame is not None
        return frame

    async def until_state(self, name: str, state: FrameState, *, seconds: float = 60.0) -> FrameRecord:
        return await self.until(lambda frame: frame is not None and frame.state is state, name, seconds=seconds)

    def incoming(self) -> list[str]:
        return sorted(path.name for path in (self.settings.reception / "incoming").iterdir())


@contextlib.asynccontextmanager
async def laid_out(
    settings: Settings, *, camera: Instrument | None = None, clock: Clock | None = None
) -> AsyncIterator[Desk]:
    """Put SNOOPPIX together without letting it work: the test takes each step itself."""
    loaded = Loaded(settings, {}, None)
    daemon = Daemon("snooppix", loaded=loaded, status=("127.0.0.1", 0), clock=clock or SystemClock())
    settings.paths.directory.mkdir(parents=True, exist_ok=True)
    async with (
        _opened(settings.database_url) as database,
        _opened(settings.database_url) as onlooker,
        Wire(settings.archive, settings.snooppix) as wire,
        InThread(camera or small_camera(), compression=0.3, processes=1) as verifier,
    ):
        names = Names(published=settings.archive.offers == "products")
        archive = archive_of(settings, wire, names=names, clock=daemon.clock)
        yield Desk(settings, onlooker, Snooppix(daemon, database, archive, wire, verifier))


@contextlib.asynccontextmanager
async def at_work(settings: Settings, *, camera: Instrument | None = None) -> AsyncIterator[Desk]:
    """Let SNOOPPIX work on a directory; it is stopped at the end as a daemon is."""
    async with laid_out(settings, camera=camera) as desk:
        task = asyncio.create_task(desk.snooppix.run())
        try:
            yield desk
        finally:
            desk.snooppix.daemon.stopping.set()
            await task


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url, create=True)
    try:
        yield database
    finally:
        await database.close()
