"""Sealing: one process seals what all have written, and anybody may read the history against its seals."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dbclient import archive as files
from dbclient.archive import ArchiveDamaged, ArchiveRecord
from dbclient.chain import NONE_BEFORE, Deed, Misfit, Reading, digest_of, make_seal
from dbclient.database import Database
from dbclient.records import EventRecord, SealRecord
from dbclient.stores.archives import Archives
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
    absent: int = 0
    """Events in archives that are not here or cannot be read: they were not compared."""
    absent_files: list[str] = field(default_factory=list)
    """These archives."""
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
    database: Database,
    *,
    archives: Path | None = None,
    noted: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Read the whole history against its seals, one seal at a time; `progress` is told events done and all.

    Parameters
    ----------
    archives : directory of the archives, from which older events are read
    noted : digest of a seal as it was noted elsewhere; it must be among those that are found
    """
    seals, found = Seals(), Findings(met=None if noted is None else noted == NONE_BEFORE)
    async with database.read() as session:
        newest = await seals.newest(session)
        shelf = _Shelf(archives, await Archives().of_events(session))
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
            events: Sequence[EventRecord] = await seals.between(session, current.after, current.last)
            late: Sequence[EventRecord] = await seals.numbered(session, current.late)
        misfits, unclaimed = list[Misfit](), list[EventRecord]()
        if await shelf.open(current.last):
            events, late = shelf.add(current, events, late)
            misfits, unclaimed = await asyncio.to_thread(Reading(current).compare, events, late)
        else:
            found.absent += current.events
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
    found.absent_files, found.events = shelf.absent, found.events - found.absent
    _judge(strangers, before, found)
    async with database.read() as session:
        found.unsealed += await seals.unsealed(session, before.last if before else 0)
    return found


def _judge(strangers: Mapping[int, int], newest: SealRecord | None, found: Findings) -> None:
    """Say of events in gaps that no seal claimed whether they may still be sealed, or were put in."""
    awaited = [(first, last) for first, last, *_ in newest.awaited] if newest else []
    for number, covering in strangers.items():
        if any(first <= number <= last for first, last in awaited):
            found.unsealed += 1
        else:
            found.add(Misfit(Deed.PUT_IN, number, covering))


class _Shelf:
    """The archives of events, of which one is open at a time."""

    def __init__(self, directory: Path | None, archives: Sequence[ArchiveRecord]) -> None:
        self._directory = directory
        self._left = list(archives)
        self._held: dict[int, EventRecord] = {}
        self._numbers: list[int] = []
        """Of these, in order."""
        self._open: ArchiveRecord | None = None
        self._legible = True
        self.absent: list[str] = []

    async def open(self, last: int) -> bool:
        """Open the archive of the seal that ends with an event, if it is archived; False if that cannot be read."""
        while self._left and (self._open is None or self._open.last < last):
            self._open = self._left.pop(0)
            try:
                if self._directory is None:
                    raise FileNotFoundError(self._open.path)
                told = await asyncio.to_thread(files.events, self._directory / self._open.path)
                self._held, self._legible = {event.id: event for event in told}, True
            except (OSError, ArchiveDamaged):
                self._held, self._legible = {}, False
                self.absent.append(self._open.path)
            self._numbers = sorted(self._held)
        if self._open is not None and self._open.last < last:
            self._open, self._held, self._numbers, self._legible = None, {}, [], True
        return self._legible

    def add(
        self, seal: SealRecord, events: Sequence[EventRecord], late: Sequence[EventRecord]
    ) -> tuple[Sequence[EventRecord], Sequence[EventRecord]]:
        """Give a seal's events: as they lie in the archive, and beside them what is in the table alone."""
        if not self._held:
            return events, late
        begin, end = (bisect_right(self._numbers, number) for number in (seal.after, seal.last))
        ours = {number: self._held[number] for number in self._numbers[begin:end]}
        whole = {event.id: event for event in events} | ours
        others = {event.id: event for event in late}
        others |= {number: self._held[number] for number in seal.late if number in self._held}
        return [whole[number] for number in sorted(whole)], [others[number] for number in sorted(others)]


def _follows(seal: SealRecord, before: SealRecord | None) -> bool:
    """Tell whether a seal says what its digest is of, and goes on where the one before ended."""
    end, digest = (before.last, before.digest) if before else (0, NONE_BEFORE)
    return seal.before == digest and seal.after == end and digest_of(seal) == seal.digest
