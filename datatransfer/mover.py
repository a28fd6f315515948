"""The mover: brings one file under its final name on a node, whole and verified, or not at all.

Within one file system the file gets a second name and loses the first one later;
across file systems it is copied in blocks with the digest taken on the way. In
both cases it stands beside its place as ``*.part`` first and is renamed at the
end, and the source stays until the database knows the new place.
"""

import contextlib
import ctypes
import errno
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from datatransfer.errors import DigestMismatch, DiskFull, NodeUnreachable, SourceGone, Stopped
from terapix.identity import Digest
from terapix.part import hold
from terapix.steps import reached

BLOCK = 1 << 20
"""Bytes read, hashed and written at once: what was read is still in the processor's cache when it is written."""
AHEAD = 8
"""Blocks that may wait for their digest."""
FLUSH = 16 << 20
"""Bytes after which the disk begins to write: with each block, the writer waits for the disk's queue; bench_move.py."""
WRITE = 2
"""SYNC_FILE_RANGE_WRITE of the kernel."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk without room says."""
NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""What a file system says that cannot give a file a second name there: then it is copied."""
_libc = ctypes.CDLL(None, use_errno=True)
PART = ".part"
"""Ending of a file that is not whole yet."""


@dataclass(frozen=True, slots=True)
class Haul:
    """One file to be brought over."""

    source: Path
    target: Path
    """Final name; its directory is made, below a root that must exist."""
    root: Path
    """Directory of the node that must be there already: a disk that is not mounted is never written to."""
    digest: str
    """Of the bytes, as md5:<hex>."""
    size: int
    apart: bool = False
    """Whether it must have bytes of its own: a second name on one disk is no second copy."""

    @property
    def part(self) -> Path:
        return self.target.with_name(self.target.name + PART)


@dataclass(frozen=True, slots=True)
class Carried:
    """A file that stands under its final name."""

    size: int
    how: str
    """linked (a second name on the same disk), copied, brought (from another host), or found (an earlier attempt)."""


def carry(haul: Haul, *, progress: Callable[[int], None], stop: threading.Event, steps: bool = True) -> Carried:
    """Bring a file over; blocks, so call it in a thread.

    Parameters
    ----------
    progress : told the bytes that are over, after each block
    stop : when set, the part is removed and `Stopped` raised
    steps : whether the named steps of a move are told (a calibration's copy has none)

    Raises
    ------
    DiskFull, NodeUnreachable, SourceGone, DigestMismatch, Stopped
        Nothing is left at the target then, not even a part.
    """
    if not haul.root.is_dir():
        raise NodeUnreachable(haul.root, "the directory is gone")
    try:
        haul.target.parent.mkdir(parents=True, exist_ok=True)
        found = _found(haul)
    except OSError as problem:
        raise _told(problem, haul, 0) from problem
    if found:
        return found
    if not haul.source.is_file() or haul.source.is_symlink():
        raise SourceGone(haul.source)
    tell = reached if steps else _silent
    try:
        size, how = _link_or_copy(haul, progress, stop, tell)
        tell("move.copied")
        haul.part.replace(haul.target)
        sync_directory(haul.target.parent)
    except FileNotFoundError as problem:
        haul.part.unlink(missing_ok=True)
        raise (
            NodeUnreachable(haul.root, str(problem)) if haul.source.exists() else SourceGone(haul.source)
        ) from problem
    except OSError as problem:
        with contextlib.suppress(OSError):
            haul.part.unlink(missing_ok=True)
        raise _told(problem, haul, 0) from problem
    except BaseException:
        haul.part.unlink(missing_ok=True)
        raise
    tell("move.renamed")
    return Carried(size, how)


def digest_of(path: Path, *, stop: threading.Event | None = None) -> str:
    """Digest of a file, as ``md5:<hex>``."""
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            if stop and stop.is_set():
                raise Stopped
            md5.update(block)
    return str(Digest("md5", md5.hexdigest()))


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _found(haul: Haul) -> Carried | None:
    """Take up what an earlier attempt has left under the final name; set aside what is something else."""
    haul.part.unlink(missing_ok=True)
    if not haul.target.exists():
        return None
    size = haul.target.stat().st_size
    twin = haul.source.exists() and haul.source.samefile(haul.target)
    if twin and haul.apart:
        haul.target.unlink()
        return None
    if twin or (size == haul.size and digest_of(haul.target) == haul.digest):
        sync_directory(haul.target.parent)
        return Carried(size, "found")
    haul.target.rename(aside(haul.target))
    return None


def aside(target: Path) -> Path:
    """Give a free name for what stands in another file's place."""
    number = 1
    while (place := target.with_name(f"{target.name}.aside-{number}")).exists():
        number += 1
    return place


def _link_or_copy(
    haul: Haul, progress: Callable[[int], None], stop: threading.Event, tell: Callable[[str], None]
) -> tuple[int, str]:
    if haul.apart:
        return _copy(haul, progress, stop, tell), "copied"
    try:
        os.link(haul.source, haul.part, follow_symlinks=False)
    except OSError as problem:
        if problem.errno not in NO_LINKS:
            raise
        return _copy(haul, progress, stop, tell), "copied"
    tell("move.half")
    size = haul.part.stat().st_size
    if size != haul.size:
        raise DigestMismatch(haul.source, expected=f"{haul.digest} of {haul.size} bytes", found=f"one of {size} bytes")
    with haul.part.open("rb") as file:
        os.fsync(file.fileno())
    progress(size)
    return size, "linked"


def _copy(haul: Haul, progress: Callable[[int], None], stop: threading.Event, tell: Callable[[str], None]) -> int:
    """Copy into the part; the digest is taken in a second thread, and the disk writes, while the next block is read."""
    md5 = hashlib.md5(usedforsecurity=False)
    ring = [memoryview(bytearray(min(BLOCK, haul.size or BLOCK))) for _ in range(AHEAD)]
    behind: deque[Future[None]] = deque()
    written = number = 0
    told = False
    try:
        with (
            ThreadPoolExecutor(1, thread_name_prefix="digest") as hasher,
            haul.source.open("rb", buffering=0) as source,
            haul.part.open("wb", buffering=0) as part,
        ):
            hold(part.fileno(), haul.size)
            flush = _Flush(part.fileno())
            while True:
                if len(behind) == AHEAD:
                    behind.popleft().result()
                buffer = ring[number % AHEAD]
                count = source.readinto(buffer)
                if not count:
                    break
                if stop.is_set():
                    raise Stopped
                behind.append(hasher.submit(md5.update, buffer[:count]))
                _write_all(part.fileno(), buffer[:count])
                number += 1
                written += count
                flush.follow(written)
                progress(written)
                if not told and 2 * written >= haul.size:
                    tell("move.half")
                    told = True
            os.fsync(part.fileno())
            for digested in behind:
                digested.result()
    except OSError as problem:
        if problem.errno in FULL:
            raise DiskFull(haul.part, written=written, size=haul.size) from problem
        raise
    found = str(Digest("md5", md5.hexdigest()))
    if found != haul.digest:
        raise DigestMismatch(haul.source, expected=haul.digest, found=found)
    return written


@dataclass(slots=True)
class _Flush:
    """Has the disk begin to write what was written, and does not wait: the flush at the end finds little to do."""

    handle: int
    begun: int = 0
    """Bytes that the disk writes."""

    def follow(self, written: int) -> None:
        if written - self.begun >= FLUSH:
            begin, count = ctypes.c_int64(self.begun), ctypes.c_int64(written - self.begun)
            _libc.sync_file_range(self.handle, begin, count, WRITE)
            self.begun = written


def _write_all(handle: int, block: memoryview) -> None:
    while block:
        block = block[os.write(handle, block) :]


def _told(problem: OSError, haul: Haul, written: int) -> Exception:
    """Say what an error of the node's disk means."""
    if problem.errno in FULL:
        return DiskFull(haul.part, written=written, size=haul.size)
    return NodeUnreachable(haul.root, problem.strerror or str(problem))


def _silent(step: str) -> None:
    del step
