"""Packs: many small files in one answer, one behind the other, so that none costs a round trip and a flush of its own.

Before each file stand eight bytes with its length, all ones where it is not
there. The receiver writes a pack into parts, has the disk flush them all at
once, and gives them their names only then. Everything here blocks.
"""

import contextlib
import ctypes
import hashlib
import os
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from datatransfer.agent.line import Cut, Line
from datatransfer.agent.receiver import Pace, Parcel
from datatransfer.agent.roots import Refused, Root, find, held_directory, open_file, split
from datatransfer.agent.trust import Trust
from datatransfer.errors import (
    Declined,
    DigestMismatch,
    DiskFull,
    LinkBroken,
    MoveError,
    NodeUnreachable,
    SourceGone,
    Stopped,
)
from datatransfer.mover import FULL, PART, Carried
from terapix.identity import Digest

SMALL: Final = 1 << 20
"""Bytes of a file at most that travels in a pack."""
FEW: Final = 8
"""Fewer files than this travel alone."""
FILES: Final = 1000
"""Files of a pack at most."""
BYTES: Final = 64 << 20
"""Bytes of a pack at most: what may be written before the disk is told to flush."""
SENT: Final = 1 << 20
"""Bytes that are sent at once."""
HEAD: Final = struct.Struct(">Q")
ABSENT: Final = 2**64 - 1

_libc = ctypes.CDLL(None, use_errno=True)


def packed(roots: Mapping[str, Root], origins: Sequence[str]) -> Iterator[bytes]:
    """Give the bytes of a pack, about `SENT` at once."""
    ready = bytearray()
    for origin in origins:
        try:
            root, path = split(origin)
            handle = open_file(find(roots, root, path), path)
        except (SourceGone, Refused):
            ready += HEAD.pack(ABSENT)
        else:
            with os.fdopen(handle, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                content = file.read(SMALL) if size <= SMALL else b""
            ready += HEAD.pack(len(content) if len(content) == size else ABSENT) + (
                content if len(content) == size else b""
            )
        if len(ready) >= SENT:
            yield bytes(ready)
            ready.clear()
    yield bytes(ready)


def in_packs(parcels: Sequence[Parcel]) -> tuple[list[list[Parcel]], list[Parcel]]:
    """Sort parcels into packs, each from one source into one root, and those that travel alone."""
    small: dict[tuple[str, str], list[Parcel]] = {}
    alone: list[Parcel] = []
    for parcel in parcels:
        if parcel.size <= SMALL:
            small.setdefault((parcel.source, parcel.root), []).append(parcel)
        else:
            alone.append(parcel)
    packs: list[list[Parcel]] = []
    for group in small.values():
        if len(group) < FEW:
            alone += group
            continue
        size = BYTES
        for parcel in group:
            if size + parcel.size > BYTES or len(packs[-1]) >= FILES:
                packs.append([])
                size = 0
            packs[-1].append(parcel)
            size += parcel.size
    return packs, alone


def receive_pack(
    parcels: Sequence[Parcel], root: Root, *, trust: Trust, pace: Pace, stop: threading.Event
) -> dict[Parcel, Carried | MoveError]:
    """Bring a pack; give what became of each file. What stands in a file's place already is left to `receive`."""
    ended: dict[Parcel, Carried | MoveError] = {}
    written: list[tuple[Parcel, int, str]] = []
    with contextlib.ExitStack() as exits:
        rooms: dict[str, int] = {}
        try:
            for parcel in parcels:
                room = parcel.path.rpartition("/")[0]
                if room not in rooms:
                    rooms[room] = exits.enter_context(held_directory(root, room.split("/"), make=True))
            with Line(parcels[0].source, trust) as line:
                line.pack([parcel.origin for parcel in parcels])
                for parcel in parcels:
                    if stop.is_set():
                        raise Stopped
                    room, _, name = parcel.path.rpartition("/")
                    problem = _take(line, parcel, rooms[room], name)
                    pace.draw(parcel.size, stop)
                    if problem is None:
                        written.append((parcel, rooms[room], name))
                    else:
                        ended[parcel] = problem
        except Cut as problem:
            ended |= {p: LinkBroken(p.source, str(problem)) for p in parcels[len(written) + len(ended) :]}
        except MoveError as problem:
            ended |= dict.fromkeys(parcels[len(written) + len(ended) :], problem)
        except OSError as problem:
            told = NodeUnreachable(root.directory, problem.strerror or str(problem))
            return dict.fromkeys(parcels, told)
        ended |= _named(root, written, rooms)
    return ended


def _take(line: Line, parcel: Parcel, room: int, name: str) -> MoveError | None:
    """Read one file and write it into a part; give what is wrong with it alone.

    Raises
    ------
    Cut
        When the rest of the pack does not come either.
    """
    try:
        _write(parcel, _read(line, parcel), room, name)
    except Cut:
        raise
    except MoveError as problem:
        return problem
    return None


def _read(line: Line, parcel: Parcel) -> memoryview:
    head = memoryview(bytearray(HEAD.size))
    _fill(line, head)
    (length,) = HEAD.unpack(head)
    if length == ABSENT:
        raise SourceGone(Path(parcel.origin))
    if length > SMALL:
        raise Cut(f"{length} bytes are no small file")
    content = memoryview(bytearray(length))
    _fill(line, content)
    if length != parcel.size:
        raise Declined(f"{parcel.source} has {length} bytes of {parcel.origin}, and {parcel.size} are known")
    return content


def _fill(line: Line, view: memoryview) -> None:
    while view:
        count = line.read_into(view)
        if not count:
            raise Cut("the connection ended too early")
        view = view[count:]


def _write(parcel: Parcel, content: memoryview, room: int, name: str) -> None:
    """Verify the bytes and write them into a part."""
    algorithm = Digest.parse(parcel.digest).algorithm
    found = f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}"
    if found != parcel.digest:
        raise DigestMismatch(Path(parcel.origin), expected=parcel.digest, found=found)
    part = name + PART
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=room)
        try:
            while content:
                content = content[os.write(handle, content) :]
        finally:
            os.close(handle)
    except OSError as problem:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=room)
        if problem.errno in FULL:
            raise DiskFull(Path(parcel.path), written=0, size=parcel.size) from problem
        raise


def _flush(handle: int) -> None:
    """Have the disk of an open directory write everything that it has been given."""
    if _libc.syncfs(handle):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _named(
    root: Root, written: Sequence[tuple[Parcel, int, str]], rooms: Mapping[str, int]
) -> dict[Parcel, Carried | MoveError]:
    """Flush all parts at once, and give them their names."""
    if not written:
        return {}
    try:
        _flush(written[0][1])
        for _, room, name in written:
            os.rename(name + PART, name, src_dir_fd=room, dst_dir_fd=room)
        for room in rooms.values():
            os.fsync(room)
    except OSError as problem:
        told = NodeUnreachable(root.directory, problem.strerror or str(problem))
        return {parcel: told for parcel, _, _ in written}
    return {parcel: Carried(parcel.size, "brought") for parcel, _, _ in written}
