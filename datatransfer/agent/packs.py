"""Packs: many small files in one answer, one behind the other, so that none costs a round trip and a flush of its own.

Before each file stand eight bytes with its length, all ones where it is not
there. The receiver writes a pack into parts, has the disk flush them all at
once, and gives them their names only then; meanwhile other packs come, so that
neither network nor processor waits for the disk. Everything here blocks.
"""

import contextlib
import ctypes
import hashlib
import os
import struct
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from datatransfer.agent.line import Cut, Line
from datatransfer.agent.pace import Pace
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.roots import Refused, Root, find, held_directory, small_file, split
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
"""Bytes that are sent at once, or a file more."""
BATCH: Final = 2 << 20
"""Bytes of a pack that are held in memory before they are written; a file and its length are fewer."""
HEAD: Final = struct.Struct(">Q")
ABSENT: Final = 2**64 - 1

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC

_libc = ctypes.CDLL(None, use_errno=True)


def packed(roots: Mapping[str, Root], origins: Sequence[str]) -> Iterator[bytes]:
    """Give the bytes of a pack, about `SENT` at once."""
    ready = memoryview(bytearray(SENT + HEAD.size + SMALL + 1))
    filled = 0
    with contextlib.ExitStack() as held:
        room, at = "", -1
        for origin in origins:
            begin = filled + HEAD.size
            try:
                name, path = split(origin)
                root = find(roots, name, path)
                here = origin.rpartition("/")[0]
                if here != room:  # most files of a pack lie together: their directory is walked to once
                    held.close()
                    room = ""  # until the next one is open: the number of a closed one may be another file's by then
                    at, room = held.enter_context(held_directory(root, path.split("/")[:-1], make=False)), here
                length = small_file(at, path.rpartition("/")[2], ready[begin : begin + SMALL + 1])
            except (OSError, SourceGone, Refused):
                HEAD.pack_into(ready, filled, ABSENT)
                filled = begin
            else:
                HEAD.pack_into(ready, filled, length)
                filled = begin + length
            if filled >= SENT:
                yield bytes(ready[:filled])
                filled = 0
    yield bytes(ready[:filled])


def in_packs(parcels: Sequence[Parcel]) -> list[list[Parcel]]:
    """Sort the small ones of parcels into packs, each over one link; those that are left travel alone."""
    small: dict[tuple[str, tuple[str, str]], list[Parcel]] = {}
    for parcel in parcels:
        if parcel.size <= SMALL:
            small.setdefault((parcel.source, parcel.link), []).append(parcel)
    packs: list[list[Parcel]] = []
    for group in small.values():
        if len(group) < FEW:
            continue
        size = BYTES
        for parcel in group:
            if size + parcel.size > BYTES or len(packs[-1]) >= FILES:
                packs.append([])
                size = 0
            packs[-1].append(parcel)
            size += parcel.size
    return packs


@dataclass(slots=True)
class _Due:
    """A file of a pack that is to come."""

    parcel: Parcel
    room: int
    """Number of its open directory."""
    name: str
    """In it."""
    end: Carried | MoveError | None = None
    """What became of it; none until that is known."""


def receive_pack(
    parcels: Sequence[Parcel], root: Root, *, trust: Trust, pace: Pace, stop: threading.Event, turn: threading.Lock
) -> list[Carried | MoveError | None]:
    """Bring a pack; give what became of each file, None where something stands in its place: that is for `receive`.

    Parameters
    ----------
    turn : held while files are made and named, never while they come: two threads that change one directory spin until
        the other is done, and a slow link must not hold up what comes over another one
    """
    with contextlib.ExitStack() as exits:
        try:
            rooms: dict[str, int] = {}
            places: list[_Due] = []
            for parcel in parcels:
                room, _, name = parcel.path.rpartition("/")
                if room not in rooms:
                    rooms[room] = exits.enter_context(held_directory(root, room.split("/"), make=True))
                places.append(_Due(parcel, rooms[room], name))
            due = [place for place in places if not _stands(place)]
            written: list[_Due] = []
            for come in _batches(due, trust=trust, pace=pace, stop=stop) if due else ():
                with turn:
                    written += [each for each, content in come if _write(each, content)]
            _name(written, turn)
        except OSError as problem:
            told = NodeUnreachable(root.directory, problem.strerror or str(problem))
            return [told] * len(parcels)
    return [place.end for place in places]


