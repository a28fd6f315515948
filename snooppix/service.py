"""The daemon `snooppix`: follows the archive, fetches what is new, verifies and sorts it.

Three loops run beside each other and meet at the database: the watcher looks at
the archive at its own pace, the sorter verifies what arrived, and the main loop
heals, answers requests and keeps the download pool filled. A slow or silent
archive holds up nothing but itself.
"""

import asyncio
import os
import socket
import sys
from typing import Any, Final

from dbclient.control import Control
from dbclient.database import Database
from dbclient.schema import Level
from dbclient.stores import Events, Nodes
from snooppix.archive import Archive
from snooppix.archives import archive_of, carriers_of, prove
from snooppix.breaker import Breakers, Rules
from snooppix.difference import Differ
from snooppix.discovery import Discovery
from snooppix.fetcher import Fetcher
from snooppix.files import Files
from snooppix.healing import Healer
from snooppix.loops import first, pause, until_stopped
from snooppix.names import Names
from snooppix.orders import Orders
from snooppix.outbox import Outbox
from snooppix.outlook import Outlook
from snooppix.quarantine import Quarantine
from snooppix.reception import Receptions
from snooppix.sorting import Sorter
from snooppix.standing import RESUMED, Standing
from snooppix.verification import Verifier
from snooppix.watcher import Watcher
from snooppix.wire import Wire
from terapix.daemon import Daemon, command
from terapix.instruments import load_instrument
from terapix.journal import logger
from terapix.sections import Settings

log = logger("snooppix")

NAME: Final = "snooppix"
HEARTBEAT: Final = 10.0
"""Seconds between two heartbeats in the database while the status stays the same."""
HEAL: Final = 5.0
"""Seconds between two looks for leftovers in incoming/, each of which asks the database for every file there."""
HEALS: Final = 0.02
"""Share of the time that these looks may take: the more lies in incoming/, the less often they are."""
BREATH: Final = 0.2
"""Seconds between two passes at least: our own writes wake us too."""
OWED: Final = 2.0
"""Seconds between two looks for products whose publisher does not know yet that they are here."""


