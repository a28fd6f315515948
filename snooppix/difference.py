"""The full difference: all that the archive lists beside all that the database knows and the disks hold.

Both lists come in the order of names, page by page, and are joined as they
come, so that a million frames take no more memory than a page. Order is only
what makes it fast: what seems missed is looked up in the database before it is
told, and what seems withdrawn is asked of the archive by its address. Nothing
is marked as withdrawn unless the archive has listed everything to the end.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final

from dbclient.database import Database
from dbclient.records import DifferenceRecord
from dbclient.schema import DifferenceState, Level
from dbclient.stores import Differences, Events, Frames
from dbclient.stores.differences import Beside
from dbclient.stores.sightings import Sighted, Sighting, difference, learnt
from dbclient.stores.slab import Slab
from snooppix.archive import Archive, Batch
from snooppix.errors import ArchiveError
from snooppix.files import Files
from snooppix.watcher import FOLLOWED, Watcher
from terapix.clock import Clock
from terapix.journal import logger

log = logger("difference")

SOURCE: Final = "snooppix"
PAGE: Final = 10_000
"""Rows read of the database at once."""
FLUSH: Final = 2_000
"""Sightings gathered before the database is asked about them."""
FEW: Final = 10
SHARE: Final = 0.02
"""Frames, and share of those known, that may be marked as withdrawn without an operator."""
MOST_ASKED: Final = 20_000
"""Frames that the archive is asked about one by one; if more seem withdrawn, its listing is not to be believed."""
TELL: Final = 1.0
"""Seconds between two notes of how far it is."""
AGAIN: Final = timedelta(hours=1)
"""From a difference that failed to the next one."""


@dataclass(slots=True)
class Counts:
    """What was found so far, named as in table differences."""

    listed: int = 0
    missed: int = 0
    changed: int = 0
    withdrawn: int = 0
    returned: int = 0
    lost: int = 0
    strange: int = 0

    @property
    def sentence(self) -> str:
        found = [f"{count} {name}" for name, count in asdict(self).items() if name != "listed" and count]
        return f"{self.listed} frames listed: {', '.join(found) or 'nothing differs'}"


@dataclass(frozen=True, slots=True)
class Unlisted:
    """A frame of ours that the listing lacks."""

    frame_id: int
    uri: str


@dataclass(slots=True)
class Join:
    """Joins pages of both lists; pure."""

    now: datetime
    window: dict[str, Any] = field(default_factory=dict)
    """Rows of the database that were read and not listed yet, in the order of names."""
    read_to: str = ""
    """Name of the last row that was read."""
    exhausted: bool = False
    """The database has no more rows."""
    unlisted: list[Unlisted] = field(default_factory=list)
    unlisted_count: int = 0
    known: int = 0
    places: set[str] = field(default_factory=set)
    """Beginnings of the addresses that are listed: frames of another archive or collection are not judged."""

    def wants(self, name: str) -> bool:
        """Tell whether another page of the database is needed before a name can be judged."""
        return not self.exhausted and self.read_to < name

    def add(self, rows: Sequence[Any], *, up_to: str | None) -> None:
        """Take a page of the database that was asked for up to a name; an empty one is the end of these."""
        self.window.update((row.name, row) for row in rows)
        self.known += len(rows)
        if rows:
            self.read_to = rows[-1].name
        elif up_to is None:
            self.exhausted = True
        else:
            self.read_to = max(self.read_to, up_to)

    def takes(self, slab: Slab) -> bool:
        """Whether a slab lies behind all that was read of the database, and so can be compared there."""
        return not self.exhausted and not self.window and slab.ends[0] > self.read_to

    def compared(self, slab: Slab, beside: Beside) -> list[Sighting]:
        """Take a slab that was laid beside the database up to its last name; give what may differ."""
        self.known += beside.known
        self.read_to = slab.ends[1]
        self.note(slab.places)
        for frame_id, uri in beside.unlisted:
            self._count(frame_id, uri)
        return slab.read(beside.differing)

    def listed(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Take a page of the listing, ordered by name; give what differs from the database, or is not in it."""
        differing = []
        for seen in sightings:
            row = self.window.pop(seen.name, None)
            if row is None or row.withdrawn_at is not None or difference(row, seen) or learnt(row, seen, now=self.now):
                differing.append(seen)
        self.note({place(seen.uri) for seen in sightings})
        if sightings:
            self._set_aside(sightings[-1].name)
        return differing

    def note(self, places: Iterable[str]) -> None:
        """Note beginnings of addresses that are listed."""
        if len(self.places) < MOST_ASKED:
            self.places.update(places)

    def end(self) -> None:
        """Say that the listing is over: what is left was not in it."""
        self._set_aside(None)

    def _set_aside(self, up_to: str | None) -> None:
        """Take out of the window what the listing has passed over."""
        for name in list(self.window):
            if up_to is not None and name > up_to:
                break
            row = self.window.pop(name)
            if row.withdrawn_at is None:
                self._count(row.id, row.uri)

    def _count(self, frame_id: int, uri: str) -> None:
        self.unlisted_count += 1
        if len(self.unlisted) < MOST_ASKED:
            self.unlisted.append(Unlisted(frame_id, uri))


