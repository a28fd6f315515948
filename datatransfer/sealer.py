"""The sealer: every few seconds it seals what all daemons have written into the history."""

from typing import Final

from dbclient.database import Database
from dbclient.sealing import MOST, seal
from terapix.clock import Clock
from terapix.journal import logger

log = logger("datatransfer.sealer")

EVERY: Final = 5.0
"""Seconds between two seals at least: what is changed before it is sealed is not found."""
STINT: Final = 5
"""Seals of one pass at most, some 0.1 s: a history that was never sealed is caught up pass by pass."""
NOTED: Final = 3600.0
"""Seconds between two digests in the log, outside the database: `terapix history --verify --noted` compares one."""


class Sealer:
    """Seals the history, a stretch at a time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._due = clock.monotonic()
        self._note = clock.monotonic()

    async def pass_(self) -> int:
        """Seal what is due; give how many events that were."""
        if self._clock.monotonic() < self._due:
            return 0
        sealed = 0
        for _ in range(STINT):
            done = await seal(self._database, now=self._clock.now())
            sealed += done.events
            if done.events and self._clock.monotonic() >= self._note:
                log.info("history sealed", last=done.last, digest=done.digest)
                self._note = self._clock.monotonic() + NOTED
            if done.events < MOST:
                self._due = self._clock.monotonic() + EVERY
                break
        return sealed
