"""Lines of a directory's listing, as MLSD or LIST gives them, and of the files of digests beside."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from snooppix.ftp.control import facts_of, is_number, printable, stamp
from terapix.errors import TerapixError
from terapix.identity import Digest

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LONGEST_LINE: Final = 4096
"""Characters of a line; a name has 255 bytes, a link's target 4096 at the very most."""
_UNIX = re.compile(
    r"(?P<kind>[-dl])\S{9,11}\s+(?:\S+\s+){1,6}?(?P<size>-?\d{1,18})\s+"
    r"(?:(?P<iso>\d{4}-\d\d-\d\d\s+\d\d:\d\d)(?::\d\d\S*(?:\s+[+-]\d{4})?)?"
    r"|(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?:(?P<year>\d{4})|(?P<hour>\d{1,2}):(?P<minute>\d{2})))\s(?P<name>.+)",
    re.ASCII,
)
_DOS = re.compile(
    r"(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{2,4})\s+(?P<hour>\d\d):(?P<minute>\d\d)\s?(?P<half>[AP]M)?\s+"
    r"(?:(?P<directory><DIR>\s{10}|<DIR>\s+)|(?P<size>\d[\d,]{0,22})\s)(?P<name>.+)",
    re.ASCII,
)
_NOISE = re.compile(r"total \d+|[bcps]\S{9,11}\s.*|\d{2}-\d{2}-\d{2,4}\s+\d\d:\d\d\s?(?:[AP]M)?\s+<(?!DIR>)[A-Z]+>\s.*")
"""What is neither file nor directory: a sum of blocks, devices and sockets, junctions."""
_SUM = re.compile(r"(?P<hex>[0-9a-fA-F]{32})(?:\s+[ *]?(?P<name>\S+))?\s*")
_BSD = re.compile(r"MD5 ?\((?P<name>[^)]+)\) ?= ?(?P<hex>[0-9a-fA-F]{32})\s*")


class LineUnread(TerapixError):
    """A line of a listing that is in no form that we know."""

    def __init__(self, line: str) -> None:
        super().__init__(f"this line is in no form that is known: {printable(line[:80])}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: a file or a directory."""

    name: str
    directory: bool
    size: int | None
    """Bytes; none for directories, and for links, which tell their own size and not that of the file."""
    modified: datetime | None
    """UTC. LIST gives minutes, or days for old files, in a time zone that it does not tell: then MDTM is asked."""


def entry(line: str, *, machine: bool, now: datetime) -> Entry | None:
    """Read a line of MLSD (`machine`) or LIST; none for what is neither file nor directory.

    Raises
    ------
    LineUnread
        If it is in no form that we know.
    """
    if len(line) > LONGEST_LINE:
        raise LineUnread(line)
    found = _facts(line) if machine else _for_people(line, now)
    return found if found is None or found.name not in {".", ".."} else None


def _facts(line: str) -> Entry | None:
    facts, name = facts_of(line)
    kind, size, modified = facts.get("type", "").lower(), facts.get("size", ""), stamp(facts.get("modify", ""))
    if not name or not kind:
        raise LineUnread(line)
    if kind == "dir" or kind.startswith(("os.unix=slink", "os.unix=symlink")):
        return Entry(name, kind == "dir", None, modified)
    return Entry(name, False, int(size) if is_number(size) else None, modified) if kind == "file" else None


def _for_people(line: str, now: datetime) -> Entry | None:
    try:
        if found := _UNIX.fullmatch(line):
            return _unix(found, now)
        if found := _DOS.fullmatch(line):
            return _dos(found)
    except ValueError as problem:
        raise LineUnread(line) from problem
    if _NOISE.fullmatch(line):
        return None
    raise LineUnread(line)


def _unix(found: re.Match[str], now: datetime) -> Entry:
    kind, name, size = found["kind"], found["name"], int(found["size"])
    if found["iso"]:
        modified = datetime.strptime(" ".join(found["iso"].split()), "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
    elif found["year"]:
        modified = datetime(int(found["year"]), MONTHS.index(found["month"]) + 1, int(found["day"]), tzinfo=UTC)
    else:
        month = MONTHS.index(found["month"]) + 1
        modified = _recent(month, int(found["day"]), int(found["hour"]), int(found["minute"]), now)
    if kind == "l":
        return Entry(name.split(" -> ")[0], directory=False, size=None, modified=modified)
    # below zero: a server that counts with 32 bits, and is to be asked again
    return Entry(name, kind == "d", size if kind == "-" and size >= 0 else None, modified)


def _recent(month: int, day: int, hour: int, minute: int, now: datetime) -> datetime:
    """Give the year to a date without one: the last that is not more than a day ahead of us."""
    for year in (now.year + 1, now.year, now.year - 1, now.year - 2, now.year - 3, now.year - 4):
        try:
            found = datetime(year, month, day, hour, minute, tzinfo=UTC)
        except ValueError:  # 29 February
            continue
        if found <= now + timedelta(days=1):
            return found
    raise ValueError(f"no such day: {month}-{day}")


def _dos(found: re.Match[str]) -> Entry:
    year, hour = int(found["year"]), int(found["hour"])
    if year < 100:
        year += 2000 if year < 70 else 1900
    if found["half"]:
        hour = hour % 12 + (12 if found["half"] == "PM" else 0)
    modified = datetime(year, int(found["month"]), int(found["day"]), hour, int(found["minute"]), tzinfo=UTC)
    directory = found["directory"] is not None
    return Entry(found["name"], directory, None if directory else int(found["size"].replace(",", "")), modified)


def digests(text: str, *, of: str = "") -> dict[str, Digest]:
    """Read a file of digests, as md5sum or md5 write it; a digest alone is that of the file `of`."""
    found: dict[str, Digest] = {}
    for line in text.splitlines():
        match = _SUM.fullmatch(line.lstrip("\\")) or _BSD.fullmatch(line)
        if match and (name := (match["name"] or of).rsplit("/", 1)[-1]):
            found[name] = Digest("md5", match["hex"].lower())
    return found
