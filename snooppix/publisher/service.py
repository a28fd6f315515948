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
from dbclient.schema import PublicationState
from dbclient.stores import Publications
from snooppix.publisher.description import Offers
from snooppix.publisher.followers import Followers, FollowersUnreadable
from snooppix.publisher.layout import Layout
from snooppix.publisher.ledger import Ledger, manifest_line, sorts_of
from snooppix.publisher.push import Pusher
from snooppix.publisher.retention import delete_acknowledged, sweep
from snooppix.publisher.server import Site, application
from snooppix.publisher.shelf import Shelf
from snooppix.verification import Verifier
from snooppix.wire import Wire
from terapix.daemon import Daemon, EndpointTaken, command
from terapix.http import address, bind
from terapix.instruments import load_instrument
from terapix.journal import logger
from terapix.sections import ArchiveSection, Settings

log = logger("publisher")

NAME: Final = "publisher"
BREATH: Final = 0.2
"""Seconds between two passes at least: our own writes wake us too."""
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
        self.shelf = Shelf(settings.reception, reserve=settings.snooppix.reserve)
        self.offers = Offers(settings.archive)
        self.ledger = Ledger(database, clock=clock, floors=self.shelf.generations())
        self.layout = Layout(database, self.shelf, verifier, clock=clock)
        self.pusher = self._pusher(push) if push else None
        self.address: str | None = None
        """Where followers find us, once we listen."""
        self._changed = True
        """What is offered is another than the tables and the manifest show."""

    def _pusher(self, wire: Wire) -> Pusher:
        section = self.daemon.settings.publisher
        return Pusher(
            self.database,
            self.shelf,
            self.ledger,
            wire,
            address=section.push,
            segment=section.push_segment,
            collection=self.daemon.settings.archive.collection,
            clock=self.daemon.clock,
        )

    async def run(self) -> None:
        """Work until the daemon is asked to stop."""
        await asyncio.to_thread(self.shelf.prepare)
        try:
            await self.control.begin()
            if swept := await sweep(self.database, self.shelf):
                log.info("left by a publisher that was killed, and removed", files=len(swept))
            await self._show()
            async with self._served():
                await self.daemon.ready("offers products")
                await self._work()
        finally:
            self.shelf.release()
            self.offers.close()

    async def _work(self) -> None:
        stopping = self.daemon.stopping
        while not stopping.is_set():
            if await self.control.look():
                self._take_over()
            more = False
            if not self.control.rests:
                more = await self._pass(stopping)
            await self._beat()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), BREATH)
            await self.database.changed(timeout=BREATH if more else PACE, stop=stopping)

    async def _pass(self, stopping: asyncio.Event) -> bool:
        """Compare what is wanted with what is done, and do what lacks; return whether there may be more at once."""
        settings = self.daemon.settings.publisher
        entered = await self.ledger.enter_wanted(self.sorts)
        offered = await self.layout.lay_out_due(stopping)
        self._changed = self._changed or offered > 0
        await self._show()
        arrived = await self.pusher.put_due(stopping) if self.pusher else 0
        deleted = await delete_acknowledged(self.database, self.shelf, keep=settings.keep, clock=self.daemon.clock)
        self._changed = self._changed or deleted > 0
        await self._show()
        return bool(entered or offered or arrived or deleted)

    async def _show(self) -> None:
        """Bring the tables and the manifest up to what the ledger says is offered."""
        if not self._changed:
            return
        async with self.database.read() as session:
            listed = await Publications().listed(session)
        self.offers.show(listed)
        lines = [manifest_line(item.publication) for item in listed]
        await asyncio.to_thread(self.shelf.write_manifest, lines)
        self._changed = False

    @contextlib.asynccontextmanager
    async def _served(self) -> Any:
        """Serve followers."""
        settings = self.daemon.settings
        site = Site(
            self.database, self.ledger, self.offers, settings.reception, settings.archive, lambda: self.followers
        )
        runner = web.AppRunner(application(site), handler_cancellation=True, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            try:
                bound = bind(settings.publisher.host, settings.publisher.port)
            except OSError as problem:
                raise EndpointTaken(NAME, settings.publisher.host, settings.publisher.port, problem) from problem
            await web.SockSite(runner, bound).start()
            self.address = address(bound)
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
        )


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
