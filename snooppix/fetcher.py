"""The download pool: frames that are due go from the archive to incoming/, several at a time."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession
from yarl import URL

from dbclient.database import Database
from dbclient.errors import IllegalMove
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, Level, TransferKind, TransferState
from dbclient.stores import Frames, Transfers
from snooppix.archive import Archive
from snooppix.breaker import Breakers
from snooppix.carrier import Arrived, Carriers, Progress, Wanted, carry, host_of
from snooppix.errors import (
    ArchiveError,
    FetchError,
    NoRoom,
    NotAllowed,
    NotSignedIn,
    NotStored,
    Resting,
    Unreachable,
)
from snooppix.filing import Fetch, Filing
from snooppix.healing import digest_of
from snooppix.locator import Locator
from snooppix.misses import Misses
from snooppix.outlook import Outlook
from snooppix.publisher.names import is_fits
from snooppix.quarantine import Evidence, Quarantine
from snooppix.reception import BAD, INCOMING, Reception, Receptions
from snooppix.respite import Respite
from snooppix.treatment import GiveUp, Wait, decide
from snooppix.treatment import Quarantine as Reject
from terapix.clock import Clock
from terapix.identity import Digest
from terapix.journal import logger
from terapix.part import publish
from terapix.steps import reached

log = logger("fetcher")

SOURCE: Final = "snooppix"
PAUSE: Final = timedelta(seconds=60)
"""Wait after trouble of this host that is no frame's fault."""
ROOM: Final = timedelta(seconds=30)
"""Between two looks of a frame at a disk that is gone."""
AHEAD: Final = 4
"""Frames read at a time for each place in the pool: to look for one at a time costs more than to fetch a small one."""


@dataclass(slots=True)
class Running:
    """One download that goes on."""

    frame: FrameRecord
    progress: Progress = field(default_factory=Progress)
    transfer: int | None = None
    task: asyncio.Task[None] | None = None
    told: int = 0
    """Bytes when the database was last told."""
    told_at: float = 0.0


@dataclass(slots=True)
class Tally:
    """What the fetcher has done since it started."""

    fetched: int = 0
    bytes: int = 0
    failures: int = 0


