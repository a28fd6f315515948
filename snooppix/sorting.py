"""Sorting of what arrived: verified frames to headervalid/ or calibrations/, all else to rejected/ with its reason."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.errors import IllegalMove
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState, Level
from dbclient.stores import Frames
from snooppix.errors import Rejection
from snooppix.reception import Reception
from snooppix.verification import Verified, Verifier
from terapix.clock import Clock
from terapix.journal import logger

log = logger("sorting")

SOURCE: Final = "snooppix"
PAUSE: Final = timedelta(seconds=60)
"""Wait after trouble of this host that is no frame's fault."""


class Sorter:
    """Verifies fetched files one after the other, each on several processes."""

    def __init__(self, database: Database, verifier: Verifier, reception: Reception, *, clock: Clock) -> None:
        self.database = database
        self.verifier = verifier
        self.reception = reception
        self.clock = clock
        self.at_work: str | None = None
        """Frame that is verified now."""
        self.valid = 0
        self.rejected = 0

    async def sort_due(self, stopping: asyncio.Event) -> int:
        """Sort the files that are due, until `stopping`; return how many were."""
        async with self.database.read() as session:
            due = await Frames().due(session, FrameState.FETCHED, now=self.clock.now(), limit=100)
        for number, frame in enumerate(due):
            if stopping.is_set():
                return number
            self.at_work = frame.name
            try:
                await self._sort(frame)
            except IllegalMove:
                await self._superseded(frame)
            except Exception as problem:  # one file's trouble must not hold back the others
                log.exception("verification failed on this host", frame=frame.name)
                await self._wait(frame, f"trouble on this host while verifying: {problem}")
            finally:
                self.at_work = None
        return len(due)

    async def _sort(self, frame: FrameRecord) -> None:
        lies = self._find(frame)
        if lies is None:
            await self._lost(frame)
            return
        try:
            verified = await self.verifier.verify(self.reception.root / lies, kind=frame.kind, name=frame.name)
        except Rejection as rejection:
            await self._reject(frame, lies, rejection)
        else:
            await self._file(frame, lies, verified)

    def _find(self, frame: FrameRecord) -> Path | None:
        """Where the file lies: as recorded, or where it belongs if it was moved and that not recorded."""
        filed = self.reception.filed(frame.uri, generation=frame.generation, kind=frame.kind)
        places = [Path(frame.path)] if frame.path else []
        places += [self.reception.incoming(frame.uri, generation=frame.generation), filed]
        return next((place for place in places if (self.reception.root / place).is_file()), None)

    async def _file(self, frame: FrameRecord, lies: Path, verified: Verified) -> None:
        ccds = verified.columns["ccds"]
        target = self.reception.filed(frame.uri, generation=frame.generation, kind=frame.kind)
        if lies != target:
            await asyncio.to_thread(self.reception.move, lies, target)
        await asyncio.to_thread(self.reception.forgive, target.name)
        what = "frame" if frame.kind is FrameKind.OBJECT else frame.kind.value
        async with self.database.write() as session:
            await Frames().advance(
                session,
                frame.id,
                FrameState.VALID,
                now=self.clock.now(),
                source=SOURCE,
                message=f"is a valid {what}: {ccds} CCDs, headers and all pixels verified",
                event="valid",
                path=str(target),
                pixel_digest=str(verified.pixel_digest),
                **verified.columns,
            )
        self.valid += 1
        log.info("frame valid", frame=frame.name, path=str(target))

    async def _reject(self, frame: FrameRecord, lies: Path, rejection: Rejection) -> None:
        now = self.clock.now()
        name = self.reception.file_name(frame.uri, generation=frame.generation)
        why = {
            "frame": frame.name,
            "generation": frame.generation,
            "reason": rejection.sentence,
            "word": rejection.word,
            "uri": frame.uri,
            "digest": frame.wire_digest,
            "rejected_at": now,
            "again": f"terapix retry {frame.name}",
        }
        path = await asyncio.to_thread(self.reception.reject, lies, name, rejection.word, why)
        async with self.database.write() as session:
            await Frames().advance(
                session,
                frame.id,
                FrameState.REJECTED,
                now=now,
                source=SOURCE,
                message=f"rejected ({rejection.word}): {rejection.sentence}",
                event="rejected",
                level=Level.WARNING,
                reason=rejection.sentence,
                path=str(path),
            )
        self.rejected += 1
        log.info("frame rejected", frame=frame.name, word=rejection.word, why=rejection.sentence)

    async def _lost(self, frame: FrameRecord) -> None:
        async with self.database.write() as session:
            await Frames().advance(
                session,
                frame.id,
                FrameState.SPOTTED,
                now=self.clock.now(),
                source=SOURCE,
                message=f"is no longer on the reception disk ({frame.path}): it is fetched again",
                event="lost",
                level=Level.WARNING,
                path=None,
            )

    async def _superseded(self, frame: FrameRecord) -> None:
        """Remove a file whose frame was superseded while it was verified."""
        log.info("frame was superseded while it was verified", frame=frame.name)
        lies = self._find(frame)
        if lies is not None:
            await asyncio.to_thread((self.reception.root / lies).unlink, missing_ok=True)

    async def _wait(self, frame: FrameRecord, reason: str) -> None:
        now = self.clock.now()
        async with self.database.write() as session:
            await Frames().wait(session, frame.id, reason=reason, retry_at=now + PAUSE, now=now, source=SOURCE)
