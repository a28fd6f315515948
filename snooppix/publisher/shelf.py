"""The shelf to_CADC/ of a reception disk: what is offered lies here under its published name.

to_CADC/979412p_weight.fits.fz               what is offered
to_CADC/.979412p_weight.fits.fz.g2.new       on its way there
to_CADC/.979412p_weight.fits.fz.put          how far it was put to an archive that receives
to_CADC/MANIFEST.jsonl                       what is offered from here, one JSON object a line, by name
"""

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from snooppix.reception import RETURNS
from terapix.errors import TerapixError
from terapix.identity import Digest, safe_name
from terapix.part import sync_directory

MANIFEST: Final = "MANIFEST.jsonl"
NEW: Final = ".new"
PUT: Final = ".put"
READ_AT_ONCE: Final = 4 * 1024**2
"""Bytes."""
FICLONE: Final = 0x40049409
"""Request to a file system to let two files share their blocks until one of them changes."""
NOT_SHARED: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOTTY, errno.EINVAL, errno.ENOSYS}
"""Answers of file systems that cannot link or share: then the bytes are copied."""


class ShelfTaken(TerapixError):
    """Another publisher works on the same shelf."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"another publisher works on {directory}: stop it, or give this one its own paths.reception")


class ShelfFull(OSError):
    """A file does not fit on the shelf."""

    def __init__(self, shelf: "Shelf", *, needed: int, room: int) -> None:
        said = (
            f"reception disk {shelf.name} is full up to its reserve: {needed} bytes are needed and {max(room, 0)} left"
        )
        super().__init__(errno.ENOSPC, said, str(shelf.directory))


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that lies on a shelf, under a temporary name or in its place, durably."""

    shelf: "Shelf"
    path: Path
    size: int
    digest: Digest


