"""Discovery: when the archive is looked at, by which of the ways on which something may have come to it.

Looks at what was changed follow each other at the pace of the settings; looks
at what a date released come at their own pace and at each known release; the
full difference comes once a day beside them. An operator may ask for a look or
a difference at any time. An archive that is silent is asked less often.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from dbclient.database import Database
from dbclient.records import RequestRecord
from dbclient.schema import Level, RequestKind, RequestState
from dbclient.stores import Events, Requests
from snooppix.difference import Differ, due
from snooppix.errors import ArchiveError, ArchiveSilent, ListingRefused
from snooppix.loops import first
from snooppix.watcher import Seen, Watcher
from terapix.clock import Clock
from terapix.journal import logger
from terapix.retry import Backoff
from terapix.sections import SnooppixSection

log = logger("discovery")

SOURCE: Final = "snooppix"
CALIBRATIONS: Final = 60.0
"""Seconds between two looks for calibrations that are named and not here, while no frame becomes valid."""
SILENCE: Final = Backoff(first=2.0, factor=2.0, ceiling=300.0, attempts=1_000_000)
"""Seconds between looks at an archive that does not answer; never longer than the ordinary pace."""
BETWEEN_RELEASES: Final = 60.0
"""Seconds between two looks at releases at least: most dates are midnights, and some are not."""
NEEDY: Final = 0.05
"""Share of the time that they may take while many frames become valid: all frames are looked through for them."""
KINDS: Final = (RequestKind.LOOK, RequestKind.DIFFERENCE)
REST: Final = 1.0
"""Seconds between two questions whether there is work again."""


class Discovery:
    """Looks, and tells how the archive answers."""

    def __init__(
        self, database: Database, watcher: Watcher, differ: Differ, section: SnooppixSection, *, clock: Clock
    ) -> None:
        self.database = database
        self.watcher = watcher
        self.differ = differ
        self.section = section
        self.clock = clock
        self.trouble: str | None = None
        """What is wrong with the archive; none while it answers."""
        self.needy = asyncio.Event()
        """A frame became valid, and may name calibrations that are not here."""
        self._asked = asyncio.Event()
        """An operator asks for a look or a difference."""
        self._silences = 0
        self._since = clock.now()
        self._asked_for_calibrations = float("-inf")
        self._needy_at = float("-inf")
        """When frames that become valid may have them looked for again."""
        self._look_at = clock.monotonic()
        self.next_look: datetime | None = None
        """When the next look at what was changed is due; none before the first has ended."""
        self._releases_at = clock.monotonic()
        self._differing: asyncio.Task[None] | None = None

    @property
    def differs(self) -> bool:
        """Whether a full difference is going on."""
        return self._differing is not None and not self._differing.done()

    async def notice(self) -> None:
        """Learn whether an operator asks for something; called whenever the database has changed."""
        async with self.database.read() as session:
            if await Requests().open(session, *KINDS):
                self._asked.set()

    async def run(self, ending: asyncio.Event, *, rests: Callable[[], bool]) -> None:
        """Look until `ending`; begin nothing while an operator lets the daemon rest."""
        try:
            while not ending.is_set():
                if rests():
                    await first(ending, timeout=REST)
                    continue
                self._asked.clear()
                await self._pass()
                now = self.clock.monotonic()
                wait = min(min(self._look_at, self._releases_at) - now, await self._difference_in())
                if (left := self._needy_at - now) > 0:
                    await first(ending, self._asked, timeout=max(0.0, min(wait, left)))
                else:
                    await first(ending, self.needy, self._asked, timeout=max(0.0, wait))
        finally:
            if self._differing is not None:
                self._differing.cancel()
                await asyncio.gather(self._differing, return_exceptions=True)

    async def _pass(self) -> None:
        try:
            asked = await self._open(RequestKind.LOOK)
            if asked or self.clock.monotonic() >= self._look_at:
                await self._look(asked)
            if self.clock.monotonic() >= self._releases_at:
                await self._look_at_releases()
            await self._calibrations()
        except ArchiveError as problem:
            await self._silent(problem)
        await self._difference()

    async def _look(self, asked: list[RequestRecord]) -> None:
        try:
            seen = await self.watcher.look()
        except ArchiveError as problem:
            await self._answer(asked, f"The archive cannot be looked at: {problem}.", RequestState.REFUSED)
            raise
        self._next_look_in(self.section.poll)
        await self._answered(seen)
        await self._answer(asked, f"The archive was looked at: {told(seen)}.", RequestState.DONE)

    def _next_look_in(self, seconds: float) -> None:
        self._look_at = self.clock.monotonic() + seconds
        self.next_look = self.clock.now() + timedelta(seconds=seconds)

    async def _look_at_releases(self) -> None:
        self._releases_at = self.clock.monotonic() + self.section.release_look
        try:
            seen = await self.watcher.look_at_releases()
        except ListingRefused as problem:  # looks at changes may well be answered
            log.warning("releases cannot be looked at", why=str(problem))
            return
        pace, ahead = self.section.release_look, await self.watcher.next_release()
        if ahead is not None:
            until = (ahead - self.clock.now()).total_seconds()
            pace = min(pace, max(until, BETWEEN_RELEASES))
        self._releases_at = self.clock.monotonic() + pace
        if seen.new or seen.reprocessed:
            log.info("releases looked at", new=seen.new, reprocessed=seen.reprocessed, known=seen.known)

    async def _calibrations(self) -> None:
        """Ask for calibrations once a frame became valid, and now and then for what the archive lacked."""
        now = self.clock.monotonic()
        needy = self.needy.is_set() and now >= self._needy_at
        if not needy and now - self._asked_for_calibrations < CALIBRATIONS:
            return
        self.needy.clear()
        self._asked_for_calibrations = now
        for name in await self.watcher.look_for_calibrations():
            message = f"{name} is named by frames and the archive does not have it: their maps wait"
            await self._event("calibration-missing", message, Level.WARNING)
        end = self.clock.monotonic()
        self._needy_at = end + min((end - now) / NEEDY, CALIBRATIONS)

    async def _difference_in(self) -> float:
        """Seconds until the next full difference."""
        at = await self._difference_at()
        return float("inf") if at is None or self.differs else (at - self.clock.now()).total_seconds()

    async def _difference_at(self) -> datetime | None:
        return due(await self.differ.last(), at=self.section.difference, now=self.clock.now(), since=self._since)

    async def _difference(self) -> None:
        """Begin a full difference if it is time, or if somebody asks; looks go on beside it."""
        if self.differs:
            return
        asked = await self._open(RequestKind.DIFFERENCE)
        at = await self._difference_at()
        if asked or (at is not None and at <= self.clock.now()):
            self._differing = asyncio.create_task(self._compare(asked), name="full difference")

    async def _compare(self, asked: list[RequestRecord]) -> None:
        by = f"operator:{asked[0].asked_by}"[:60] if asked else "clock"
        trusting = any(bool(request.arguments.get("trust")) for request in asked)
        try:
            found = await self.differ.compare(asked_by=by, trusting=trusting)
            state = RequestState.REFUSED if found.reason and not found.listed else RequestState.DONE
            counts = ("missed", "changed", "withdrawn", "returned", "lost", "strange")
            differs = ", ".join(f"{getattr(found, name)} {name}" for name in counts if getattr(found, name))
            text = f"{found.listed} frames are listed: {differs or 'nothing differs'}"
            await self._answer(asked, f"{text}; {found.reason}." if found.reason else f"{text}.", state)
        except Exception as problem:  # the daemon follows the archive all the same
            log.exception("full difference failed on this host")
            await self._answer(asked, f"It failed on this host: {problem}", RequestState.REFUSED)
        finally:
            self._asked.set()  # whoever asked meanwhile is looked after at once

    async def _open(self, kind: RequestKind) -> list[RequestRecord]:
        async with self.database.read() as session:
            return await Requests().open(session, kind)

    async def _answer(self, asked: list[RequestRecord], text: str, state: RequestState) -> None:
        for request in asked:
            async with self.database.write() as session:
                await Requests().answer(session, request.id, state, text, now=self.clock.now())
            log.info("request answered", request=request.id, kind=request.kind.value, answer=text)

    async def _answered(self, seen: Seen) -> None:
        if self.trouble is not None:
            self.trouble, self._silences = None, 0
            await self._event("archive-up", "the archive answers again", Level.INFO)
        if seen.new or seen.reprocessed:
            log.info("archive looked at", new=seen.new, reprocessed=seen.reprocessed, known=seen.known)

    async def _silent(self, problem: ArchiveError) -> None:
        """Look again later; what is asked meanwhile waits, too."""
        self._silences += 1
        self._asked_for_calibrations = float("-inf")
        first_time, self.trouble = self.trouble is None, str(problem)
        log.warning("archive trouble", why=str(problem), times=self._silences)
        if first_time:
            await self._event("archive-down", str(problem), Level.WARNING)
        asked = problem.retry_after if isinstance(problem, ArchiveSilent) else None
        pause = min(self.section.poll, max(SILENCE.delay(self._silences), asked or 0.0))
        self._next_look_in(pause)
        self._releases_at = max(self._releases_at, self._look_at)
        self.needy.clear()

    async def _event(self, kind: str, message: str, level: Level) -> None:
        async with self.database.write() as session:
            await Events().append(session, source=SOURCE, kind=kind, message=message, level=level, now=self.clock.now())


def told(seen: Seen) -> str:
    """Say in words what a look brought."""
    counts = {"new": seen.new, "processed again": seen.reprocessed, "listed again": seen.returned}
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing is new"
