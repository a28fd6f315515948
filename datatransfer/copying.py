"""Copying: the bytes of a file to another disk, with their digest taken on the way.

Three things go on at once, each in a thread of its own: pieces are read, digested, and
written past the system's memory (``O_DIRECT``) into room that the disk holds from the
beginning. So the disk writes all the time instead of at the end, nothing is copied twice,
and what others read stays in memory: bench_move.py. File systems that cannot do that
write as usual.
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from datatransfer.errors import Stopped
from terapix.identity import Digest
from terapix.part import hold

PIECE: Final = 2 << 20
"""Bytes read, digested and written at once."""
AHEAD: Final = 8
"""Pieces in memory."""
WRITERS: Final = 2
"""Pieces on their way to the disk: while one is acknowledged, the next is there already."""
PAGE: Final = 4096
"""What is written past the system's memory has a multiple of these bytes."""
_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE of the kernel."""
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Copied:
    """What has been copied."""

    size: int = 0
    """Bytes that are written, from the beginning on."""
    digest: str = ""
    """As md5:<hex>, once all are."""


def copy(
    source: Path,
    target: Path,
    size: int,
    *,
    copied: Copied,
    progress: Callable[[int], None],
    stop: threading.Event,
    begin: int = 0,
) -> None:
    """Copy a file and flush it to its disk.

    Parameters
    ----------
    size : bytes that it is thought to have
    copied : how far it is, also when an error ends it
    progress : told the bytes that are written, after each piece
    stop : when set, what is on its way is written, the file cut off behind it and flushed, and `Stopped` raised
    begin : bytes of it that an earlier copy wrote before it was stopped; they are digested as they lie there

    Raises
    ------
    OSError, Stopped
        What is written so far stays.
    """
    md5 = hashlib.md5(usedforsecurity=False)
    length = min(PIECE, -(-max(size, 1) // PAGE) * PAGE)
    pieces = [_Piece(length) for _ in range(AHEAD)]

    def settle(piece: _Piece) -> None:
        if piece.count:
            copied.size += piece.settle()
            progress(copied.size)

    with (
        source.open("rb", buffering=0) as reading,
        contextlib.closing(_Target(target, anew=not begin)) as writing,
        ThreadPoolExecutor(1, thread_name_prefix="digest") as digester,
        ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as writers,  # they end before the file is closed
    ):
        hold(writing.handle, size, target)
        at, number, whole = begin, 0, False
        if begin:
            _digest_of_beginning(target, begin, md5, stop)
            reading.seek(begin)
            copied.size = begin
        while not stop.is_set():
            piece = pieces[number % AHEAD]
            settle(piece)
            if whole := not (count := piece.fill(reading.fileno())):
                break
            piece.ends = (
                digester.submit(md5.update, piece.room[:count]),
                writers.submit(writing.write, piece.room, count, at),
            )
            at, number = at + count, number + 1
        for later in range(number, number + AHEAD):
            settle(pieces[later % AHEAD])
        writing.end(at)
    if not whole:
        raise Stopped
    copied.digest = str(Digest("md5", md5.hexdigest()))


def _digest_of_beginning(path: Path, size: int, md5: Any, stop: threading.Event) -> None:
    """Digest the first bytes of a file from its disk."""
    with path.open("rb", buffering=0) as file:
        left = size
        while left and not stop.is_set() and (content := file.read(min(PIECE, left))):
            md5.update(content)
            left -= len(content)


@dataclass(slots=True)
class _Piece:
    """Memory for some bytes, and what is done with them."""

    length: int
    room: memoryview = field(init=False)
    count: int = 0
    """Bytes in it."""
    ends: tuple[Future[None], ...] = ()

    def __post_init__(self) -> None:
        self.room = memoryview(mmap.mmap(-1, self.length))  # begins where a page does

    def fill(self, handle: int) -> int:
        """Read until it is full or the file ends."""
        while self.count < self.length and (more := os.readv(handle, [self.room[self.count :]])):
            self.count += more
        return self.count

    def settle(self) -> int:
        """Wait until it is digested and written; give the bytes that were."""
        for end in self.ends:
            end.result()
        count, self.count = self.count, 0
        return count


class _Target:
    """The file that is written."""

    def __init__(self, path: Path, *, anew: bool) -> None:
        flags = _NEW if anew else _NEW & ~os.O_TRUNC
        try:
            self.handle = os.open(path, flags | os.O_DIRECT, 0o644)
            self._direct = True
        except OSError as problem:
            if problem.errno != errno.EINVAL:
                raise
            self.handle = os.open(path, flags, 0o644)
            self._direct = False

    def write(self, room: memoryview, count: int, at: int) -> None:
        """Write the first bytes of a piece of memory; behind the end of the file come more, which `end` cuts off."""
        whole = -(-count // PAGE) * PAGE if self._direct else count
        done = 0
        while done < whole:
            direct = self._direct
            try:
                done += os.pwrite(self.handle, room[done:whole], at + done)
            except OSError as problem:
                if problem.errno != errno.EINVAL or not direct:
                    raise
                self._go_through_memory()
        if not self._direct:
            _libc.sync_file_range(self.handle, ctypes.c_int64(at), ctypes.c_int64(count), _WRITE)

    def _go_through_memory(self) -> None:
        """Write as usual: this disk wants other multiples."""
        fcntl.fcntl(self.handle, fcntl.F_SETFL, fcntl.fcntl(self.handle, fcntl.F_GETFL) & ~os.O_DIRECT)
        self._direct = False

    def end(self, size: int) -> None:
        """Cut off what stands behind the end, and have the disk keep it all."""
        os.ftruncate(self.handle, size)
        os.fsync(self.handle)

    def close(self) -> None:
        os.close(self.handle)
