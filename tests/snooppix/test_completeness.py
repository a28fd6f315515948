"""Completeness of a run: expected, held, missing with its reason, extra; asked now and as of the last difference."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState
from dbclient.stores import Differences, Frames
from snooppix.completeness import Completeness, as_of_last_difference, asked_now
from snooppix.errors import ArchiveSilent
from snooppix.watcher import Watcher
from terapix.clock import SetClock
from tests.support.memory_archive import NIGHT, MemoryArchive

RUN = "08AC14"
MORNING = NIGHT + timedelta(days=2)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    yield opened
    await opened.close()


@pytest.fixture
async def archive(database: Database) -> MemoryArchive:
    """Four frames of the run, one of another; of the run one is held, one waits, one was rejected, one unseen."""
    archive = MemoryArchive()
    for name in ("979411p", "979412p", "979413p"):
        archive.offer(name, runid=RUN)
    archive.offer("979420p", runid="08AF99")
    await Watcher(database, archive, look_back=60.0, clock=SetClock(MORNING)).look()
    archive.offer("979414p", runid=RUN)
    async with database.write() as session:
        for name, states in (("979411p", ("fetched", "valid")), ("979412p", ("rejected",))):
            frame = await Frames().named(session, name)
            assert frame is not None
            for state in states:
                reason = "IMRED_FF is missing" if state == "rejected" else None
                await Frames().advance(
                    session, frame.id, FrameState(state), now=NIGHT, source="t", message=state, reason=reason
                )
    return archive


def lacks(found: Completeness) -> list[tuple[str, str, str]]:
    return [(lack.name, lack.state, lack.reason) for lack in found.missing]


async def test_each_frame_that_is_missing_says_why(database: Database, archive: MemoryArchive) -> None:
    found = await asked_now(database, archive, RUN, now=MORNING)
    assert (found.expected, found.held, found.extra, found.complete) == (4, 1, (), False)
    assert lacks(found) == [
        ("979412p", "rejected", "IMRED_FF is missing"),
        ("979413p", "spotted", "waits to be fetched"),
        ("979414p", "unseen", "no look at the archive has brought it yet"),
    ]
    assert found.sentence == "08AC14 is not complete: 1 of 4 held, 3 missing, 0 extra."


async def test_a_run_is_complete_when_all_that_is_listed_is_held(database: Database, archive: MemoryArchive) -> None:
    archive.rows = [row for row in archive.rows if row.name == "979411p"]
    found = await asked_now(database, archive, RUN, now=MORNING)
    assert (found.complete, found.sentence) == (True, "08AC14 is complete: 1 of 1 held, 0 missing, 0 extra.")


async def test_a_run_of_which_nothing_is_listed_proves_nothing(database: Database, archive: MemoryArchive) -> None:
    found = await asked_now(database, archive, "08BC01", now=MORNING)
    assert (found.complete, found.sentence) == (False, "08BC01: nothing of it is listed, so that nothing is proven.")


async def test_held_and_not_listed_is_extra(database: Database, archive: MemoryArchive) -> None:
    archive.withdraw("979411p")
    found = await asked_now(database, archive, RUN, now=MORNING)
    assert (found.held, found.extra) == (0, ("979411p",))


async def test_held_with_other_bytes_than_listed_is_missing(database: Database, archive: MemoryArchive) -> None:
    archive.offer("979411p", runid=RUN, digest="md5:" + "1" * 32)
    found = await asked_now(database, archive, RUN, now=MORNING)
    assert lacks(found)[0] == ("979411p", "valid", "is listed with another checksum")
    await Watcher(database, archive, look_back=60.0, clock=SetClock(MORNING)).look()
    found = await asked_now(database, archive, RUN, now=MORNING)
    assert lacks(found)[0] == ("979411p", "spotted", "generation 2: waits to be fetched; generation 1 is held")


async def test_a_silent_archive_proves_nothing(database: Database, archive: MemoryArchive) -> None:
    archive.silent_after = 0
    with pytest.raises(ArchiveSilent):
        await asked_now(database, archive, RUN, now=MORNING)


async def test_offline_the_database_tells_and_when_it_was_last_compared(
    database: Database, archive: MemoryArchive
) -> None:
    found = await as_of_last_difference(database, RUN)
    assert (found.expected, found.held, found.as_of) == (3, 1, None)
    async with database.write() as session:
        number = await Differences().begin(session, archive.name, asked_by="clock", now=NIGHT)
        await Differences().end(session, number, (await Differences().get(session, number)).state.DONE, now=MORNING)
        frame = await Frames().named(session, "979411p")
        assert frame is not None
        await Frames().withdraw(session, [frame.id], now=MORNING, source="t")
    found = await as_of_last_difference(database, RUN)
    assert (found.expected, found.held, found.extra, found.as_of) == (2, 0, ("979411p",), MORNING)
