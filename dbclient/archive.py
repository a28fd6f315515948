"""The file of an archive: rows of the history as lines of JSON, packed by gzip, which any program can read.

The first line says what the others are. A file is whole under its name or not there: it is written beside it,
flushed and renamed. Everything here blocks and belongs in a thread.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dbclient.records import EventRecord
from dbclient.schema import ArchiveKind, Level
from terapix.errors import TerapixError

FORMAT: Final = "terapix history 1"
"""First word of the first line."""
COLUMNS: Final = tuple(field.name for field in fields(EventRecord))


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    id: int
    kind: ArchiveKind
    first: int
    last: int
    rows: int
    begins: datetime
    ends: datetime
    path: str
    size: int
    digest: str
    made_at: datetime
    cleared_at: datetime | None


class ArchiveDamaged(TerapixError):
    """A file is not the archive that was written."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is not the archive that was written ({problem}): bring it back from a copy")
        self.path = path
        self.problem = problem


def write(path: Path, kind: str, rows: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Write an archive; give its bytes and its digest, as sha256:<hex>.

    Raises
    ------
    OSError
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    head = {"format": FORMAT, "kind": kind, "rows": len(rows), "first": rows[0]["id"], "last": rows[-1]["id"]}
    lines = [json.dumps(head), *(json.dumps(dict(row), default=_plain, ensure_ascii=False) for row in rows)]
    content = gzip.compress(("\n".join(lines) + "\n").encode(), compresslevel=6, mtime=0)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return len(content), f"sha256:{hashlib.sha256(content).hexdigest()}"


def read(path: Path, *, digest: str | None = None) -> list[dict[str, Any]]:
    """Read an archive.

    Parameters
    ----------
    digest : that it must have; none: whatever can be read

    Raises
    ------
    FileNotFoundError, ArchiveDamaged
    """
    content = path.read_bytes()
    if digest is not None and (found := f"sha256:{hashlib.sha256(content).hexdigest()}") != digest:
        raise ArchiveDamaged(path, f"it has {found}, and {digest} was noted")
    try:
        head, *rows = [json.loads(line) for line in gzip.decompress(content).decode().splitlines() if line]
        if head["format"] != FORMAT or head["rows"] != len(rows):
            raise ArchiveDamaged(path, f"it has {len(rows)} rows of {head.get('format')!r}")
    except (OSError, EOFError, ValueError, KeyError, TypeError) as problem:
        raise ArchiveDamaged(path, str(problem) or type(problem).__name__) from problem
    return rows


def events(path: Path, *, digest: str | None = None) -> list[EventRecord]:
    """Read an archive of events, in their order.

    Raises
    ------
    FileNotFoundError, ArchiveDamaged
    """
    try:
        return [
            EventRecord(**{**row, "at": datetime.fromisoformat(row["at"]), "level": Level(row["level"])})
            for row in read(path, digest=digest)
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise ArchiveDamaged(path, f"a row is no event: {problem}") from problem


def row_of(event: EventRecord) -> dict[str, Any]:
    """Give an event as a row of an archive."""
    return {name: getattr(event, name) for name in COLUMNS}


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in an archive")
