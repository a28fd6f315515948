"""The daemon `publisher`: lays out products, serves them to followers, takes acknowledgements, deletes in time.

On every pass what is held is compared with what is in the ledger, so that a
publisher that was killed anywhere needs no recovery: its next pass is it.
"""

import asyncio
import contextlib
from typing import Any, Final

from aiohttp import web

from dbclient.control import Control
from dbclient.database import Database
from dbclient.heartbeat import keep_heartbeat
from dbclient.records import PublicationRecord
from dbclient.schema import PublicationState
from dbclient.stores import Events, Publications
from snooppix.protocol.uws import Jobs
from snooppix.publisher import queries
from snooppix.publisher.description import Offers
from snooppix.publisher.followers import Followers, FollowersUnreadable
from snooppix.publisher.layout import Layout
from snooppix.publisher.ledger import Ledger, manifest, sorts_of
from snooppix.publisher.push import Pusher
from snooppix.publisher.retention import delete_acknowledged, missed, sweep
from snooppix.publisher.server import Site, application
from snooppix.publisher.shelves import Shelves
from snooppix.publisher.tls import ServerCertificate
from snooppix.verification import Verifier
from snooppix.wire import Wire
from terapix.daemon import Daemon, EndpointTaken, command
from terapix.http import address, bind
from terapix.instruments import load_instrument
from terapix.journal import logger
from terapix.sections import ArchiveSection, Settings

log = logger("publisher")

NAME: Final = "publisher"
GRACE: Final = 5.0
"""Seconds that what goes on has to end by itself once the daemon is asked to stop."""
BREATH: Final = 0.2
"""Seconds between two passes at least: our own writes wake us too."""
MANIFEST_PACE: Final = 1.0
"""Seconds between two writings of the manifest at least."""
ABANDONED: Final = 60.0
"""Seconds between two looks for uploads that nobody will finish."""
UNSETTLED: Final = 60.0
"""Seconds between two looks at what some followers have and others have not."""
PACE: Final = 10.0
"""Seconds between two passes while nothing is written."""


