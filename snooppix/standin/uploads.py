"""Files that are put: under a name of their own until they are whole, in one request or in a transaction of several."""

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from snooppix.standin.inventory import ending
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.identity import UnsafeName, safe_name

SMALLEST = 1
"""Bytes of a segment, at least; the last of a file may be shorter."""
LARGEST = 5 << 30
"""Bytes of a segment, at most."""
LIFETIME = 3600.0
"""Seconds after which a transaction that nothing was heard of is given up."""
MOST = 1000
"""Transactions that are open at once."""
PENDING = ".put"
"""Ending of the files of open transactions."""


class NotTaken(TerapixError):
    """What is put can not be stored; `status` is what HTTP says."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


@dataclass(slots=True)
class Upload:
    """A file on its way in."""

    id: str
    uri: str
    name: str
    path: Path
    """Where its bytes lie until they are whole."""
    total: int | None
    """Bytes that it will have, if that was said."""
    digest: str
    """MD5 that it must have, if that was said."""
    heard: float
    """When something was heard of it, on the monotonic clock."""
    size: int = 0
    hasher: Any = field(default_factory=_md5)
    before: tuple[int, Any] | None = None
    """Size and digest before the last segment."""
    busy: bool = False
    """A segment comes in now."""

    @property
    def md5(self) -> str:
        """32 hexadecimal digits of what has come."""
        return str(self.hasher.hexdigest())


class Uploads:
    """The open transactions of a storage site."""

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        collection: str = "CFHT",
        smallest: int = SMALLEST,
        largest: int = LARGEST,
        lifetime: float = LIFETIME,
    ) -> None:
        self.smallest = smallest
        self.largest = largest
        self._directory = directory
        self._prefix = f"cadc:{collection}/"
        self._clock = clock
        self._lifetime = lifetime
        self._open: dict[str, Upload] = {}

    @property
    def open(self) -> int:
        """Number of open transactions."""
        return len(self._open)

    def sweep(self) -> None:
        """Take away what an earlier life left: its transactions are gone with it."""
        for left in self._directory.glob(f".*{PENDING}"):
            left.unlink(missing_ok=True)

    def start(self, uri: str, *, total: int | None, digest: str = "") -> Upload:
        """Open a transaction.

        Raises
        ------
        NotTaken
            The URI is none of this archive, or too many are open.
        """
        name = uri.removeprefix(self._prefix)
        try:
            if name == uri or not ending(safe_name(name)):
                raise NotTaken(400, f"{uri}: only {self._prefix}NAME can be put here, NAME a FITS file or a picture")
        except UnsafeName as problem:
            raise NotTaken(400, str(problem)) from problem
        self._expire()
        if len(self._open) >= MOST:
            raise NotTaken(503, f"{MOST} transactions are open: commit or abort one")
        number = secrets.token_hex(8)
        path = self._directory / f".{name}.{number}{PENDING}"
        path.touch()
        upload = self._open[number] = Upload(number, uri, name, path, total, digest, self._clock.monotonic())
        return upload

    def find(self, number: str, uri: str) -> Upload:
        """Return an open transaction.

        Raises
        ------
        NotTaken
            There is none of this number, or not for this file, or it was given up for its age.
        """
        self._expire()
        upload = self._open.get(number)
        if upload is None or upload.uri != uri:
            raise NotTaken(404, f"no transaction {number} for {uri}")
        upload.heard = self._clock.monotonic()
        return upload

    def expect(self, upload: Upload, length: int | None) -> None:
        """Refuse a segment that is too short or too long before it comes.

        Raises
        ------
        NotTaken
            It can not be appended.
        """
        if upload.busy:
            raise NotTaken(423, "a segment of this transaction comes in already")
        if length is None:
            return
        last = upload.total is None or upload.size + length >= upload.total
        if length < self.smallest and not last:
            raise NotTaken(400, f"a segment has {self.smallest} bytes at least, not {length}")
        if length > self.largest:
            raise NotTaken(413, f"a segment has {self.largest} bytes at most, not {length}")

    def undo(self, upload: Upload) -> None:
        """Forget the last segment.

        Raises
        ------
        NotTaken
            There is none that could be forgotten.
        """
        if upload.before is None:
            raise NotTaken(400, "there is no segment to revert")
        upload.size, upload.hasher = upload.before
        upload.before = None
        os.truncate(upload.path, upload.size)

    def abort(self, upload: Upload) -> None:
        """Forget a transaction and its bytes."""
        self._open.pop(upload.id, None)
        upload.path.unlink(missing_ok=True)

    def commit(self, upload: Upload) -> None:
        """Give the file its name.

        Raises
        ------
        NotTaken
            It is not what was announced, or empty; the transaction is over.
        """
        reason = ""
        if upload.size == 0:
            raise NotTaken(400, "an empty file is not stored")
        if upload.total is not None and upload.size != upload.total:
            reason = f"{upload.size} bytes came, {upload.total} were announced"
        elif upload.digest and upload.md5 != upload.digest:
            reason = f"the bytes have md5 {upload.md5}, announced was {upload.digest}"
        if reason:
            self.abort(upload)
            raise NotTaken(412, reason)
        upload.path.replace(self._directory / upload.name)
        self._open.pop(upload.id, None)

    def _expire(self) -> None:
        oldest = self._clock.monotonic() - self._lifetime
        for upload in [upload for upload in self._open.values() if upload.heard < oldest and not upload.busy]:
            self.abort(upload)


class Segment:
    """Bytes that are appended to an upload; unless all of them come, none did."""

    def __init__(self, upload: Upload, *, damage: Callable[[bytes, int], bytes] | None = None) -> None:
        self._upload = upload
        self._damage = damage
        self._before = (upload.size, upload.hasher.copy())
        self._file = upload.path.open("r+b")
        self._file.seek(upload.size)
        upload.busy = True

    def write(self, block: bytes) -> None:
        """Append a block."""
        if self._damage is not None:
            block = self._damage(block, self._upload.size)
        self._file.write(block)
        self._upload.hasher.update(block)
        self._upload.size += len(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *problem: object) -> None:
        upload = self._upload
        upload.busy = False
        try:
            if kind is None:
                self._file.flush()
                upload.before = self._before
                return
        finally:
            self._file.close()
        upload.size, upload.hasher = self._before
        if upload.path.exists():
            os.truncate(upload.path, upload.size)
