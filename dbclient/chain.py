"""The chain of the history: what a seal covers, and what does not fit it. Pure: rows come in, seals and misfits go out.

Each event has a digest of its own; a seal has one over the events that it covers
and over the seal before. So nobody can change, remove or put in an event between
others without every later seal being made anew as well; and whoever has noted the
digest of a later seal elsewhere finds that, too.

Events are sealed in the order of their numbers. On PostgreSQL a number is drawn
before its event is committed, so that a number may be missing when its neighbours
are sealed: it is told as a gap, awaited as long as a transaction of that time
still runs, and sealed late if it comes.
"""

import enum
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Final

from dbclient.records import EventRecord, SealRecord

NONE_BEFORE: Final = "0" * 64
"""What stands for the seal before the first one."""
MARK: Final = 8
"""Bytes of an event's digest that are kept: they only say where it does not fit, the seal's digest says that."""
GRACE: Final = timedelta(minutes=1)
"""A gap is awaited so long at least: a number is drawn an instant before its transaction counts as running."""
Range = tuple[int, int]
"""First and last number."""


class Deed(enum.StrEnum):
    CHANGED = "changed"  #: it says something else than when it was sealed
    REMOVED = "removed"  #: it was sealed and is not there
    PUT_IN = "put in"  #: it stands between others and was not there when they were sealed
    RESEALED = "resealed"  #: the seal itself does not fit the one before, or what it says


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something in the history that is not as it was sealed."""

    deed: Deed
    event: int
    """Number of the event; for a seal, the first that it covers."""
    seal: int
    """Number of the seal that it does not fit."""

    @property
    def sentence(self) -> str:
        if self.deed is Deed.RESEALED:
            return f"seal {self.seal}, from event {self.event} on, does not fit the one before it"
        return f"event {self.event} was {self.deed.value} after it was sealed (seal {self.seal})"


@dataclass(frozen=True, slots=True)
class Transactions:
    """Which transactions run when events are read: those below `oldest` have ended, `next` has not begun."""

    oldest: int
    next: int


ALL_ENDED: Final = Transactions(1, 0)
"""Where writers take turns (SQLite) a number that is missing will never come."""


def leaf(event: EventRecord) -> bytes:
    """Give the digest of an event over all that it says."""
    said = (
        *(event.id, event.at.astimezone(UTC).isoformat(timespec="microseconds"), event.source, event.kind),
        *(event.level.value, event.message, event.frame_id, event.node_id, event.data),
    )
    return blake2b(json.dumps(said, sort_keys=True, separators=(",", ":")).encode(), digest_size=32).digest()


def make_seal(
    before: SealRecord | None,
    events: Sequence[EventRecord],
    late: Sequence[EventRecord],
    *,
    running: Transactions,
    now: datetime,
) -> dict[str, Any]:
    """Give the columns of the next seal.

    Parameters
    ----------
    events : those behind the last seal, in order of their numbers
    late : those that lie in gaps which the last seal awaits
    running : as of the moment at which they were read
    """
    after = before.last if before else 0
    last = events[-1].id if events else after
    gaps = gaps_between([event.id for event in events], after)
    awaited = [[*gap, running.next, now.timestamp()] for gap in gaps if running.next]
    for first, end, horizon, since in before.awaited if before else ():
        if running.oldest < horizon or now.timestamp() - since < GRACE.total_seconds():
            rest = without((first, end), [event.id for event in late])
            awaited += [[*part, horizon, since] for part in rest]
    content, marks = blake2b(digest_size=32), []
    for event in (*events, *late):
        own = leaf(event)
        content.update(own)
        marks.append(own[:MARK])
    columns: dict[str, Any] = {
        "at": now,
        "before": before.digest if before else NONE_BEFORE,
        "after": after,
        "last": last,
        "events": len(marks),
        "gaps": [list(gap) for gap in gaps],
        "late": [event.id for event in late],
        "awaited": awaited,
        "content": content.hexdigest(),
        "marks": b"".join(marks),
    }
    return {**columns, "digest": digest_of(SealRecord(id=0, digest="", **columns))}


def digest_of(seal: SealRecord) -> str:
    """Give the digest that a seal must have from what it says."""
    said = (
        *(seal.at.astimezone(UTC).isoformat(timespec="microseconds"), seal.before, seal.after, seal.last),
        *(seal.events, seal.gaps, seal.late, seal.awaited, seal.content, seal.marks.hex()),
    )
    return blake2b(json.dumps(said, separators=(",", ":")).encode(), digest_size=32).hexdigest()


def gaps_between(numbers: Sequence[int], after: int) -> list[Range]:
    """Give the ranges of numbers behind `after` that are missing among ordered ones."""
    found: list[Range] = []
    for number in numbers:
        if number > after + 1:
            found.append((after + 1, number - 1))
        after = number
    return found


def without(whole: Range, numbers: Sequence[int]) -> list[Range]:
    """Give what is left of a range when ordered numbers are taken out."""
    first, last = whole
    inside = [number for number in numbers if first <= number <= last]
    return gaps_between([*inside, last + 1], first - 1)


def covered(seal: SealRecord) -> Iterator[int]:
    """Give the numbers of the events that a seal covers in its own stretch."""
    start = seal.after + 1
    for first, last in seal.gaps:
        yield from range(start, first)
        start = last + 1
    yield from range(start, seal.last + 1)


@dataclass(slots=True)
class Reading:
    """The events of one seal, compared as they are read; what a gap holds is left for later seals to claim."""

    seal: SealRecord

    def compare(
        self, events: Sequence[EventRecord], late: Collection[EventRecord]
    ) -> tuple[list[Misfit], list[EventRecord]]:
        """Give what does not fit, and the events that lie in the seal's gaps."""
        found: list[Misfit] = []
        strangers: list[EventRecord] = []
        held = {event.id: event for event in events}
        content = blake2b(digest_size=32)
        marks = self.seal.marks
        known = {event.id: event for event in late}
        for place, number in enumerate((*covered(self.seal), *self.seal.late)):
            event = known.get(number) if place >= self.seal.events - len(self.seal.late) else held.pop(number, None)
            if event is None:
                found.append(Misfit(Deed.REMOVED, number, self.seal.id))
                continue
            own = leaf(event)
            content.update(own)
            if own[:MARK] != marks[place * MARK : (place + 1) * MARK]:
                found.append(Misfit(Deed.CHANGED, number, self.seal.id))
        strangers = list(held.values())
        if not found and content.hexdigest() != self.seal.content:
            found.append(Misfit(Deed.CHANGED, self.seal.after + 1, self.seal.id))
        return found, strangers