def place(uri: str) -> str:
    """Give what is before the file name of an address: archive and collection."""
    return uri[: max(uri.rfind("/"), uri.rfind(":")) + 1]


def allowed(known: int) -> int:
    """How many frames may be marked as withdrawn without an operator."""
    return max(FEW, int(SHARE * known))


def due(last: DifferenceRecord | None, *, at: str, now: datetime, since: datetime) -> datetime | None:
    """When the next difference is due; none if only an operator asks for it.

    Parameters
    ----------
    last : the latest one
    at : time of day in UTC, as 04:30; empty for none
    now : the present
    since : when the daemon started: before that nobody waited for one
    """
    if not at:
        return None
    if last is not None and last.state is DifferenceState.FAILED:
        return last.started_at + AGAIN
    begun = last.started_at if last is not None else since
    hour = datetime.combine(begun.date(), time.fromisoformat(at), tzinfo=now.tzinfo)
    return hour if hour > begun else hour + timedelta(days=1)


class Differ:
    """Compares archive, database and disks."""

    def __init__(self, database: Database, archive: Archive, watcher: Watcher, files: Files, *, clock: Clock) -> None:
        self.database = database
        self.archive = archive
        self.watcher = watcher
        self.files = files
        self.clock = clock
        self._told = float("-inf")

    async def last(self) -> DifferenceRecord | None:
        async with self.database.read() as session:
            found = await Differences().latest(session, archive=self.archive.name, limit=1)
        return found[0] if found else None

    async def compare(self, *, asked_by: str, trusting: bool = False) -> DifferenceRecord:
        """Compare once; what it found is in the database, and is given back.

        Parameters
        ----------
        asked_by : operator, or ``clock``
        trusting : mark as withdrawn whatever the archive has no more, however much that is
        """
        counts = Counts()
        async with self.database.write() as session:
            number = await Differences().begin(session, self.archive.name, asked_by=asked_by, now=self.clock.now())
        try:
            left = await self._join(number, counts, trusting=trusting)
            counts.lost, counts.strange, kept = await self.files.compare()
            reason = "; ".join(filter(None, (left, kept))) or None
            await self._end(number, DifferenceState.DONE, counts, reason)
        except ArchiveError as problem:
            await self._end(number, DifferenceState.FAILED, counts, f"{problem}; nothing was marked as withdrawn")
        except BaseException as problem:
            reason = str(problem) or "snooppix was stopped while it ran"
            await asyncio.shield(self._end(number, DifferenceState.FAILED, counts, reason))
            raise
        async with self.database.read() as session:
            return await Differences().get(session, number)

    async def _join(self, number: int, counts: Counts, *, trusting: bool) -> str | None:
        """Compare the listing with the database; return what is left to an operator."""
        join = Join(self.clock.now())
        differing: list[Sighting] = []
        async for batch in self.archive.everything():
            found = await self._beside(join, batch)
            if found is None:
                wanted = {seen.name: seen for seen in batch.sightings if seen.kind in FOLLOWED}
                page = [wanted[name] for name in sorted(wanted)]
                while page and join.wants(page[-1].name):
                    await self._read(join, page[-1].name)
                found = join.listed(page), len(page)
            differing += found[0]
            counts.listed += found[1]
            if len(differing) >= FLUSH:
                await self._take(differing, counts)
                differing = []
            await self._tell(number, counts)
        await self._take(differing, counts)
        while not join.exhausted:
            await self._read(join, None)
            join.end()
        join.end()
        return await self._withdraw(join, counts, trusting=trusting)

    async def _read(self, join: Join, up_to: str | None) -> None:
        """Read on in the database, up to a name; to its end if there is none."""
        async with self.database.read() as session:
            rows = await Differences().known(session, after=join.read_to, kinds=FOLLOWED, limit=PAGE, up_to=up_to)
        join.add(rows, up_to=up_to)

    async def _beside(self, join: Join, batch: Batch) -> tuple[list[Sighting], int] | None:
        """Have the database compare a page that is listed by columns; none if each row has to be looked at."""
        slab = batch.slab
        if slab is None or any(seen.kind in FOLLOWED for seen in batch.others) or not join.takes(slab):
            return None
        async with self.database.read() as session:
            beside = await Differences().beside(session, slab, after=join.read_to, up_to=slab.ends[1], kinds=FOLLOWED)
        return None if beside is None else (join.compared(slab, beside), slab.count)

    async def _take(self, differing: Sequence[Sighting], counts: Counts) -> None:
        """Let the database judge what seems missed or changed, and take it in."""
        if differing:
            outcomes = await self.watcher.take(differing)
            counts.missed += outcomes.count(Sighted.NEW)
            counts.changed += outcomes.count(Sighted.REPROCESSED)
            counts.returned += outcomes.count(Sighted.RETURNED)

    async def _withdraw(self, join: Join, counts: Counts, *, trusting: bool) -> str | None:
        """Mark what the archive has no more; return why some is not marked."""
        if not join.unlisted_count:
            return None
        if not counts.listed:
            return f"the archive lists nothing at all, and {join.known} frames are known: none was marked as withdrawn"
        most = MOST_ASKED if trusting else allowed(join.known)
        doubted = f"none was marked, since it is more than {most}: terapix snooppix difference --now --trust marks them"
        if join.unlisted_count > MOST_ASKED:
            return f"{join.unlisted_count} known frames are not listed; {doubted}"
        ours = [one for one in join.unlisted if place(one.uri) in join.places]
        there = await self.archive.has([one.uri for one in ours])
        gone = [one.frame_id for one in ours if one.uri not in there]
        if there:
            log.info("frames are in the archive and not listed for us", frames=len(there))
        if len(gone) > most:
            return f"{len(gone)} known frames are in the archive no more; {doubted}"
        async with self.database.write() as session:
            counts.withdrawn = await Frames().withdraw(session, gone, now=self.clock.now(), source=SOURCE)
        return None

    async def _tell(self, number: int, counts: Counts) -> None:
        now = self.clock.monotonic()
        if now - self._told >= TELL:
            self._told = now
            async with self.database.write() as session:
                await Differences().progress(session, number, **asdict(counts))

    async def _end(self, number: int, state: DifferenceState, counts: Counts, reason: str | None) -> None:
        now = self.clock.now()
        sentence = f"full difference: {counts.sentence}" + (f"; {reason}" if reason else "")
        if state is DifferenceState.FAILED:
            sentence = f"full difference broken off after {counts.listed} frames: {reason}"
        found = any(count for name, count in asdict(counts).items() if name != "listed")
        level = Level.WARNING if found or reason else Level.INFO
        async with self.database.write() as session:
            await Differences().end(session, number, state, now=now, reason=reason, **asdict(counts))
            await Events().append(
                session, source=SOURCE, kind="difference", message=sentence, level=level, now=now, data=asdict(counts)
            )
        log.info("full difference", state=state.value, reason=reason, **asdict(counts))