class Snooppix:
    """The parts of the daemon, put together."""

    def __init__(
        self,
        daemon: Daemon,
        database: Database,
        archive: Archive,
        wire: Wire,
        verifier: Verifier,
        control: Control | None = None,
    ) -> None:
        settings, clock = daemon.settings, daemon.clock
        self.daemon = daemon
        self.control = control or Control(daemon, database)
        self.ending = asyncio.Event()
        """Set when the daemon stops, or when its parts are to be put together anew from changed settings."""
        self.verifier = verifier
        self.database = database
        self.archive = archive
        self.receptions = Receptions.of(settings)
        self.quarantine = Quarantine(database, self.receptions, clock=clock)
        self.watcher = Watcher(database, archive, look_back=settings.snooppix.look_back, clock=clock)
        self.standing = Standing(wire.credential)
        rules = Rules(settings.snooppix.breaker_failures, settings.snooppix.breaker_rest)
        self.breakers = Breakers(database, clock=clock, rules=rules)
        self.fetcher = Fetcher(
            database,
            archive,
            carriers_of(settings, wire, archive, clock=clock),
            self.breakers,
            self.receptions,
            self.quarantine,
            Outlook(database, archive, self.receptions, verifier.instrument, compression=verifier.compression),
            clock=clock,
            attempts=settings.snooppix.attempts,
        )
        differ = Differ(database, archive, self.watcher, Files(database, self.receptions, clock=clock), clock=clock)
        self.discovery = Discovery(database, self.watcher, differ, settings.snooppix, clock=clock)
        self.sorter = Sorter(database, verifier, self.receptions, self.quarantine, clock=clock)
        self.healer = Healer(database, self.receptions, self.quarantine, clock=clock)
        self.orders = Orders(database, self.watcher, verifier, self.receptions, clock=clock)
        self.outbox = Outbox(database, wire, settings.archive.acknowledge, clock=clock)
        self._built = concerns_parts(settings)
        self._begins = asyncio.Lock()
        """No fetch begins while the healer looks through incoming/: what it finds unfinished there is its own."""
        self._arrived = asyncio.Event()
        """Something may be there to be verified."""
        self._owed = asyncio.Event()
        """A product may have become valid, whose publisher is to be told."""
        self._beaten = float("-inf")
        self._heals_at = float("-inf")
        self._said: tuple[object, ...] = ()

    @property
    def trouble(self) -> str | None:
        """What is wrong with the archive; none while it answers."""
        return self.discovery.trouble

    async def run(self) -> None:
        """Work until the daemon is asked to stop."""
        try:
            await self.healer.begin()
            await self.breakers.load()
            await self.daemon.ready("follows the archive")
            loops = [
                asyncio.create_task(loop(), name=loop.__name__)
                for loop in (
                    self._watch,
                    self._sort,
                    self._acknowledge,
                    self._tell_progress,
                    self._work,
                    self._fill,
                    self._end_with_daemon,
                )
            ]
            try:
                await until_stopped(loops, self.ending)
            finally:
                await self.fetcher.stop()
        finally:
            self.receptions.release()

    async def _work(self) -> None:
        """Heal, answer, have the pool filled; then wait until the database changes."""
        stopping = self.ending
        while not stopping.is_set():
            if await self.control.look() and concerns_parts(self.daemon.settings) != self._built:
                log.info("the parts are put together anew from changed settings")
                stopping.set()
                return
            for disk, said in await self.receptions.look():
                await self._event("disk", said, Level.WARNING if disk.trouble else Level.INFO)
            if (begin := self.daemon.clock.monotonic()) >= self._heals_at:
                async with self._begins:
                    await self.healer.heal(busy=self._busy())
                end = self.daemon.clock.monotonic()
                self._heals_at = end + max(HEAL, (end - begin) / HEALS)
            if not self.control.rests:
                await self.orders.answer_open(beforehand=self.standing.credential.resume)
                await self.discovery.notice()
            await self._beat()
            self._arrived.set()
            self.fetcher.look_again()
            await pause(stopping, BREATH)
            await self.database.changed(timeout=HEARTBEAT, stop=stopping)

    async def _fill(self) -> None:
        """Keep the download pool full: a place that becomes free is taken at once."""
        while not self.ending.is_set():
            self.fetcher.due.clear()
            downloads = self.daemon.settings.snooppix.downloads
            async with self._begins:
                begun = 0 if self.control.rests else await self.fetcher.start_due(downloads)
            if begun:
                self.verifier.warm()
            await first(self.ending, self.fetcher.due, timeout=self.fetcher.respite.left)

    async def _end_with_daemon(self) -> None:
        await first(self.daemon.stopping, self.ending)
        self.ending.set()

    async def _sort(self) -> None:
        """Verify and sort what arrived; the main loop, which alone listens to the database, says when to look."""
        stopping = self.ending
        while not stopping.is_set():
            self._arrived.clear()
            if await self.sorter.sort_due(stopping):
                self.discovery.needy.set()
                self._owed.set()
            else:
                await first(stopping, self._arrived)

    async def _acknowledge(self) -> None:
        """Tell the publisher of products what is safely here."""
        while not self.ending.is_set():
            self._owed.clear()
            if self.control.rests or not await self.outbox.send_due(self.ending):
                await first(self.ending, self._owed, timeout=OWED)

    async def _tell_progress(self) -> None:
        while not self.ending.is_set():
            await pause(self.ending, 1.0)
            await self.fetcher.tell_progress()

    async def _watch(self) -> None:
        await self.discovery.run(self.ending, rests=lambda: self.control.rests)

    async def _event(self, kind: str, message: str, level: Level) -> None:
        async with self.database.write() as session:
            await Events().append(
                session, source=NAME, kind=kind, message=message, level=level, now=self.daemon.clock.now()
            )

    def _busy(self) -> set[str]:
        """Names and stems in incoming/ that are being worked on."""
        busy: set[str] = set()
        for running in self.fetcher.running.values():
            busy |= self.fetcher.files_of(running.frame)
        return busy

    async def _beat(self) -> None:
        for told in self.standing.look(self.daemon.clock.now()):
            await self._event(told.kind, told.message, told.level)
            if told.kind == RESUMED:
                await self.fetcher.take_up()
        status, figures = self._status()
        now = self.daemon.clock.monotonic()
        said = (status, self.control.figures, self.discovery.next_look)
        if said != self._said or now - self._beaten >= HEARTBEAT:
            self._said, self._beaten = said, now
            self._measure()
            await self.daemon.beat(status, **figures)

    def _status(self) -> tuple[str, dict[str, Any]]:
        running = len(self.fetcher.running)
        parts = [f"fetches {running}"] if running else []
        if self.sorter.at_work:
            names = self.sorter.at_work
            parts.append(f"verifies {names[0] if len(names) == 1 else f'{len(names)} frames'}")
        if self.discovery.differs:
            parts.append("compares archive, database and disks")
        status = ", ".join(parts) or "waits for new frames"
        if self.trouble:
            status = f"{self.trouble}; {status}"
        if self.control.sentence:
            status = f"{self.control.sentence}; {', '.join(parts) or 'begins nothing new'}"
        watcher, tally = self.watcher, self.fetcher.tally
        return status, {
            **self.control.figures,
            "poll": self.daemon.settings.snooppix.poll,
            "archive": self.archive.name,
            "archive_answers": self.trouble is None,
            "looked_at": watcher.looked_at.isoformat() if watcher.looked_at else None,
            "next_look": self.discovery.next_look.isoformat() if self.discovery.next_look else None,
            "bookmark": watcher.bookmark.isoformat() if watcher.bookmark else None,
            **self.standing.figures,
            "downloads": running,
            "fetched": tally.fetched,
            "bytes": tally.bytes,
            "valid": self.sorter.valid,
            "rejected": self.sorter.rejected,
        }

    def _measure(self) -> None:
        metrics, now = self.daemon.metrics, self.daemon.clock.now()
        watcher = self.watcher
        if watcher.looked_at:
            lag = (now - watcher.looked_at).total_seconds()
            metrics.gauge("terapix_archive_lag_seconds", "Seconds since the archive answered a whole look").set(lag)
        if watcher.bookmark:
            age = (now - watcher.bookmark).total_seconds()
            metrics.gauge("terapix_bookmark_age_seconds", "Age of the newest change that was listed").set(age)
        self.standing.measure(metrics)
        metrics.gauge("terapix_archive_up", "1 while the archive answers").set(self.trouble is None)
        metrics.gauge("terapix_downloads_running", "Frames being fetched").set(len(self.fetcher.running))
        metrics.gauge("terapix_fetched_frames", "Frames fetched since the start").set(self.fetcher.tally.fetched)
        metrics.gauge("terapix_fetched_bytes", "Bytes fetched since the start").set(self.fetcher.tally.bytes)
        metrics.gauge("terapix_fetch_failures", "Failed tries since the start").set(self.fetcher.tally.failures)
        rests = metrics.gauge("terapix_host_rests", "1 while a host is not asked: it failed, or asked for it", "host")
        for host in self.breakers.hosts:
            rests.labels(host).set(self.breakers.resting(host) is not None)
        sorted_frames = metrics.gauge("terapix_sorted_frames", "Frames sorted since the start", "outcome")
        sorted_frames.labels("valid").set(self.sorter.valid)
        sorted_frames.labels("rejected").set(self.sorter.rejected)


