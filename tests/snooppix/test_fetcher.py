"""The download pool: which frames are begun."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState
from dbclient.stores import Frames, Transfers
from snooppix.carrier import told
from snooppix.fetcher import Fetcher, Running
from snooppix.reception import Reception, Receptions
from terapix.clock import SystemClock
from tests.snooppix.desk import at_work, settings_for
from tests.support import night
from tests.support.archive import ServedArchive


async def test_a_fetch_that_ends_while_the_due_frames_are_read_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing: Any = None
    roomy: Any = SimpleNamespace(full=False)
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        frame = await night.sight(session)
    receptions = Receptions(Reception(tmp_path, reserve=0))
    fetcher = Fetcher(database, nothing, nothing, nothing, receptions, nothing, roomy, clock=SystemClock(), attempts=3)
    fetcher.running[frame.id] = Running(frame)
    due = Frames.due

    async def ends_meanwhile(*given: Any, **named: Any) -> Any:
        found = await due(*given, **named)
        fetcher.running.clear()
        return found

    monkeypatch.setattr(Frames, "due", ends_meanwhile)
    assert await fetcher.start_due(4) == 0
    await database.close()


async def test_what_the_server_said_of_a_file_is_kept_without_cookies(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        async with desk.database.read() as session:
            [transfer] = await Transfers().history(session)

    assert transfer.headers is not None
    assert transfer.headers["Content-Length"] == str(transfer.bytes_total)
    assert "Digest" in transfer.headers
    assert told({"Set-Cookie": "a", "X-VO-Authenticated": "wilma", "Digest": "b"}) == {"Digest": "b"}
