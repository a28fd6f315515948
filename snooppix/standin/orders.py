"""What may be ordered of the stand-in: the kinds by name, the TOML file that orders them, and what is refused of it.

A refusal names the file, the entry, the value and the remedy: an order that
could never be carried out is told when it is given, not when a test has passed
without it.
"""

import dataclasses
import difflib
import fnmatch
import tomllib
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from snooppix.standin.kinds import (
    Busy,
    ClockSkew,
    Down,
    Dropped,
    DuplicateRows,
    Expired,
    Failing,
    Fault,
    Flipped,
    Forbidden,
    Gzip,
    HexDigest,
    Hidden,
    Listed,
    LoginPage,
    Missing,
    NoDigest,
    Overflow,
    PutCut,
    PutDamaged,
    PutLost,
    QueryError,
    Redirected,
    Refused,
    Renewed,
    Replaced,
    Short,
    Slow,
    Stalled,
    SyncElsewhere,
    Unauthorised,
    Unlocated,
    WholeForRange,
    Withdrawn,
    WrongDigest,
    WrongRange,
)
from terapix.errors import TerapixError


class FaultsUnreadable(TerapixError):
    """An order of faults that does not say what it should, or asks for what can not happen."""


KINDS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        Down, Refused, Busy, Stalled, LoginPage, Dropped, Slow, Short, WrongDigest, NoDigest, HexDigest, Flipped,
        WholeForRange, Replaced, Missing, Unlocated, Gzip, QueryError, DuplicateRows, Failing, Unauthorised,
        Forbidden, Redirected, Expired, WrongRange, Renewed, Overflow, SyncElsewhere, PutCut, PutDamaged, PutLost,
        Hidden, Withdrawn, ClockSkew, Listed,
    )
}  # fmt: skip

SERVICES: Final = ("reg", "argus", "raven", "minoc", "caom2ops", "gms", "data", "ftp")
"""What `at` is matched against, and minoc2 to minoc9 beside."""
_ASKED: Final = (*SERVICES, *(f"minoc{number}" for number in range(2, 10)))

Check = tuple[Callable[[Any], bool], str]
"""Whether a value makes sense, and what does."""
_COUNT: Final[Check] = (lambda value: value >= 0, "no number below 0")
_REFUSAL: Final[Check] = (lambda value: 400 <= value <= 599, "a status from 400 to 599")
CHECKS: Final[Mapping[str, Check]] = {
    "times": (lambda value: value >= 0, "a number of times, 0 for ever"),
    "skip": _COUNT,
    "probability": (lambda value: 0 <= value <= 1, "a share from 0 to 1: one in a hundred is 0.01"),
    "rate": (lambda value: value > 0, "at least 1 byte per second (`stalled` sends nothing more)"),
    "missing": _COUNT,
    "byte": _COUNT,
    "rows": _COUNT,
    "seconds": (lambda value: abs(value) <= 1e9, "seconds, less than 32 years"),
    "lag": (lambda value: abs(value) <= 1e9, "seconds, less than 32 years"),
    "until": (lambda value: not value or _is_time(value), 'a time, "2026-11-25T04:00:00", or nothing for never'),
}
"""What the value of a key must be, whatever the kind."""
OF_KIND: Final[Mapping[tuple[str, str], Check]] = {
    ("busy", "status"): _REFUSAL,
    ("failing", "status"): _REFUSAL,
    ("expired", "status"): (lambda value: value in {401, 403}, "401 or 403"),
    ("redirected", "status"): (lambda value: value in {301, 302, 303, 307, 308}, "301, 302, 303, 307 or 308"),
    ("redirected", "to"): (lambda value: "://" in value, 'the root of an address, "http://127.0.0.1:9/"'),
    ("stalled", "after"): _COUNT,
    ("put-cut", "after"): _COUNT,
}
"""What it must be at one kind."""


def read_orders(path: Path) -> list[Fault]:
    """Read the faults that a TOML file orders; a relative `source` is looked for beside the file.

    Raises
    ------
    FaultsUnreadable
        It can not be read, or orders what can not happen.
    """
    try:
        text = tomllib.loads(path.read_bytes().decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FaultsUnreadable(f"{path}: {error}") from error
    entries = text.pop("fault", [])
    if text:
        raise FaultsUnreadable(f"{path}: there is {', '.join(map(repr, text))}; each fault begins with [[fault]]")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise FaultsUnreadable(f"{path}: each fault begins with [[fault]], in double brackets")
    return [_read(path, number, entry) for number, entry in enumerate(entries, 1)]


def complaint(fault: Fault) -> str | None:
    """Say why a fault could never happen as it is ordered; None if it can."""
    for entry in dataclasses.fields(fault):
        value = getattr(fault, entry.name)
        good, wanted = OF_KIND.get((fault.kind, entry.name)) or CHECKS.get(entry.name) or (lambda _: True, "")
        if not good(value):
            return f"{entry.name} = {value!r} makes no sense: {wanted} is expected"
    if not any(fnmatch.fnmatchcase(service, fault.at) for service in _ASKED):
        near = difflib.get_close_matches(fault.at, _ASKED, 1)
        meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SERVICES)}"
        return f"at = {fault.at!r} is no service; {meant}"
    if isinstance(fault, Replaced | Renewed):
        return _without_source(fault.source)
    return None


def _without_source(source: str) -> str | None:
    if not source:
        return 'source = "" names no file; give the path of the file that takes the place: source = "other.fits.fz"'
    if not Path(source).is_file():
        return f"source = {source!r} is no file; give the path of the one that takes the place"
    return None


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _read(path: Path, number: int, entry: Mapping[str, Any]) -> Fault:
    given = dict(entry)
    kind = given.pop("kind", "")
    if not isinstance(kind, str) or kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise FaultsUnreadable(f"{path}: fault {number}: kind = {kind!r} is none of {', '.join(sorted(KINDS))}{meant}")
    where = f"{path}: fault {number} ({kind})"
    known = {field.name: type(field.default) for field in dataclasses.fields(KINDS[kind])}
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1) or sorted(known)
            raise FaultsUnreadable(f"{where} has no {key!r}; did you mean {near[0]!r}?")
        if type(value) is not known[key] and not (known[key] is float and type(value) is int):
            shown = {"str": "a text in quotes", "int": "a whole number", "float": "a number"}[known[key].__name__]
            raise FaultsUnreadable(f"{where}: {key} = {value!r} makes no sense: {shown} is expected")
    if given.get("source"):
        given["source"] = str(path.parent / given["source"])
    fault = KINDS[kind](**given)
    if said := complaint(fault):
        raise FaultsUnreadable(f"{where}: {said}")
    return fault
