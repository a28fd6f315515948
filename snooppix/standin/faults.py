"""What may go wrong at an archive, on order.

Each fault is a frozen record that says what happens, to which files (a shell
pattern over file names) or at which service, and how many times; `Faults`
counts them down. The handlers ask `Faults` at each request, so that faults can
be added while the stand-in runs. From the command line they are read from TOML:

    [[fault]]
    kind = "dropped"
    name = "979412p*"
    after = 1000000
    times = 2
"""

import dataclasses
import difflib
import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from terapix.errors import TerapixError

ALWAYS = 0
"""Number of times of a fault that never ends."""


class FaultsUnreadable(TerapixError):
    """A file of faults that does not say what it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What all faults have: where they strike, and how often."""

    kind: ClassVar[str] = ""
    name: str = "*"
    """Shell pattern over file names."""
    times: int = 1
    """Number of times it happens; 0: always."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Fault):
    """A fault of a whole service."""

    at: str = "*"
    """Shell pattern over services: reg, argus, raven, minoc, caom2ops. `name` holds where a file is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Down(Service):
    """The archive answers 503 to everything."""

    kind: ClassVar[str] = "down"
    times: int = ALWAYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Service):
    """The connection is closed before an answer."""

    kind: ClassVar[str] = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Busy(Service):
    """The service is overloaded: 503 or 429, with Retry-After."""

    kind: ClassVar[str] = "busy"
    at: str = "minoc"
    status: int = 503
    retry_after: str = "1"
    """Seconds or an HTTP date, as sent; empty: no such header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled(Service):
    """Nothing more comes, on a connection that stays open."""

    kind: ClassVar[str] = "stalled"
    at: str = "minoc"
    after: int = 0
    """Bytes of the body that come first, for files; other services stall before their answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage(Service):
    """A web page with status 200 in place of the answer."""

    kind: ClassVar[str] = "login-page"
    at: str = "minoc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped(Fault):
    """The connection ends in the middle of a body, whose length was announced right."""

    kind: ClassVar[str] = "dropped"
    after: int = 0
    """Bytes of the body sent before; negative: counted from the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow(Fault):
    """The body comes slowly."""

    kind: ClassVar[str] = "slow"
    rate: int = 100_000
    """Bytes per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Short(Fault):
    """The body lacks its end and its announced length agrees with what is sent."""

    kind: ClassVar[str] = "short"
    missing: int = 1
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongDigest(Fault):
    """The Digest header is that of something else."""

    kind: ClassVar[str] = "wrong-digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoDigest(Fault):
    """There is no Digest header."""

    kind: ClassVar[str] = "no-digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class HexDigest(Fault):
    """The Digest header is base64 of the hexadecimal text, as an older archive sent it."""

    kind: ClassVar[str] = "hex-digest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped(Fault):
    """One byte of the file arrives wrong; the length is right."""

    kind: ClassVar[str] = "flipped"
    byte: int = 0
    """Its place in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeForRange(Fault):
    """A Range is answered with 200 and the whole file."""

    kind: ClassVar[str] = "whole-for-range"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced(Fault):
    """The file is replaced by another of the same name while it is read, and the connection ends."""

    kind: ClassVar[str] = "replaced"
    after: int = 0
    """Bytes of the body sent before."""
    source: str = ""
    """Path of the file that takes its place (it is copied)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing(Fault):
    """The file is in the catalogue and not in the storage: 404 at locator and storage."""

    kind: ClassVar[str] = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlocated(Fault):
    """The locator knows no place: an empty list with status 200."""

    kind: ClassVar[str] = "unlocated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gzip(Fault):
    """The body is compressed for the way (Content-Encoding), asked for or not."""

    kind: ClassVar[str] = "gzip"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryError(Fault):
    """A query is answered with status 200 and QUERY_STATUS ERROR in the table."""

    kind: ClassVar[str] = "query-error"
    message: str = "the database is away"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateRows(Fault):
    """Each row of the answer to a query comes twice."""

    kind: ClassVar[str] = "duplicate-rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Fault):
    """The catalogue says something else of a file than is true, as long as the fault stands."""

    kind: ClassVar[str] = "listed"
    times: int = ALWAYS
    uri: str = ""
    """URI in place of the right one; may be hostile."""
    length: int = -1
    """contentLength; -1: the right one."""
    checksum: str = ""
    """contentChecksum; empty: the right one."""
    lag: float = 0.0
    """Seconds by which lastModified is older than the row is visible: committed late with an old stamp."""


KINDS: dict[str, type[Fault]] = {
    fault.kind: fault
    for fault in (
        Down, Refused, Busy, Stalled, LoginPage, Dropped, Slow, Short, WrongDigest, NoDigest, HexDigest, Flipped,
        WholeForRange, Replaced, Missing, Unlocated, Gzip, QueryError, DuplicateRows, Listed,
    )
}  # fmt: skip

Kind = TypeVar("Kind", bound=Fault)


class Faults:
    """The faults that stand, and those that were committed."""

    def __init__(self, *faults: Fault) -> None:
        self._left: list[list[Any]] = []
        self.committed: list[tuple[Fault, str]] = []
        """Each fault that happened, with the file or service it happened to."""
        self.version = 0
        """Rises with each change of the standing faults."""
        self.add(*faults)

    def add(self, *faults: Fault) -> None:
        """Let these happen from now on."""
        self._left += [[fault, fault.times] for fault in faults]
        self.version += 1

    def clear(self) -> None:
        """Let nothing more happen."""
        self._left.clear()
        self.version += 1

    @property
    def standing(self) -> tuple[Fault, ...]:
        """Faults that are still to happen."""
        return tuple(fault for fault, _ in self._left)

    def peek(self, kind: type[Kind], name: str, *, at: str = "") -> Kind | None:
        """Find a standing fault of this kind for a file (and a service), without counting it down."""
        for fault, _ in self._left:
            if isinstance(fault, kind) and _strikes(fault, name, at):
                return fault
        return None

    def take(self, kind: type[Kind], name: str, *, at: str = "") -> Kind | None:
        """Find a standing fault and count it down."""
        fault = self.peek(kind, name, at=at)
        if fault is None:
            return None
        self.committed.append((fault, name or at))
        for entry in self._left:
            if entry[0] is fault and entry[1] != ALWAYS:
                entry[1] -= 1
                if entry[1] == 0:
                    self._left.remove(entry)
                    self.version += 1
                break
        return fault

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
    if isinstance(fault, Service) and not fnmatch.fnmatchcase(at, fault.at):
        return False
    return fnmatch.fnmatchcase(name, fault.name)


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
