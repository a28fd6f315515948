"""Disks: what a node's directory holds, what it can still take, and whether it is there at all.

Everything here may block on a dead disk or mount, so it runs in a thread of its
own with a deadline; a thread that never comes back is left behind, and no second
one is sent to the same directory until it does.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from datatransfer.mover import PART
from terapix.clock import Clock

DEADLINE = 5.0
"""Seconds that a disk has to answer; a local one takes milliseconds, a network one that is alive well below one."""
ROOMS = ("frames", "calibrations", "products", "scratch")
"""Directories below a node's root. They are made once, when the node is registered: a disk that is not mounted
lacks them, and is told apart from an empty one by that."""
SIDECAR = ".bound"
"""Ending of what stands beside a part that comes from another host, and says what it belongs to."""
WORKING = frozenset({"scratch"})
"""Directories whose files come and go under leases and do not count as held."""


@dataclass(frozen=True, slots=True)
class Disk:
    """A node's disk as measured."""

    free: int
    """Bytes that the disk has for us (not for root alone)."""
    total: int
    """Bytes of the whole disk."""
    device: str
    """The same for all directories on one disk."""
    inodes: int = -1
    """Files that can still be made there; -1 where its file system knows no bound."""
    elsewhere: Mapping[str, "Disk"] = field(default_factory=dict)
    """The disk of each room that is a mount of another one."""

    @property
    def all(self) -> dict[str, "Disk"]:
        """All disks of the node, by device."""
        return {disk.device: disk for disk in (*self.elsewhere.values(), self)}

    def of(self, room: str) -> "Disk":
        """Give the disk on which a room lies."""
        return self.elsewhere.get(room, self)

    @property
    def free_in_all(self) -> int:
        """Bytes that all of them have for us."""
        return sum(disk.free for disk in self.all.values())

    @property
    def total_of_all(self) -> int:
        """Bytes of all of them."""
        return sum(disk.total for disk in self.all.values())

    @property
    def described(self) -> list[dict[str, Any]]:
        """Give each disk with what lies on it, as the database keeps it."""
        rooms = {device: [room for room in ROOMS if self.of(room).device == device] for device in self.all}
        return [
            {"device": device, "parts": rooms[device], "free": disk.free, "total": disk.total}
            for device, disk in self.all.items()
            if rooms[device]
        ]


@dataclass(frozen=True, slots=True)
class Ill:
    """Why a node's directory cannot be used."""

    reason: str


def measure(directory: Path, rooms: Sequence[str] = ROOMS, *, own: Collection[str] = ()) -> Disk | Ill:
    """Look at a node's directory, or at one without rooms of its own; blocks as long as the disk does.

    Parameters
    ----------
    own : rooms that are mounts of disks of their own: one that is not mounted must not fill the disk below
    """
    try:
        if not directory.is_dir():
            return Ill(f"its directory {directory} is gone")
        lacking = [room for room in rooms if not (directory / room).is_dir()]
        if rooms and len(lacking) == len(rooms):
            return Ill(
                f"its directory {directory} is empty: mount its disk, or mkdir {directory / ROOMS[0]} if that is so"
            )
        for room in lacking:
            (directory / room).mkdir(exist_ok=True)
        if not os.access(directory / rooms[0] if rooms else directory, os.W_OK | os.X_OK):
            return Ill(f"its directory {directory} is not writable")
        disk = _disk(directory)
        found = {room: _disk(directory / room) for room in rooms}
        elsewhere = {room: other for room, other in found.items() if other.device != disk.device}
        if missed := [room for room in own if room not in elsewhere]:
            return Ill(f"the disk of its {' and '.join(missed)} is not mounted on {directory / missed[0]}")
        return replace(disk, elsewhere=elsewhere)
    except OSError as problem:
        return Ill(f"its directory {directory} does not answer: {problem.strerror or problem}")


def _disk(directory: Path) -> Disk:
    usage = psutil.disk_usage(os.fspath(directory))
    facts = os.statvfs(directory)
    inodes = facts.f_favail if facts.f_files else -1
    return Disk(free=usage.free, total=usage.total, device=str(directory.stat().st_dev), inodes=inodes)


def furnish(directory: Path) -> None:
    """Make a new node's directories."""
    for room in ROOMS:
        (directory / room).mkdir(parents=True, exist_ok=True)


def held_bytes(directory: Path) -> int:
    """Sum the files below a node's root, what comes and goes left out; a file with two names counts once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    stack = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    stack = [path for path in stack if Path(path).name not in WORKING]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                elif not entry.name.endswith((PART, SIDECAR)) and entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    if facts.st_nlink > 1:
                        if (facts.st_dev, facts.st_ino) in seen:
                            continue
                        seen.add((facts.st_dev, facts.st_ino))
                    total += facts.st_size
    return total


class Gauge:
    """Measures one directory without ever waiting longer than a deadline, and keeps the sum of its files."""

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        walk_every: float,
        rooms: Sequence[str] = ROOMS,
        own: Collection[str] = (),
    ) -> None:
        self.directory = directory
        self._rooms = rooms
        self._own = own
        self.held: int | None = None
        """Bytes below the directory as of the last walk; none before the first has ended."""
        self.walks = 0
        """How many walks have ended."""
        self._clock = clock
        self._walk_every = walk_every
        """Seconds for which a walk over the files holds good."""
        self._walk_at = clock.monotonic()
        self._looker: threading.Thread | None = None
        self._walker: threading.Thread | None = None

    async def measure(self, *, deadline: float = DEADLINE, fresh: bool = True) -> Disk | Ill:
        """Look at the directory, and send somebody to sum its files up when the last sum is old; always `fresh`."""
        del fresh
        if self._looker and self._looker.is_alive():
            return self._silent()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Disk | Ill] = loop.create_future()

        def settle(found: Disk | Ill) -> None:
            if not answer.done():
                answer.set_result(found)

        def look() -> None:
            found = measure(self.directory, self._rooms, own=self._own)
            with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits any more
                loop.call_soon_threadsafe(settle, found)

        self._looker = threading.Thread(target=look, name=f"disk {self.directory}", daemon=True)
        self._looker.start()
        try:
            found = await asyncio.wait_for(answer, deadline)
        except TimeoutError:
            return self._silent()
        if isinstance(found, Disk):
            self._walk_when_due()
        return found

    def _walk_when_due(self) -> None:
        now = self._clock.monotonic()
        if now < self._walk_at or (self._walker and self._walker.is_alive()):
            return
        self._walk_at = now + self._walk_every
        self._walker = threading.Thread(target=self._walk, name=f"walk {self.directory}", daemon=True)
        self._walker.start()

    def _walk(self) -> None:
        try:
            self.held = held_bytes(self.directory)
        except OSError:
            return  # what ails the directory is told by the next measure
        self.walks += 1

    def _silent(self) -> Ill:
        return Ill(f"its directory {self.directory} does not answer")
