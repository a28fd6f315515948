"""The files of the stand-in's directory, with the facts that a storage site keeps of them."""

import contextlib
import hashlib
import os
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from snooppix.protocol.cards import Value, header, values
from snooppix.protocol.sealing import identity
from terapix.clock import Clock
from terapix.identity import UnsafeName, safe_name

TYPES = {
    ".fits": "application/fits",
    ".fits.fz": "application/fits",
    ".fits.gz": "application/fits",
    ".jpg": "image/jpeg",
    ".png": "image/png",
}
"""Endings of the files that are offered, and their content types; whatever else lies there is not."""

_ENDINGS = sorted(TYPES, key=len, reverse=True)
LARGE = 5000
"""Files from which on looking at each of them takes longer than a query."""
TOLD = frozenset(
    [
        "CRUNID",
        "DATE-OBS",
        "DATEPROC",
        "EL_SYS",
        "EXPTIME",
        "FILTER",
        "INSTMODE",
        "INSTRUME",
        "MET_DATE",
        "MJD-OBS",
        "OBJDEC",
        "OBJECT",
        "OBJRA",
        "OBJRADEC",
        "OBSTYPE",
        "PI_NAME",
        "PIXSCAL1",
        "RELHUMID",
        "REL_DATE",
        "RUNID",
        "TELALT",
        "TEMPERAT",
    ]
)
"""Keywords that the tables tell of: the other two hundred of each file would fill the memory."""
SETTLED = 100_000_000
"""Nanoseconds: the ticks of the clock that file systems write times with are shorter."""
RELIED_ON = 30.0
"""Seconds after which each file is looked at again in any case."""
Signature = tuple[int, int, int]
"""Size, time of change in nanoseconds and inode: while these stay, the content is taken to stay."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file, as it was when it was last looked at."""

    path: Path
    uri: str
    """``cadc:CFHT/979412p.fits.fz``."""
    size: int
    """Bytes."""
    md5: str
    """32 hexadecimal digits."""
    modified: datetime
    """When this content was first listed."""
    keywords: Mapping[str, Value]
    """Those of the primary header that the tables tell of; empty if it is not FITS or can not be read."""
    signature: Signature

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.path.name

    @property
    def identity(self) -> str:
        """Identity of this content under this URI: another one when the file is replaced."""
        return identity(f"{self.uri} {self.md5}")

    @property
    def content_type(self) -> str:
        """MIME type."""
        return TYPES[ending(self.name)]


def ending(name: str) -> str:
    """Ending of a file that is offered; empty for any other."""
    return next((end for end in _ENDINGS if name.endswith(end)), "")


class Inventory:
    """What lies in the directory; `refresh` blocks (it hashes new files) and belongs in a thread."""

    def __init__(self, directory: Path, *, clock: Clock, collection: str = "CFHT") -> None:
        self.directory = directory
        self.collection = collection
        self.version = 0
        """Rises whenever a file appears, changes or goes."""
        self._clock = clock
        self._files: dict[str, StoredFile] = {}
        self._changed: set[str] = set()
        self._still = 0
        """Time of change of the directory when it was last looked through, in nanoseconds; 0 if it may have gone on."""
        self._looked = float("-inf")
        self._by_uri: dict[str, StoredFile] = {}
        self._at_start: frozenset[str] | None = None

    @property
    def files(self) -> Sequence[StoredFile]:
        """All files, by name."""
        return tuple(self._files.values())

    def named(self, name: str) -> StoredFile | None:
        """Return the file of a name, as last listed."""
        return self._files.get(name)

    def take_changed(self) -> set[str]:
        """Give the names of files that appeared, changed or went since this was last asked."""
        changed, self._changed = self._changed, set()
        return changed

    def find(self, uri: str) -> StoredFile | None:
        """Return the file of a URI, as last listed."""
        return self._by_uri.get(uri)

    def note(self) -> None:
        """Note what is there at the start: such files count as old as their time of change."""
        if self._at_start is None:
            self._at_start = frozenset(self._scan())

    def refresh(self, *, each: bool = True) -> bool:
        """Look at the directory again; return whether anything is different.

        Without `each`, the files of a large directory are not looked at one by
        one while its own time of change stands still: then nothing appeared,
        was renamed or went, and what is overwritten in place is found later.
        """
        self.note()
        if not each and self._is_still():
            return False
        changed_at, begun, self._looked = self._changed_at(), time.time_ns(), time.monotonic()
        found = self._scan()
        self._still = changed_at if begun - changed_at > SETTLED else 0  # else more may come within the same tick
        files: dict[str, StoredFile] = {}
        for name, signature in sorted(found.items()):
            known = self._files.get(name)
            if known is not None and known.signature == signature:
                files[name] = known
            elif (seen := self._look(name, signature, known)) is not None:
                files[name] = seen
        changed = {name for name, file in files.items() if self._files.get(name) is not file}
        changed |= self._files.keys() - files.keys()
        if not changed:
            return False
        self._files = files
        self._by_uri = {file.uri: file for file in files.values()}
        self._changed |= changed
        self.version += 1
        return True

    def _is_still(self) -> bool:
        recently = time.monotonic() - self._looked < RELIED_ON
        return recently and len(self._files) >= LARGE and self._changed_at() == self._still

    def _changed_at(self) -> int:
        try:
            return os.stat(self.directory).st_mtime_ns  # noqa: PTH116 - beside scandir's results
        except OSError:
            return -1

    def _scan(self) -> dict[str, Signature]:
        found = {}
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    if entry.name in self._files or (ending(entry.name) and _is_safe(entry.name)):
                        with contextlib.suppress(OSError):  # it went meanwhile, or leads nowhere
                            told = entry.stat()
                            if stat.S_ISREG(told.st_mode):
                                found[entry.name] = _signature(told)
        except FileNotFoundError:
            pass
        return found

    def _look(self, name: str, signature: Signature, known: StoredFile | None) -> StoredFile | None:
        """Read a new or changed file; None while it is still being written."""
        path = self.directory / name
        try:
            with path.open("rb") as file:
                md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
                file.seek(0)
                cards = header(file) if "fits" in ending(name) else []
            after = _signature(path.stat())
        except OSError:
            return None
        if after != signature:
            return None
        if known is not None and known.md5 == md5:
            return replace(known, signature=signature)
        old = known is None and self._at_start is not None and name in self._at_start
        modified = datetime.fromtimestamp(signature[1] / 1e9, UTC) if old else self._clock.now()
        told = {keyword: value for keyword, value in values(cards).items() if keyword in TOLD}
        return StoredFile(path, f"cadc:{self.collection}/{name}", after[0], md5, modified, _shared(told), signature)


def _shared(keywords: Mapping[str, Value]) -> dict[str, Value]:
    """Hold words only once that come in the headers of many files."""
    return {
        sys.intern(keyword): sys.intern(value) if isinstance(value, str) else value
        for keyword, value in keywords.items()
    }


def _is_safe(name: str) -> bool:
    try:
        safe_name(name)
    except UnsafeName:
        return False
    return True


def _signature(found: os.stat_result) -> Signature:
    return found.st_size, found.st_mtime_ns, found.st_ino
