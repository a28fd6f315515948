"""What is done about each failure of a fetch: the table of status, class and action.

Waits of more than a moment are rows in the database, never sleeping tasks, so
that a restart forgets none and `terapix why` can tell them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from snooppix.errors import (
    Busy,
    Changed,
    Damaged,
    FetchError,
    NoNode,
    NoRoom,
    NotAllowed,
    NotFits,
    NotSignedIn,
    NotStored,
    Resting,
    TooLarge,
    Unreachable,
)
from terapix.retry import Backoff


class Class(StrEnum):
    """Kinds of trouble, each with its own manner of trying again."""

    BACKOFF = "backoff"  #: passes by itself: try again soon, then less and less often
    HOST = "host"  #: the whole host rests
    SLOW = "slow"  #: the archive's own house is not in order yet: hours
    CREDENTIAL = "credential"  #: no try is worth making until somebody sees to the credential
    RELEASE = "release"  #: parked until the pixels become public
    LISTING = "listing"  #: wait until the archive lists what it has
    INTEGRITY = "integrity"  #: what came is wrong: a few more tries, then quarantine
    ROOM = "room"  #: the disk is full: not the frame's fault, no try is counted


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one class of failure is answered."""

    kind: Class
    backoff: Backoff
    """Waits between tries; its `attempts` bounds the counted ones beside what the settings allow."""
    counted: bool = True
    """Whether a try counts towards the frame's last one."""
    patience: timedelta | None = None
    """How long it may go on, counted from the first such failure, the waits growing with it; none: no such end."""


MANY: Final = 1_000_000
"""Tries where the settings alone set the end, or there is none."""
SOON = Backoff(first=5.0, factor=2.0, ceiling=900.0, attempts=MANY)
"""Seconds; a cut connection is back in a moment, an archive that is down is not."""
REST = Backoff(first=30.0, factor=1.0, ceiling=3600.0, attempts=MANY)
"""Seconds that a busy host rests when it does not say how long; the ceiling bounds what it may ask for."""
SLOWLY = Backoff(first=60.0, factor=2.0, ceiling=7200.0, attempts=MANY)
"""Seconds; rows are listed minutes to hours before their file is at every site."""
PARKED = Backoff(first=3600.0, factor=1.0, ceiling=3600.0, attempts=MANY)
"""Seconds between looks at a frame that we may not read yet."""
RELIST = Backoff(first=60.0, factor=1.0, ceiling=60.0, attempts=MANY)
"""Seconds; the next listing normally tells of the new file."""
AGAIN = Backoff(first=5.0, factor=4.0, ceiling=300.0, attempts=3)
"""Seconds; three bad copies are no accident."""
ROOM = Backoff(first=30.0, factor=1.0, ceiling=30.0, attempts=MANY)
"""Seconds between two looks at a full disk."""

LONGEST_BUSY: Final = 21_600.0
"""Seconds between tries of a file for which its host is busy each time: it is not to rest for this one alone."""
OUTAGE: Final = 3
"""Files in a row that could not be reached, after which no frame is blamed any more."""

TREATMENTS: Final[Mapping[type[FetchError], Treatment]] = {
    Unreachable: Treatment(Class.BACKOFF, SOON),
    Busy: Treatment(Class.HOST, REST, counted=False),
    Resting: Treatment(Class.HOST, REST, counted=False),
    NotStored: Treatment(Class.SLOW, SLOWLY, counted=False, patience=timedelta(hours=48)),
    NotSignedIn: Treatment(Class.CREDENTIAL, PARKED, counted=False),
    NotAllowed: Treatment(Class.RELEASE, PARKED, counted=False),
    Changed: Treatment(Class.LISTING, RELIST, counted=False),
    Damaged: Treatment(Class.INTEGRITY, AGAIN),
    NotFits: Treatment(Class.INTEGRITY, AGAIN),
    NoRoom: Treatment(Class.ROOM, ROOM, counted=False),
    NoNode: Treatment(Class.ROOM, ROOM, counted=False),
    TooLarge: Treatment(Class.ROOM, PARKED, counted=False),
}
"""Every class of failure has one row here."""

