"""The reception disk: where what arrives lies, from the first byte to the sorted file.

incoming/<name>.<digest>.part      on its way
incoming/<file>                    whole, digest verified
from_CADC/headervalid/<file>       a frame that we take
from_CADC/calibrations/<file>      a flat or a mask that frames name
from_CADC/rejected/<word>/<file>   what we do not take, with <file>.why.json beside it
to_CADC/                           what goes back
"""

import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dbclient.schema import FrameKind
from snooppix.part import sync_directory
from terapix.errors import TerapixError
from terapix.identity import Digest, FrameId, safe_name

INCOMING: Final = Path("incoming")
VALID: Final = Path("from_CADC/headervalid")
CALIBRATIONS: Final = Path("from_CADC/calibrations")
REJECTED: Final = Path("from_CADC/rejected")
RETURNS: Final = Path("to_CADC")
PART: Final = ".part"
BOUND: Final = ".bound"
BAD: Final = ".bad"
WHY: Final = ".why.json"
_SHORT: Final = 16
"""Hexadecimal digits of the digest in the name of a part."""


class ReceptionTaken(TerapixError):
    """Another process works on the same reception disk."""

    def __init__(self, root: Path) -> None:
        super().__init__(f"another snooppix works on {root}: stop it, or give this one its own paths.reception")


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that was set aside."""

    path: Path
    word: str
    why: dict[str, Any]
    """What the sidecar says."""


class Reception:
    """The layout of one reception disk. Paths are relative to its root, as the database keeps them."""

    def __init__(self, root: Path, *, reserve: int) -> None:
        self.root = root
        self.reserve = reserve
        """Bytes never filled."""
        self._lock = -1

    def prepare(self) -> None:
        """Make the directories, and hold the disk for this process alone.

        Raises
        ------
        ReceptionTaken
            If another process holds it.
        """
        for directory in (INCOMING, VALID, CALIBRATIONS, REJECTED, RETURNS):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            raise ReceptionTaken(self.root) from problem

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def room(self) -> int:
        """Bytes that may still be filled; negative if the reserve is touched."""
        return shutil.disk_usage(self.root).free - self.reserve

    def part(self, name: str, digest: Digest | None) -> Path:
        """Absolute path of the part of a file."""
        tag = digest.hexadecimal[:_SHORT] if digest else "unlisted"
        return self.root / INCOMING / f"{safe_name(name)}.{tag}{PART}"

    def file_name(self, uri: str, *, generation: int) -> str:
        """Name under which a file is kept: that of the archive, with the generation in it from the second on."""
        last = safe_name(uri.rsplit("/", 1)[-1].rsplit(":", 1)[-1])
        if generation <= 1:
            return last
        name = FrameId.of_file(last).name
        return f"{name}.g{generation}{last.removeprefix(name)}"

    def incoming(self, uri: str, *, generation: int) -> Path:
        return INCOMING / self.file_name(uri, generation=generation)

    def filed(self, uri: str, *, generation: int, kind: FrameKind) -> Path:
        """Where a file belongs once it is verified."""
        directory = VALID if kind is FrameKind.OBJECT else CALIBRATIONS
        return directory / self.file_name(uri, generation=generation)

    def move(self, source: Path, target: Path) -> None:
        """Rename a file within the disk, durably."""
        (self.root / target).parent.mkdir(parents=True, exist_ok=True)
        (self.root / source).rename(self.root / target)
        sync_directory((self.root / target).parent)
        sync_directory((self.root / source).parent)

    def reject(self, source: Path | None, name: str, word: str, why: Mapping[str, Any], *, head: bytes = b"") -> Path:
        """Set a file aside with the reason beside it; the sidecar comes first, so that no file is there without one.

        Parameters
        ----------
        source : below the reception disk; none if nothing but `head` came
        name : of the file
        word : directory below from_CADC/rejected
        why : facts for the sidecar
        head : first bytes of what came in place of the file

        Returns
        -------
        Path
            Of the file, below the reception disk.
        """
        directory = REJECTED / safe_name(word)
        (self.root / directory).mkdir(parents=True, exist_ok=True)
        target = directory / safe_name(name)
        sidecar = self.root / directory / f"{name}{WHY}"
        fresh = sidecar.with_name(f".{sidecar.name}")
        fresh.write_text(json.dumps(dict(why), indent=2, default=_plain) + "\n")
        fresh.rename(sidecar)
        if source is not None:
            self.move(source, target)
        else:
            (self.root / target).write_bytes(head)
        sync_directory(self.root / directory)
        return target

    def forgive(self, name: str) -> None:
        """Remove what was set aside of a file, once a good copy of it is here."""
        for old in (self.root / REJECTED).glob(f"*/{safe_name(name)}"):
            old.unlink(missing_ok=True)
            old.with_name(f"{name}{WHY}").unlink(missing_ok=True)

    def rejected(self) -> list[Rejected]:
        """List everything that was set aside, by reason and name."""
        found = []
        for sidecar in sorted((self.root / REJECTED).glob(f"*/*{WHY}")):
            try:
                why = json.loads(sidecar.read_text())
            except (OSError, ValueError):
                why = {"reason": "the sidecar cannot be read"}
            path = sidecar.with_name(sidecar.name.removesuffix(WHY))
            found.append(Rejected(path, sidecar.parent.name, why if isinstance(why, dict) else {"reason": str(why)}))
        return found


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
