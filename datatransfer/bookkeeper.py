"""The bookkeeper: it folds what happened to frames into the sums that pages read, and notes how full nodes are."""

from typing import Final

from dbclient.database import Database
from dbclient.stores import Fillings, Tallies
from terapix.clock import Clock

EVERY: Final = 5.0
"""Seconds between two folds at least; what is not folded yet counts all the same, and takes a little longer to read."""
NOTED: Final = 300.0
"""Seconds between two notes of how full the nodes are; each day keeps its last one."""
STINT: Final = 4
"""Write units of one pass at the most: a first look at an archive of a million frames is folded pass by pass."""


class Bookkeeper:
    """Keeps the sums short and the history of the disks long."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._due = self._note = clock.monotonic()

    async def pass_(self) -> int:
        """Fold what is due; give how many changes and new frames that were."""
        if self._clock.monotonic() < self._due:
            return 0
        if self._clock.monotonic() >= self._note:
            async with self._database.write() as session:
                await Fillings().note(session)
            self._note = self._clock.monotonic() + NOTED
        async with self._database.read() as session:
            idle = await Tallies().idle(session)
        folded = 0
        for _ in range(0 if idle else STINT):
            async with self._database.write() as session:
                done = await Tallies().fold(session)
            folded += done.frames + done.changes
            if not done.more:
                break
        else:
            if not idle:
                return folded
        self._due = self._clock.monotonic() + EVERY
        return folded