class Fetcher:
    """Brings due frames to the reception disk."""

    def __init__(
        self,
        database: Database,
        archive: Archive,
        carriers: Carriers,
        breakers: Breakers,
        receptions: Receptions,
        quarantine: Quarantine,
        outlook: Outlook,
        *,
        clock: Clock,
        attempts: int,
    ) -> None:
        self.database = database
        self.locator = Locator(archive, breakers)
        self.carriers = carriers
        self.breakers = breakers
        self.receptions = receptions
        self.quarantine = quarantine
        self.outlook = outlook
        self.filing = Filing(database, receptions, clock=clock)
        self.clock = clock
        self.misses = Misses(database, attempts=attempts)
        self.respite = Respite(database, self.locator, clock=clock)
        self.running: dict[int, Running] = {}
        self._ahead: deque[FrameRecord] = deque()
        """Frames that were due at the last look and have not been begun since."""
        self.due = asyncio.Event()
        """A place in the pool is free, or a frame may have become due."""
        self.tally = Tally()
        self.unsigned: set[int] = set()
        """Frames that wait for a credential which the archive accepts."""

    def look_again(self) -> None:
        """Say that other frames may be due than those that were seen last."""
        self._ahead.clear()
        self.due.set()

    async def start_due(self, downloads: int) -> int:
        """Start as many due downloads as places are free; return how many were started."""
        free = self.respite.leave(downloads - len(self.running))
        if free <= 0 or self.outlook.full:
            return 0
        if not self._ahead:
            now, at_work = self.clock.now(), set(self.running)
            async with self.database.read() as session:
                due = await Frames().due(session, FrameState.SPOTTED, now=now, limit=len(at_work) + AHEAD * downloads)
            # what ended while we read is not due any more
            self._ahead.extend(frame for frame in due if frame.id not in at_work)
        started = 0
        while self._ahead and started < free:
            running = Running(self._ahead.popleft())
            running.progress.total = running.frame.size
            running.task = asyncio.create_task(self._run(running), name=f"fetch {running.frame.name}")
            self.running[running.frame.id] = running
            started += 1
        return started

    async def tell_progress(self) -> None:
        """Write how far each download is, where it changed; called about once a second."""
        changed: list[tuple[int, int, float]] = []
        now = time.monotonic()
        for running in self.running.values():
            done = running.progress.done
            if running.transfer is not None and done != running.told:
                rate = max(0, done - running.told) / max(now - running.told_at, 1e-3) if running.told_at else 0.0
                changed.append((running.transfer, done, rate))
                running.told, running.told_at = done, now
        if changed:
            async with self.database.write() as session:
                for transfer, done, rate in changed:
                    await Transfers().progress(session, transfer, done=done, rate=rate)

    def files_of(self, frame: FrameRecord) -> set[str]:
        """Names in incoming/ that a running fetch of this frame may use: the stem of its part, and the whole file."""
        any_disk = self.receptions.disk(frame.disk)
        incoming = any_disk.incoming(frame.uri, generation=frame.generation)
        return {any_disk.part(frame.name, _digest(frame)).stem, incoming.name}

    async def take_up(self) -> None:
        """Let the frames that waited for a credential be tried at once."""
        async with self.database.write() as session:
            await Frames().make_due(session, self.unsigned, now=self.clock.now())
        self.unsigned.clear()

    async def stop(self) -> None:
        """End all downloads; their parts stay for the next start."""
        tasks = [running.task for running in self.running.values() if running.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.running.clear()  # one that was cancelled before its first step could not take itself out

    async def _run(self, running: Running) -> None:
        frame = running.frame
        try:
            await self._fetch(running)
            self.misses.arrived(frame)
            self.respite.forget(frame)
        except asyncio.CancelledError:
            await self._end(running, "snooppix was stopped; the next start goes on from here")
            raise
        except IllegalMove:
            log.info("frame was superseded while it was fetched", frame=frame.name)
            await self._end(running, "a newer generation has taken its place")
        except FetchError as problem:
            await self._fail(running, problem)
        except ArchiveError as problem:
            await self._fail(running, Unreachable(frame.name, "the archive", str(problem)))
        except OSError as problem:
            await self._disk_failed(running, problem)
        except Exception as problem:  # one frame's trouble must not end the daemon
            log.exception("fetch failed on this host", frame=frame.name)
            await self._wait(running, Wait(self.clock.now() + PAUSE, f"trouble on this host: {problem}", counted=True))
        finally:
            self.receptions.settle(frame.id)
            self.running.pop(frame.id, None)
            self.due.set()

    async def _fetch(self, running: Running) -> None:
        frame = running.frame
        if await self._adopt(running):
            return
        disk = await self.outlook.promise(frame)
        sources = await self.locator.locate(frame)
        if not sources:
            raise NotStored(frame.name, "the archive", "it is listed and not stored at any site yet")
        self.locator.refuse_resting(frame, [host_of(source) for source in sources])
        running.transfer = await self._claim(frame, disk, URL(sources[0]).host or sources[0])
        reached("fetch.claimed")
        begin = time.monotonic()
        running.told_at = begin
        disk, arrived = await self._download(running, disk, sources)
        part = disk.part(frame.name, _digest(frame))
        incoming = disk.incoming(frame.uri, generation=frame.generation)
        await asyncio.to_thread(publish, part, disk.root / incoming)
        part.with_suffix(BAD).unlink(missing_ok=True)
        reached("fetch.renamed")
        seconds, cuts = time.monotonic() - begin, running.progress.interruptions
        how = f"arrived in {seconds:.1f} s" + {0: "", 1: ", resumed once"}.get(cuts, f", resumed {cuts} times")
        if again := running.progress.repaired:
            how += f", {again / 1e6:.1f} MB of it fetched again for damage"
        fetch = Fetch(running.transfer, seconds, running.progress.headers)
        await self._received(frame, disk, incoming, arrived, how, fetch)
        reached("fetch.recorded")

    async def _claim(self, frame: FrameRecord, disk: Reception, source: str) -> int:
        """Write down that a fetch begins, and on which disk its room is promised."""
        now = self.clock.now()

        async def step(session: AsyncSession) -> int:
            await Frames().describe(session, frame.id, disk=disk.name)
            return await Transfers().begin(
                session, frame_id=frame.id, kind=TransferKind.FETCH, source=source, bytes_total=frame.size, now=now
            )

        return await self.database.together(step)

    async def _download(self, running: Running, disk: Reception, sources: list[str]) -> tuple[Reception, Arrived]:
        """Fetch to a disk; one that turns out to be full gives way to another, and no try is counted."""
        frame, digest, full = running.frame, _digest(running.frame), set[str]()
        while True:
            part = disk.part(frame.name, digest)
            wanted = Wanted(frame.name, part, frame.size, digest, fits=is_fits(frame.name))
            try:
                return disk, await self._carry(running, wanted, sources)
            except NoRoom:
                full.add(disk.name)
                if full >= {other.name for other in self.receptions.usable}:
                    raise
                log.warning("reception disk is full", disk=disk.name, frame=frame.name)
                disk = await self.outlook.promise(frame, avoid=full)
            for old in part.parent.glob(f"{part.stem}.*"):
                await asyncio.to_thread(old.unlink, missing_ok=True)
            async with self.database.write() as session:
                await Frames().describe(session, frame.id, disk=disk.name)

    async def _carry(self, running: Running, wanted: Wanted, sources: list[str]) -> Arrived:
        """Fetch; an address that carries its own leave may have expired on the way, so a refusal is asked once anew."""
        try:
            return await carry(self.carriers, self.breakers, wanted, sources, running.progress)
        except (NotSignedIn, NotAllowed):
            fresh = await self.locator.locate(running.frame)
            if not fresh or fresh == sources:
                raise
        return await carry(self.carriers, self.breakers, wanted, fresh, running.progress)

    async def _adopt(self, running: Running) -> bool:
        """Take a file that lies where this one belongs, if it is the very one: a lost database costs no download."""
        frame = running.frame
        path = self.receptions.disk(frame.disk).filed(frame.uri, generation=frame.generation, kind=frame.kind)
        disk, expected = await asyncio.to_thread(self.receptions.find, path), _digest(frame)
        if disk is None or expected is None:
            return False
        if await asyncio.to_thread(digest_of, disk.root / path, expected.algorithm) != expected:
            return False
        size = (await asyncio.to_thread((disk.root / path).stat)).st_size
        await self._received(frame, disk, path, Arrived(size, expected), "was here already")
        return True

    async def _received(
        self, frame: FrameRecord, disk: Reception, path: Path, arrived: Arrived, how: str, fetch: Fetch | None = None
    ) -> None:
        await self.filing.received(frame, disk, path, arrived, how, fetch)
        self.receptions.drop(frame.id)
        self.outlook.arrived()
        self.tally.fetched += 1
        self.tally.bytes += arrived.size
        seconds = round(fetch.seconds, 2) if fetch else 0.0
        log.info("frame fetched", frame=frame.name, size=arrived.size, seconds=seconds, how=how)

    async def _disk_failed(self, running: Running, problem: OSError) -> None:
        """Let a frame wait after trouble of this host; a reception disk that is gone is no fault of the frame."""
        promise = self.receptions.promises.get(running.frame.id)
        disk = self.receptions.disk(promise.disk if promise else running.frame.disk)
        trouble = await self.receptions.check(disk)
        if trouble is not None:
            reason = f"reception disk {disk.name}: {trouble}"
            await self._wait(running, Wait(self.clock.now() + ROOM, reason, counted=False))
            return
        log.error("fetch failed on this host", frame=running.frame.name, exc_info=problem)
        await self._wait(running, Wait(self.clock.now() + PAUSE, f"trouble on this host: {problem}", counted=True))

    async def _fail(self, running: Running, problem: FetchError) -> None:
        frame, now = running.frame, self.clock.now()
        self.tally.failures += 1
        if isinstance(problem, NotSignedIn):
            self.unsigned.add(frame.id)
        decision = decide(problem, await self.misses.case(frame, problem, now), now=now)
        log.info("fetch failed", frame=frame.name, problem=type(problem).__name__, why=str(problem))
        if isinstance(problem, Resting):
            await self._end(running, problem.why)
            await self.respite.put_off(frame, problem, at_work=self.running)
            self._ahead.clear()  # others have been put off with it
            return
        match decision:
            case Wait():
                await self._wait(running, decision)
            case GiveUp(reason):
                await self._give_up(running, reason)
            case Reject(word, reason):
                await self._reject(running, Evidence.of_fetch(word, reason, problem), now)

    async def _wait(self, running: Running, wait: Wait) -> None:
        now, level = self.clock.now(), Level.ERROR if wait.alert else Level.WARNING

        async def step(session: AsyncSession) -> None:
            await Frames().wait(
                session,
                running.frame.id,
                reason=wait.reason,
                retry_at=wait.until,
                now=now,
                source=SOURCE,
                count=wait.counted,
                level=level,
            )
            await self._ended(session, running, wait.reason, now)

        await self.database.together(step)

    async def _give_up(self, running: Running, reason: str) -> None:
        now = self.clock.now()

        async def step(session: AsyncSession) -> None:
            await Frames().fail(session, running.frame.id, reason=reason, now=now, source=SOURCE)
            await self._ended(session, running, reason, now)

        await self.database.together(step)

    async def _reject(self, running: Running, evidence: Evidence, now: datetime) -> None:
        """Keep what came as evidence."""
        frame = running.frame
        async with self.database.write() as session:
            await self._ended(session, running, evidence.reason, now)
        promise = self.receptions.promises.get(frame.id)
        disk = self.receptions.disk(promise.disk if promise else frame.disk)
        bad = disk.part(frame.name, _digest(frame)).with_suffix(BAD)
        await self.quarantine.reject(frame, disk, INCOMING / bad.name if bad.exists() else None, evidence)

    async def _end(self, running: Running, reason: str) -> None:
        if running.transfer is not None:
            async with self.database.write() as session:
                await self._ended(session, running, reason, self.clock.now())

    async def _ended(self, session: AsyncSession, running: Running, reason: str, now: datetime) -> None:
        if running.transfer is not None:
            await Transfers().end(
                session,
                running.transfer,
                TransferState.FAILED,
                now=now,
                reason=reason,
                headers=running.progress.headers,
                done=running.progress.done,
                rate=0.0,
            )


def _digest(frame: FrameRecord) -> Digest | None:
    return Digest.parse(frame.wire_digest) if frame.wire_digest else None
