"""The mover: brings one file under its final name on a node, whole and verified, or not at all.

Within one file system the file gets a second name and loses the first one later;
across file systems it is copied in blocks with the digest taken on the way. In
both cases it stands beside its place as ``*.part`` first and is renamed at the
end, and the source stays until the database knows the new place.
"""

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datatransfer.copying import Copied, copy
from datatransfer.errors import DigestMismatch, DiskFull, NodeUnreachable, SourceGone, Stopped
from terapix.identity import Digest
from terapix.steps import reached

BLOCK = 1 << 20
"""Bytes of a file that are read and digested at once."""
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk without room says."""
NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})
"""What a file system says that cannot give a file a second name there: then it is copied."""
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
    kept: int = 0
    """Bytes of its part that lie there since a copy was stopped; a part of another length is begun anew."""

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
    stop : when set, the part is cut off behind what is written, and `Stopped` raised: the last progress told its length
    steps : whether the named steps of a move are told (a calibration's copy has none)

    Raises
    ------
    DiskFull, NodeUnreachable, SourceGone, DigestMismatch, Stopped
        Nothing is left at the target then, not even a part, unless it was stopped.
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
    except Stopped:
        if haul.part.is_file() and not haul.part.stat().st_size:
            haul.part.unlink()
        raise
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
    if not _goes_on(haul) or haul.target.exists():
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


def _goes_on(haul: Haul) -> bool:
    """Tell whether the part is the one that was kept when a copy was stopped."""
    part = haul.part
    return haul.kept > 0 and part.is_file() and not part.is_symlink() and part.stat().st_size == haul.kept


def aside(target: Path) -> Path:
    """Give a free name for what stands in another file's place."""
    number = 1
    while (place := target.with_name(f"{target.name}.aside-{number}")).exists():
        number += 1
    return place


def _link_or_copy(
    haul: Haul, progress: Callable[[int], None], stop: threading.Event, tell: Callable[[str], None]
) -> tuple[int, str]:
    if haul.apart or _goes_on(haul):
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
    """Copy into the part, and compare the digest that was taken on the way."""
    copied, begin = Copied(), haul.kept if _goes_on(haul) else 0
    told = 2 * begin >= haul.size > 0

    def follow(written: int) -> None:
        nonlocal told
        progress(written)
        if not told and 2 * written >= haul.size:
            tell("move.half")
            told = True

    try:
        copy(haul.source, haul.part, haul.size, copied=copied, progress=follow, stop=stop, begin=begin)
        if begin and copied.digest != haul.digest:  # what was kept does not read as it was written: all of it again
            copied = Copied()
            copy(haul.source, haul.part, haul.size, copied=copied, progress=progress, stop=stop)
    except OSError as problem:
        if problem.errno in FULL:
            raise DiskFull(haul.part, written=copied.size, size=haul.size) from problem
        raise
    if copied.digest != haul.digest:
        raise DigestMismatch(haul.source, expected=haul.digest, found=copied.digest)
    return copied.size


def _told(problem: OSError, haul: Haul, written: int) -> Exception:
    """Say what an error of the node's disk means."""
    if problem.errno in FULL:
        return DiskFull(haul.part, written=written, size=haul.size)
    return NodeUnreachable(haul.root, problem.strerror or str(problem))


def _silent(step: str) -> None:
    del step
