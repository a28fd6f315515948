"""The download pool: which frames are begun."""

from pathlib import Path
from typing import Any

import pytest

from dbclient.database import Database
from dbclient.stores import Frames
from snooppix.fetcher import Fetcher, Running
from snooppix.reception import Reception, Receptions
from terapix.clock import SystemClock
from tests.support import night


async def test_a_fetch_that_ends_while_the_due_frames_are_read_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        frame = await night.sight(session)
    receptions = Receptions(Reception(tmp_path, reserve=0))
    fetcher = Fetcher(database, nothing, nothing, receptions, nothing, clock=SystemClock(), attempts=3)
    fetcher.running[frame.id] = Running(frame)
    due = Frames.due

    async def ends_meanwhile(*given: Any, **named: Any) -> Any:
        found = await due(*given, **named)
        fetcher.running.clear()
        return found

    monkeypatch.setattr(Frames, "due", ends_meanwhile)
    assert await fetcher.start_due(4) == 0
    await database.close()
