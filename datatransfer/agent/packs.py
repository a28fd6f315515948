"""Packs: many small files in one answer, one behind the other, so that none costs a round trip and a flush of its own.

Before each file stand eight bytes with its length, all ones where it is not
there. The receiver writes a pack into parts, has the disk flush them all at
once, and gives them their names only then. Everything here blocks.
"""

import contextlib
import ctypes
import hashlib
import io
import os
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from datatransfer.agent.line import Cut, Line
from datatransfer.agent.pace import Pace
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.roots import Refused, Root, find, held_directory, open_file_in, split
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
BATCH: Final = 4 << 20
"""Bytes of a pack that are held in memory before they are written."""
HEAD: Final = struct.Struct(">Q")
ABSENT: Final = 2**64 - 1

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


def packed(roots: Mapping[str, Root], origins: Sequence[str]) -> Iterator[bytes]:
    """Give the bytes of a pack, about `SENT` at once."""
    ready = bytearray()
    with contextlib.ExitStack() as held:
        room, at = "", -1
        for origin in origins:
            try:
                name, path = split(origin)
                root = find(roots, name, path)
                here = origin.rpartition("/")[0]
                if here != room:  # most files of a pack lie together: their directory is walked to once
                    held.close()
                    room = ""  # until the next one is open: the number of a closed one may be another file's by then
                    at, room = held.enter_context(held_directory(root, path.split("/")[:-1], make=False)), here
                content = _content(at, path.rpartition("/")[2])
            except (OSError, SourceGone, Refused):
                ready += HEAD.pack(ABSENT)
            else:
                ready += HEAD.pack(len(content))
                ready += content
            if len(ready) >= SENT:
                yield bytes(ready)
                ready.clear()
    yield bytes(ready)


def _content(directory: int, name: str) -> bytes:
    """Read a small file whole; raise `SourceGone` for a larger one."""
    handle = open_file_in(directory, name)
    try:
        size = os.fstat(handle).st_size
        content = os.read(handle, min(size, SMALL) + 1)  # a megabyte's room for each of many would cost more than all
    finally:
        os.close(handle)
    if not len(content) == size <= SMALL:
        raise SourceGone(Path(name))
    return content


def in_packs(parcels: Sequence[Parcel]) -> tuple[list[list[Parcel]], list[Parcel]]:
    """Sort parcels into packs, each over one link, and those that travel alone."""
    small: dict[tuple[str, tuple[str, str]], list[Parcel]] = {}
    alone: list[Parcel] = []
    for parcel in parcels:
        if parcel.size <= SMALL:
            small.setdefault((parcel.source, parcel.link), []).append(parcel)
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


@dataclass(frozen=True, slots=True)
class _Come:
    """A small file that is here, in memory, and verified."""

    parcel: Parcel
    content: bytes
    room: int
    """Number of its open directory."""

    @property
    def name(self) -> str:
        return self.parcel.path.rpartition("/")[2]


def receive_pack(
    parcels: Sequence[Parcel], root: Root, *, trust: Trust, pace: Pace, stop: threading.Event, turn: threading.Lock
) -> dict[Parcel, Carried | MoveError]:
    """Bring a pack; give what became of each file. What stands in a file's place already is left to `receive`.

    Parameters
    ----------
    turn : held while files are made, never while they come: two threads that make files in one directory spin until
        the other is done, and a slow link must not hold up what comes over another one
    """
    ended: dict[Parcel, Carried | MoveError] = {}
    written: list[_Come] = []
    rooms: dict[str, int] = {}
    with contextlib.ExitStack() as exits:
        try:
            for parcel in parcels:
                room = parcel.path.rpartition("/")[0]
                if room not in rooms:
                    rooms[room] = exits.enter_context(held_directory(root, room.split("/"), make=True))
            for come in _batches(parcels, rooms, ended, trust=trust, pace=pace, stop=stop):
                with turn:
                    written += _make(come, ended)
        except OSError as problem:
            told = NodeUnreachable(root.directory, problem.strerror or str(problem))
            return dict.fromkeys(parcels, told)
        ended |= _named(root, written, rooms)
    return ended


