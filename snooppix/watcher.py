"""Follows the archive: what it lists is compared with what we know, page by page.

The bookmark moves only in the transaction that holds all rows before it, and
every look begins some time before it, since the archive commits rows late with
an older stamp. Rows are idempotent: seeing one again changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dbclient.database import Database
from dbclient.schema import FrameKind, Level
from dbclient.stores import Bookmarks, Events, Exchange, Frames
from dbclient.stores.sightings import Sighted, Sighting
from dbclient.stores.slab import Slab
from snooppix.archive import Archive, Batch
from snooppix.listing import kind_of
from terapix.clock import Clock
from terapix.journal import logger

log = logger("watcher")

SOURCE: Final = "snooppix"
FOLLOWED: Final = frozenset({FrameKind.OBJECT, FrameKind.PRODUCT})
"""What is taken as it is listed; flats and masks are asked for by the names that frames give."""
UNIT: Final = 10_000
"""Sightings a transaction: a tenth of a second, so that others may write in between."""
TOLD_SINGLY: Final = 100
"""New frames of one batch that each have a line in the log."""
MOST_TOLD: Final = 1000
"""Refused rows that a daemon tells of in its life: an archive that lists more is not worth more of our disk."""
MOST_REMEMBERED: Final = 50_000
"""Sightings kept in memory; a look-back window that holds more is compared with the database each time."""
CALIBRATION_PRIORITY: Final = 10
"""Frames wait for their flat and mask: those go first, behind what an operator asked for."""
NOTED: Final = timedelta(seconds=60)
"""Between two notes in the database that the archive was looked at, while it lists nothing new."""
ASK_AGAIN: Final = 300.0
"""Seconds after which an archive that lacked a calibration is asked for it again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the archive brought."""

    new: int = 0
    known: int = 0
    reprocessed: int = 0
    passed_over: int = 0
    returned: int = 0


@dataclass(slots=True)
class Memory:
    """What was seen lately, so that the rows of the look-back window cost no question to the database."""

    rows: dict[str, Sighting] = field(default_factory=dict)
    slabs: list[Slab] = field(default_factory=list)
    """What this look has listed by the thousand."""

    def fresh(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Leave out what was seen just so before."""
        known = self.rows.get
        return [seen for seen in sightings if known(seen.name) != seen]

    def overlaps(self, slab: Slab) -> bool:
        """Whether a slab lists what an earlier look may have listed just so."""
        return bool(self.rows) and not self.rows.keys().isdisjoint(slab.names)

    def add(self, slab: Slab, *, after: datetime | None) -> None:
        """Remember what is in the database now, and can be listed again by the next look."""
        self.slabs = [one for one in (*self.slabs, slab) if after is None or one.reaches(after)]
        if sum(one.count for one in self.slabs) > MOST_REMEMBERED:
            self.slabs.clear()

    def settle(self, *, after: datetime | None) -> None:
        """Make of the slabs of a look what the next look is compared with."""
        for slab in self.slabs:
            self.keep(slab.read(range(slab.count) if after is None else slab.since(after)), after=after)
        self.slabs.clear()

    def keep(self, sightings: Iterable[Sighting], *, after: datetime | None) -> None:
        """Remember what is in the database now; what the next look cannot list again is forgotten."""
        self.rows.update((seen.name, seen) for seen in sightings)
        if len(self.rows) > MOST_REMEMBERED:
            self.forget(before=after)
        if len(self.rows) > MOST_REMEMBERED:
            self.rows.clear()

    def forget(self, *, before: datetime | None) -> None:
        """Forget what was changed before a moment."""
        if before is not None:
            kept = self.rows.items()
            self.rows = {name: row for name, row in kept if row.modified is None or row.modified >= before}


def begin(reached: datetime | None, *, look_back: float) -> datetime | None:
    """Where a look begins: some time before the bookmark; at the beginning if there is none."""
    return None if reached is None else reached - timedelta(seconds=look_back)


def advance(reached: datetime | None, batch: Batch, *, now: datetime) -> datetime | None:
    """Where the bookmark is once a batch is in the database.

    It never goes back, and never ahead of our clock: one row with a stamp of
    the year 2099 would hide everything that is committed until then.
    """
    if batch.reached is None:
        return reached
    listed = min(batch.reached, now)
    return listed if reached is None else max(reached, listed)


