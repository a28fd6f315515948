"""Follows the archive: what it lists is compared with what we know, page by page.

The bookmark moves only in the transaction that holds all rows before it, and
every look begins some time before it, since the archive commits rows late with
an older stamp. Rows are idempotent: seeing one again changes nothing.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dbclient.database import Database
from dbclient.schema import FrameKind, Level
from dbclient.stores import Bookmarks, Events, Frames
from dbclient.stores.frames import Sighted, Sighting
from snooppix.archive import Archive, Batch
from snooppix.listing import kind_of
from terapix.clock import Clock
from terapix.journal import logger

log = logger("watcher")

SOURCE: Final = "snooppix"
FOLLOWED: Final = frozenset({FrameKind.OBJECT, FrameKind.PRODUCT})
"""What is taken as it is listed; flats and masks are asked for by the names that frames give."""
UNIT: Final = 100
"""Sightings a transaction, so that others may write in between."""
MOST_TOLD: Final = 1000
"""Refused rows that a daemon tells of in its life: an archive that lists more is not worth more of our disk."""
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


@dataclass(slots=True)
class Memory:
    """What was seen lately, so that the rows of the look-back window cost no question to the database."""

    rows: dict[str, tuple[str | None, datetime | None]] = field(default_factory=dict)
    """Name to digest and stamp."""

    def fresh(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Leave out what was seen just so before."""
        return [seen for seen in sightings if self.rows.get(seen.name) != (seen.digest, seen.modified)]

    def keep(self, sightings: Iterable[Sighting], *, after: datetime | None) -> None:
        """Remember what is in the database now; what the next look cannot list again is forgotten."""
        self.rows |= {seen.name: (seen.digest, seen.modified) for seen in sightings}
        if after is not None:
            self.rows = {name: row for name, row in self.rows.items() if row[1] is None or row[1] >= after}


def begin(reached: datetime | None, *, look_back: float) -> datetime | None:
    """Where a look begins: some time before the bookmark; at the beginning if there is none."""
    return None if reached is None else reached - timedelta(seconds=look_back)


def advance(reached: datetime | None, batch: Batch) -> datetime | None:
    """Where the bookmark is once a batch is in the database: it never goes back."""
    if reached is None or batch.reached is None:
        return reached or batch.reached
    return max(reached, batch.reached)


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

    async def look(self) -> Seen:
        """Look once; all that is new, or processed again, is a frame row afterwards.

        Raises
        ------
        ArchiveError
            As the archive fails; what was listed before that is kept.
        """
        reached = self.bookmark if self.looked_at else await self._kept()
        counts: Counter[Sighted] = Counter()
        passed_over = 0
        async for batch in self.archive.since(begin(reached, look_back=self.look_back)):
            wanted = [seen for seen in batch.sightings if seen.kind in FOLLOWED]
            passed_over += batch.passed_over + len(batch.sightings) - len(wanted)
            fresh = self._memory.fresh(wanted)
            for start in range(0, len(fresh), UNIT):
                counts.update(await self._write(fresh[start : start + UNIT]))
            reached = advance(reached, batch)
            self._memory.keep(fresh, after=begin(reached, look_back=self.look_back))
            counts[Sighted.KNOWN] += len(wanted) - len(fresh)
            await self._tell(batch.refused)
            await self._keep(reached)
        self.bookmark, self.looked_at = reached, self.clock.now()
        return Seen(counts[Sighted.NEW], counts[Sighted.KNOWN], counts[Sighted.REPROCESSED], passed_over)

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

    async def _kept(self) -> datetime | None:
        """Read the bookmark of an earlier life."""
        async with self.database.read() as session:
            kept = await Bookmarks().get(session, self.archive.name)
        return kept.reached if kept else None

    async def _keep(self, reached: datetime | None) -> None:
        """Write the bookmark where it moved, and now and then that the archive was looked at."""
        now = self.clock.now()
        recently = self._noted is not None and now - self._noted < NOTED
        if reached is None or (reached == self.bookmark and recently):
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

    async def _write(self, sightings: list[Sighting], *, priority: int = 0) -> list[Sighted]:
        now = self.clock.now()
        outcomes = []
        async with self.database.write() as session:
            for seen in sightings:
                outcome = await Frames().sight(session, seen, now=now, source=SOURCE)
                outcomes.append(outcome)
                if priority and (frame := await Frames().named(session, seen.name)) is not None:
                    await Frames().prioritise(session, frame.id, priority)
        for seen, outcome in zip(sightings, outcomes, strict=True):
            if outcome is not Sighted.KNOWN:
                log.info("frame spotted", frame=seen.name, outcome=outcome.value, size=seen.size)
        return outcomes