def _batches(
    parcels: Sequence[Parcel],
    rooms: Mapping[str, int],
    ended: dict[Parcel, Carried | MoveError],
    *,
    trust: Trust,
    pace: Pace,
    stop: threading.Event,
) -> Iterator[list[_Come]]:
    """Read a pack, about `BATCH` at once; what is wrong with files is written into `ended`."""
    batch: list[_Come] = []
    size = done = 0
    broken: MoveError | None = None
    try:
        with Line(parcels[0].source, trust) as line:
            line.pack([parcel.origin for parcel in parcels])
            body: BinaryIO = io.BufferedReader(Body(line), SENT)
            for parcel in parcels:
                if stop.is_set():
                    raise Stopped
                content = _read(body, parcel)
                if isinstance(content, MoveError):
                    ended[parcel] = content
                else:
                    batch.append(_Come(parcel, content, rooms[parcel.path.rpartition("/")[0]]))
                    size += len(content)
                done += 1
                pace.draw(parcel.size, stop)
                if size >= BATCH:
                    yield batch
                    batch, size = [], 0
    except Cut as problem:
        broken = LinkBroken(parcels[0].source, str(problem))
    except MoveError as problem:
        broken = problem
    if broken is not None:
        ended |= dict.fromkeys(parcels[done:], broken)
    if batch:
        yield batch


def _make(come: Sequence[_Come], ended: dict[Parcel, Carried | MoveError]) -> list[_Come]:
    """Write files into parts; give those that are written."""
    written = []
    for each in come:
        try:
            _write(each)
        except MoveError as problem:
            ended[each.parcel] = problem
        else:
            written.append(each)
    return written


class Body(io.RawIOBase):
    """The bytes of an answer, as a file."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.read_into(memoryview(buffer))


def _read(body: BinaryIO, parcel: Parcel) -> bytes | MoveError:
    """Read one file and verify it; give what is wrong with it alone.

    Raises
    ------
    Cut
        When the rest of the pack does not come either.
    """
    (length,) = HEAD.unpack(_exactly(body, HEAD.size))
    if length == ABSENT:
        return SourceGone(Path(parcel.origin))
    if length > SMALL:
        raise Cut(f"{length} bytes are no small file")
    content = _exactly(body, length)
    if length != parcel.size:
        return Declined(f"{parcel.source} has {length} bytes of {parcel.origin}, and {parcel.size} are known")
    algorithm, _, wanted = parcel.digest.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != wanted:
        return DigestMismatch(Path(parcel.origin), expected=parcel.digest, found=f"{algorithm}:{found}")
    return content


def _exactly(body: BinaryIO, count: int) -> bytes:
    found = body.read(count)
    if len(found) < count:
        raise Cut("the connection ended too early")
    return found


def _write(come: _Come) -> None:
    """Write a file into a part."""
    part = come.name + PART
    try:
        handle = os.open(part, _NEW, 0o640, dir_fd=come.room)
        try:
            left = memoryview(come.content)
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
    except OSError as problem:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=come.room)
        if problem.errno in FULL:
            raise DiskFull(Path(come.parcel.path), written=0, size=come.parcel.size) from problem
        raise


def _flush(handle: int) -> None:
    """Have the disk of an open directory write everything that it has been given."""
    if _libc.syncfs(handle):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _named(root: Root, written: Sequence[_Come], rooms: Mapping[str, int]) -> dict[Parcel, Carried | MoveError]:
    """Flush all parts at once, and give them their names."""
    if not written:
        return {}
    try:
        _flush(written[0].room)
        for come in written:
            name = come.name
            os.rename(name + PART, name, src_dir_fd=come.room, dst_dir_fd=come.room)
        for room in rooms.values():
            os.fsync(room)
    except OSError as problem:
        told = NodeUnreachable(root.directory, problem.strerror or str(problem))
        return {come.parcel: told for come in written}
    return {come.parcel: Carried(come.parcel.size, "brought") for come in written}
