"""Respite: frames whose hosts rest are put off together.

A host in trouble may have ten thousand frames waiting for it. Each of them is
asked for by name once, to learn where it lies; from then on a rest of its host
puts it off by a statement that it shares with hundreds of others. Frames that
lie elsewhere are left where they are, at the head of those that are due.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState
from dbclient.stores import Frames
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
"""Frames of which that is remembered."""


class Respite:
    """Puts frames off while their hosts rest."""

    def __init__(self, database: Database, locator: Locator, *, clock: Clock) -> None:
        self.database = database
        self.locator = locator
        self.clock = clock
        self._places: dict[int, tuple[tuple[str, ...], float]] = {}
        """Hosts of frames, and until when that is believed."""
        self._looking = asyncio.Lock()

    async def put_off(self, frame: FrameRecord, rest: Resting, *, at_work: Collection[int]) -> int:
        """Put off a frame for which nobody can be asked, and all that are due and no better off; return how many.

        Parameters
        ----------
        at_work : frames that are being fetched, which see to themselves
        """
        async with self._looking:
            await self._write([(frame, rest)], at_work=())
            count, awake = 1, set[int]()
            while len(awake) < PAGE:
                passed = awake | set(at_work)
                async with self.database.read() as session:
                    due = await Frames().due(
                        session, FrameState.SPOTTED, now=self.clock.now(), limit=PAGE + len(passed)
                    )
                others = [other for other in due if other.id not in passed]
                rests = await self._resting(others)
                if not rests:
                    break
                awake |= {other.id for other in others} - {other.id for other, _ in rests}
                await self._write(rests, at_work=at_work)
                count += len(rests)
        if count > 1:
            log.info("frames put off", frames=count, why=rest.why)
        return count

    async def _resting(self, frames: Sequence[FrameRecord]) -> list[tuple[FrameRecord, Resting]]:
        """Find those whose hosts all rest."""
        turn = asyncio.Semaphore(AT_ONCE)
        silent = asyncio.Event()

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
                return None

        return [found for found in await asyncio.gather(*map(ask, frames)) if found is not None]

    async def _hosts(self, frame: FrameRecord) -> tuple[str, ...]:
        now = self.clock.monotonic()
        hosts, until = self._places.get(frame.id, ((), now))
        if until <= now:
            if len(self._places) >= MOST_KEPT:
                self._places.clear()
            hosts = tuple(await self.locator.hosts(frame))
            self._places[frame.id] = (hosts, now + KEPT)
        return hosts

    async def _write(self, rests: Sequence[tuple[FrameRecord, Resting]], *, at_work: Collection[int]) -> None:
        together: dict[tuple[str, datetime], list[int]] = defaultdict(list)
        for frame, rest in rests:
            if frame.id not in at_work:
                together[rest.why, rest.until].append(frame.id)
        async with self.database.write() as session:
            for (reason, until), numbers in together.items():
                await Frames().put_off(session, numbers, reason=reason, until=until)
