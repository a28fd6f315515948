"""Sorting of what arrived: verified frames to headervalid/ or calibrations/, all else to rejected/ with its reason."""

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.errors import IllegalMove
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState
from dbclient.stores import Frames
from snooppix.errors import Rejection
from snooppix.filing import Filing, Found, what
from snooppix.quarantine import Evidence, Quarantine
from snooppix.reception import Reception, Receptions
from snooppix.verification import SMALL, Verified, Verifier
from terapix.clock import Clock
from terapix.journal import logger

log = logger("sorting")

SOURCE: Final = "snooppix"
PAUSE: Final = timedelta(seconds=60)
"""Wait after trouble of this host that is no frame's fault."""

PAGE: Final = 100
"""Files that are due read at once."""
SEVERAL: Final = 4
"""Small files at once: each mostly waits for disk, database and the processes that unpack."""


class Sorter:
    """Verifies fetched files: large ones one after the other, each on several processes; several small ones at once."""

    def __init__(
        self,
        database: Database,
        verifier: Verifier,
        receptions: Receptions,
        quarantine: Quarantine,
        *,
        clock: Clock,
    ) -> None:
        self.database = database
        self.verifier = verifier
        self.receptions = receptions
        self.quarantine = quarantine
        self.clock = clock
        self.filing = Filing(database, receptions, clock=clock)
        self.at_work: list[str] = []
        """Frames that are verified now."""
        self._large = asyncio.Lock()
        self.valid = 0
        self.rejected = 0

    async def sort_due(self, stopping: asyncio.Event) -> int:
        """Sort the files that are due, until `stopping`; return how many were."""
        async with self.database.read() as session:
            due = await Frames().due(session, FrameState.FETCHED, now=self.clock.now(), limit=PAGE)
        waiting = iter(due)
        done = await asyncio.gather(*(self._sort_some(waiting, stopping) for _ in range(min(SEVERAL, len(due)))))
        return sum(done)

    async def _sort_some(self, waiting: Iterator[FrameRecord], stopping: asyncio.Event) -> int:
        """Take files from those that wait, one after the other."""
        done = 0
        for frame in waiting:
            if stopping.is_set():
                break
            small = frame.size is not None and frame.size <= SMALL
            async with contextlib.nullcontext() if small else self._large:
                await self._sort_one(frame)
            done += 1
        return done

    async def _sort_one(self, frame: FrameRecord) -> None:
        self.at_work.append(frame.name)
        try:
            await self._sort(frame)
        except IllegalMove:
            await self._superseded(frame)
        except Exception as problem:  # one file's trouble must not hold back the others
            log.exception("verification failed on this host", frame=frame.name)
            await self._wait(frame, f"trouble on this host while verifying: {problem}")
        finally:
            self.at_work.remove(frame.name)

    async def _sort(self, frame: FrameRecord) -> None:
        disk = self.receptions.disk(frame.disk)
        found = await asyncio.to_thread(self._find, frame)
        if found is None:
            if (trouble := disk.trouble or await self.receptions.check(disk)) is not None:
                await self._wait(frame, f"it lies on the reception disk {disk.name}: {trouble}", count=False)
            else:
                await self._lost(frame)
            return
        disk, lies = found
        try:
            verified = await self.verifier.verify(disk.root / lies, kind=frame.kind, name=frame.name)
        except (Rejection, OSError) as problem:
            if (trouble := await self.receptions.check(disk)) is not None:  # the disk is at fault, and not the file
                await self._wait(frame, f"it lies on the reception disk {disk.name}: {trouble}", count=False)
                return
            if not isinstance(problem, Rejection):
                raise
            await self._reject(frame, disk, lies, problem)
        else:
            await self._file(frame, disk, lies, verified)

    def _find(self, frame: FrameRecord) -> tuple[Reception, Path] | None:
        """Where the file lies: as recorded, or where it belongs if it was moved and that not recorded."""
        recorded = self.receptions.disk(frame.disk)
        filed = recorded.filed(frame.uri, generation=frame.generation, kind=frame.kind)
        places = [Path(frame.path)] if frame.path else []
        places += [recorded.incoming(frame.uri, generation=frame.generation), filed]
        if frame.disk == recorded.name:
            if recorded.trouble is not None:
                return None
            return next(((recorded, place) for place in places if (recorded.root / place).is_file()), None)
        return next(((disk, place) for place in places if (disk := self.receptions.find(place)) is not None), None)

    async def _file(self, frame: FrameRecord, disk: Reception, lies: Path, verified: Verified) -> None:
        images = "images" if frame.kind is FrameKind.PRODUCT else "CCDs"
        message = f"is a valid {what(frame)}: {verified.columns['ccds']} {images}, {verified.sentence}"
        pixels = str(verified.pixel_digest) if verified.pixel_digest else None
        target = await self.filing.file(frame, disk, lies, Found(verified.columns, pixels, message))
        self.valid += 1
        log.info("frame valid", frame=frame.name, path=str(target))

    async def _reject(self, frame: FrameRecord, disk: Reception, lies: Path, rejection: Rejection) -> None:
        await self.quarantine.reject(frame, disk, lies, Evidence.of_rejection(rejection, found=frame.wire_digest))
        self.rejected += 1

    async def _lost(self, frame: FrameRecord) -> None:
        async with self.database.write() as session:
            await self.filing.lost(session, frame)

    async def _superseded(self, frame: FrameRecord) -> None:
        """Remove a file whose frame was superseded while it was verified."""
        log.info("frame was superseded while it was verified", frame=frame.name)
        found = await asyncio.to_thread(self._find, frame)
        if found is not None:
            disk, lies = found
            await asyncio.to_thread((disk.root / lies).unlink, missing_ok=True)

    async def _wait(self, frame: FrameRecord, reason: str, *, count: bool = True) -> None:
        now = self.clock.now()
        async with self.database.write() as session:
            await Frames().wait(
                session, frame.id, reason=reason, retry_at=now + PAUSE, now=now, source=SOURCE, count=count
            )