class Publisher:
    """The parts of the daemon, put together."""

    def __init__(self, daemon: Daemon, database: Database, verifier: Verifier, push: Wire | None) -> None:
        settings, clock = daemon.settings, daemon.clock
        self.daemon = daemon
        self.database = database
        self.control = Control(daemon, database)
        self.sorts = sorts_of(settings.publisher.kinds)
        self.followers = Followers.read(settings.publisher.followers)
        self.followers.check_host(settings.publisher.host)
        self.certificate = ServerCertificate(settings.publisher.certificate) if settings.publisher.certificate else None
        self.shelves = Shelves.of(settings)
        self.offers = Offers(settings.archive)
        self.ledger = Ledger(database, clock=clock, floors=self.shelves.generations(), awaited=self._awaited)
        self.layout = Layout(database, self.shelves, self.ledger, verifier, clock=clock)
        self.pusher = self._pusher(push) if push else None
        self.address: str | None = None
        """Where followers find us, once we listen."""
        self._due = asyncio.Event()
        """Something may be there to be laid out."""
        self._to_push = asyncio.Event()
        """Something may be there to be put."""
        self._unsettled = True
        """Who is awaited may be others than before."""
        self._manifest_due = True
        """What is offered is another than the manifest shows."""
        self._manifest_at = float("-inf")

    def _awaited(self) -> frozenset[str]:
        """Those without whom nothing is safe: the named followers, and the archive that files are put to."""
        return self.followers.awaited | ({self.pusher.receiver} if self.pusher else set())

    def _pusher(self, wire: Wire) -> Pusher:
        section = self.daemon.settings.publisher
        return Pusher(
            self.database,
            self.shelves,
            self.ledger,
            wire,
            address=section.push,
            segment=section.push_segment,
            collection=self.daemon.settings.archive.collection,
            clock=self.daemon.clock,
        )

    async def run(self) -> None:
        """Work until the daemon is asked to stop."""
        async with self.database.read() as session:
            rows = await Publications().on_shelves(session)
        try:
            await asyncio.to_thread(self.shelves.prepare, {row.disk for row in rows})
            await self.control.begin()
            if swept := await sweep(self.database, self.shelves):
                log.info("left by a publisher that was killed, and removed", files=len(swept))
            for row in rows:
                await self.ledger.outdated(row)
            await missed(self.database, self.shelves, clock=self.daemon.clock)
            await self._show(None)
            async with self._served():
                await self.daemon.ready("offers products")
                parts = (self._work, self._lay_out, self._push)
                loops = [asyncio.create_task(loop(), name=loop.__name__) for loop in parts]
                try:
                    ended, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
                    for loop in ended:
                        loop.result()
                finally:
                    await _end(loops)
                    self._manifest_at = float("-inf")
                    await self._write_manifest()
        finally:
            self.shelves.release()
            self.offers.close()

    async def _work(self) -> None:
        """Enter what is held, delete what may go, say how things are; layout and push run beside it at their pace."""
        stopping = self.daemon.stopping
        settled_at = float("-inf")
        while not stopping.is_set():
            if await self.control.look():
                self._take_over()
            more = 0
            if self._unsettled or self.daemon.clock.monotonic() - settled_at >= UNSETTLED:
                self._unsettled, settled_at = False, self.daemon.clock.monotonic()
                await self.ledger.settle()
            if not self.control.rests:
                more = await self.ledger.enter_wanted(self.sorts)
                keep = self.daemon.settings.publisher.keep
                more += await delete_acknowledged(self.database, self.shelves, keep=keep, clock=self.daemon.clock)
                self._due.set()
                self._to_push.set()
            await self._write_manifest()
            await self._mind_certificate()
            await self._beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), BREATH)
            pace = BREATH if more else MANIFEST_PACE if self._manifest_due else PACE
            await self.database.changed(timeout=pace, stop=stopping)

    async def _mind_certificate(self) -> None:
        """Show the newest certificate, and remind people before it ends."""
        now = self.daemon.clock.now()
        if self.certificate is None:
            return
        await asyncio.to_thread(self.certificate.renew)
        if told := self.certificate.reminder(now):
            level, message = told
            async with self.database.write() as session:
                await Events().append(
                    session, source=NAME, kind="certificate-ends", message=message, level=level, now=now
                )

    async def _lay_out(self) -> None:
        """Lay out what is due, and list it."""
        stopping = self.daemon.stopping
        while not stopping.is_set():
            self._due.clear()
            for shelf, said in await asyncio.to_thread(lambda: [*self.shelves.look()]):
                log.warning(said, disk=shelf.name)
            offered = [] if self.control.rests else await self.layout.lay_out_due(stopping)
            await self._show(offered)
            if not offered:
                await _first(stopping, self._due)

    async def _push(self) -> None:
        """Put what is offered to an archive that receives."""
        stopping, clock = self.daemon.stopping, self.daemon.clock
        undone_at = float("-inf")
        while self.pusher is not None and not stopping.is_set():
            self._to_push.clear()
            if not self.control.rests and clock.monotonic() - undone_at >= ABANDONED:
                await self.pusher.undo_abandoned()
                undone_at = clock.monotonic()
            if self.control.rests or not await self.pusher.put_due(stopping):
                await _first(stopping, self._to_push)
        await stopping.wait()

    async def _show(self, names: list[str] | None) -> None:
        """List what is offered under some names, or all at the start."""
        if names == []:
            return
        async with self.database.read() as session:
            self.offers.show(await Publications().listed(session, names))
        self._manifest_due = True

    async def _write_manifest(self) -> None:
        """Bring the manifest up to what is offered, not oftener than is of use."""
        now = self.daemon.clock.monotonic()
        if self._manifest_due and now - self._manifest_at >= MANIFEST_PACE:
            self._manifest_due, self._manifest_at = False, now
            offered = [item.publication for _, item in sorted(self.offers.listed.items())]
            if not await asyncio.to_thread(self._write_manifests, offered):
                self._manifest_due = True

    def _write_manifests(self, offered: list[PublicationRecord]) -> bool:
        """Write on each disk what is offered there, on the first what else names have reached; False if one is full."""
        whole = True
        floors = self.ledger.floors
        for shelf in self.shelves.usable:
            here = [item for item in offered if self.shelves.named(item.disk) is shelf]
            known = {item.name for item in offered}
            others = {name: number for name, number in floors.items() if name not in known}
            own = {item.name: floors[item.name] for item in here if item.name in floors}
            try:
                shelf.write_manifest(manifest(here, own | others if shelf is self.shelves.usable[0] else own))
            except OSError as problem:
                whole = False
                log.warning("the manifest is not written", disk=shelf.name, why=problem.strerror or str(problem))
        return whole

    @contextlib.asynccontextmanager
    async def _served(self) -> Any:
        """Serve followers."""
        settings = self.daemon.settings
        jobs = Jobs(clock=self.daemon.clock, most=queries.JOBS, room=queries.ROOM)
        site = Site(
            self.database, self.ledger, self.offers, self.shelves, settings.archive, lambda: self.followers, jobs
        )
        runner = web.AppRunner(application(site), handler_cancellation=True, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            try:
                bound = bind(settings.publisher.host, settings.publisher.port)
            except OSError as problem:
                raise EndpointTaken(NAME, settings.publisher.host, settings.publisher.port, problem) from problem
            context = self.certificate.context if self.certificate else None
            await web.SockSite(runner, bound, ssl_context=context).start()
            self.address = address(bound, secure=context is not None)
            log.info("products are offered", registry=f"{self.address}/reg/resource-caps")
            yield
        finally:
            await runner.cleanup()

    def _take_over(self) -> None:
        """Take over what may change while we serve: followers, kinds, days that files are kept."""
        settings = self.daemon.settings.publisher
        try:
            followers = Followers.read(settings.followers)
            followers.check_host(settings.host)
        except (FollowersUnreadable, OSError) as problem:
            log.warning("the old followers stay", why=str(problem))
        else:
            self.followers = followers
        self._unsettled = True
        self.sorts = sorts_of(settings.kinds)

    async def _beat(self) -> None:
        async with self.database.read() as session:
            counts = await Publications().counts(session)
        waiting = counts.get(PublicationState.OFFERED, 0)
        status = self.control.sentence or f"offers products, {waiting} not acknowledged yet"
        figures: dict[str, Any] = {state.value: counts.get(state, 0) for state in PublicationState}
        await self.daemon.beat(
            status,
            **self.control.figures,
            **figures,
            registry=f"{self.address}/reg/resource-caps",
            followers=bool(self.followers),
            certificate_days_left=self.certificate.days_left(self.daemon.clock.now()) if self.certificate else None,
        )


async def _first(*events: asyncio.Event) -> None:
    """Wait for the first of some events."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _end(loops: list[asyncio.Task[None]]) -> None:
    """Let loops end as they were asked to; what does not in time is cut, and its next start goes on."""
    await asyncio.wait(loops, timeout=GRACE)
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)


def can_be_taken_over(settings: Settings) -> None:
    """Raise what would end the daemon if it took these settings over."""
    sorts_of(settings.publisher.kinds)
    Followers.read(settings.publisher.followers).check_host(settings.publisher.host)


async def work(daemon: Daemon) -> None:
    """Put the daemon's parts together and let them work."""
    settings = daemon.settings
    database = await Database.open(settings.database_url)
    try:
        beat = keep_heartbeat(daemon, database, name=NAME)
        daemon.on_reload.append(can_be_taken_over)
        instrument = load_instrument(settings.snooppix.instrument)
        async with contextlib.AsyncExitStack() as exits:
            verifier = await exits.enter_async_context(
                Verifier(instrument, compression=settings.datatransfer.compression)
            )
            push = None
            if settings.publisher.push:
                push = await exits.enter_async_context(Wire(_receiver(settings), settings.snooppix))
            await Publisher(daemon, database, verifier, push).run()
        await beat.end()
    finally:
        await database.close()


def _receiver(settings: Settings) -> ArchiveSection:
    """Give the archive section as it holds for the file service that products are put to."""
    return settings.archive.model_copy(update={"registry": settings.publisher.push})


def main(argv: list[str] | None = None) -> int:
    """Run the daemon."""
    return command(NAME, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
