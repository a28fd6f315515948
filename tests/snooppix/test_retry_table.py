"""The table of failures, each row over HTTP as the archive commits it: what the frame waits for, and how it ends.

The row of a full disk stands in test_reception.py, where there are disks that fill.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbclient.records import FrameRecord
from dbclient.schema import FrameState
from snooppix.standin.kinds import (
    Busy,
    Dropped,
    Failing,
    Fault,
    Flipped,
    Forbidden,
    LoginPage,
    Missing,
    Refused,
    Short,
    Stalled,
    Unauthorised,
    Unlocated,
    WholeForRange,
)
from terapix.blocks import Bound
from terapix.clock import SetClock
from terapix.identity import Digest
from terapix.part import Part
from tests.snooppix.desk import Desk, laid_out, settings_for, small_camera
from tests.support.archive import ServedArchive, small_fits

NAME = "979412p"
CCDS = 4
CONTENT = small_fits(NAME, ccds=CCDS)
HALF = len(CONTENT) // 2
NIGHT = datetime(2008, 3, 30, 6, tzinfo=UTC)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NIGHT)


@pytest.fixture
async def archive(tmp_path: Path, clock: SetClock) -> AsyncIterator[ServedArchive]:
    (tmp_path / "archive").mkdir()
    served = ServedArchive(tmp_path / "archive", clock=clock)
    await served.standin.start("127.0.0.1", 0)
    yield served
    await served.standin.close()


@pytest.fixture
async def desk(tmp_path: Path, archive: ServedArchive, clock: SetClock) -> AsyncIterator[Desk]:
    settings = settings_for(tmp_path / "host", archive.registry, read_timeout=0.3)
    async with laid_out(settings, camera=small_camera().with_ccds(CCDS), clock=clock) as found:
        found.snooppix.receptions.prepare()
        archive.offer(NAME, content=CONTENT)
        await found.snooppix.watcher.look()
        yield found
        found.snooppix.receptions.release()


async def fetched(desk: Desk) -> FrameRecord:
    """Let what is due be tried once, and what arrived be sorted."""
    fetcher = desk.snooppix.fetcher
    await fetcher.start_due(4)
    await asyncio.gather(*(running.task for running in fetcher.running.values() if running.task))
    await desk.snooppix.sorter.sort_due(asyncio.Event())
    frame = await desk.frame(NAME)
    assert frame is not None
    return frame


def final_names(desk: Desk) -> list[str]:
    return [path.name for path in (desk.settings.reception / "from_CADC" / "headervalid").iterdir()]


@pytest.mark.parametrize(
    "fault",
    [
        Stalled(after=HALF, times=1),
        Refused(at="minoc*", times=2),
        Dropped(after=HALF, times=40),
        Short(missing=HALF, times=40),
        *(Failing(status=status, times=2) for status in (408, 500, 502, 504)),
    ],
    ids=lambda fault: f"{fault.kind} {getattr(fault, 'status', '')}".strip(),
)
async def test_what_passes_by_itself_is_tried_again_soon_and_goes_on(
    desk: Desk, archive: ServedArchive, clock: SetClock, fault: Fault
) -> None:
    archive.faults.add(fault)
    waits = await fetched(desk)
    if waits.state is FrameState.SPOTTED:
        assert waits.reason
        assert waits.retry_at is not None
        assert timedelta(seconds=4) <= waits.retry_at - clock.now() <= timedelta(minutes=2)
        assert final_names(desk) == []
    archive.faults.clear()
    clock.advance(120)
    frame = await fetched(desk)
    assert frame.state is FrameState.VALID
    assert (desk.settings.reception / str(frame.path)).read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("said", "seconds"), [("90", 90), ("Sun, 30 Mar 2008 06:02:00 GMT", 120)])
async def test_a_busy_host_rests_whole_as_long_as_it_asks_and_no_try_is_counted(
    desk: Desk, archive: ServedArchive, clock: SetClock, status: int, said: str, seconds: float
) -> None:
    archive.faults.add(Busy(status=status, retry_after=said))
    waits = await fetched(desk)
    assert waits.state is FrameState.SPOTTED
    assert waits.attempts == 0
    assert waits.retry_at is not None
    assert abs((waits.retry_at - NIGHT).total_seconds() - seconds) <= 5
    clock.advance(seconds - 20)
    assert (await fetched(desk)).state is FrameState.SPOTTED, "asked too early"
    clock.advance(40)
    assert (await fetched(desk)).state is FrameState.VALID


@pytest.mark.parametrize(
    "fault",
    [Missing(times=0), Unlocated(times=0), *(Failing(status=status, times=0) for status in (404, 410))],
    ids=lambda fault: f"{fault.kind} {getattr(fault, 'status', '')}".strip(),
)
async def test_what_is_listed_and_not_stored_is_awaited_for_two_days_then_set_aside(
    desk: Desk, archive: ServedArchive, clock: SetClock, fault: Fault
) -> None:
    archive.faults.add(fault)
    tries = 0
    while (frame := await fetched(desk)).state is FrameState.SPOTTED:
        assert frame.attempts == 0
        assert frame.retry_at is not None
        clock.advance((frame.retry_at - clock.now()).total_seconds() + 1)
        tries += 1
    assert frame.state is FrameState.REJECTED
    assert timedelta(hours=48) < clock.now() - NIGHT < timedelta(hours=52)
    assert tries < 50
    [rejected] = desk.snooppix.quarantine.all()
    assert rejected.word == "listed-not-stored"


async def test_a_caller_who_is_not_known_waits_for_a_credential_and_no_try_is_counted(
    desk: Desk, archive: ServedArchive
) -> None:
    archive.faults.add(Unauthorised(times=0))
    waits = await fetched(desk)
    assert (waits.state, waits.attempts) == (FrameState.SPOTTED, 0)
    assert "credential" in str(waits.reason)


async def test_a_caller_who_may_not_read_waits_for_the_release(desk: Desk, archive: ServedArchive) -> None:
    archive.faults.add(Forbidden(times=0))
    waits = await fetched(desk)
    assert (waits.state, waits.attempts) == (FrameState.SPOTTED, 0)
    assert waits.release is not None
    assert waits.retry_at == waits.release
    assert "not public before 2009-08-31" in str(waits.reason)


async def test_the_whole_file_in_place_of_a_range_is_taken_from_its_begin(desk: Desk, archive: ServedArchive) -> None:
    archive.faults.add(Dropped(after=HALF), WholeForRange())
    frame = await fetched(desk)
    assert frame.state is FrameState.VALID
    assert (desk.settings.reception / str(frame.path)).read_bytes() == CONTENT
    assert [event.message for event in await desk.events() if "damage" in event.message] == []


async def test_a_digest_that_stays_wrong_ends_in_quarantine_and_never_under_the_final_name(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    archive.faults.add(Flipped(byte=HALF, times=0))
    while (frame := await fetched(desk)).state is FrameState.SPOTTED:
        assert final_names(desk) == []
        clock.advance(600)
    assert frame.state is FrameState.REJECTED
    assert final_names(desk) == []
    [rejected] = desk.snooppix.quarantine.all()
    assert rejected.word == "damaged"
    assert rejected.why["expected"] == frame.wire_digest


async def test_a_new_checksum_is_a_new_generation_and_the_old_serves_until_it_is_verified(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    old = await fetched(desk)
    clock.advance(60)
    archive.offer(NAME, content=small_fits(NAME, ccds=CCDS, seed=2))
    await desk.snooppix.watcher.look()
    newer, older = await desk.generations(NAME)
    assert (newer.generation, newer.cause, older.state) == (2, "checksum", FrameState.VALID)
    assert (desk.settings.reception / str(old.path)).read_bytes() == CONTENT
    await fetched(desk)
    newer, older = await desk.generations(NAME)
    assert (newer.state, older.state) == (FrameState.VALID, FrameState.SUPERSEDED)


async def test_a_page_in_place_of_a_file_is_kept_as_evidence(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    archive.faults.add(LoginPage(times=0))
    while (frame := await fetched(desk)).state is FrameState.SPOTTED:
        clock.advance(600)
    assert frame.state is FrameState.REJECTED
    [rejected] = desk.snooppix.quarantine.all()
    assert rejected.word == "not-fits"
    assert final_names(desk) == []


@pytest.mark.parametrize("more", [b"", b"not of this file"], ids=["whole", "too long"])
async def test_a_range_behind_the_end_means_that_all_is_here_or_that_it_begins_anew(
    desk: Desk, archive: ServedArchive, more: bytes
) -> None:
    """A part of unknown length: the server that began it told none."""
    [frame] = await desk.generations(NAME)
    digest = Digest.parse(str(frame.wire_digest))
    path = desk.snooppix.receptions.disk(None).part(NAME, digest)
    part = Part.open(path)
    part.bind(Bound(str(digest), "", -1))
    part.close()
    path.write_bytes(CONTENT + more)
    frame = await fetched(desk)
    assert frame.state is FrameState.VALID
    assert (desk.settings.reception / str(frame.path)).read_bytes() == CONTENT