STATUSES: Final[Mapping[int, type[FetchError]]] = {
    401: NotSignedIn,
    403: NotAllowed,
    404: NotStored,
    408: Unreachable,
    410: NotStored,
    429: Busy,
    500: Unreachable,
    502: Unreachable,
    503: Busy,
    504: Unreachable,
}
"""HTTP status and what it means here; every other one above 399 is `Unreachable`. 416 is settled by the download."""


def failure(status: int, frame: str, host: str, *, retry_after: float | None = None) -> FetchError:
    """Return the error that an HTTP status stands for."""
    kind = STATUSES.get(status, Unreachable)
    why = f"the server answers with status {status}"
    return Busy(frame, host, why, retry_after=retry_after) if kind is Busy else kind(frame, host, why)


@dataclass(frozen=True, slots=True)
class Wait:
    """Try again at `until`."""

    until: datetime
    reason: str
    counted: bool
    alert: bool = False
    """Somebody has to see to it: an error, and no warning."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Keep what came as evidence and reject the frame."""

    word: str
    """Name of the directory below from_CADC/rejected."""
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Leave the frame to an operator."""

    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """What the decision needs to know of the frame."""

    tries: int
    """Counted tries before this one, in the present state."""
    since: datetime
    """When it failed so for the first time."""
    release: datetime | None
    limit: int
    """Counted tries that the settings allow."""
    outage: int = 0
    """Files in a row that nobody could fetch: from three on the archive is down and not the frame at fault."""
    busy: int = 0
    """Times in a row before this one that its host wanted a rest when it was asked for this file."""


def decide(error: FetchError, case: Case, *, now: datetime) -> Wait | Quarantine | GiveUp:
    """Say what becomes of a frame after `error`."""
    treatment = TREATMENTS[type(error)]
    if isinstance(error, Resting):
        return Wait(error.until, error.why, counted=False)
    number = case.tries + 1
    if isinstance(error, Unreachable) and case.outage >= OUTAGE:
        delay = treatment.backoff.delay(case.outage)
        return Wait(now + timedelta(seconds=delay), f"the archive is out of reach: {error.why}", counted=False)
    limit = min(treatment.backoff.attempts, case.limit)
    if treatment.counted and number >= limit:
        if treatment.kind is Class.INTEGRITY:
            word = "damaged" if isinstance(error, Damaged) else "not-fits"
            return Quarantine(word, f"{error.why}; {number} tries gave no better copy")
        return GiveUp(f"given up after {number} tries: {error.why}")
    age = now - case.since
    if treatment.patience is not None and age > treatment.patience:
        reason = f"listed by the archive and not to be had for {age / timedelta(hours=1):.0f} h: {error.why}"
        return Quarantine("listed-not-stored", reason)
    if treatment.kind is Class.RELEASE and case.release is not None and case.release > now:
        return Wait(case.release, f"not public before {case.release:%Y-%m-%d}: {error.why}", counted=False)
    if treatment.kind is Class.RELEASE and case.release is not None:
        reason = f"refused although it is public since {case.release:%Y-%m-%d}: {error.why}"
        return Wait(now + timedelta(seconds=treatment.backoff.first), reason, counted=False, alert=True)
    if isinstance(error, Busy):
        asked = error.retry_after if error.retry_after is not None else treatment.backoff.first
        delay = min(min(max(asked, 1.0), treatment.backoff.ceiling) * 2.0 ** min(case.busy, 32), LONGEST_BUSY)
    elif treatment.patience is not None:
        delay = min(max(treatment.backoff.first, age.total_seconds()), treatment.backoff.ceiling)
    else:
        delay = treatment.backoff.delay(number if treatment.counted else 1)
    reason = f"{error.why}; it waits for a credential" if treatment.kind is Class.CREDENTIAL else error.why
    return Wait(now + timedelta(seconds=delay), reason, counted=treatment.counted)
