"""The reception: where what arrives lies, from the first byte to the sorted file, on one disk or on several.

incoming/<name>.<digest>.part      on its way
incoming/<file>                    whole, digest verified
from_CADC/headervalid/<file>       a frame that we take
from_CADC/calibrations/<file>      a flat or a mask that frames name
from_CADC/rejected/<word>/<file>   what we do not take, with <file>.why.json beside it
from_TERAPIX/<file>                a product of another TERAPIX, to which we are the archive
to_CADC/                           what goes back
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from dbclient.schema import FrameKind
from snooppix.errors import NoRoom
from terapix.errors import TerapixError
from terapix.identity import Digest, FrameId, safe_name
from terapix.part import sync_directory
from terapix.sections import Settings

INCOMING: Final = Path("incoming")
VALID: Final = Path("from_CADC/headervalid")
CALIBRATIONS: Final = Path("from_CADC/calibrations")
REJECTED: Final = Path("from_CADC/rejected")
PRODUCTS: Final = Path("from_TERAPIX")
RETURNS: Final = Path("to_CADC")
ROOMS: Final = (INCOMING, VALID, CALIBRATIONS, REJECTED, RETURNS)
PART: Final = ".part"
BOUND: Final = ".bound"
BAD: Final = ".bad"
DEADLINE: Final = 5.0
"""Seconds that a disk has to answer; a local one takes milliseconds, a network one that is alive well below one."""
KEPT: Final = 1.0
"""Seconds for which it is believed what a part that waits lacks: nobody writes to it but a download of ours."""
BLOCK: Final = 512
"""Bytes in which a file system counts what a file occupies."""
_SHORT: Final = 16
"""Hexadecimal digits of the digest in the name of a part."""


class ReceptionTaken(TerapixError):
    """Another process works on the same reception disk."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"another snooppix works on {root}: stop it, or give this one its own paths.reception")


class Reception:
    """The layout of one reception disk. Paths are relative to its root, as the database keeps them."""

    def __init__(self, root: Path, *, reserve: int, name: str = "reception") -> None:
        self.name = name
        self.root = root
        self.reserve = reserve
        """Bytes never filled."""
        self.trouble: str | None = None
        """Why the disk cannot be used; none while it can."""
        self._lock = -1

    def prepare(self) -> None:
        """Make the directories, and hold the disk for this process alone.

        Raises
        ------
        ReceptionTaken
            If another process holds it.
        """
        for directory in ROOMS:
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        self.release()
        self._lock = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            self.release()
            raise ReceptionTaken(self.root) from problem

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def examine(self, *, used: bool) -> str | None:
        """Say what is wrong with the disk, and take it up where it is back; blocks as long as the disk does.

        Parameters
        ----------
        used : whether files were kept on it before: then its directories are not made anew on an empty mount point
        """
        try:
            lacking = [room for room in ROOMS if not (self.root / room).is_dir()]
            if used and len(lacking) == len(ROOMS):
                return f"{self.root} is gone or empty: mount its disk"
            if lacking or not self._holds():
                self.prepare()
            if not os.access(self.root / INCOMING, os.W_OK | os.X_OK):
                return f"{self.root} cannot be written"
        except ReceptionTaken as problem:
            return str(problem)
        except OSError as problem:
            return f"{self.root} does not answer: {problem.strerror or problem}"
        return None

    def _holds(self) -> bool:
        """Whether what is locked is what now lies at the root: a disk may have been taken out and put back."""
        return self._lock >= 0 and os.path.samestat(os.fstat(self._lock), self.root.stat())

    def room(self) -> int:
        """Bytes that may still be filled; negative if the reserve is touched."""
        return shutil.disk_usage(self.root).free - self.reserve

    def lacks(self, part: Path, size: int) -> int:
        """Bytes that a file of `size` will still take, what its part occupies already left out."""
        with contextlib.suppress(OSError):
            return max(0, size - part.stat().st_blocks * BLOCK)
        return size

    def part(self, name: str, digest: Digest | None) -> Path:
        """Absolute path of the part of a file."""
        tag = digest.hexadecimal[:_SHORT] if digest else "unlisted"
        return self.root / INCOMING / f"{safe_name(name)}.{tag}{PART}"

    def file_name(self, uri: str, *, generation: int) -> str:
        """Name under which a file is kept: that of the archive, with the generation in it from the second on."""
        last = safe_name(uri.rsplit("/", 1)[-1].rsplit(":", 1)[-1])
        if generation <= 1:
            return last
        name = FrameId.of_file(last).name
        return f"{name}.g{generation}{last.removeprefix(name)}"

    def incoming(self, uri: str, *, generation: int) -> Path:
        return INCOMING / self.file_name(uri, generation=generation)

    def filed(self, uri: str, *, generation: int, kind: FrameKind) -> Path:
        """Where a file belongs once it is verified."""
        directory = {FrameKind.OBJECT: VALID, FrameKind.PRODUCT: PRODUCTS}.get(kind, CALIBRATIONS)
        return directory / self.file_name(uri, generation=generation)

    def move(self, source: Path, target: Path) -> None:
        """Rename a file within the disk, durably."""
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root / source).rename(self.root / target)
        sync_directory((self.root / target).parent)
        sync_directory((self.root / source).parent)


