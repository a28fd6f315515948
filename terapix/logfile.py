"""The latest lines of each daemon, kept beside the journal for the console: bounded, and safe to read back.

A daemon's lines are in two files, the present one and the one before it; each
holds half of what may be kept. Whoever reads them takes a bounded piece of
their ends and believes nothing that it finds there.
"""

import contextlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

LEVELS: Final = ("debug", "info", "warning", "error")
"""From the least important to the gravest; critical counts as error."""
READABLE: Final = 0o640
"""The service's user writes, its group reads, nobody else does."""
LONGEST: Final = 16_384
"""Bytes of one line; more is cut."""
BACK: Final = 1_000_000
"""Bytes read back at most."""
FACTS: Final = 24
"""Fields of a line that are shown at most."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a daemon's log."""

    key: str
    """Number of its file and bytes before it there: no other line has it."""
    moment: datetime | None
    level: str
    part: str
    event: str
    facts: tuple[tuple[str, str], ...]
    """What else it says."""

    @property
    def text(self) -> str:
        return " ".join((self.part, self.event, *(f"{key} {value}" for key, value in self.facts)))


def place(directory: Path, daemon: str) -> Path:
    """Give the file of a daemon's present lines."""
    return directory / f"{daemon.replace(':', '-').replace('/', '-')}.jsonl"


def before(path: Path) -> Path:
    """Give the file of the lines before those in `path`."""
    return path.with_suffix(".1.jsonl")


class LogFile:
    """Writes lines; what cannot be written is lost, and nothing else: the journal has it as well.

    The file is opened for each line, so that a rotation or a deletion by others does no harm.
    """

    def __init__(self, path: Path, *, keep: int) -> None:
        self.path = path
        self.keep = keep
        """Bytes of both files together."""

    def write(self, line: str) -> None:
        """Add a line."""
        raw = line.replace("\n", " ").encode("utf-8", "replace")
        raw = (raw if len(raw) < LONGEST else raw[: LONGEST - 1]) + b"\n"
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, READABLE)
            try:
                os.fchmod(file, READABLE)
                if os.write(file, raw) and os.fstat(file).st_size > self.keep // 2:
                    self.path.replace(before(self.path))
            finally:
                os.close(file)


def kept(directory: Path, daemon: str) -> bool:
    """Tell whether lines of a daemon are kept here."""
    return place(directory, daemon).is_file()


def stamp(directory: Path, daemon: str) -> tuple[int, int]:
    """Give what changes with every line: the file's own number and its size."""
    try:
        found = place(directory, daemon).stat()
    except OSError:
        return 0, 0
    return found.st_ino, found.st_size


def tail(directory: Path, daemon: str, *, level: str = "info", text: str = "", limit: int = 200) -> list[Line]:
    """Give the latest lines of a daemon, newest first.

    Parameters
    ----------
    daemon : a name of ours, never one that somebody sent
    level : lines at least as grave
    text : letters that a line must have somewhere, whatever their case
    """
    wanted = LEVELS[LEVELS.index(level) :]
    letters = text.casefold()
    found: list[Line] = []
    left = BACK
    path = place(directory, daemon)
    for file in (path, before(path)):
        for key, raw in _backwards(file, left):
            left -= len(raw) + 1
            line = read(raw, key)
            if line.level in wanted and letters in line.text.casefold():
                found.append(line)
                if len(found) >= limit:
                    return found
        if left <= 0:
            break
    return found


def read(raw: bytes, key: str = "") -> Line:
    """Read one line; one that is none of ours is shown as it is."""
    text = raw.decode("utf-8", "replace")
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return Line(key, None, "info", "", text, ())
    level = str(said.get("level", "info"))
    level = "error" if level == "critical" else level
    first = {"timestamp", "level", "daemon", "part", "event"}
    facts = tuple((str(key), _told(value)) for key, value in said.items() if key not in first)[:FACTS]
    moment = _moment(said.get("timestamp"))
    part, event = _told(said.get("part", "")), _told(said.get("event", ""))
    return Line(key, moment, level if level in LEVELS else "info", part, event, facts)


def _told(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], Mapping) and "exc_type" in value[0]:
        return f"{value[0].get('exc_type')}: {value[0].get('exc_value')}"  # a traceback: its frames are in the journal
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return found if found.tzinfo else None


def _backwards(path: Path, most: int) -> Iterator[tuple[str, bytes]]:
    """Give key and bytes of the lines at a file's end, the last first; a plain file and nothing else."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    try:
        state = os.fstat(file)
        if not stat.S_ISREG(state.st_mode):
            return
        begin = max(0, state.st_size - most)
        piece = os.pread(file, state.st_size - begin, begin)
    finally:
        os.close(file)
    ends = piece.rfind(b"\n")  # what follows the last line end is still being written
    while ends > 0:
        start = piece.rfind(b"\n", 0, ends)
        if start < 0 and begin:
            return  # the piece begins within this line
        if ends - start > 1:
            yield f"{state.st_ino}-{begin + start + 1}", piece[start + 1 : ends]
        ends = start
