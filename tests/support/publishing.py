"""A publisher at work in this process, for tests: real database, real shelf, products that lie on a node."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import ClientSession

from dbclient.database import Database
from dbclient.records import EventRecord, NewProduct, PublicationRecord
from dbclient.schema import FrameState, PublicationState
from dbclient.stores import Events, Frames, Jobs, Publications, Sighting
from dbclient.stores.nodes import Nodes
from snooppix.publisher.service import Publisher
from snooppix.verification import Verifier
from snooppix.wire import Wire
from terapix.clock import SystemClock
from terapix.daemon import Daemon
from terapix.instruments import load_instrument
from terapix.sections import Settings
from terapix.settings import Loaded, load
from tests.support.archive import small_fits

Found = TypeVar("Found")
WAY = (FrameState.FETCHED, FrameState.VALID, FrameState.PLACED)


class InThread(Verifier):
    """Unpacks in a thread: starting a process takes longer than a small file."""

    def _begin(self) -> ThreadPoolExecutor:  # type: ignore[override]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1)
        return self._pool

    def _end(self, which: Any = None) -> None:
        if self._pool is not None:
            self._pool.shutdown()


class Ahead(SystemClock):
    """The system's clock, set forward by so many days."""

    def __init__(self) -> None:
        super().__init__()
        self.days = 0.0

    def now(self) -> Any:
        return super().now() + timedelta(days=self.days)


def publisher_settings(directory: Path, **publisher: object) -> Settings:
    """Give the settings of a publisher in a directory, with node1 there."""
    overrides = {
        "paths": {"directory": str(directory)},
        "publisher": publisher,
        "snooppix": {"reserve": 0, "read_timeout": 5.0},
        "nodes": [{"name": "node1", "directory": "node1"}],
    }
    return load(environment={}, overrides=overrides).settings


@dataclass(slots=True)
class Press:
    """A publisher, its database and its node."""

    settings: Settings
    database: Database
    publisher: Publisher
    session: ClientSession
    clock: Ahead
    made: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def registry(self) -> str:
        return f"{self.publisher.address}/reg/resource-caps"

    @property
    def shelf(self) -> Path:
        return self.settings.reception / "to_CADC"

    def file(self, name: str, *, collection: str = "CFHT") -> str:
        """Address of a file at the file service."""
        return f"{self.publisher.address}/minoc/files/terapix:{collection}/{name}"

    async def make(self, frame: str, *kinds: str, seed: int = 1) -> list[bytes]:
        """Put products of a frame on the node, as a worker does; again with another seed: re-processed."""
        return await put_products(self.database, self.settings, frame, *kinds, seed=seed)

    def later(self, days: float) -> None:
        """Set the clock forward; the publisher looks again at what is due."""
        self.clock.days += days
        self.publisher._due.set()
        self.publisher._to_push.set()

    async def rows(self, name: str) -> list[PublicationRecord]:
        """Give the generations of a name, newest first."""
        async with self.database.read() as session:
            return await Publications().generations(session, name)

    async def events(self, kind: str) -> list[EventRecord]:
        async with self.database.read() as session:
            return [event for event in await Events().latest(session, limit=1000) if event.kind == kind]

    async def until(self, name: str, condition: Callable[[PublicationRecord], bool]) -> PublicationRecord:
        """Wait until the newest generation of a name is as it should be; an offered one, until followers see it."""

        async def there() -> PublicationRecord | None:
            rows = await self.rows(name)
            if not rows or not condition(rows[0]):
                return None
            listed = self.publisher.offers.listed.get(name)
            seen = listed is not None and listed.publication.generation == rows[0].generation
            return rows[0] if seen or rows[0].state is not PublicationState.OFFERED else None

        return await self.until_found(there, name)

    async def until_found(self, look: Callable[[], Awaitable[Found | None]], what: str) -> Found:
        try:
            async with asyncio.timeout(60):
                while (found := await look()) is None:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            rows = await self.rows(what)
            raise AssertionError(f"{what} did not come there: {rows}") from None
        return found

    async def acknowledge(self, publication: PublicationRecord, **changed: object) -> tuple[int, dict[str, Any]]:
        """Acknowledge a publication as a follower does; return status and answer."""
        told = {
            "name": publication.name,
            "generation": publication.generation,
            "wire_digest": publication.wire_digest,
            "pixel_digest": publication.pixel_digest,
        } | changed
        address = f"{self.publisher.address}/acknowledge"
        async with self.session.post(address, json=told, headers=self.headers) as answer:
            return answer.status, await answer.json()


def digest(content: bytes) -> str:
    return f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"


async def put_products(database: Database, settings: Settings, frame: str, *kinds: str, seed: int = 1) -> list[bytes]:
    """Make the rows and files of products of a frame, as snooppix, datatransfer and a worker would."""
    now, node = SystemClock().now(), settings.nodes[0]
    root = settings.at(node.directory)
    files: list[bytes] = []
    products = []
    for kind in kinds:
        content = small_fits("979412p", ccds=2, seed=seed + 100 * len(files))
        path = Path("products") / "08AC14" / f"{frame}_{kind}.{seed}.fits.fz"
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
        files.append(content)
        products.append(NewProduct(kind, str(path), len(content), digest(content), {}))
    async with database.write() as session:
        number = await Nodes().upsert(session, name=node.name, directory=str(root), capacity=10**9, reserve=0, now=now)
        seen = Sighting(
            name=frame, uri=f"cadc:CFHT/{frame}.fits.fz", digest=f"md5:{seed:032x}", runid="08AC14", filter="r.MP9601",
            modified=now,
        )  # fmt: skip
        await Frames().sight(session, seen, now=now, source="test")
        row = await Frames().named(session, frame)
        assert row is not None
        for step in WAY:
            await Frames().advance(session, row.id, step, now=now, source="test", message=f"{frame} is {step.value}")
        job = await Jobs().create(session, frame_id=row.id, node_id=number, stage="weight", recipe="r", now=now)
        assert job is not None
        await Jobs().claim(session, job, worker="w", token="t", now=now)
        assert await Jobs().finish(session, job, "t", products=products, summary={}, now=now, source="test")
    return files


@contextlib.asynccontextmanager
async def at_press(settings: Settings) -> AsyncIterator[Press]:
    """Let a publisher work on a directory; it is stopped at the end as a daemon is."""
    clock = Ahead()
    daemon = Daemon("publisher", loaded=Loaded(settings, {}, None), status=("127.0.0.1", 0), clock=clock)
    settings.paths.directory.mkdir(parents=True, exist_ok=True)
    async with contextlib.AsyncExitStack() as exits:
        databases = [await Database.open(settings.database_url, create=True) for _ in range(2)]
        for database in databases:
            exits.push_async_callback(database.close)
        verifier = await exits.enter_async_context(InThread(load_instrument("megacam"), compression=0.3, processes=1))
        push = None
        if settings.publisher.push:
            archive = settings.archive.model_copy(update={"registry": settings.publisher.push})
            push = await exits.enter_async_context(Wire(archive, settings.snooppix))
        publisher = Publisher(daemon, databases[0], verifier, push)
        session = await exits.enter_async_context(ClientSession())
        task = asyncio.create_task(publisher.run())
        try:
            while publisher.address is None and not task.done():
                await asyncio.sleep(0.01)
            if task.done():
                await task
            yield Press(settings, databases[1], publisher, session, clock)
        finally:
            daemon.stopping.set()
            await task