def concerns_parts(settings: Settings) -> tuple[object, ...]:
    """Give the settings that the parts were built from: when they change, the parts are put together anew."""
    return settings.paths, settings.archive, settings.selection, settings.snooppix


async def work(daemon: Daemon) -> None:
    """Put the daemon's parts together and let them work; again, whenever settings that concern them change."""
    database = await Database.open(daemon.settings.database_url)
    try:
        daemon.on_beat.append(_heartbeat(daemon, database))
        daemon.on_reload.append(prove)
        control = Control(daemon, database)
        await control.begin()
        while not daemon.stopping.is_set():
            await _work_once(daemon, database, control)
    finally:
        await database.close()


async def _work_once(daemon: Daemon, database: Database, control: Control) -> None:
    settings = daemon.settings
    instrument = load_instrument(settings.snooppix.instrument)
    async with (
        Wire(settings.archive, settings.snooppix) as wire,
        Verifier(instrument, compression=settings.datatransfer.compression) as verifier,
    ):
        names = Names.of(instrument, products=settings.archive.offers == "products")
        archive = archive_of(settings, wire, names=names, clock=daemon.clock)
        await Snooppix(daemon, database, archive, wire, verifier, control).run()


def _heartbeat(daemon: Daemon, database: Database) -> Any:
    async def beat(status: str, figures: dict[str, Any]) -> None:
        async with database.write() as session:
            await Nodes().heartbeat(
                session,
                name=NAME,
                host=socket.gethostname(),
                pid=os.getpid(),
                status=status,
                endpoint=daemon.endpoint,
                started_at=daemon.started_at,
                now=daemon.clock.now(),
                figures=figures,
            )

    return beat


def main() -> int:
    """Run the daemon; ``snooppix publish`` runs the one for the way back."""
    if sys.argv[1:2] == ["publish"]:
        from snooppix.publisher.service import main as publish  # noqa: PLC0415 - another daemon, with parts of its own

        return publish(sys.argv[2:])
    return command(NAME, work)


if __name__ == "__main__":
    raise SystemExit(main())
