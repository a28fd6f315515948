"""Misses: what is remembered of tries that failed, so that a decision can tell a bad file from a bad host."""

from collections import Counter
from datetime import datetime
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.stores import Events
from snooppix.errors import Busy, FetchError, NotStored, Resting, Unreachable
from snooppix.treatment import Case

MOST: Final = 100_000
"""Files of which something is remembered; what lies further back is forgotten."""


class Misses:
    """Failures in a row, of each file and of all."""

    def __init__(self, database: Database, *, attempts: int) -> None:
        self.database = database
        self.attempts = attempts
        """Counted tries that a frame is allowed."""
        self._unreached: set[int] = set()
        """Files that nobody could reach since one was: a single bad one is no outage, however often it fails."""
        self._busy: Counter[int] = Counter()
        """Times in a row that the host of a file wanted a rest when it was asked for it."""
        self._absent: dict[int, datetime] = {}
        """Since when files are not stored."""

    def arrived(self, frame: FrameRecord) -> None:
        """Say that a file is here."""
        self._unreached.clear()
        self._busy.pop(frame.id, None)
        self._absent.pop(frame.id, None)

    async def case(self, frame: FrameRecord, problem: FetchError, now: datetime) -> Case:
        """Take note of a failure, and tell what the decision about it needs to know."""
        number = frame.id
        if isinstance(problem, Unreachable):
            self._unreached.add(number)
        elif not isinstance(problem, Resting):
            self._unreached.clear()
        before = self._busy[number] if isinstance(problem, Busy) else 0
        if isinstance(problem, Busy):
            self._busy[number] += 1
        elif not isinstance(problem, Resting):
            self._busy.pop(number, None)
        for known in (self._unreached, self._busy, self._absent):
            if len(known) > MOST:
                known.clear()
        since = await self._absent_since(frame, problem, now) if isinstance(problem, NotStored) else now
        return Case(frame.attempts, since, frame.release, self.attempts, len(self._unreached), before)

    async def _absent_since(self, frame: FrameRecord, problem: NotStored, now: datetime) -> datetime:
        """Since when a file is not to be had: an earlier life of the daemon may have been told so, too."""
        if frame.id not in self._absent:
            since = now
            if frame.reason == problem.why:
                async with self.database.read() as session:
                    told = [event for event in await Events().of_frame(session, frame.id) if event.kind == "waits"]
                since = told[-1].at if told else now
            self._absent[frame.id] = since
        return self._absent[frame.id]
