"""The kinds of faults: each says what happens, to which files or at which service, and how many times."""

from dataclasses import dataclass
from typing import ClassVar

ALWAYS = 0
"""Number of times of a fault that never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What all faults have: where they strike, and how often."""

    kind: ClassVar[str] = ""
    name: str = "*"
    """Shell pattern over file names."""
    at: str = "*"
    """Shell pattern over services: reg, argus, raven, minoc (minoc2, minoc3: its mirrors), caom2ops, login."""
    times: int = 1
    """Number of times it happens; 0: always."""
    skip: int = 0
    """Number of times that it could happen and does not, before it does."""
    probability: float = 1.0
    """Share of those times that it could happen; a standing fault strikes this share of the files."""
    seed: int = 0
    """The same seed and the same requests give the same faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfQuery(Fault):
    """A fault of a query; with a `name`, of those whose answer tells of such a file."""

    at: str = "argus"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service(Fault):
    """A fault of a whole service; `name` holds where a file is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing(Fault):
    """A fault that no request brings about and none uses up: it holds until it is taken back.

    `times` and `skip` count files: the first `skip` that anybody asks about
    are left alone, the next `times` are struck, and always the same ones.
    """

    times: int = ALWAYS


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
    at: str = "minoc*"
    status: int = 503
    retry_after: str = "1"
    """Seconds or an HTTP date, as sent; empty: no such header."""
    date_in: int = -1
    """If not negative: Retry-After is the date so many seconds from now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled(Service):
    """Nothing more comes, on a connection that stays open."""

    kind: ClassVar[str] = "stalled"
    at: str = "minoc*"
    after: int = 0
    """Bytes of the body that come first, for files; other services stall before their answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginPage(Service):
    """A web page with status 200 in place of the answer."""

    kind: ClassVar[str] = "login-page"
    at: str = "minoc*"


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
class QueryError(OfQuery):
    """A query is answered with status 200 and QUERY_STATUS ERROR in the table."""

    kind: ClassVar[str] = "query-error"
    message: str = "the database is away"


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateRows(OfQuery):
    """Each row of the answer to a query comes twice; with a `name`, those of such a file."""

    kind: ClassVar[str] = "duplicate-rows"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing(Service):
    """The service fails: 500 or another status."""

    kind: ClassVar[str] = "failing"
    at: str = "minoc*"
    status: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Unauthorised(Service):
    """The service wants a credential, whatever the caller has: 401 with challenges."""

    kind: ClassVar[str] = "unauthorised"
    at: str = "minoc*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbidden(Service):
    """The service knows the caller and refuses: 403."""

    kind: ClassVar[str] = "forbidden"
    at: str = "minoc*"
    message: str = "invalid proxy certficate"
    """As the real archive spells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected(Service):
    """The caller is sent to a foreign host."""

    kind: ClassVar[str] = "redirected"
    at: str = "minoc*"
    to: str = "http://foreign.invalid/"
    """Root of its address; the path is put behind it."""
    status: int = 303


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired(Fault):
    """The pre-authorised address that is used counts no more from now on: the file must be located again."""

    kind: ClassVar[str] = "expired"
    status: int = 403
    """401 or 403."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongRange(Fault):
    """Content-Range of a 206 tells of other bytes than come."""

    kind: ClassVar[str] = "wrong-range"
    shift: int = 1
    """Bytes by which start and end are wrong."""
    total: int = -1
    """Total it tells; -1: the right one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed(Fault):
    """Another content has the name from this request on: new length, digest and artifact id."""

    kind: ClassVar[str] = "renewed"
    source: str = ""
    """Path of the file that takes its place (it is copied)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overflow(OfQuery):
    """An answer ends early, as at the service's own MAXREC: a VOTable tells, CSV and TSV do not."""

    kind: ClassVar[str] = "overflow"
    rows: int = 0
    """Rows that come; with a `name`, those before that file's, and so many more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncElsewhere(OfQuery):
    """A query by POST is answered with 303: the answer is at another address."""

    kind: ClassVar[str] = "sync-elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class PutCut(Fault):
    """The connection ends while a file or a segment is put; nothing of it is kept."""

    kind: ClassVar[str] = "put-cut"
    after: int = 0
    """Bytes that come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutDamaged(Fault):
    """One byte of what is put is stored wrong, and the digest tells."""

    kind: ClassVar[str] = "put-damaged"
    byte: int = 0
    """Its place in the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutLost(Fault):
    """The site has forgotten the transaction: 404."""

    kind: ClassVar[str] = "put-lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden(Standing):
    """Plane and observation are not in the catalogue: their metadata are not public; the artifact's row is there."""

    kind: ClassVar[str] = "hidden"
    until: str = ""
    """Time (2026-11-25T04:00:00) at which they appear, without any new lastModified; empty: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawn(Standing):
    """The archive has taken the frame back: no row, no place, 404."""

    kind: ClassVar[str] = "withdrawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(Standing):
    """The archive's clock is wrong: Date, Last-Modified and stamps of the catalogue; with a `name`, of that file."""

    kind: ClassVar[str] = "clock-skew"
    seconds: float = 0.0
    """By which it is fast; negative: slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Standing):
    """The catalogue says something else of a file than is true, as long as the fault stands."""

    kind: ClassVar[str] = "listed"
    uri: str = ""
    """URI in place of the right one; may be hostile."""
    length: int = -1
    """contentLength; -1: the right one."""
    checksum: str = ""
    """contentChecksum; empty: the right one."""
    lag: float = 0.0
    """Seconds by which lastModified is older than the row is visible: committed late with an old stamp."""
