"""Leftovers of a root: scratch of jobs that ended, and what was set aside. Listed, and removed one by one. Blocks."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datatransfer.agent.holdings import QUARANTINE, WHY
from datatransfer.agent.roots import Refused, Root, checked, held_directory, open_file
from datatransfer.errors import SourceGone

SCRATCH: Final = "scratch"
"""Room of a node in which jobs unpack pixels."""
ASIDE: Final = re.compile(r"\.aside-\d+(\.why\.json)?$")
"""Names of what was set aside beside its place."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that no row tells of."""

    path: str
    size: int
    used: float
    """Seconds since 1970 when it, or the directory in which it lies, was written last."""

    @property
    def is_scratch(self) -> bool:
        return self.path.startswith(f"{SCRATCH}/")

    @property
    def is_note(self) -> bool:
        """Whether it only says why another one was set aside."""
        return self.path.endswith(WHY)


def leftovers(root: Root) -> list[Leftover]:
    """List scratch, quarantine, and what was set aside beside its place."""
    found = [item for room in (SCRATCH, QUARANTINE) for item in _below(root, room)]
    for room in sorted(root.rooms):
        found += [item for item in _below(root, room) if ASIDE.search(item.path)]
    return found


def remove(root: Root, leftover: Leftover) -> bool:
    """Remove a leftover that is as it was listed; tell whether it was there.

    Raises
    ------
    Refused
        When it is no leftover, or was written meanwhile.
    """
    path = checked(leftover.path)
    if path.partition("/")[0] not in {SCRATCH, QUARANTINE} and not ASIDE.search(path):
        raise Refused(f"{path} in {root.name} is neither scratch nor set aside")
    try:
        handle = open_file(root, path)
    except SourceGone:
        return False
    with open(handle, "rb", buffering=0) as file:  # noqa: PTH123 - of an open file
        size = os.fstat(file.fileno()).st_size
    if size != leftover.size:
        raise Refused(f"{path} has {size} bytes and {leftover.size} were listed: it is in use")
    *rooms, name = path.split("/")
    with held_directory(root, rooms, make=False) as at:
        os.unlink(name, dir_fd=at)
        os.fsync(at)
    _remove_empty(root, rooms)
    return True


def _below(root: Root, room: str) -> Iterator[Leftover]:
    """Walk over a room; links are not followed, and names that cannot be ours are left out."""
    top = root.directory / room
    if not top.is_dir() or top.is_symlink():
        return
    for place, _, names in os.walk(top):
        written = Path(place).stat().st_mtime
        for name in sorted(names):
            file = Path(place) / name
            path = os.path.relpath(file, root.directory)
            with contextlib.suppress(Refused, FileNotFoundError):
                facts = file.lstat()
                if file.is_file() and not file.is_symlink():
                    yield Leftover(checked(path), facts.st_size, max(facts.st_mtime, written))


def _remove_empty(root: Root, rooms: list[str]) -> None:
    """Remove directories in which nothing is left, below the room itself."""
    for depth in range(len(rooms), 1, -1):
        try:
            with held_directory(root, rooms[: depth - 1], make=False) as at:
                os.rmdir(rooms[depth - 1], dir_fd=at)
        except OSError:
            return
