"""Retention: what may go from a node, and why. Pure: facts in, decisions out, each with its reason.

One rule stands above all: the last verified file of anything that is wanted
stays. What may go is what the archive has acknowledged, what a newer generation
or recipe has replaced, scratch of jobs that ended, and what was set aside; and
nothing before its days are over.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from terapix.hosts import RetentionSection


class Ground(enum.StrEnum):
    """Why a file may go."""

    SUPERSEDED_FRAME = "superseded-frame"  #: a newer generation of the frame is verified and held
    SUPERSEDED_PRODUCT = "superseded-product"  #: a newer product of its kind is verified and held
    ACKNOWLEDGED = "acknowledged"  #: the archive holds the same bytes, and has said so
    SCRATCH = "scratch"  #: its job has ended
    SET_ASIDE = "set-aside"  #: it was damaged or strange


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that might go, with all that is known of it."""

    ground: Ground
    node: str
    path: str
    size: int
    since: datetime
    """From when its days count: when it was replaced, acknowledged, set aside or last written."""
    subject: str = ""
    """Frame it is of, if known."""
    survivors: tuple[str, ...] = ()
    """Where verified bytes of what is wanted remain: nodes, the reception, the archive."""
    wanted: bool = True
    """Whether anything wanted would be lost with it, had it no survivors; false for scratch and strangers' files."""
    busy: bool = False
    """Whether a job, a move or a fetch may be using it now."""
    row: tuple[str, int] | None = None
    """Table and row that tell of it; none for leftovers."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a candidate, and why, in words."""

    candidate: Candidate
    goes: bool
    why: str


LAST: Final = "it is the last of its kind: no verified file of what is wanted would remain"
NEVER: Final = "kept for ever: retention.{setting} is 0"
SETTINGS: Final = {
    Ground.SUPERSEDED_FRAME: "superseded_days",
    Ground.SUPERSEDED_PRODUCT: "superseded_days",
    Ground.ACKNOWLEDGED: "acknowledged_days",
    Ground.SCRATCH: "scratch_days",
    Ground.SET_ASIDE: "set_aside_days",
}
"""Setting that says after how many days a file may go."""
IN_WORDS: Final = {
    Ground.SUPERSEDED_FRAME: "a newer generation replaced it on",
    Ground.SUPERSEDED_PRODUCT: "a newer product replaced it on",
    Ground.ACKNOWLEDGED: "the archive acknowledged it on",
    Ground.SCRATCH: "no job uses it since",
    Ground.SET_ASIDE: "it was set aside on",
}


def decide(candidates: Iterable[Candidate], policy: RetentionSection, *, now: datetime) -> list[Decision]:
    """Decide of each candidate whether it may go; those that may go come first, the longest due before all."""
    decisions = [_decide(candidate, policy, now) for candidate in candidates]
    return sorted(decisions, key=lambda made: (not made.goes, made.candidate.since, made.candidate.path))


def days_of(ground: Ground, policy: RetentionSection) -> float:
    """Days after which a file may go; 0: never."""
    match ground:
        case Ground.SUPERSEDED_FRAME | Ground.SUPERSEDED_PRODUCT:
            return policy.superseded_days
        case Ground.ACKNOWLEDGED:
            return policy.acknowledged_days
        case Ground.SCRATCH:
            return policy.scratch_days
        case Ground.SET_ASIDE:
            return policy.set_aside_days


def _decide(candidate: Candidate, policy: RetentionSection, now: datetime) -> Decision:
    setting = SETTINGS[candidate.ground]
    days = days_of(candidate.ground, policy)
    if candidate.wanted and not candidate.survivors:
        return Decision(candidate, goes=False, why=LAST)
    if candidate.busy:
        return Decision(candidate, goes=False, why="it may be in use now")
    if not days:
        return Decision(candidate, goes=False, why=NEVER.format(setting=setting))
    due = candidate.since + timedelta(days=days)
    said = f"{IN_WORDS[candidate.ground]} {candidate.since:%Y-%m-%d}"
    if now < due:
        return Decision(candidate, goes=False, why=f"{said}; it may go on {due:%Y-%m-%d}")
    remains = f"; verified bytes remain: {', '.join(candidate.survivors)}" if candidate.survivors else ""
    return Decision(candidate, goes=True, why=f"{said}{remains}")


@dataclass(frozen=True, slots=True)
class Filling:
    """How full a node is."""

    held: int
    """Bytes of ours there."""
    capacity: int
    """Bytes that we may use there."""
    free: int
    """Bytes that its disks have for us."""
    total: int
    """Bytes of its disks."""

    @property
    def share(self) -> float:
        """Filled share, 0 to 1: of what we may use, or of its disks, whichever is more."""
        ours = self.held / self.capacity if self.capacity else 0.0
        disks = 1.0 - self.free / self.total if self.total else 0.0
        return max(ours, disks)
