"""The full difference: what every other way has missed is found, and nothing is taken away on a doubtful word."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbclient.database import Database
from dbclient.records import DifferenceRecord, FrameRecord
from dbclient.schema import DifferenceState, FrameState
from dbclient.stores import Differences, Events, Frames, Sighting
from snooppix import difference
from snooppix.archive import Batch
from snooppix.difference import Differ, due
from snooppix.files import Files
from snooppix.reception import Reception, Receptions
from snooppix.watcher import Watcher
from terapix.clock import SetClock
from tests.support.memory_archive import NIGHT, MemoryArchive
from tests.support.table_archive import TableArchive

MORNING = NIGHT + timedelta(days=2)
S = FrameState


@dataclass(slots=True)
class Desk:
    """Archive, database and disk."""

    archive: MemoryArchive
    database: Database
    watcher: Watcher
    differ: Differ
    disk: Reception

    async def compare(self, **how: Any) -> DifferenceRecord:
        return await self.differ.compare(asked_by="test", **how)

    async def frame(self, name: str) -> FrameRecord | None:
        async with self.database.read() as session:
            return await Frames().named(session, name)

    async def withdrawn(self) -> list[str]:
        async with self.database.read() as session:
            frames = await Frames().search(session, limit=10_000)
        return sorted(frame.name for frame in frames if frame.withdrawn_at)

    async def file(self, name: str) -> Path:
        """Have a frame verified, with its file."""
        frame = await self.frame(name)
        assert frame is not None
        path = self.disk.filed(frame.uri, generation=1, kind=frame.kind)
        (self.disk.root / path).write_bytes(b"pixels")
        async with self.database.write() as session:
            for state in (S.FETCHED, S.VALID):
                await Frames().advance(
                    session, frame.id, state, now=NIGHT, source="t", message=state.value, path=str(path)
                )
        return self.disk.root / path


@pytest.fixture(params=[MemoryArchive, TableArchive])
async def desk(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    archive, clock = request.param(page=3), SetClock(MORNING)
    disk = Reception(tmp_path / "reception", reserve=0)
    disk.prepare()
    watcher = Watcher(database, archive, look_back=3600.0, clock=clock)
    differ = Differ(database, archive, watcher, Files(database, Receptions(disk), clock=clock), clock=clock)
    yield Desk(archive, database, watcher, differ, disk)
    disk.release()
    await database.close()


def found(record: DifferenceRecord) -> dict[str, int]:
    counts = ("listed", "missed", "changed", "withdrawn", "returned", "lost", "strange")
    return {name: getattr(record, name) for name in counts if getattr(record, name)}


async def test_nothing_differs_once_everything_was_seen(desk: Desk) -> None:
    for number in range(10):
        desk.archive.offer(f"97941{number}p")
    desk.archive.offer("08Am03.flat.r.36.02")
    await desk.watcher.look()
    record = await desk.compare()
    assert (record.state, record.reason, found(record)) == (DifferenceState.DONE, None, {"listed": 10})


async def test_what_came_with_a_stamp_before_every_look_back_is_found(desk: Desk) -> None:
    desk.archive.offer("979412p")
    await desk.watcher.look()
    desk.archive.offer("979411p", at=NIGHT - timedelta(days=90))
    desk.archive.offer("979412p", at=NIGHT - timedelta(days=90), digest="md5:" + "1" * 32)
    assert (await desk.watcher.look()).new == 0
    assert found(await desk.compare()) == {"listed": 2, "missed": 1, "changed": 1}
    assert (await desk.frame("979411p")) is not None
    changed = await desk.frame("979412p")
    assert changed is not None
    assert (changed.generation, changed.cause) == (2, "checksum")
    assert found(await desk.compare()) == {"listed": 2}


async def test_a_withdrawn_frame_is_marked_once_and_taken_back_when_it_is_listed_again(desk: Desk) -> None:
    for name in ("979411p", "979412p", "979413p"):
        desk.archive.offer(name)
    await desk.watcher.look()
    desk.archive.withdraw("979412p")
    assert found(await desk.compare()) == {"listed": 2, "withdrawn": 1}
    assert found(await desk.compare()) == {"listed": 2}
    assert await desk.withdrawn() == ["979412p"]
    desk.archive.offer("979412p")
    assert found(await desk.compare()) == {"listed": 3, "returned": 1}
    assert await desk.withdrawn() == []


async def test_what_is_only_hidden_from_us_is_not_withdrawn(desk: Desk) -> None:
    for name in ("979411p", "979412p"):
        desk.archive.offer(name)
    await desk.watcher.look()
    desk.archive.hidden.add("979412p")
    assert found(await desk.compare()) == {"listed": 1}
    assert await desk.withdrawn() == []


async def test_an_archive_that_falls_silent_in_the_middle_takes_nothing_away(desk: Desk) -> None:
    for number in range(9):
        desk.archive.offer(f"97941{number}p")
    await desk.watcher.look()
    for number in (0, 8):
        desk.archive.withdraw(f"97941{number}p")
    desk.archive.offer("979400p", at=NIGHT - timedelta(days=90))
    desk.archive.silent_after = 2
    record = await desk.compare()
    assert record.state is DifferenceState.FAILED
    assert record.reason == ("the archive does not answer at memory: it fell silent; nothing was marked as withdrawn")
    assert await desk.withdrawn() == []


async def test_an_archive_that_lists_nothing_or_far_fewer_is_not_believed_without_an_operator(desk: Desk) -> None:
    for number in range(100, 140):
        desk.archive.offer(f"979{number}p")
    await desk.watcher.look()
    listed = desk.archive.rows
    desk.archive.rows = []
    record = await desk.compare()
    assert record.reason == "the archive lists nothing at all, and 40 frames are known: none was marked as withdrawn"
    desk.archive.rows = listed[:29]
    record = await desk.compare()
    assert record.reason == (
        "11 known frames are in the archive no more; none was marked, since it is more than 10: "
        "terapix snooppix difference --now --trust marks them"
    )
    assert await desk.withdrawn() == []
    assert found(await desk.compare(trusting=True)) == {"listed": 29, "withdrawn": 11}


async def test_frames_of_another_archive_are_not_judged(desk: Desk) -> None:
    desk.archive.offer("979411p")
    desk.archive.offer("979412p")
    await desk.watcher.look()
    desk.archive.rows = [row._replace(uri=f"cadc:OTHER/{row.name}.fits") for row in desk.archive.rows[:1]]
    assert found(await desk.compare()) == {"listed": 1}


@pytest.mark.parametrize("seed", range(5))
async def test_neither_order_nor_pages_nor_repeated_rows_change_what_is_found(
    desk: Desk, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(difference, "PAGE", chance.choice([1, 4, 50]))
    monkeypatch.setattr(difference, "FLUSH", chance.choice([1, 3, 50]))
    names = [f"{chance.randrange(1, 10**6)}p" for _ in range(60)]
    for name in names:
        desk.archive.offer(name)
    await desk.watcher.look()
    gone, late = set(chance.sample(sorted(set(names)), 5)), [f"{chance.randrange(2 * 10**6, 3 * 10**6)}p"]
    for name in gone:
        desk.archive.withdraw(name)
    for name in late:
        desk.archive.offer(name, at=NIGHT - timedelta(days=90))
    desk.archive.rows = [row for row in desk.archive.rows for _ in range(chance.choice([1, 2]))]
    desk.archive.page = chance.choice([1, 2, 7, 100])
    if seed % 2:  # as an archive with another idea of order
        desk.archive.everything = lambda: _in(chance.sample(desk.archive.rows, len(desk.archive.rows)))  # type: ignore[method-assign]
    record = await desk.compare()
    assert (record.missed, record.changed, record.withdrawn) == (1, 0, 5)
    assert await desk.withdrawn() == sorted(gone)


async def _in(rows: list[Sighting]) -> AsyncIterator[Batch]:
    for row in rows:
        yield Batch((row,), None)


async def test_a_lost_file_is_fetched_again_and_a_strange_one_is_told(desk: Desk) -> None:
    for name in ("979411p", "979412p"):
        desk.archive.offer(name)
    await desk.watcher.look()
    await desk.file("979411p")
    (await desk.file("979412p")).unlink()
    (desk.disk.root / "from_CADC/headervalid/979499p.fits.fz").write_bytes(b"whose?")
    assert found(await desk.compare()) == {"listed": 2, "lost": 1, "strange": 1}
    lost = await desk.frame("979412p")
    assert lost is not None
    assert (lost.state, lost.path) == (S.SPOTTED, None)
    async with desk.database.read() as session:
        told = {event.kind: event.message for event in await Events().latest(session)}
    assert "979499p.fits.fz" in told["strange-files"]
    assert told["lost"] == (
        "is no longer on the reception disk (from_CADC/headervalid/979412p.fits.fz): it is fetched again"
    )


async def test_a_disk_that_has_lost_most_files_is_not_believed(desk: Desk) -> None:
    names = [f"9794{number}p" for number in range(10, 25)]
    for name in names:
        desk.archive.offer(name)
    await desk.watcher.look()
    for name in names:
        (await desk.file(name)).unlink()
    record = await desk.compare()
    assert record.lost == 0
    assert record.reason == "15 of 15 files are not where they were: is a reception disk away? None is fetched"


async def test_a_difference_that_was_cut_off_has_failed(desk: Desk) -> None:
    async with desk.database.write() as session:
        number = await Differences().begin(session, desk.archive.name, asked_by="clock", now=NIGHT)
    await desk.compare()
    async with desk.database.read() as session:
        cut = await Differences().get(session, number)
    assert (cut.state, cut.reason) == (DifferenceState.FAILED, "snooppix ended while it ran")


def test_the_clock_calls_for_it_once_a_day_and_an_hour_after_one_that_failed() -> None:
    noon, night = datetime(2008, 3, 30, 12, tzinfo=UTC), datetime(2008, 3, 31, 4, 30, tzinfo=UTC)
    done = DifferenceRecord(1, "a", DifferenceState.DONE, "clock", None, noon, noon, *[0] * 7)
    assert due(None, at="", now=noon, since=noon) is None
    assert due(None, at="04:30", now=noon, since=noon) == night
    assert due(done, at="04:30", now=noon + timedelta(days=3), since=noon) == night
    assert due(replace(done, started_at=night), at="04:30", now=night, since=noon) == night + timedelta(days=1)
    failed = replace(done, state=DifferenceState.FAILED)
    assert due(failed, at="04:30", now=noon, since=noon) == noon + timedelta(hours=1)
