"""What may go wrong at an archive, on order.

Each fault is a frozen record that says what happens, to which files (a shell
pattern over file names) or at which service, and how many times; `Faults`
counts them down. The handlers ask `Faults` at each request, so that faults can
be added while the stand-in runs. Chance has no part in it: a fault with a
probability strikes by a hash of its seed, the file and the number of the
request for that file. From the command line they are read from TOML:

    [[fault]]
    kind = "dropped"
    name = "979412p*"
    after = 1000000
    times = 2
"""

import dataclasses
import difflib
import fnmatch
import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from snooppix.standin.kinds import (
    ALWAYS,
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
    Standing,
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
    """A file of faults that does not say what it should."""


KINDS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        Down, Refused, Busy, Stalled, LoginPage, Dropped, Slow, Short, WrongDigest, NoDigest, HexDigest, Flipped,
        WholeForRange, Replaced, Missing, Unlocated, Gzip, QueryError, DuplicateRows, Failing, Unauthorised,
        Forbidden, Redirected, Expired, WrongRange, Renewed, Overflow, SyncElsewhere, PutCut, PutDamaged, PutLost,
        Hidden, Withdrawn, ClockSkew, Listed,
    )
}  # fmt: skip

Kind = TypeVar("Kind", bound=Fault)


@dataclass(slots=True)
class _Order:
    """A fault with what is left of it."""

    fault: Fault
    left: int
    skip: int


class Faults:
    """The faults that stand, and those that were committed."""

    def __init__(self, *faults: Fault) -> None:
        self._orders: list[_Order] = []
        self._asked: Counter[str] = Counter()
        self.committed: list[tuple[Fault, str]] = []
        """Each fault that happened, with the file or service it happened to."""
        self.version = 0
        """Rises with each change of the standing faults."""
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Let these happen from now on."""
        self._orders += [_Order(fault, fault.times, fault.skip) for fault in faults]
        self.version += 1

    def clear(self) -> None:
        """Let nothing more happen."""
        self._orders.clear()
        self.version += 1

    @property
    def standing(self) -> tuple[Fault, ...]:
        """Faults that are still to happen."""
        return tuple(order.fault for order in self._orders)

    def peek(self, kind: type[Kind], name: str, *, at: str = "") -> Kind | None:
        """Find a standing fault of this kind for a file (and a service), without counting it down.

        With a probability, only `Standing` faults are found, and always at the same files.
        """
        for order in self._matching(kind, name, at):
            fault = order.fault
            chosen = fault.probability >= 1 or (isinstance(fault, Standing) and _chosen(fault, name, 0))
            if isinstance(fault, kind) and chosen and order.skip == 0:
                return fault
        return None

    def take(self, kind: type[Kind], name: str, *, at: str = "") -> Kind | None:
        """Find a standing fault and count it down."""
        for order in self._matching(kind, name, at):
            fault = order.fault
            if fault.probability < 1:
                self._asked[name or at] += 1
                if not _chosen(fault, name or at, self._asked[name or at]):
                    continue
            if order.skip:
                order.skip -= 1
                continue
            if isinstance(fault, kind):
                self._commit(order, name or at)
                return fault
        return None

    def _matching(self, kind: type[Fault], name: str, at: str) -> Iterator[_Order]:
        return (order for order in self._orders if isinstance(order.fault, kind) and _strikes(order.fault, name, at))

    def _commit(self, order: _Order, where: str) -> None:
        self.committed.append((order.fault, where))
        if order.left != ALWAYS:
            order.left -= 1
            if order.left == 0:
                self._orders.remove(order)
                self.version += 1

    @classmethod
    def read(cls, path: Path) -> "Faults":
        """Read faults from a TOML file.

        Raises
        ------
        FaultsUnreadable
            It is no TOML, or names a kind or a key that does not exist.
        """
        try:
            entries = tomllib.loads(path.read_text()).get("fault", [])
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise FaultsUnreadable(f"{path}: {error}") from error
        return cls(*(_fault(path, number, entry) for number, entry in enumerate(entries, 1)))


def _strikes(fault: Fault, name: str, at: str) -> bool:
    return fnmatch.fnmatchcase(at, fault.at) and fnmatch.fnmatchcase(name, fault.name)


def _chosen(fault: Fault, where: str, number: int) -> bool:
    """Decide as a die would, and always the same for the same fault, file and request."""
    thrown = hashlib.blake2b(f"{fault.seed} {fault.kind} {where} {number}".encode(), digest_size=8).digest()
    return int.from_bytes(thrown) < fault.probability * 2**64


def _fault(path: Path, number: int, entry: Mapping[str, Any]) -> Fault:
    given = dict(entry)
    kind = str(given.pop("kind", ""))
    if kind not in KINDS:
        raise FaultsUnreadable(f"{path}: fault {number}: kind = {kind!r} is none of {', '.join(sorted(KINDS))}")
    known = {field.name: type(field.default) for field in dataclasses.fields(KINDS[kind])}
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1) or sorted(known)
            raise FaultsUnreadable(f"{path}: fault {number} ({kind}) has no {key!r}; did you mean {near[0]!r}?")
        if type(value) is not known[key] and not (known[key] is float and type(value) is int):
            raise FaultsUnreadable(f"{path}: fault {number} ({kind}): {key} = {value!r} is no {known[key].__name__}")
    return KINDS[kind](**given)
