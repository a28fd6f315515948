"""A file on its way in: the bytes so far, their digest, and what they are bound to.

The bytes lie in ``<name>.<digest>.part``, what they belong to in
``<name>.<digest>.bound``. A part that belongs to something else than the archive
offers now is begun again, so that two versions of a file are never mixed.
"""

import ctypes
import errno
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from terapix.identity import Digest

REREAD: Final = 4 * 1024**2
"""Bytes read at once when the digest of an old part is computed anew."""
KEEP_SIZE: Final = 0x01
"""FALLOC_FL_KEEP_SIZE: the blocks are held, and the size of the file still says how many bytes came."""
FLUSH: Final = 64 * 1024**2
"""Bytes after which the disk is told to write, so that the flush at the end is short: bench_download.py."""

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a part belongs to, as the server said when it was begun."""

    digest: str
    """As md5:<hex>; empty if neither listing nor server gives one."""
    artifact: str
    """x-artifact-id; empty if the server has none."""
    total: int
    """Bytes of the whole file; -1 if unknown."""


class Part:
    """One part file, open for appending. All methods block: they belong in a thread."""

    def __init__(self, path: Path, *, algorithm: str = "md5") -> None:
        self.path = path
        self.sidecar = path.with_suffix(".bound")
        self.algorithm = algorithm
        self.bound: Bound | None = None
        self.done = 0
        """Bytes that are here."""
        self._flushed = 0
        self._fd = -1
        self._digest = self._fresh()

    def _fresh(self) -> Any:
        return hashlib.new(self.algorithm, usedforsecurity=False)

    @classmethod
    def open(cls, path: Path, *, algorithm: str = "md5") -> Self:
        """Open a part, going on where an earlier one ended; its digest is computed from the bytes again."""
        part = cls(path, algorithm=algorithm)
        part._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        part.bound = _read_bound(part.sidecar)
        if part.bound is None:
            os.ftruncate(part._fd, 0)
        while block := os.pread(part._fd, REREAD, part.done):
            part._digest.update(block)
            part.done += len(block)
        if part.bound and 0 <= part.bound.total < part.done:
            part.restart()
        return part

    def bind(self, bound: Bound) -> None:
        """Say what the bytes belong to; the part begins again if it belonged to something else."""
        if bound == self.bound:
            return
        self.restart()
        fresh = self.sidecar.with_suffix(".bound-new")
        fresh.write_text(json.dumps(asdict(bound)))
        fresh.rename(self.sidecar)
        self.bound = bound
        if bound.total > 0:
            self._hold(bound.total)

    def _hold(self, total: int) -> None:
        """Hold the blocks of the whole file now, so that a full disk shows at once; not all file systems can."""
        failed = _libc.fallocate(self._fd, KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(total))
        number = ctypes.get_errno() if failed else 0
        if number in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise OSError(number, os.strerror(number), str(self.path))

    def restart(self) -> None:
        """Forget all bytes."""
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self.done = self._flushed = 0
        self._digest = self._fresh()

    def append(self, chunks: Sequence[bytes]) -> None:
        """Write bytes and add them to the digest, in one go so that one hop to a thread does both."""
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                written = os.pwrite(self._fd, view, self.done)
                self._digest.update(view[:written])
                view = view[written:]
                self.done += written

    def flush_due(self) -> bool:
        return self.done - self._flushed >= FLUSH

    def flush(self) -> None:
        """Have the disk write what came so far."""
        self._flushed = self.done
        os.fdatasync(self._fd)

    @property
    def complete(self) -> bool:
        return self.bound is not None and self.done == self.bound.total

    @property
    def digest(self) -> Digest:
        """Digest of the bytes so far."""
        return Digest(self.algorithm, self._digest.hexdigest())

    def head(self, size: int = 2880) -> bytes:
        """Return the first bytes."""
        return os.pread(self._fd, size, 0)

    def close(self) -> None:
        """Close the file; its bytes stay for the next try."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Remove the part from the disk."""
        self.close()
        self.path.unlink(missing_ok=True)
        self.sidecar.unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Give a complete part its name, durably: file, rename, directory."""
    fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    part.rename(target)
    sync_directory(target.parent)
    part.with_suffix(".bound").unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    """Make renames in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_bound(path: Path) -> Bound | None:
    try:
        raw = json.loads(path.read_text())
        return Bound(str(raw["digest"]), str(raw["artifact"]), int(raw["total"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