class Watcher:
    """Looks at the archive and writes what it sees."""

    def __init__(self, database: Database, archive: Archive, *, look_back: float, clock: Clock) -> None:
        self.database = database
        self.archive = archive
        self.look_back = look_back
        """Seconds."""
        self.clock = clock
        self.bookmark: datetime | None = None
        self.looked_at: datetime | None = None
        """When the archive last answered a whole look."""
        self._memory = Memory()
        self._noted: datetime | None = None
        """When the bookmark was last written."""
        self._absent: dict[str, float] = {}
        self._told: set[str] = set()
        self._looking = asyncio.Lock()
        """One look at a time: an operator may ask for one while the daemon looks."""

    async def look(self) -> Seen:
        """Look once; all that is new, or processed again, is a frame row afterwards.

        Raises
        ------
        ArchiveError
            As the archive fails; what was listed before that is kept.
        """
        async with self._looking:
            reached = self.bookmark if self.looked_at else await self._kept(self.archive.name)
            listing = self.archive.since(begin(reached, look_back=self.look_back))
            try:
                seen = await self._take_in(listing, reached)
            finally:
                self._memory.settle(after=begin(self.bookmark, look_back=self.look_back))
            self.bookmark = self.bookmark or reached
            self._memory.forget(before=begin(self.bookmark, look_back=self.look_back))
            self.looked_at = self.clock.now()
        return seen

    async def look_at_releases(self) -> Seen:
        """Look for what became visible or public by its date alone since the last such look; waiting frames are due.

        Raises
        ------
        ArchiveError
            As the archive fails; the next such look covers the same time again.
        """
        name, now = f"{self.archive.name[:110]} releases", self.clock.now()
        async with self._looking:
            kept = await self._kept(name)
            after = (kept or now) - timedelta(seconds=self.look_back)
            seen = await self._take_in(self.archive.released(after, now), None, by_date=True)
            async with self.database.write() as session:
                await Bookmarks().set(session, name, reached=now, now=now)
        return seen

    async def next_release(self) -> datetime | None:
        """When the next frame that is known becomes public; none if no date lies ahead."""
        async with self.database.read() as session:
            ahead = await Exchange().next_released(session, now=self.clock.now(), limit=1)
        return ahead[0].release if ahead else None

    async def _take_in(self, listing: AsyncIterator[Batch], reached: datetime | None, *, by_date: bool = False) -> Seen:
        """Write batch after batch; the next is read while one is written.

        Parameters
        ----------
        listing : of the archive
        reached : the bookmark so far
        by_date : frames that wait are due at once, and the bookmark stays
        """
        counts: Counter[Sighted] = Counter()
        passed_over = 0
        writing: asyncio.Task[Counter[Sighted]] | None = None
        try:
            async for batch in listing:
                slab = None if by_date or batch.slab is None or self._memory.overlaps(batch.slab) else batch.slab
                listed = batch.sightings if slab is None else batch.others
                wanted = [seen for seen in listed if seen.kind in FOLLOWED]
                passed_over += batch.passed_over + len(listed) - len(wanted)
                if writing is not None:
                    counts += await writing
                    writing = None
                await self._tell(batch.refused)
                if not by_date:
                    reached = advance(reached, batch, now=self.clock.now())
                if slab is not None:
                    writing = asyncio.create_task(self._pour(slab, wanted, reached))
                else:
                    writing = asyncio.create_task(self._take(wanted, None if by_date else reached, by_date=by_date))
        finally:
            if writing is not None:
                counts += await writing
        totals = (counts[Sighted.NEW], counts[Sighted.KNOWN], counts[Sighted.REPROCESSED])
        return Seen(*totals, passed_over, counts[Sighted.RETURNED])

    async def _take(self, wanted: Sequence[Sighting], reached: datetime | None, *, by_date: bool) -> Counter[Sighted]:
        """Write what one batch lists, and then that it is safely here."""
        fresh = list(wanted) if by_date else self._memory.fresh(wanted)
        counts = Counter({Sighted.KNOWN: len(wanted) - len(fresh)})
        for start in range(0, len(fresh), UNIT):
            counts.update(await self._write(fresh[start : start + UNIT], by_date=by_date))
        self._memory.keep(fresh, after=begin(reached, look_back=self.look_back))
        if reached is not None:
            await self._keep(reached)
        return counts

    async def _pour(self, slab: Slab, others: Sequence[Sighting], reached: datetime | None) -> Counter[Sighted]:
        """Write what one batch lists by the thousand, and that it is safely here, at once."""
        now, after = self.clock.now(), begin(reached, look_back=self.look_back)
        async with self.database.write(much=True) as session:
            counts = Counter(await Frames().sight_slab(session, slab, now=now, source=SOURCE))
            counts.update(await Frames().sight_all(session, others, now=now, source=SOURCE))
            if reached is not None:
                await Bookmarks().set(session, self.archive.name, reached=reached, now=now)
        if reached is not None:
            self.bookmark, self._noted = reached, now
        self._memory.add(slab, after=after)
        self._memory.keep(others, after=after)
        told = {outcome.value: count for outcome, count in counts.items() if count and outcome is not Sighted.KNOWN}
        if told:
            log.info("frames spotted", **told)
        return counts

    async def _tell(self, refused: Sequence[str]) -> None:
        """Write once what is listed and cannot be taken."""
        fresh = [why for why in refused if why not in self._told][: MOST_TOLD - len(self._told)]
        self._told.update(fresh)
        if fresh:
            async with self.database.write() as session:
                for why in fresh:
                    log.warning("listing refused", why=why)
                    await Events().append(
                        session,
                        source=SOURCE,
                        kind="listing-refused",
                        message=why,
                        level=Level.WARNING,
                        now=self.clock.now(),
                    )

    async def _kept(self, name: str) -> datetime | None:
        """Read a bookmark of an earlier look."""
        async with self.database.read() as session:
            kept = await Bookmarks().get(session, name)
        return kept.reached if kept else None

    async def _keep(self, reached: datetime) -> None:
        """Write the bookmark where it moved, and now and then that the archive was looked at."""
        now = self.clock.now()
        recently = self._noted is not None and now - self._noted < NOTED
        if reached == self.bookmark and recently:
            return
        async with self.database.write() as session:
            await Bookmarks().set(session, self.archive.name, reached=reached, now=now)
        self.bookmark, self._noted = reached, now

    async def look_up(self, name: str, *, priority: int) -> Sighting | None:
        """Ask the archive for one file by name and write its row; none if the archive does not have it."""
        found = await self.archive.find(name)
        if found is not None:
            await self._write([found], priority=priority)
        return found

    async def look_for_calibrations(self) -> list[str]:
        """Ask for the flats and masks that valid frames name and nobody has seen.

        Returns
        -------
        list
            Names that the archive was asked for now for the first time, and does not have.
        """
        async with self.database.read() as session:
            missing = await Frames().calibrations_missing(session)
        absent, now = [], self.clock.monotonic()
        for name in missing:
            asked = self._absent.get(name)
            if asked is not None and now - asked < ASK_AGAIN:
                continue
            known = kind_of(name) in {FrameKind.FLAT, FrameKind.MASK}
            if known and await self.look_up(name, priority=CALIBRATION_PRIORITY):
                self._absent.pop(name, None)
                continue
            if asked is None:
                absent.append(name)
            self._absent[name] = now
        return absent

    async def take(self, sightings: Sequence[Sighting]) -> list[Sighted]:
        """Write what another way than a look has found: the full difference."""
        return await self._write(sightings)

    async def _write(self, sightings: Sequence[Sighting], *, priority: int = 0, by_date: bool = False) -> list[Sighted]:
        now = self.clock.now()
        async with self.database.write() as session:
            outcomes = await Frames().sight_all(session, sightings, now=now, source=SOURCE)
            if by_date:
                await Frames().release(session, [seen.name for seen in sightings], now=now)
            for seen in sightings if priority else ():
                if (frame := await Frames().named(session, seen.name)) is not None:
                    await Frames().prioritise(session, frame.id, priority)
        told = [pair for pair in zip(sightings, outcomes, strict=True) if pair[1] is not Sighted.KNOWN]
        if len(told) > TOLD_SINGLY:
            log.info("frames spotted", frames=len(told), first=told[0][0].name, last=told[-1][0].name)
            return outcomes
        for seen, outcome in told:
            log.info("frame spotted", frame=seen.name, outcome=outcome.value, size=seen.size)
        return outcomes