def _stands(place: _Due) -> bool:
    """Tell whether anything stands in a file's place."""
    return os.access(place.name, os.F_OK, dir_fd=place.room, follow_symlinks=False)


def _batches(
    due: Sequence[_Due], *, trust: Trust, pace: Pace, stop: threading.Event
) -> Iterator[list[tuple[_Due, memoryview]]]:
    """Read a pack, about `BATCH` at once: files that are as they should be, each with its content.

    A content is good until the next batch is asked for. All other files have their end then.
    """
    buffer = memoryview(bytearray(BATCH))
    held = done = 0
    source = due[0].parcel.source
    try:
        with Line(source, trust) as line:
            line.pack([each.parcel.origin for each in due])
            while done < len(due):
                if stop.is_set():
                    raise Stopped
                count = line.read_into(buffer[held:])
                if not count:
                    raise Cut("the connection ended too early")
                held += count
                whole, used, come = _whole(buffer[:held], due[done:])
                done += whole
                yield come
                held -= used
                buffer[:held] = buffer[used : used + held]
                pace.draw(used - whole * HEAD.size, stop)
    except MoveError as problem:
        end = LinkBroken(source, str(problem)) if isinstance(problem, Cut) else problem
        for each in due[done:]:
            each.end = end


def _whole(held: memoryview, due: Sequence[_Due]) -> tuple[int, int, list[tuple[_Due, memoryview]]]:
    """Find the files that are whole in what has come: their number, their bytes, and those that are as they should be.

    Raises
    ------
    Cut
        When what has come is no pack.
    """
    at = 0
    come: list[tuple[_Due, memoryview]] = []
    for number, each in enumerate(due):
        begin = at + HEAD.size
        if begin > len(held):
            return number, at, come
        (length,) = HEAD.unpack_from(held, at)
        if length == ABSENT:
            each.end = SourceGone(Path(each.parcel.origin))
            at = begin
            continue
        if length > SMALL:
            raise Cut(f"{length} bytes are no small file")
        if begin + length > len(held):
            return number, at, come
        at = begin + length
        content = held[begin:at]
        each.end = _differs(content, each.parcel)
        if each.end is None:
            come.append((each, content))
    return len(due), at, come


def _differs(content: memoryview, parcel: Parcel) -> MoveError | None:
    """Tell what of a content is not as the coordinator knows the file."""
    if len(content) != parcel.size:
        return Declined(f"{parcel.source} has {len(content)} bytes of {parcel.origin}, and {parcel.size} are known")
    algorithm, _, wanted = parcel.digest.partition(":")
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != wanted:
        return DigestMismatch(Path(parcel.origin), expected=parcel.digest, found=f"{algorithm}:{found}")
    return None


def _write(each: _Due, content: memoryview) -> bool:
    """Write a file into a part; tell whether there was room for it."""
    part = each.name + PART
    try:
        handle = os.open(part, _NEW, 0o640, dir_fd=each.room)
        try:
            left = content
            while left:
                left = left[os.write(handle, left) :]
        finally:
            os.close(handle)
    except OSError as problem:
        with contextlib.suppress(OSError):
            os.unlink(part, dir_fd=each.room)
        if problem.errno not in FULL:
            raise
        each.end = DiskFull(Path(each.parcel.path), written=0, size=each.parcel.size)
        return False
    return True


def _name(written: Sequence[_Due], turn: threading.Lock) -> None:
    """Have the disks write all parts, and give them their names."""
    rooms = {each.room for each in written}
    for room in {os.fstat(room).st_dev: room for room in rooms}.values():  # rooms of a root may be disks of their own
        _flush(room)
    with turn:
        for each in written:
            os.rename(each.name + PART, each.name, src_dir_fd=each.room, dst_dir_fd=each.room)
            each.end = Carried(each.parcel.size, "brought")
    for room in rooms:
        os.fsync(room)


def _flush(room: int) -> None:
    """Have the disk of an open directory write everything that it has been given."""
    if _libc.syncfs(room):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
