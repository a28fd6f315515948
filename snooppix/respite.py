"""Respite: frames whose hosts rest are put off together.

A host in trouble may have ten thousand frames waiting for it. Each of them is
asked for by name once, to learn where it lies; from then on a rest of its host
puts it off by a statement that it shares with hundreds of others. Frames that
lie elsewhere are left where they are, at the head of those that are due.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState, HostState
from dbclient.stores import Frames
from snooppix.breaker import PROBE
from snooppix.errors import ArchiveError, FetchError, Resting
from snooppix.locator import Locator
from terapix.clock import Clock
from terapix.journal import logger

log = logger("respite")

PAGE: Final = 500
"""Frames put off in one statement."""
AT_ONCE: Final = 8
"""Questions to the locator at the same time."""
KEPT: Final = 3600.0
"""Seconds for which it is believed where a file lies: an archive may bring it to another site."""
MOST_KEPT: Final = 200_000
"""Frames of which that is remembered: some 60 MB."""
MOMENT: Final = timedelta(seconds=PROBE)
"""A rest that is over so soon is sat out; so is the probe that follows it."""
FEW: Final = 8
"""Frames that are due next, of which one that may be asked for keeps the pool at work meanwhile."""


@dataclass(frozen=True, slots=True)
class Held:
    """A short rest that the pool sits out."""

    host: str
    ends: datetime
    """When the pool goes on in any case."""


@dataclass(frozen=True, slots=True)
class Look:
    """Frames that were looked at; neither where nobody could tell where they lie."""

    resting: list[tuple[FrameRecord, Resting]]
    awake: bool
    """Whether one of them may be asked for."""


class Respite:
    """Puts frames off while their hosts rest."""

    def __init__(self, database: Database, locator: Locator, *, clock: Clock) -> None:
        self.database = database
        self.locator = locator
        self.clock = clock
        self._places: dict[int, tuple[tuple[str, ...], float]] = {}
        """Hosts of frames, and until when that is believed."""
        self._looking = asyncio.Lock()
        self._held: Held | None = None

    def leave(self, free: int) -> int:
        """Say how many of the free places may be taken: none while the pool sits out a rest, and then one to probe."""
        held, now = self._held, self.clock.now()
        if held is not None and now < held.ends:
            rest = self.locator.breakers.resting(held.host)
            if rest is not None and rest.until <= now + MOMENT:
                return 0
            if rest is None and self.locator.breakers.hosts[held.host].state is not HostState.CLOSED:
                return min(free, 1)
        self._held = None
        return free

    @property
    def remembered(self) -> int:
        """Frames of which it is remembered where they lie."""
        return len(self._places)

    def forget(self, frame: FrameRecord) -> None:
        """Forget where a file lies that is here now."""
        self._places.pop(frame.id, None)

    @property
    def left(self) -> float | None:
        """Seconds until the rest is over that the pool sits out; none if it sits out none."""
        held, now = self._held, self.clock.now()
        if held is None or held.ends <= now:
            return None
        rest = self.locator.breakers.resting(held.host)
        return (min(rest.until if rest else held.ends, held.ends) - now).total_seconds()

    async def put_off(self, frame: FrameRecord, rest: Resting, *, at_work: Collection[int]) -> int:
        """Put off a frame for which nobody can be asked, and all that are due and no better off; return how many.

        Parameters
        ----------
        at_work : frames that are being fetched, which see to themselves
        """
        async with self._looking:
            await self._write([(frame, rest)], at_work=())
            if rest.until <= self.clock.now() + MOMENT:
                return 1 + await self._sit_out(rest, at_work)
            count, awake = 1, set[int]()
            while len(awake) < PAGE:
                passed = awake | set(at_work)
                async with self.database.read() as session:
                    due = await Frames().due(
                        session, FrameState.SPOTTED, now=self.clock.now(), limit=PAGE + len(passed)
                    )
                others = [other for other in due if other.id not in passed]
                rests = (await self._look(others)).resting
                if not rests:
                    break
                awake |= {other.id for other in others} - {other.id for other, _ in rests}
                await self._write(rests, at_work=at_work)
                count += len(rests)
        if count > 1:
            log.info("frames put off", frames=count, why=rest.why)
        return count

    async def _sit_out(self, rest: Resting, at_work: Collection[int]) -> int:
        """Hold the pool for a short rest, unless one of the next few may be asked for: then put off the others."""
        if self._held is not None and self._held.host == rest.host:
            return 0
        async with self.database.read() as session:
            due = await Frames().due(session, FrameState.SPOTTED, now=self.clock.now(), limit=FEW + len(at_work))
        found = await self._look([other for other in due if other.id not in at_work][:FEW])
        if not found.awake:
            self._held = Held(rest.host, rest.until + MOMENT)
            return 0
        await self._write(found.resting, at_work=at_work)
        return len(found.resting)

    async def _look(self, frames: Sequence[FrameRecord]) -> Look:
        """Find those whose hosts all rest."""
        turn = asyncio.Semaphore(AT_ONCE)
        silent, awake = asyncio.Event(), asyncio.Event()

        async def ask(frame: FrameRecord) -> tuple[FrameRecord, Resting] | None:
            async with turn:
                if silent.is_set():
                    return None
                try:
                    self.locator.refuse_resting(frame, await self._hosts(frame))
                except Resting as rest:
                    return frame, rest
                except (ArchiveError, FetchError):  # its own fetch will meet that too, and say so
                    silent.set()
                else:
                    awake.set()
                return None

        asked = await asyncio.gather(*map(ask, frames))
        return Look([found for found in asked if found is not None], awake.is_set())

    async def _hosts(self, frame: FrameRecord) -> tuple[str, ...]:
        now = self.clock.monotonic()
        hosts, until = self._places.get(frame.id, ((), now))
        if until <= now:
            hosts = tuple(await self.locator.hosts(frame))
            self._places.pop(frame.id, None)
            self._places[frame.id] = (hosts, now + KEPT)
            self._forget_old(now)
        return hosts

    def _forget_old(self, now: float) -> None:
        """Forget what is believed no more, and the oldest of too many: what was asked for first stands first."""
        while self._places:
            number, (_, until) = next(iter(self._places.items()))
            if until > now and len(self._places) <= MOST_KEPT:
                break
            del self._places[number]

    async def _write(self, rests: Sequence[tuple[FrameRecord, Resting]], *, at_work: Collection[int]) -> None:
        together: dict[tuple[str, datetime], list[int]] = defaultdict(list)
        for frame, rest in rests:
            if frame.id not in at_work:
                together[rest.why, rest.until].append(frame.id)
        async with self.database.write() as session:
            for (reason, until), numbers in together.items():
                await Frames().put_off(session, numbers, reason=reason, until=until)
