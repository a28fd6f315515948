"""The archivist: history that is old enough goes from the tables into files, a little at a time.

A file is whole on its disk, and known to the database, before the first of its rows goes; what goes is what was
read back from it. Rows go by hundreds, each hundred in a unit of its own, with a pause as long as it took: nobody
waits for the archivist. Killed anywhere, it goes on at the next start.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from dbclient import archive as files
from dbclient.archive import ArchiveDamaged, ArchiveRecord
from dbclient.database import Database
from dbclient.schema import ArchiveKind, Level
from dbclient.stores import Archives, Events, Seals
from dbclient.stores.archives import MOMENTS, Due
from terapix.clock import Clock
from terapix.errors import TerapixError
from terapix.hosts import RetentionSection
from terapix.journal import logger
from terapix.quantities import counted

log = logger("datatransfer.archivist")

EVERY: Final = timedelta(days=1)
"""Between two archives of a kind at least, unless there is a whole one to write."""
LOOK: Final = 600.0
"""Seconds between two looks whether something is due."""
MOST: Final = 50_000
"""Rows of an archive at most: they are in memory together, some 60 MB."""
SEALS: Final = 5000
"""Seals that are looked through for one archive."""
BATCH: Final = 200
"""Rows that go in one unit: some 2 ms of the lock of SQLite."""
SOURCE: Final = "datatransfer"


@dataclass(frozen=True, slots=True)
class Planned:
    """What would go into archives now."""

    kind: ArchiveKind
    days: float
    """For which it is kept; 0: for ever."""
    due: Due


class Archivist:
    """Writes archives and clears what lies in them."""

    def __init__(self, database: Database, policy: RetentionSection, directory: Path, clock: Clock) -> None:
        self._database = database
        self._days = {
            ArchiveKind.EVENTS: policy.events_days,
            ArchiveKind.TRANSFERS: policy.transfers_days,
            ArchiveKind.LEASES: policy.transfers_days,
        }
        self._directory = directory
        self._clock = clock
        self._stop = threading.Event()
        self._work: asyncio.Task[None] | None = None
        self._look_at = clock.monotonic()

    def pass_(self) -> None:
        """Begin to look in the background, if it is time."""
        if self._stop.is_set() or not (self._work is None or self._work.done()):
            return
        if any(self._days.values()) and self._clock.monotonic() >= self._look_at:
            self._look_at = self._clock.monotonic() + LOOK
            self._work = asyncio.create_task(self._guarded(), name="archivist")

    async def settled(self) -> None:
        if self._work is not None:
            await self._work

    async def close(self) -> None:
        """Stop after the rows that are going."""
        self._stop.set()
        await self.settled()

    async def _guarded(self) -> None:
        try:
            await self.run(now=False)
        except (TerapixError, OSError) as problem:
            log.exception("history could not be archived; it stays in its tables", problem=str(problem))

    async def plan(self) -> list[Planned]:
        """Say how much is due; nothing is changed."""
        found = []
        for kind, days in self._days.items():
            async with self._database.read() as session:
                due = await Archives().due(session, kind, before=self._before(days)) if days else Due(0, None, None)
            found.append(Planned(kind, days, due))
        return found

    async def run(self, *, now: bool = True) -> list[ArchiveRecord]:
        """Archive what is due, and clear what is archived; give the archives that were made.

        Parameters
        ----------
        now : whether what is due since less than a day is archived, too
        """
        await self._clear_all()
        made: list[ArchiveRecord] = []
        for kind, days in self._days.items():
            while days and not self._stop.is_set() and (new := await self._next(kind, days, now=now)) is not None:
                made.append(new)
                await self._clear_all()
        return made

    def _before(self, days: float) -> datetime:
        return self._clock.now() - timedelta(days=days)

    async def _next(self, kind: ArchiveKind, days: float, *, now: bool) -> ArchiveRecord | None:
        """Write the next archive of a kind, if there is enough for one."""
        async with self._database.read() as session:
            last = await Archives().newest(session, kind)
            rows, reach = await self._rows(session, kind, last.last if last else 0, self._before(days))
        recent = last is not None and self._clock.now() - last.made_at < EVERY
        if not rows or (recent and not now and len(rows) < MOST):
            return None
        moments = [row[MOMENTS[kind]] for row in rows]
        first = rows[0]["id"] if last is None or kind is not ArchiveKind.EVENTS else last.last + 1
        path = f"{kind.value}-{min(moments):%Y%m%d}-{first}-{reach}.jsonl.gz"
        size, digest = await asyncio.to_thread(files.write, self._directory / path, kind.value, rows)
        begins, ends = min(moments), max(moments)
        said = f"{counted(len(rows), kind.value[:-1])} from {begins:%Y-%m-%d} to {ends:%Y-%m-%d} went into {path}"
        async with self._database.write() as session:
            await Archives().add(
                session, kind=kind, first=first, last=reach, rows=len(rows), begins=begins, ends=ends, path=path,
                size=size, digest=digest, made_at=self._clock.now(),
            )  # fmt: skip
            await Events().append(
                session, source=SOURCE, kind="archived", message=said, level=Level.INFO, now=self._clock.now()
            )
        log.info("history archived", kind=kind.value, rows=len(rows), path=path)
        async with self._database.read() as session:
            return await Archives().newest(session, kind)

    async def _rows(
        self, session: Any, kind: ArchiveKind, behind: int, before: datetime
    ) -> tuple[Sequence[dict[str, Any]], int]:
        """Give the rows of the next archive, and the number up to which it reaches."""
        if kind is not ArchiveKind.EVENTS:
            rows = await Archives().over(session, kind, before=before, limit=MOST)
            return rows, int(rows[-1]["id"]) if rows else 0
        found: list[dict[str, Any]] = []
        reach = behind
        for seal in await Archives().seals_due(session, behind=behind, before=before, limit=SEALS):
            if found and len(found) + seal.events > MOST:
                break
            gaps = seal.gaps
            sealed = await Seals().between(session, seal.after, seal.last)
            late = await Seals().numbered(session, seal.late)
            ours = [event for event in sealed if not any(first <= event.id <= last for first, last in gaps)]
            found += [files.row_of(event) for event in (*ours, *late)]
            reach = seal.last
        return sorted(found, key=lambda row: row["id"]), reach

    async def _clear_all(self) -> None:
        """Remove the rows of all archives that are still in the tables."""
        while not self._stop.is_set():
            async with self._database.read() as session:
                archive = await Archives().uncleared(session)
            if archive is None:
                return
            await self._clear(archive)

    async def _clear(self, archive: ArchiveRecord) -> None:
        """Remove the rows of an archive, as they are read back from its file."""
        path = self._directory / archive.path
        rows = await asyncio.to_thread(partial(files.read, path, digest=archive.digest))
        if len(rows) != archive.rows:
            raise ArchiveDamaged(path, f"it has {len(rows)} rows, and {archive.rows} were noted")
        numbers = [int(row["id"]) for row in rows]
        for begin in range(0, len(numbers), BATCH):
            if self._stop.is_set():
                return
            began = self._clock.monotonic()
            async with self._database.write() as session:
                await Archives().remove(session, archive.kind, numbers[begin : begin + BATCH])
            await asyncio.sleep(self._clock.monotonic() - began)  # others come first now
        async with self._database.write() as session:
            await Archives().cleared(session, archive.id, now=self._clock.now())
