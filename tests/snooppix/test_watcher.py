"""The watcher against an archive in memory: new, known, processed again; the bookmark never runs ahead."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState
from dbclient.stores import Bookmarks, Frames
from snooppix.archive import Batch
from snooppix.errors import ArchiveSilent
from snooppix.watcher import Seen, Watcher, advance, begin
from terapix.clock import SetClock
from tests.support.memory_archive import NIGHT, MemoryArchive
from tests.support.table_archive import TableArchive

MORNING = NIGHT + timedelta(days=2)
LOOK_BACK = 3600.0


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    yield opened
    await opened.close()


@pytest.fixture(params=[MemoryArchive, TableArchive])
def archive(request: pytest.FixtureRequest) -> MemoryArchive:
    made: MemoryArchive = request.param()
    return made


@pytest.fixture
def watcher(database: Database, archive: MemoryArchive) -> Watcher:
    return Watcher(database, archive, look_back=LOOK_BACK, clock=SetClock(MORNING))


async def bookmark(database: Database) -> datetime | None:
    async with database.read() as session:
        kept = await Bookmarks().get(session, "memory CFHT")
    return kept.reached if kept else None


async def names(database: Database) -> list[str]:
    async with database.read() as session:
        return sorted(frame.name for frame in await Frames().search(session, kind=None))


async def test_all_pages_are_taken_in_and_the_bookmark_follows(
    watcher: Watcher, archive: MemoryArchive, database: Database
) -> None:
    for number in range(5):
        archive.offer(f"97941{number}p", at=NIGHT + timedelta(minutes=number))

    assert await watcher.look() == Seen(new=5)
    assert await names(database) == [f"97941{number}p" for number in range(5)]
    assert await bookmark(database) == NIGHT + timedelta(minutes=4)


async def test_what_was_listed_before_the_archive_fell_silent_is_kept_and_no_more(
    watcher: Watcher, archive: MemoryArchive, database: Database
) -> None:
    for number in range(5):
        archive.offer(f"97941{number}p", at=NIGHT + timedelta(minutes=number))
    archive.silent_after = 1

    with pytest.raises(ArchiveSilent):
        await watcher.look()
    assert await bookmark(database) == NIGHT + timedelta(minutes=1)

    archive.silent_after = None
    assert (await watcher.look()).new == 3


async def test_a_row_committed_late_with_an_older_stamp_is_not_missed(
    watcher: Watcher, archive: MemoryArchive, database: Database
) -> None:
    archive.offer("979412p", at=NIGHT)
    await watcher.look()
    archive.offer("979411p", at=NIGHT - timedelta(seconds=LOOK_BACK - 1))

    assert (await watcher.look()).new == 1
    assert archive.marks == [None, NIGHT - timedelta(seconds=LOOK_BACK)]
    assert await bookmark(database) == NIGHT


async def test_looking_again_changes_nothing(watcher: Watcher, archive: MemoryArchive, database: Database) -> None:
    archive.offer("979412p", at=NIGHT)
    await watcher.look()
    fresh = Watcher(database, archive, look_back=LOOK_BACK, clock=SetClock(MORNING))

    assert await watcher.look() == Seen(known=1)
    assert await fresh.look() == Seen(known=1)
    assert await names(database) == ["979412p"]


async def test_the_same_name_with_another_digest_is_a_new_generation(
    watcher: Watcher, archive: MemoryArchive, database: Database
) -> None:
    archive.offer("979412p", at=NIGHT)
    await watcher.look()
    archive.offer("979412p", at=NIGHT + timedelta(days=1), digest="md5:" + "1" * 32)

    assert await watcher.look() == Seen(reprocessed=1)
    async with database.read() as session:
        assert [frame.generation for frame in await Frames().generations(session, "979412p")] == [2, 1]


async def test_calibrations_are_asked_for_by_the_names_in_valid_frames(
    watcher: Watcher, archive: MemoryArchive, database: Database
) -> None:
    archive.offer("979412p", at=NIGHT)
    archive.offer("08Am03.flat.r.36.02", at=NIGHT)
    await watcher.look()
    assert await names(database) == ["979412p"]

    async with database.write() as session:
        frame = await Frames().named(session, "979412p")
        assert frame is not None
        for state in (FrameState.FETCHED, FrameState.VALID):
            await Frames().advance(session, frame.id, state, now=NIGHT, source="test", message="test")
        await Frames().describe(session, frame.id, flat="08Am03.flat.r.36.02", mask="2003A.mask.0.36.01")

    assert await watcher.look_for_calibrations() == ["2003A.mask.0.36.01"]
    assert await watcher.look_for_calibrations() == []
    assert await names(database) == ["08Am03.flat.r.36.02", "979412p"]


def test_the_bookmark_never_goes_back_and_never_ahead_of_our_clock() -> None:
    later = NIGHT + timedelta(days=2)
    assert advance(NIGHT, Batch((), NIGHT - timedelta(days=1)), now=later) == NIGHT
    assert advance(None, Batch((), NIGHT), now=later) == NIGHT
    assert advance(NIGHT, Batch((), None), now=later) == NIGHT
    assert advance(NIGHT, Batch((), NIGHT + timedelta(days=9)), now=later) == later
    assert advance(later, Batch((), NIGHT + timedelta(days=9)), now=NIGHT) == later
    assert begin(None, look_back=60) is None
