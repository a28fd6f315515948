"""Completeness of a run: what the archive lists of it beside what is here, each lack with its reason."""

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, runtime_checkable

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState
from dbclient.stores import Differences, Exchange
from dbclient.stores.sightings import Sighting, difference
from snooppix.archive import Archive, Batch
from snooppix.watcher import FOLLOWED

HELD: Final = frozenset({FrameState.VALID, FrameState.PLACED, FrameState.WEIGHTED})
"""States in which a frame is here, its header and pixels verified."""
WORDS: Final[Mapping[FrameState, str]] = {
    FrameState.SPOTTED: "waits to be fetched",
    FrameState.FETCHED: "is here and not verified yet",
    FrameState.REJECTED: "was rejected",
    FrameState.FAILED: "was given up",
    FrameState.SUPERSEDED: "was replaced",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A frame that the archive lists and that is not here, verified, as it is listed."""

    name: str
    state: str
    """State of the frame; unseen if no row knows it."""
    reason: str


@dataclass(frozen=True, slots=True)
class Completeness:
    """What one run has, and lacks."""

    runid: str
    source: str
    """Archive that was asked, or that the last difference was made with."""
    as_of: datetime | None
    """When the archive listed this; none if it never did as a whole."""
    expected: int
    held: int
    missing: tuple[Missing, ...]
    extra: tuple[str, ...]
    """Frames of the run that are here and not listed."""

    @property
    def complete(self) -> bool:
        """Whether all that is expected is held; a run of which nothing is expected is not."""
        return bool(self.expected) and not self.missing

    @property
    def sentence(self) -> str:
        return in_words(self.runid, self.expected, self.held, len(self.missing), len(self.extra))


@runtime_checkable
class ListsRuns(Protocol):
    """An archive that can list one run without listing all."""

    def run(self, runid: str) -> AsyncIterator[Batch]:
        """List what is selected of a run, by address."""
        ...


def compare(runid: str, listed: Mapping[str, Sighting], frames: Sequence[FrameRecord]) -> tuple[Any, ...]:
    """Compare a listing with the rows of all generations: expected, held, missing, extra."""
    rows: dict[str, list[FrameRecord]] = defaultdict(list)
    for frame in sorted(frames, key=lambda frame: -frame.generation):
        rows[frame.name].append(frame)
    lacks = {name: _lack(seen, rows.get(name, [])) for name, seen in sorted(listed.items())}
    missing = tuple(lack for lack in lacks.values() if lack is not None)
    held_of_run = {name for name, kept in rows.items() if kept[0].runid == runid and kept[0].state in HELD}
    return len(listed), len(listed) - len(missing), missing, tuple(sorted(held_of_run - listed.keys()))


def _lack(seen: Sighting | None, generations: Sequence[FrameRecord]) -> Missing | None:
    """Say what is missing of a listed frame; none if it is held as it is listed."""
    name = seen.name if seen else generations[0].name
    if not generations:
        return Missing(name, "unseen", "no look at the archive has brought it yet")
    newest = generations[0]
    if newest.state in HELD:
        cause = difference(newest, seen) if seen else None
        return None if cause is None else Missing(name, newest.state.value, f"is listed with another {cause}")
    reason = newest.reason or WORDS.get(newest.state, newest.state.value)
    older = next((frame for frame in generations[1:] if frame.state in HELD), None)
    if older is not None:
        reason = f"generation {newest.generation}: {reason}; generation {older.generation} is held"
    return Missing(name, newest.state.value, reason)


@dataclass(frozen=True, slots=True)
class Glance:
    """A run at a glance: counted whatever its size, and the first names of what it lacks and has in excess."""

    runid: str
    source: str
    as_of: datetime | None
    expected: int
    held: int
    lacking: int
    surplus: int
    """Frames that are here and not listed."""
    missing: tuple[Missing, ...]
    extra: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return bool(self.expected) and not self.lacking

    @property
    def sentence(self) -> str:
        return in_words(self.runid, self.expected, self.held, self.lacking, self.surplus)


def in_words(runid: str, expected: int, held: int, missing: int, extra: int) -> str:
    """Say how complete a run is."""
    if not expected:
        return f"{runid}: nothing of it is listed, so that nothing is proven."
    counts = f"{held} of {expected} held, {missing} missing, {extra} extra"
    return f"{runid} is {'not complete' if missing else 'complete'}: {counts}."


async def at_a_glance(database: Database, runid: str, *, most: int) -> Glance:
    """Compare with what the archive is known to list, as `as_of_last_difference` does, and name the first few.

    The numbers come from the kept sums, and only frames that are told of are read.
    """
    async with database.read() as session:
        last = await Differences().last_done(session)
        tallies = [one for one in await Exchange().tallies(session, runids=[runid]) if one.kind in FOLLOWED]
        expected = sum(one.frames - one.withdrawn for one in tallies)
        here = [one for one in tallies if one.state in HELD]
        held, surplus = sum(one.frames - one.withdrawn for one in here), sum(one.withdrawn for one in here)
        found = await Differences().lacking(session, runid, held=HELD, limit=most) if held < expected else []
        extra = await Differences().unlisted(session, runid, held=HELD, limit=most) if surplus else []
    rows: dict[str, list[FrameRecord]] = defaultdict(list)
    for frame in found:
        rows[frame.name].append(frame)
    lacks = [_lack(None, generations) for generations in rows.values()]
    return Glance(
        runid=runid,
        source=last.archive if last else "the database alone",
        as_of=last.ended_at if last else None,
        expected=expected,
        held=held,
        lacking=expected - held,
        surplus=surplus,
        missing=tuple(lack for lack in lacks if lack is not None),
        extra=tuple(extra),
    )


async def asked_now(database: Database, archive: Archive, runid: str, *, now: datetime) -> Completeness:
    """Ask the archive for the run, and compare.

    Raises
    ------
    ArchiveError
        As the archive is; then nothing is known.
    """
    listed: dict[str, Sighting] = {}
    async for batch in archive.run(runid) if isinstance(archive, ListsRuns) else archive.everything():
        listed |= {seen.name: seen for seen in batch.sightings if seen.runid == runid and seen.kind in FOLLOWED}
    async with database.read() as session:
        frames = await Differences().of_run(session, runid, names=sorted(listed))
    return Completeness(runid, archive.name, now, *compare(runid, listed, frames))


async def as_of_last_difference(database: Database, runid: str) -> Completeness:
    """Compare with what the archive is known to list, as far as the last full difference and the looks since tell."""
    async with database.read() as session:
        last = await Differences().last_done(session)
        frames = await Differences().of_run(session, runid, names=())
    listed = {
        frame.name: Sighting(name=frame.name, uri=frame.uri, digest=frame.wire_digest)
        for frame in frames
        if frame.current and frame.withdrawn_at is None and frame.kind in FOLLOWED
    }
    found = compare(runid, listed, frames)
    return Completeness(runid, last.archive if last else "the database alone", last.ended_at if last else None, *found)
