"""The directories that an agent gives access to, and the way below them: no step of it may be a link or lead out."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from datatransfer.errors import NodeUnreachable, SourceGone
from terapix.errors import TerapixError
from terapix.identity import UnsafeName, safe_name
from terapix.sections import Settings

DEEPEST: Final = 6
"""Directories that a path may have at most."""
NODE_ROOMS: Final = frozenset({"frames", "calibrations", "products"})
"""Rooms of a node of which files may be read, brought and removed; scratch is nobody else's."""
RECEPTION_ROOMS: Final = frozenset({"from_CADC", "to_CADC"})
"""Rooms of a reception disk."""
LINKS: Final = frozenset({errno.ELOOP, errno.ENOTDIR})
"""What the system says of a link where none is followed."""
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_ROOT: Final = re.compile(r"(nodes|reception)/[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class Refused(TerapixError):
    """A root or path that an agent gives nobody."""


@dataclass(frozen=True, slots=True)
class Root:
    """One directory, and which rooms in it are open."""

    name: str
    """nodes/NAME or reception/NAME."""
    directory: Path
    rooms: frozenset[str]
    reserve: int = 0
    own_disks: frozenset[str] = frozenset()
    """Rooms that are mounts of disks of their own."""


def node_root(name: str) -> str:
    """Name the root of a node."""
    return f"nodes/{name}"


def reception_root(disk: str) -> str:
    """Name the root of a reception disk."""
    return f"reception/{disk}"


def roots_of(settings: Settings, nodes: frozenset[str]) -> dict[str, Root]:
    """Give the roots of this host: its nodes, and its reception disks, which SNOOPPIX may make later."""
    found = [
        Root(node_root(node.name), settings.at(node.directory), NODE_ROOMS, node.reserve, frozenset(node.own_disks))
        for node in settings.nodes
        if node.name in nodes
    ]
    found += [
        Root(reception_root(disk.name), disk.directory, RECEPTION_ROOMS, disk.reserve)
        for disk in settings.reception_disks.values()
    ]
    return {root.name: root for root in found}


def split(place: str) -> tuple[str, str]:
    """Part ``nodes/node1/frames/08AC14/979412p.fits.fz`` into root and path; raise `Refused` for what is neither."""
    directory, _, name = place.rpartition("/")
    root, rooms = _directory(directory)
    if not rooms:
        return root, checked(f"{rooms}{name}")
    return root, f"{rooms}/{_name(name)}"


@lru_cache(maxsize=1024)
def _directory(place: str) -> tuple[str, str]:
    """Part a directory into root and path; most files that are asked for together lie in one."""
    kind, _, rest = place.partition("/")
    name, _, path = rest.partition("/")
    root = f"{kind}/{name}"
    if not _ROOT.fullmatch(root):
        raise Refused(f"{place!r} names no root: nodes/NAME/… or reception/NAME/… was expected")
    if path:
        checked(f"{path}/file")
    return root, path


def checked(path: str) -> str:
    """Return a path below a root if each of its names can be one; raise `Refused` otherwise."""
    names = path.split("/")
    if not 2 <= len(names) <= DEEPEST:
        raise Refused(f"{path!r} is no path of a file here: 2 to {DEEPEST} names were expected")
    for name in names:
        _name(name)
    return path


def _name(name: str) -> str:
    try:
        return safe_name(name)
    except UnsafeName as problem:
        raise Refused(str(problem)) from problem


def find(roots: Mapping[str, Root], root: str, path: str) -> Root:
    """Give the root, if it is ours and opens the room in which the path lies."""
    found = roots.get(root)
    if found is None or path.partition("/")[0] not in found.rooms:
        raise Refused(f"{root}/{path.partition('/')[0]} is not given to anybody here")
    return found


def open_file(root: Root, path: str) -> int:
    """Open a file for reading; nothing on the way below the root is followed elsewhere.

    Raises
    ------
    SourceGone
        When it is not there, or is no plain file.
    """
    *rooms, name = path.split("/")
    try:
        with held_directory(root, rooms, make=False) as at:
            return open_file_in(at, name)
    except OSError as problem:
        raise SourceGone(root.directory / path) from problem


def open_file_in(directory: int, name: str) -> int:
    """Open a file of an open directory for reading.

    Raises
    ------
    OSError
        When it is not there; `FileNotFoundError` also when it is no plain file.
    """
    handle = os.open(name, _READ, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(errno.ENOENT, "no plain file", name)
    return handle


def small_file(directory: int, name: str, room: memoryview) -> int:
    """Read a small file of an open directory whole; give its length.

    Parameters
    ----------
    room : where it goes; a file that fills it is too large

    Raises
    ------
    OSError, SourceGone
        When it is not there, or is no plain file; when it is too large, or is written just now.
    """
    handle = os.open(name, _READ, dir_fd=directory)
    try:
        known = os.fstat(handle)
        length = os.readv(handle, [room]) if stat.S_ISREG(known.st_mode) and known.st_size < len(room) else -1
    finally:
        os.close(handle)
    if length != known.st_size:
        raise SourceGone(Path(name))
    return length


@contextlib.contextmanager
def place_of(root: Root, path: str, *, make: bool) -> Iterator[Path]:
    """Give a path by which a file can be made, renamed and removed that leads nowhere else: through an open directory.

    Parameters
    ----------
    make : whether directories below the room are made; the room itself must be there, else its disk is not mounted

    Raises
    ------
    NodeUnreachable
    """
    *rooms, name = path.split("/")
    try:
        held = held_directory(root, rooms, make=make)
        with held as at:
            yield Path(f"/proc/self/fd/{at}") / name
    except FileNotFoundError as problem:
        raise NodeUnreachable(root.directory, problem.strerror or "gone") from problem
    except OSError as problem:
        if problem.errno in LINKS:
            raise Refused(f"a name on the way to {path} in {root.name} is a link or no directory") from problem
        raise


@contextlib.contextmanager
def held_directory(root: Root, rooms: list[str], *, make: bool) -> Iterator[int]:
    """Open a directory below a root, step by step, and hold it open while the body runs."""
    way = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    at = os.open(root.directory, way)
    try:
        for depth, room in enumerate(rooms):
            if make and depth:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(room, 0o750, dir_fd=at)
                    os.fsync(at)
            inner = os.open(room, way | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = inner
        yield at
    finally:
        os.close(at)
