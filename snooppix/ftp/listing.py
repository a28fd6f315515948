"""Lines of a directory's listing, as MLSD or LIST gives them, and of the files of digests beside."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from snooppix.ftp.session import stamp
from terapix.identity import Digest

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNIX = re.compile(
    r"(?P<kind>[-dlbcps])\S{9,11}\s+(?:\S+\s+){1,3}?(?P<size>\d{1,18})\s+"
    r"(?P<month>[A-Z][a-z]{2})\s+(?P<day>\d{1,2})\s+(?:(?P<year>\d{4})|(?P<hour>\d{1,2}):(?P<minute>\d{2}))\s(?P<name>.+)"
)
_DOS = re.compile(
    r"(?P<month>\d\d)-(?P<day>\d\d)-(?P<year>\d{2,4})\s+(?P<hour>\d\d):(?P<minute>\d\d)(?P<half>[AP]M)?\s+"
    r"(?:(?P<directory><DIR>)|(?P<size>\d{1,18}))\s+(?P<name>.+)"
)
_SUM = re.compile(r"(?P<hex>[0-9a-fA-F]{32})(?:\s+[ *]?(?P<name>\S+))?\s*")
_BSD = re.compile(r"MD5 ?\((?P<name>[^)]+)\) ?= ?(?P<hex>[0-9a-fA-F]{32})\s*")


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
    """Read a line of MLSD (`machine`) or LIST; none for what is neither file nor directory, or cannot be read."""
    if machine:
        return _facts(line)
    try:
        if found := _UNIX.fullmatch(line):
            return _unix(found, now)
        if found := _DOS.fullmatch(line):
            return _dos(found)
    except ValueError:
        return None
    return None


def _facts(line: str) -> Entry | None:
    facts_text, blank, name = line.partition(" ")
    facts = {key.lower(): value for key, _, value in (fact.partition("=") for fact in facts_text.split(";")) if value}
    kind = facts.get("type", "").lower()
    if not blank or kind not in {"file", "dir"} or name in {".", ".."}:
        return None
    size = facts.get("size", "")
    return Entry(name, kind == "dir", int(size) if size.isdigit() else None, stamp(facts.get("modify", "")))


def _unix(found: re.Match[str], now: datetime) -> Entry | None:
    kind, name = found["kind"], found["name"]
    if kind not in "-dl" or name in {".", ".."}:
        return None
    month, day = MONTHS.index(found["month"]) + 1, int(found["day"])
    if found["year"]:
        modified = datetime(int(found["year"]), month, day, tzinfo=UTC)
    else:
        modified = _recent(month, day, int(found["hour"]), int(found["minute"]), now)
    if kind == "l":
        return Entry(name.split(" -> ")[0], directory=False, size=None, modified=modified)
    return Entry(name, kind == "d", int(found["size"]) if kind == "-" else None, modified)


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
    return Entry(found["name"], directory, None if directory else int(found["size"]), modified)


def digests(text: str, *, of: str = "") -> dict[str, Digest]:
    """Read a file of digests, as md5sum or md5 write it; a digest alone is that of the file `of`."""
    found: dict[str, Digest] = {}
    for line in text.splitlines():
        match = _SUM.fullmatch(line.lstrip("\\")) or _BSD.fullmatch(line)
        if match and (name := (match["name"] or of).rsplit("/", 1)[-1]):
            found[name] = Digest("md5", match["hex"].lower())
    return found
