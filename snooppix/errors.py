"""What can go wrong between the archive and the reception disk.

    TerapixError
    ├── ArchiveError             a service of the archive does not do its part
    │   ├── ArchiveSilent        no answer, or none in time: look again later
    │   ├── NotAdmitted          a service wants to know who asks (401), or refuses who does (403)
    │   ├── ListingRefused       the archive answers a query with an error, even inside a 200
    │   ├── ListingBroken        an answer that is no table
    │   ├── RuleNotFollowed      a rule of the selection asks for what the archive's table does not tell
    │   └── UnsafeAddress        leads to a host that the settings do not allow
    ├── FetchError               one frame, one try
    │   ├── Unreachable          time-out, reset, short body, 408, 5xx: resume, next mirror, backoff
    │   ├── Busy                 429, 503: the whole host rests as long as it asks
    │   ├── Resting              the breaker of the host is open: not asked, no try is counted
    │   ├── NotStored            404 for a file that is listed: slow retries for 48 h
    │   ├── NotSignedIn          401: nobody's try is worth making until the credential is seen to
    │   ├── NotAllowed           403: parked until the release date
    │   ├── Changed              the archive has another file under this name than it listed
    │   ├── Damaged              the digest differs: again from another mirror, then quarantine
    │   ├── NotFits              a login page, or anything else that is no FITS file
    │   ├── NoRoom               the reception disk is full: no try is counted
    │   ├── NoNode               no node has room for it, or will have: it is not begun, no try is counted
    │   └── TooLarge             no node could hold it if it were empty: it is never begun
    ├── Rejection                the file arrived whole and is not what we take
    └── Refused                  what an operator asks cannot be done, for the reason that is its text

What is done about each stands in `snooppix.treatment`.
"""

from datetime import datetime

from terapix.errors import TerapixError


class ArchiveError(TerapixError):
    """A service of the archive does not do its part."""


class ArchiveSilent(ArchiveError):
    """No answer, or none in time."""

    retryable = True

    def __init__(self, address: str, why: str, *, retry_after: float | None = None, status: int | None = None) -> None:
        super().__init__(f"the archive does not answer at {address}: {why}")
        self.address = address
        self.retry_after = retry_after
        """Seconds that the archive asked us to wait."""
        self.status = status
        """What it answered in place of what it was asked for; none: nothing."""

    @property
    def refuses(self) -> bool:
        """Whether it is well and does not like what it was asked."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in {408, 425, 429}


class NotAdmitted(ArchiveError):
    """A service wants to know who asks, or knows and refuses."""

    retryable = True

    def __init__(self, address: str, status: int) -> None:
        meaning = {401: "it wants to know who asks", 403: "it knows who asks, and refuses"}.get(status, "it refuses us")
        super().__init__(f"{address} answers with status {status}: {meaning}")
        self.address = address
        self.status = status


class ListingRefused(ArchiveError):
    """The archive understood the query and answers it with an error."""

    retryable = True

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"the archive refuses a query at {address}: {why}")
        self.address = address


class ListingBroken(ArchiveError):
    """An answer that cannot be read."""

    retryable = True

    def __init__(self, address: str, why: str) -> None:
        super().__init__(f"the answer of {address} cannot be read: {why}")
        self.address = address


class RuleNotFollowed(ArchiveError):
    """A rule of the selection looks at something that the archive's table has no column for."""

    def __init__(self, rule: str, *, table: str, lacks: str) -> None:
        super().__init__(f"selection.{rule} cannot be followed at this archive: {table} does not tell the {lacks}")
        self.rule = rule
        self.table = table
        self.lacks = lacks


class UnsafeAddress(ArchiveError):
    """An address that leads to a host which the settings do not allow."""

    def __init__(self, address: str, *, allowed: tuple[str, ...]) -> None:
        hosts = ", ".join(allowed) or "none"
        super().__init__(
            f"{address} is not followed: its host is none of {hosts}; add it to archive.hosts if it is trusted"
        )
        self.address = address


class FetchError(TerapixError):
    """One try to fetch one file failed."""

    retryable = True

    def __init__(self, frame: str, host: str, why: str) -> None:
        super().__init__(f"{frame} from {host}: {why}")
        self.frame = frame
        self.host = host
        self.why = why


class Unreachable(FetchError):
    """No connection, no byte in time, a cut connection, or an error of the server itself."""


class Busy(FetchError):
    """The server asks to be left alone for a while."""

    def __init__(self, frame: str, host: str, why: str, *, retry_after: float | None) -> None:
        super().__init__(frame, host, why)
        self.retry_after = retry_after
        """Seconds that the server asked for; none: it did not say."""


class Resting(FetchError):
    """No host that has the file is asked at present."""

    def __init__(self, frame: str, host: str, why: str, *, until: datetime) -> None:
        super().__init__(frame, host, why)
        self.until = until
        """When it is asked again."""


class NotStored(FetchError):
    """Listed, and not (yet) there."""


class NotSignedIn(FetchError):
    """The server wants to know who asks."""


class NotAllowed(FetchError):
    """The server knows who asks, and refuses."""


class Changed(FetchError):
    """The archive has another file under this name than the one that was listed."""


class Damaged(FetchError):
    """All bytes came, and their digest is not the one that was listed."""

    def __init__(self, frame: str, host: str, *, expected: str, found: str) -> None:
        super().__init__(frame, host, f"its digest is {found}, the archive lists {expected}")
        self.expected = expected
        self.found = found


class NotFits(FetchError):
    """What came is no FITS file: most often a login or an error page with status 200."""

    def __init__(self, frame: str, host: str, why: str, *, head: bytes = b"") -> None:
        super().__init__(frame, host, why)
        self.head = head
        """First bytes of what came instead, as evidence."""


class NoRoom(FetchError):
    """The reception disk cannot take the file."""

    def __init__(self, frame: str, *, needed: int, missing: int, where: str = "") -> None:
        super().__init__(
            frame,
            "reception",
            f"the reception disk needs {needed / 1e6:.0f} MB for it and about {_rounded(missing)} MB are missing"
            + (f": {where}" if where else ""),
        )
        self.needed = needed
        self.missing = missing


class NoNode(FetchError):
    """No node has room for the frame and its maps, or will have when its jobs have ended."""


class TooLarge(FetchError):
    """No node could hold the frame and its maps even if it were empty."""


def _rounded(missing: int) -> int:
    """Megabytes, so coarse that a sentence about them does not change with every look at the disk."""
    step = 100_000_000 if missing > 1_000_000_000 else 10_000_000
    return -(-max(missing, 1) // step) * step // 1_000_000


class Rejection(TerapixError):
    """The file is whole, and is not what we take."""

    def __init__(self, word: str, sentence: str) -> None:
        super().__init__(sentence)
        self.word = word
        """Name of the directory below from_CADC/rejected, as ``not-elixir``."""
        self.sentence = sentence

    def __reduce__(self) -> tuple[type["Rejection"], tuple[str, str]]:
        """Let it come back whole from the processes that unpack pixels."""
        return type(self), (self.word, self.sentence)


class Refused(TerapixError):
    """What an operator asks cannot be done, for the reason that is its text."""
