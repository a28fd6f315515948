"""Checkpoints: what is committed to SQLite's write-ahead log is copied into the database beside what comes next.

SQLite copies it within the commit that fills the log. Of a listing by the ten
thousand that is every commit, and nothing else is written meanwhile: of a
million frames one second of ten. bench_listing.py.
"""

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Final

AT_LATEST: Final = 4000
"""Pages of the log (32 MB) at which SQLite copies within a commit all the same: it does not grow without bound."""


class Checkpoint:
    """Copies in a thread, once at a time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._running: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Copy what is committed by now, and return at once."""
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(asyncio.to_thread(_copy, self._file))

    async def end(self) -> None:
        """Wait until nothing is copied any more."""
        if self._running is not None:
            await self._running


def _copy(file: Path) -> None:
    """Copy as much as readers allow. What fails here (a full disk) fails within the next commit, and is told there."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(file, isolation_level=None)) as line:
        line.execute("PRAGMA wal_checkpoint(PASSIVE)")
