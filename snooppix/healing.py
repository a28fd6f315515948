"""What an earlier life of the daemon left unfinished, seen by comparing the disk with the database.

A kill can come between any two steps. The rule for each leftover is decided
here without touching anything, then done.
"""

import asyncio
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, TransferKind, TransferState
from dbclient.stores import Frames, Transfers
from snooppix.carrier import Arrived, Proof
from snooppix.filing import Filing
from snooppix.quarantine import Quarantine
from snooppix.reception import BAD, BOUND, DEADLINE, INCOMING, PART, Reception, Receptions
from terapix.clock import Clock
from terapix.identity import Digest, FrameId, UnsafeName
from terapix.journal import logger

log = logger("healing")

SOURCE: Final = "snooppix"


class Remedy(StrEnum):
    """What is done about one file in incoming/."""

    KEEP = "keep"  #: it is as it should be, or a part that the next fetch goes on with
    RECORD = "record"  #: it arrived and nobody wrote that down: compare its digest, then record it
    REMOVE = "remove"  #: nobody will ask for it again
    SET_ASIDE = "set aside"  #: no row knows it


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file in incoming/ and what is to be done about it."""

    path: Path
    remedy: Remedy
    frame: FrameRecord | None = None


def diagnose(
    files: Iterable[str], frames: Mapping[str, FrameRecord], parts: Collection[str], *, busy: Collection[str]
) -> list[Leftover]:
    """Decide about each file in incoming/.

    Parameters
    ----------
    files : names of files there
    frames : by the name that the file of each frame has (or will have) there
    parts : stems of the parts that frames still to be fetched may go on with
    busy : names and stems that a running fetch or verification works on
    """
    found = []
    for name in files:
        path = INCOMING / name
        stem = next((name.removesuffix(end) for end in (PART, BOUND, BAD, ".bound-new") if name.endswith(end)), None)
        if stem in busy or name in busy:
            continue
        if stem is not None:
            found.append(Leftover(path, Remedy.KEEP if stem in parts else Remedy.REMOVE))
            continue
        frame = frames.get(name)
        if frame is None:
            found.append(Leftover(path, Remedy.SET_ASIDE))
        elif frame.state is FrameState.SPOTTED:
            found.append(Leftover(path, Remedy.RECORD, frame))
        elif frame.state in {FrameState.FETCHED, FrameState.FAILED}:
            found.append(Leftover(path, Remedy.KEEP, frame))
        else:
            found.append(Leftover(path, Remedy.REMOVE, frame))
    return found


class Healer:
    """Puts right what diagnosis finds."""

    def __init__(self, database: Database, receptions: Receptions, quarantine: Quarantine, *, clock: Clock) -> None:
        self.database = database
        self.receptions = receptions
        self.quarantine = quarantine
        self.filing = Filing(database, receptions, clock=clock)
        self.clock = clock

    async def begin(self) -> None:
        """Take the disks, and go on where an earlier life of this daemon ended.

        Raises
        ------
        ReceptionTaken
            If another process holds a disk.
        """
        async with self.database.read() as session:
            used = await Frames().disks(session)
        await asyncio.to_thread(self.receptions.prepare, used)
        await self.close_transfers()
        await self.promise()
        await self.heal(busy=())

    async def close_transfers(self) -> int:
        """End the fetches that an earlier life of this daemon had begun; to be called before any new one."""
        async with self.database.write() as session:
            left = await Transfers().running(session, TransferKind.FETCH)
            for transfer in left:
                reason = "snooppix ended while it ran; the next fetch goes on from here"
                await Transfers().end(session, transfer.id, TransferState.FAILED, now=self.clock.now(), reason=reason)
        return len(left)

    async def promise(self) -> None:
        """Promise room again to the downloads that an earlier life of this daemon had begun."""
        async with self.database.read() as session:
            begun = await Frames().begun(session)
        for frame in begun:
            digest = Digest.parse(frame.wire_digest) if frame.wire_digest else None
            self.receptions.remember(frame.id, str(frame.disk), frame.name, digest, frame.size or 0)

    async def heal(self, *, busy: Collection[str]) -> int:
        """Look through incoming/ of each disk once; return the number of files that were dealt with."""
        dealt = 0
        for disk in self.receptions.usable:
            try:
                dealt += await self._heal(disk, busy)
            except OSError as problem:  # the disk has just gone: the next look at it tells
                log.warning("reception disk fails while it is looked through", disk=disk.name, why=str(problem))
        return dealt

    async def _heal(self, disk: Reception, busy: Collection[str]) -> int:
        async with asyncio.timeout(DEADLINE):
            files = await asyncio.to_thread(_files, disk)
        if not files:
            return 0
        frames, parts = await self._known(disk, files)
        treated = [left for left in diagnose(files, frames, parts, busy=busy) if left.remedy is not Remedy.KEEP]
        for leftover in treated:
            await self._treat(disk, leftover)
        return len(treated)

    async def _known(self, disk: Reception, files: Iterable[str]) -> tuple[dict[str, FrameRecord], set[str]]:
        """Frames whose files these may be, and the stems of parts that are gone on with on this disk."""
        names: set[str] = set()
        for file in files:
            for ending in (PART, BOUND, BAD, ".bound-new"):
                if file.endswith(ending):
                    names.add(file.removesuffix(ending).rpartition(".")[0])
            try:
                name = FrameId.of_file(file).name
            except UnsafeName:
                continue
            names |= {name, name.rpartition(".g")[0] or name}
        frames: dict[str, FrameRecord] = {}
        parts: set[str] = set()
        async with self.database.read() as session:
            for frame in await Frames().of_names(session, names):
                frames[disk.file_name(frame.uri, generation=frame.generation)] = frame
                elsewhere = frame.disk is not None and self.receptions.disk(frame.disk) is not disk
                if frame.state in {FrameState.SPOTTED, FrameState.FAILED} and not elsewhere:
                    digest = Digest.parse(frame.wire_digest) if frame.wire_digest else None
                    parts.add(disk.part(frame.name, digest).stem)
        return frames, parts

    async def _treat(self, disk: Reception, leftover: Leftover) -> None:
        path = disk.root / leftover.path
        frame = leftover.frame
        if leftover.remedy is Remedy.REMOVE:
            log.info("leftover removed", file=path.name)
            await asyncio.to_thread(path.unlink, missing_ok=True)
        elif leftover.remedy is Remedy.SET_ASIDE or frame is None:
            reason = "it lay in incoming/ and no frame in the database has this file"
            log.warning("file of nobody set aside", file=path.name)
            await self.quarantine.keep(disk, leftover.path, _plain(path.name), word="unknown-file", reason=reason)
        else:
            await self._record(disk, path, frame)

    async def _record(self, disk: Reception, path: Path, frame: FrameRecord) -> None:
        """Record a file that arrived whole before the daemon was killed; one that differs is fetched again."""
        expected = Digest.parse(frame.wire_digest) if frame.wire_digest else None
        found = await asyncio.to_thread(digest_of, path, expected.algorithm if expected else "md5")
        if expected is not None and found != expected:
            log.warning("file in incoming differs from the listing and is fetched again", frame=frame.name)
            await asyncio.to_thread(path.unlink, missing_ok=True)
            return
        size = (await asyncio.to_thread(path.stat)).st_size
        lies = path.relative_to(disk.root)
        arrived = Arrived(size, found, Proof.LISTED if expected else Proof.NONE)
        await self.filing.received(frame, disk, lies, arrived, "had arrived before snooppix ended")
        log.info("arrived file recorded", frame=frame.name)


def _files(disk: Reception) -> list[str]:
    return sorted(entry.name for entry in (disk.root / INCOMING).iterdir() if entry.is_file())


def digest_of(path: Path, algorithm: str) -> Digest:
    """Digest of a file."""
    with path.open("rb") as file:
        return Digest(algorithm, hashlib.file_digest(file, algorithm).hexdigest())


def _plain(name: str) -> str:
    try:
        return FrameId(name).name
    except UnsafeName:
        return f"unnamed-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:16]}"
