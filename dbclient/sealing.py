"""Sealing: one process seals what all have written, and anybody may read the history against its seals."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from dbclient.chain import NONE_BEFORE, Deed, Misfit, Reading, digest_of, make_seal
from dbclient.database import Database
from dbclient.records import SealRecord
from dbclient.stores.seals import Seals

MOST: Final = 1000
"""Events under one seal: they are in memory together."""
KEPT: Final = 20
"""Misfits that are told one by one; more are counted."""
STRANGERS: Final = 10_000
"""Events in gaps that are remembered until a later seal claims them; more than so many nobody wrote in good faith."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """What came of one sealing."""

    events: int = 0
    """Events that it covers; 0: there was nothing to seal, or another process was first."""
    last: int = 0
    digest: str = NONE_BEFORE


async def seal(database: Database, *, now: datetime, most: int = MOST) -> Sealed:
    """Put the next seal on what is committed and unsealed.

    Writers never wait for it: it reads beside them, and the lock of SQLite is
    held for the one row. Two that seal at once do no harm: one of them seals nothing.
    """
    seals = Seals()
    async with database.read() as session:
        before = await seals.newest(session)
        running = await seals.running(session)
        events = await seals.behind(session, before.last if before else 0, limit=most)
        awaited = [(first, last) for first, last, *_ in before.awaited] if before else []
        late = await seals.within(session, awaited, limit=most)
    if not events and not late:
        return Sealed()
    columns = make_seal(before, events, late, running=running, now=now)
    async with database.write() as session:
        added = await seals.append(session, columns)
    return Sealed(columns["events"], columns["last"], columns["digest"]) if added else Sealed()


@dataclass(slots=True)
class Findings:
    """What a reading of the history against its seals found."""

    seals: int = 0
    events: int = 0
    """Events that were compared."""
    unsealed: int = 0
    """Events that no seal covers yet."""
    misfits: list[Misfit] = field(default_factory=list)
    """The first of those that were found, in the order of the seals."""
    more: int = 0
    """Others."""
    digest: str = NONE_BEFORE
    """Of the newest seal: noted elsewhere, it holds the whole history up to there."""
    met: bool | None = None
    """Whether a digest that was noted elsewhere is among the seals; none if nobody asked."""

    @property
    def fits(self) -> bool:
        return not self.misfits and self.met is not False

    def add(self, misfit: Misfit) -> None:
        if len(self.misfits) < KEPT:
            self.misfits.append(misfit)
        else:
            self.more += 1


async def verify(
    database: Database, *, noted: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Findings:
    """Read the whole history against its seals, one seal at a time; `progress` is told events done and all.

    Parameters
    ----------
    noted : digest of a seal as it was noted elsewhere; it must be among those that are found
    """
    seals, found = Seals(), Findings(met=None if noted is None else noted == NONE_BEFORE)
    async with database.read() as session:
        newest = await seals.newest(session)
    before: SealRecord | None = None
    strangers: dict[int, int] = {}
    while True:
        async with database.read() as session:
            current = await seals.following(session, before.id if before else 0)
            if current is None:
                break
            if not _follows(current, before):
                found.add(Misfit(Deed.RESEALED, current.after + 1, current.id))
                return found
            events = await seals.between(session, current.after, current.last)
            late = await seals.numbered(session, current.late)
        misfits, unclaimed = await asyncio.to_thread(Reading(current).compare, events, late)
        for misfit in misfits:
            found.add(misfit)
        for number in current.late:
            strangers.pop(number, None)
        for event in unclaimed[: STRANGERS - len(strangers)]:
            strangers[event.id] = current.id
        found.seals, found.events, found.digest = found.seals + 1, found.events + current.events, current.digest
        found.met = found.met or (current.digest == noted if noted is not None else None)
        if progress and newest:
            progress(current.last, max(newest.last, current.last))
        before = current
    awaited = [(first, last) for first, last, *_ in before.awaited] if before else []
    for number, covering in strangers.items():
        if any(first <= number <= last for first, last in awaited):
            found.unsealed += 1
        else:
            found.add(Misfit(Deed.PUT_IN, number, covering))
    async with database.read() as session:
        found.unsealed += await seals.unsealed(session, before.last if before else 0)
    return found


def _follows(seal: SealRecord, before: SealRecord | None) -> bool:
    """Tell whether a seal says what its digest is of, and goes on where the one before ended."""
    end, digest = (before.last, before.digest) if before else (0, NONE_BEFORE)
    return seal.before == digest and seal.after == end and digest_of(seal) == seal.digest