class Shelf:
    """The directory, and the steps by which files come to it and go. All methods block: they belong in a thread."""

    def __init__(self, root: Path, *, reserve: int, name: str = "reception") -> None:
        self.name = name
        """Of the reception disk."""
        self.root = root
        self.directory = root / RETURNS
        self.reserve = reserve
        """Bytes of the disk that are never filled."""
        self.trouble: str | None = None
        """Why the disk cannot be used; none while it can."""
        self._lock = -1
        self._said: bytes | None = None

    def prepare(self) -> None:
        """Make the directory and hold it for this process alone; what nobody will finish is removed.

        Raises
        ------
        ShelfTaken
            If another process holds it.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.release()
        self._lock = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            self.release()
            raise ShelfTaken(self.directory) from problem

    def examine(self, *, used: bool) -> str | None:
        """Say what is wrong with the disk, and take it up where it is back.

        Parameters
        ----------
        used : whether files were offered from it: then its directory is not made anew on an empty mount point
        """
        try:
            if not (self.directory if used else self.root).is_dir():
                return f"{self.root} is gone or empty: mount its disk"
            if self._lock < 0 or not os.path.samestat(os.fstat(self._lock), self.directory.stat()):
                self.prepare()
                self._said = None
        except ShelfTaken as problem:
            return str(problem)
        except OSError as problem:
            return f"{self.root} does not answer: {problem.strerror or problem}"
        return None

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def relative(self, name: str) -> str:
        """Path of a published file below the reception disk, as the database keeps it."""
        return str(RETURNS / safe_name(name))

    def place(self, name: str) -> Path:
        """Absolute path of a file that is published from here."""
        return self.directory / safe_name(name)

    def temporary(self, name: str, generation: int) -> Path:
        return self.directory / f".{safe_name(name)}.g{generation}{NEW}"

    def sidecar(self, name: str) -> Path:
        """Where it is kept how far a file was put."""
        return self.directory / f".{safe_name(name)}{PUT}"

    def sidecars(self) -> list[Path]:
        """Those of all files."""
        return sorted(self.directory.glob(f".*{PUT}"))

    def stage(self, source: Path, name: str, generation: int, *, ours: bool) -> Staged:
        """Bring a file onto the shelf under a temporary name, and take its digest there.

        Parameters
        ----------
        ours : bool
            The source is a product that no one changes in place: a link to it will do on the same disk.

        Raises
        ------
        OSError
            As the source cannot be read or the shelf takes no more.
        """
        target = self.temporary(name, generation)
        target.unlink(missing_ok=True)
        try:
            if not (ours and _linked(source, target)):
                self._copy(source, target)
            return self.staged(name, generation)
        except BaseException:
            target.unlink(missing_ok=True)  # a full disk is not kept full by half a file
            raise

    def room(self) -> int:
        """Bytes that may still be filled; negative if the reserve is touched."""
        return shutil.disk_usage(self.directory).free - self.reserve

    def shares(self, source: Path) -> bool:
        """Tell whether a file lies on the same file system, where a second name or shared blocks cost no room."""
        return source.stat().st_dev == self.directory.stat().st_dev

    def staged(self, name: str, generation: int) -> Staged:
        """Take size and digest of what lies under a temporary name."""
        return self._measured(self.temporary(name, generation))

    def placed(self, name: str) -> Staged:
        """Take size and digest of what lies in its place."""
        return self._measured(self.place(name))

    def _measured(self, path: Path) -> Staged:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            size = os.fstat(file.fileno()).st_size
        return Staged(self, path, size, Digest("md5", digest))

    def _copy(self, source: Path, target: Path) -> None:
        """Copy a file, sharing its blocks where the disk can; what is on the shelf is on the disk."""
        with source.open("rb") as read, target.open("xb") as write:
            needed, room = os.fstat(read.fileno()).st_size, self.room()
            if not _cloned(read.fileno(), write.fileno()):
                if room < needed:
                    raise ShelfFull(self, needed=needed, room=room)
                shutil.copyfileobj(read, write, READ_AT_ONCE)
            write.flush()
            os.fsync(write.fileno())

    def put_in_place(self, staged: Staged, name: str) -> None:
        """Give a staged file its published name, durably; a file of that name gives way at the same moment."""
        if staged.path == self.place(name):
            return
        staged.path.rename(self.place(name))
        staged.path.unlink(missing_ok=True)  # where both were names of one file, renaming does nothing
        sync_directory(self.directory)

    def remove(self, name: str) -> None:
        """Take a published file away."""
        self.place(name).unlink(missing_ok=True)
        sync_directory(self.directory)

    def write_manifest(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write what is offered, at one stroke, unless that is what stands there."""
        text = "".join(f"{json.dumps(dict(line), ensure_ascii=True, sort_keys=True)}\n" for line in lines).encode()
        if text == self._said:
            return
        fresh = self.directory / f".{MANIFEST}{NEW}"
        try:
            with fresh.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        fresh.rename(self.directory / MANIFEST)
        sync_directory(self.directory)
        self._said = text

    def generations(self) -> dict[str, int]:
        """Give the generations that the manifest tells of: numbers do not fall even where the database was lost."""
        found: dict[str, int] = {}
        try:
            lines = (self.directory / MANIFEST).read_text().splitlines()
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                told = json.loads(line)
                found[str(told["name"])] = max(int(told.get("generation", 0)), int(told.get("reached", 0)))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found


def _linked(source: Path, target: Path) -> bool:
    """Give a file a second name; False where the file system cannot, as across disks."""
    try:
        target.hardlink_to(source.resolve(strict=True))
    except OSError as problem:
        if problem.errno in NOT_SHARED:
            return False
        raise
    return True


def _cloned(source: int, target: int) -> bool:
    """Let a file share the blocks of another; False where the file system cannot."""
    try:
        fcntl.ioctl(target, FICLONE, ctypes.c_int(source).value)
    except OSError as problem:
        if problem.errno in NOT_SHARED:
            return False
        raise
    return True
