"""A file on its way in: the bytes so far, their digests, and what they are bound to.

The bytes lie in ``<name>.<digest>.part``, what they belong to and the digests of
their blocks in ``<name>.<digest>.bound``. A part that belongs to something else
than the archive offers now is begun again, so that two versions of a file are
never mixed. Bytes may come over several connections, each from the beginning of
a block on: the digest of the whole file follows behind the front, up to which
everything is here.
"""

import ctypes
import errno
import hashlib
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self

from terapix.blocks import BLOCK, Bound, Sidecar, digest_of_block, extent, fresh_hash
from terapix.identity import Digest

__all__ = ["Bound", "Part", "Span", "hold", "publish", "sync_directory"]

KEEP_SIZE: Final = 0x01
"""FALLOC_FL_KEEP_SIZE: the blocks are held, and the size of the file still says how many bytes came."""
FLUSH: Final = 64 * 1024**2
"""Bytes after which the disk is told to write, so that the flush at the end is short: bench_download.py."""
LITTLE: Final = 512 * 1024
"""Bytes of a file for which nothing is noted before it breaks off: to fetch it again costs less than the note."""

IOV_MAX: Final = os.sysconf("SC_IOV_MAX")

_libc = ctypes.CDLL(None, use_errno=True)


class Part:
    """One part file. All methods block: they belong in a thread."""

    def __init__(self, path: Path, *, algorithm: str = "md5") -> None:
        self.path = path
        self.sidecar = Sidecar(path.with_suffix(".bound"))
        self.algorithm = algorithm
        self.bound: Bound | None = None
        self.front = 0
        """Bytes from the beginning that are here and in the digest."""
        self.blocks: dict[int, str] = {}
        """Digests of blocks as they came."""
        self.ahead: set[int] = set()
        """Blocks that are here beyond the front."""
        self._lock = threading.Lock()
        """Held by whoever adds to the digest of the whole file."""
        self._short = threading.Lock()
        """Held for a moment by whoever says what is ahead of the front: nobody waits there for a digest."""
        self._unflushed = 0
        self._fd = -1
        self._digest = self._fresh()
        self._span: Span | None = None

    def _fresh(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    @classmethod
    def open(cls, path: Path, *, algorithm: str = "md5") -> Self:
        """Open a part, going on where an earlier one ended.

        Its bytes are read again: blocks that do not read as they came are not
        taken for being here, and bytes of no known block only directly behind
        the front.
        """
        part = cls(path, algorithm=algorithm)
        part._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        size = os.fstat(part._fd).st_size
        if not size:
            return part
        part.bound, known = part.sidecar.read()
        if part.bound is None:
            os.ftruncate(part._fd, 0)
            return part
        if 0 <= part.bound.total < size:
            part.restart()
            return part
        part._take(known, size)
        return part

    def _take(self, known: Mapping[int, str], size: int) -> None:
        total = self.bound.total if self.bound else -1
        last = max(known, default=-1)
        for index in range(-(-size // BLOCK)):
            begin, end = extent(index, total)
            if index > last and known and self.front < begin:
                break  # bytes of no block, behind a gap: holes, perhaps
            content = self._read(begin, end)
            if index in known:
                if len(content) != end - begin or digest_of_block(content) != known[index]:
                    continue
                self.blocks[index] = known[index]
            elif index < last:
                continue
            if self.front == begin:
                self._digest.update(content)
                self.front += len(content)
            else:
                self.ahead.add(index)
        if not self.ahead:
            os.ftruncate(self._fd, self.front)

    def bind(self, bound: Bound) -> None:
        """Say what the bytes belong to; the part begins again if it belonged to something else."""
        if bound == self.bound:
            return
        self.bound = None
        if os.fstat(self._fd).st_size:
            self.restart()
        self.bound = bound
        if self.is_little:
            self.sidecar.discard()  # nothing may stay that says the bytes to come were another file's
        else:
            self.sidecar.write(bound)
            self._hold(bound.total)

    @property
    def is_little(self) -> bool:
        """Whether it is a file of which a broken download is noted only when it breaks off."""
        return self.bound is not None and 0 <= self.bound.total <= LITTLE

    def settle(self, total: int) -> None:
        """Say how long the file is, once that is known at last."""
        if self.bound is not None:
            self.bound = Bound(self.bound.digest, self.bound.artifact, total)

    def _hold(self, total: int) -> None:
        """Hold the blocks of the whole file now, so that a full disk shows at once; not all file systems can."""
        if total > 0:
            hold(self._fd, total, self.path)

    def restart(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._fd, 0)
        self.front = self._unflushed = 0
        self._digest, self._span = self._fresh(), None
        self.blocks.clear()
        self.ahead.clear()
        if self.bound is not None and not self.is_little:
            self.sidecar.write(self.bound)

    def append(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Write bytes at the front and add them to the digests."""
        if self._span is None or self._span.at != self.front:
            self._span = Span(self, self.front)
        at = self.front
        self._span.write(chunks)
        self.follow(at, chunks)

    def follow(self, at: int, chunks: Sequence[bytes | memoryview]) -> None:
        """Add what lies at the front to the digest of the whole file, and whatever is here behind it."""
        with self._lock:
            for chunk in chunks:
                if at <= self.front < at + len(chunk):
                    self._digest.update(memoryview(chunk)[self.front - at :])
                    self.front = at + len(chunk)
                at += len(chunk)
            while self.front % BLOCK == 0 and self.front // BLOCK in self.ahead:
                begin, end = extent(self.front // BLOCK, self.bound.total if self.bound else -1)
                self._digest.update(self._read(begin, end))
                self.front = end
            with self._short:
                self.ahead = {index for index in self.ahead if index * BLOCK >= self.front}

    def seal(self, index: int, digest: str) -> None:
        """Tell that a block is wholly here."""
        self.blocks[index] = digest
        if self.bound is None or self.bound.total > BLOCK or self.bound.total < 0:
            self.sidecar.add(index, digest)
        with self._short:
            if index * BLOCK >= self.front:
                self.ahead.add(index)

    def write(self, pieces: Sequence[bytes | memoryview], at: int) -> None:
        """Write bytes that follow each other, whatever they are."""
        left = deque(memoryview(piece) for piece in pieces)
        while left:
            written = os.pwritev(self._fd, list(islice(left, IOV_MAX)), at)
            at += written
            self._unflushed += written
            while left and written >= len(left[0]):
                written -= len(left.popleft())
            if written:
                left[0] = left[0][written:]

    def replace(self, index: int, content: bytes) -> None:
        """Put a block in the place of a damaged one; the digest of the whole file must be taken anew."""
        self.write([content], index * BLOCK)
        self.seal(index, digest_of_block(content))

    def read_block(self, index: int) -> bytes:
        return self._read(*extent(index, self.bound.total if self.bound else -1))

    def damaged_blocks(self) -> list[int]:
        """Read everything again and name the blocks that do not read as they came."""
        return [
            index for index, known in sorted(self.blocks.items()) if digest_of_block(self.read_block(index)) != known
        ]

    def digest_with(self, others: Mapping[int, bytes]) -> Digest:
        """Return the digest of the file as it lies on the disk, with some blocks replaced."""
        found, total = self._fresh(), self.bound.total if self.bound else -1
        for index in range(-(-total // BLOCK)):
            found.update(others[index] if index in others else self.read_block(index))
        return Digest(self.algorithm, found.hexdigest())

    def rehash(self) -> Digest:
        """Take the digest of the whole file anew."""
        total = self.bound.total if self.bound else -1
        self._digest, self.front = self._fresh(), 0
        while self.front < total and (content := self._read(self.front, min(self.front + BLOCK, total))):
            self._digest.update(content)
            self.front += len(content)
        return self.digest

    def _read(self, begin: int, end: int) -> bytes:
        content = os.pread(self._fd, end - begin, begin)
        while len(content) < end - begin and (
            more := os.pread(self._fd, end - begin - len(content), begin + len(content))
        ):
            content += more
        return content

    def gaps(self) -> list[tuple[int, int]]:
        """Name what is missing, from the front on; the end of the last is -1 where the length is not known."""
        total = self.bound.total if self.bound else -1
        found, begin = [], self.front
        for index in sorted(self.ahead):
            at, end = extent(index, total)
            if begin < at:
                found.append((begin, at))
            begin = max(begin, end)
        if total < 0 or begin < total:
            found.append((begin, total))
        return found

    def flush_due(self) -> bool:
        return self._unflushed >= FLUSH

    def flush(self) -> None:
        """Have the disk write what came so far."""
        self._unflushed = 0
        os.fdatasync(self._fd)

    @property
    def done(self) -> int:
        """Bytes that are here."""
        total = self.bound.total if self.bound else -1
        ahead = (extent(index, total) for index in tuple(self.ahead))
        return self.front + sum(end - begin for begin, end in ahead if begin >= self.front)

    @property
    def complete(self) -> bool:
        return self.bound is not None and self.front == self.bound.total

    @property
    def digest(self) -> Digest:
        """Digest of the bytes up to the front."""
        return Digest(self.algorithm, self._digest.hexdigest())

    def head(self, size: int = 2880) -> bytes:
        """Return the first bytes."""
        return os.pread(self._fd, size, 0)

    def close(self) -> None:
        """Close the file; its bytes stay for the next try."""
        bound = self.bound
        if self._fd >= 0 and bound is not None and self.is_little and 0 < self.front < bound.total:
            self.sidecar.write(bound)
        self._shut()

    def _shut(self) -> None:
        self.sidecar.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Remove the part from the disk."""
        self._shut()
        self.path.unlink(missing_ok=True)
        self.sidecar.discard()


class Span:
    """Bytes that come one after the other: from the front on, or from the beginning of a block."""

    def __init__(self, part: Part, at: int) -> None:
        self.part = part
        self.at = at
        """Where the next byte belongs."""
        self._hash = fresh_hash()
        if at % BLOCK:
            begin = at - at % BLOCK
            self._hash.update(part._read(begin, at))  # noqa: SLF001 - the other half of one thing

    def write(self, chunks: Sequence[bytes | memoryview]) -> None:
        """Write bytes and digest them block by block."""
        bound = self.part.bound
        total = bound.total if bound else -1
        pending = deque(memoryview(chunk) for chunk in chunks)
        while pending:
            index = self.at // BLOCK
            pieces, end = list[memoryview](), self.at
            while pending and end < (stop := extent(index, -1)[1]):
                view = pending.popleft()
                if end + len(view) > stop:
                    pending.appendleft(view[stop - end :])
                    view = view[: stop - end]
                pieces.append(view)
                end += len(view)
            self.part.write(pieces, self.at)
            for piece in pieces:
                self._hash.update(piece)
            self.at = end
            if end % BLOCK == 0 or end == total:
                self.part.seal(index, self._hash.hexdigest())
                self._hash = fresh_hash()


def hold(handle: int, size: int, path: Path | None = None) -> None:
    """Have the disk hold room for the whole of an open file, where the file system can.

    Raises
    ------
    OSError
        If the disk has no such room.
    """
    failed = _libc.fallocate(handle, KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(size)) if size > 0 else 0
    number = ctypes.get_errno() if failed else 0
    if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        raise OSError(number, os.strerror(number), str(path or ""))


def publish(part: Path, target: Path) -> None:
    """Give a complete part its name, durably: file, rename, directory.

    Its sidecar goes first: who is killed in between begins the part anew, and nothing is left beside a file that is
    complete.
    """
    fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    part.with_suffix(".bound").unlink(missing_ok=True)
    part.rename(target)
    sync_directory(target.parent)


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