@dataclass(frozen=True, slots=True)
class Promise:
    """Room that is kept on a reception disk for a file of which not all bytes are here."""

    disk: str
    part: Path
    size: int


class Receptions:
    """All reception disks, and the room that is promised on them.

    Promised are the bytes that begun downloads still lack: of those that run, and of
    those that wait with a part on the disk. The rows say which have begun
    (`frames.disk`), so that the promises hold after a restart.
    """

    def __init__(self, *disks: Reception) -> None:
        self.disks = disks
        self.promises: dict[int, Promise] = {}
        """By frame."""
        self.running: set[int] = set()
        """Frames whose promise holds although no part may be there yet."""
        self._lacking: dict[str, dict[int, int]] = {disk.name: {} for disk in disks}
        """By disk and frame, bytes that the downloads lack which wait with a part."""
        self._ended: set[int] = set()
        """Frames whose download does not run, and of which it is not known whether a part waits."""
        self._pruned = (float("-inf"), frozenset[str]())
        """When all parts that wait were looked at, and which disks were usable then."""
        self._used: set[str] = set()
        self._looks: dict[str, asyncio.Task[str | None]] = {}
        self._choosing = asyncio.Lock()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        disks = settings.reception_disks.values()
        return cls(*(Reception(disk.directory, reserve=disk.reserve, name=disk.name) for disk in disks))

    @property
    def usable(self) -> list[Reception]:
        """Disks that answer and can be written."""
        return [disk for disk in self.disks if disk.trouble is None]

    def disk(self, name: str | None) -> Reception:
        """The disk of a name; the first if there is no such one, as rows of an only disk have it."""
        return next((disk for disk in self.disks if disk.name == name), self.disks[0])

    def prepare(self, used: Collection[str] = ()) -> None:
        """Take all disks; of several, those that are there.

        Parameters
        ----------
        used : disks on which frames are recorded

        Raises
        ------
        ReceptionTaken
            If another process holds one.
        """
        self._used |= set(used)
        for disk in self.disks:
            if len(self.disks) > 1 and (trouble := disk.examine(used=disk.name in self._used)):
                disk.trouble = trouble
                continue
            disk.prepare()
            self._used.add(disk.name)

    def release(self) -> None:
        for disk in self.disks:
            disk.release()

    async def look(self) -> list[tuple[Reception, str]]:
        """Look at all disks; return those with which something has changed, and what there is to say of it."""
        told = []
        for disk in self.disks:
            found = await self._look(disk)
            if (found is None) != (disk.trouble is None):
                said = f"is used again: {disk.root}" if found is None else f"is passed over: {found}"
                told.append((disk, f"reception disk {disk.name} {said}"))
            disk.trouble = found
            if found is None:
                self._used.add(disk.name)
        return told

    async def check(self, disk: Reception) -> str | None:
        """Say what is wrong with a disk now; none if nothing is."""
        return await self._look(disk)

    async def _look(self, disk: Reception) -> str | None:
        """Examine a disk in a thread; one that never comes back is left behind, and no second one is sent."""
        if disk.name not in self._looks:
            examine = asyncio.to_thread(disk.examine, used=disk.name in self._used)
            self._looks[disk.name] = asyncio.create_task(examine)
        look = self._looks[disk.name]
        await asyncio.wait({look}, timeout=DEADLINE)
        if not look.done():
            return f"{disk.root} has not answered for {DEADLINE:.0f} s"
        if self._looks.get(disk.name) is look:  # several may have waited for it
            del self._looks[disk.name]
        return look.result()

    def remember(self, frame_id: int, disk: str, name: str, digest: Digest | None, size: int) -> None:
        """Take over a promise of an earlier life, which holds as long as the part is there."""
        place = self.disk(disk)
        self.promises[frame_id] = Promise(place.name, place.part(name, digest), size)
        self._ended.add(frame_id)

    async def choose(
        self, frame_id: int, name: str, digest: Digest | None, size: int, *, avoid: Collection[str] = ()
    ) -> Reception:
        """Promise a file its room on a disk: where its part lies if the rest has room there, else where most is left.

        Raises
        ------
        NoRoom
            If no disk can take it; nothing is promised then.
        """
        async with self._choosing:
            for fresh in (False, True):
                if fresh:  # a part may have gone since those that wait were looked at
                    self._pruned = (float("-inf"), frozenset())
                left, begun = await self._room_for(frame_id, name, digest, size, avoid=avoid)
                able = [disk for disk in self.usable if disk.name in left]
                best = sorted(able, key=lambda disk: (disk.name not in begun, -left[disk.name]))
                if not fresh and (not best or left[best[0].name] < 0):
                    continue
                chosen = next((disk for disk in best if left[disk.name] >= 0), None)
                if chosen is not None:
                    self.promises[frame_id] = Promise(chosen.name, chosen.part(name, digest), size)
                    self.running.add(frame_id)
                    self._no_longer_waits(frame_id)
                    return chosen
            missing = min((-left[disk.name] for disk in able), default=size)
            raise NoRoom(name, needed=size, missing=missing, where=self._said(left))

    async def _room_for(
        self, frame_id: int, name: str, digest: Digest | None, size: int, *, avoid: Collection[str]
    ) -> tuple[dict[str, int], set[str]]:
        """Bytes left on each disk that answers once a file is whole there, and on which disks its part lies."""
        left: dict[str, int] = {}
        begun: set[str] = set()
        for disk in self.usable:
            if disk.name in avoid:
                continue
            with contextlib.suppress(TimeoutError, OSError):  # the next look says what is wrong with it
                async with asyncio.timeout(DEADLINE):
                    part = disk.part(name, digest)
                    left[disk.name], there = await asyncio.to_thread(self._left, disk, part, size, besides=frame_id)
                    if there:
                        begun.add(disk.name)
        return left, begun

    async def begun(self, *, besides: int) -> int:
        """Count the other downloads to which room is promised."""
        await asyncio.to_thread(self._prune)
        return len(self.promises.keys() - {besides})

    def settle(self, frame_id: int) -> None:
        """A download ended: its promise goes on only while a part waits."""
        self.running.discard(frame_id)
        self._ended.add(frame_id)

    def drop(self, frame_id: int) -> None:
        """Promise nothing any more: all bytes are here, or none will come."""
        self.running.discard(frame_id)
        self.promises.pop(frame_id, None)
        self._no_longer_waits(frame_id)

    def _no_longer_waits(self, frame_id: int) -> None:
        for lacking in self._lacking.values():
            lacking.pop(frame_id, None)

    def _left(self, disk: Reception, part: Path, size: int, *, besides: int) -> tuple[int, bool]:
        """Bytes left to promise on a disk once a file of `size` is whole there, negative if it does not fit.

        And whether its part lies there.
        """
        room = disk.room() - disk.lacks(part, size)
        self._prune()
        waiting = self._lacking[disk.name].copy()
        waiting.pop(besides, None)
        running = [self.promises.get(number) for number in self.running - {besides}]
        promised = sum(disk.lacks(other.part, other.size) for other in running if other and other.disk == disk.name)
        return room - promised - sum(waiting.values()), part.exists()

    def _prune(self) -> None:
        """Forget the promises to downloads that neither run nor have left a part on a disk that answers.

        All that wait are looked at once a second, and at once what has just ended: a thousand may wait.
        """
        usable, now = frozenset(disk.name for disk in self.usable), time.monotonic()
        looked, then = self._pruned
        ended, self._ended = self._ended, set()
        if usable != then or now - looked > KEPT:
            self._pruned = (now, usable)
            ended = set(self.promises)
        for frame_id in ended - self.running:
            promise = self.promises.get(frame_id)
            self._no_longer_waits(frame_id)
            if promise is None:
                continue
            if promise.disk in usable and promise.part.exists():
                self._lacking[promise.disk][frame_id] = self.disk(promise.disk).lacks(promise.part, promise.size)
            else:
                self.promises.pop(frame_id, None)

    def find(self, path: Path) -> Reception | None:
        """The usable disk on which a file lies; none if it lies on no such one."""
        return next((disk for disk in self.usable if (disk.root / path).is_file()), None)

    def _said(self, left: Mapping[str, int]) -> str:
        if len(self.disks) == 1:
            return ""
        return ", ".join(
            f"{disk.name} {disk.trouble or 'is full' if disk.name not in left else 'has no room'}"
            for disk in self.disks
        )
