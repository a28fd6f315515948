"""One bad frame holds back no other, and one bad host costs a statement and not a try for each frame that waits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameState
from snooppix.breaker import PROBE
from snooppix.standin.kinds import Busy, Dropped, Failing, Forbidden, Missing
from terapix.clock import SetClock
from tests.snooppix.desk import Desk, laid_out, settings_for, small_camera
from tests.support.archive import ServedArchive, small_fits

CCDS = 2
CONTENT = small_fits("979412p", ccds=CCDS)
NIGHT = datetime(2008, 3, 30, 6, tzinfo=UTC)
MANY = 60
"""Frames that wait."""
PLACES = 4
"""Of the pool."""


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NIGHT)


@pytest.fixture
async def archive(tmp_path: Path, clock: SetClock) -> AsyncIterator[ServedArchive]:
    (tmp_path / "archive").mkdir()
    served = ServedArchive(tmp_path / "archive", clock=clock)
    async with served.standin:
        yield served


@pytest.fixture
async def desk(tmp_path: Path, archive: ServedArchive, clock: SetClock) -> AsyncIterator[Desk]:
    settings = settings_for(tmp_path / "host", archive.registry, attempts=3)
    archived = settings.archive.model_copy(update={"hosts": ("localhost",)})
    wanted = settings.model_copy(update={"archive": archived})
    async with laid_out(wanted, camera=small_camera().with_ccds(CCDS), clock=clock) as found:
        found.snooppix.receptions.prepare()
        yield found
        found.snooppix.receptions.release()


async def offer(desk: Desk, archive: ServedArchive, *names: str) -> None:
    for name in names:
        archive.offer(name, content=CONTENT.replace(b"979412", name[:-1].encode()))
    await desk.snooppix.watcher.look()


async def fetch(desk: Desk, *, passes: int = 1) -> None:
    """Fill the pool as often; each time all of it ends."""
    fetcher = desk.snooppix.fetcher
    for _ in range(passes):
        await fetcher.start_due(PLACES)
        await asyncio.gather(*(running.task for running in fetcher.running.values() if running.task))


async def frames(desk: Desk, *names: str) -> list[FrameRecord]:
    found = [await desk.frame(name) for name in names]
    return [frame for frame in found if frame is not None]


async def states(desk: Desk, *names: str) -> set[FrameState]:
    return {frame.state for frame in await frames(desk, *names)}


@pytest.mark.parametrize("after", ["1", "120", "3600"])
async def test_a_file_for_which_its_host_is_always_busy_holds_back_no_other(
    desk: Desk, archive: ServedArchive, clock: SetClock, after: str
) -> None:
    """It asks for a rest of the whole host each time; but the others are asked for before it is asked for again."""
    others = [f"{number}p" for number in range(979413, 979423)]
    await offer(desk, archive, "979412p", *others)
    archive.faults.add(Busy(name="979412p*", retry_after=after, times=0))
    for _ in range(10):
        await fetch(desk, passes=4)
        clock.advance(max(float(after), PROBE) + 1)
    assert await states(desk, *others) == {FrameState.FETCHED}
    [bad] = await frames(desk, "979412p")
    assert (bad.state, bad.attempts) == (FrameState.SPOTTED, 0)


async def test_a_file_that_is_always_cut_is_given_up_though_no_other_is_asked_for(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    await offer(desk, archive, "979412p")
    archive.faults.add(Dropped(after=0, times=0))
    for _ in range(6):
        await fetch(desk)
        clock.advance(3600)
    [bad] = await frames(desk, "979412p")
    assert bad.state is FrameState.FAILED


class Counted:
    """Counts write units and questions where files lie."""

    def __init__(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        self.units = self.located = 0
        begun, locate = Database._begun, desk.snooppix.archive.locate

        async def unit(database: Database) -> object:
            self.units += 1
            return await begun(database)

        async def asked(uri: str) -> list[str]:
            self.located += 1
            return await locate(uri)

        monkeypatch.setattr(Database, "_begun", unit)
        monkeypatch.setattr(desk.snooppix.archive, "locate", asked)

    def since(self) -> tuple[int, int]:
        found = (self.units, self.located)
        self.units = self.located = 0
        return found


@pytest.mark.parametrize("status", [429, 503])
async def test_frames_that_wait_for_one_busy_host_are_put_off_together(
    desk: Desk, archive: ServedArchive, clock: SetClock, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    names = [f"{979412 + number}p" for number in range(MANY)]
    await offer(desk, archive, *names)
    archive.faults.add(Busy(status=status, retry_after="600", times=0))
    counted = Counted(desk, monkeypatch)

    await fetch(desk, passes=2)

    waiting = await frames(desk, *names)
    assert {frame.state for frame in waiting} == {FrameState.SPOTTED}
    assert all(frame.retry_at is not None and frame.retry_at >= NIGHT + timedelta(seconds=599) for frame in waiting)
    assert all(
        "rests until 06:10" in str(frame.reason) or "answers with status" in str(frame.reason) for frame in waiting
    )
    units, located = counted.since()
    assert units < 20
    assert located <= MANY + 4

    clock.advance(601)
    await fetch(desk, passes=4)
    units, located = counted.since()
    assert units < 30
    assert located <= 4 * PLACES, "where they lie is known: only those ask that are begun themselves, in four passes"
    assert await states(desk, *names) == {FrameState.SPOTTED}

    archive.faults.clear()
    clock.advance(1201)
    await fetch(desk, passes=4 + MANY // 4)
    clock.advance(3601)
    await fetch(desk, passes=4)
    assert await states(desk, *names) == {FrameState.FETCHED}


async def test_where_a_file_lies_is_forgotten_when_it_is_here(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    """A daemon that runs for years does not grow with what it has fetched."""
    names = [f"{979412 + number}p" for number in range(12)]
    await offer(desk, archive, *names)
    archive.faults.add(Busy(retry_after="600", times=1))
    await fetch(desk, passes=2)
    assert desk.snooppix.fetcher.respite.remembered > 0
    for wait in (700, 3601):
        clock.advance(wait)
        await fetch(desk, passes=6)
    assert await states(desk, *names) == {FrameState.FETCHED}
    assert desk.snooppix.fetcher.respite.remembered <= 4, "at most what was looked at while the pool fetched it"

    clock.advance(3601)
    await offer(desk, archive, "979500p", "979501p")
    archive.faults.add(Busy(retry_after="600", times=1))
    await fetch(desk, passes=2)
    assert desk.snooppix.fetcher.respite.remembered <= 2, "of what is here nothing is left after an hour"


async def test_a_short_rest_is_sat_out_and_touches_no_row_of_those_that_wait(
    desk: Desk, archive: ServedArchive, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{979412 + number}p" for number in range(MANY)]
    await offer(desk, archive, *names)
    archive.faults.add(Busy(retry_after="1", times=1))
    counted = Counted(desk, monkeypatch)
    await fetch(desk, passes=20)
    put_off = [frame for frame in await frames(desk, *names) if frame.retry_at is not None]
    assert len(put_off) <= 8, "only those that were begun"
    assert counted.since()[1] <= 16, "the pool holds, and asks for nothing"

    clock.advance(2)
    assert await desk.snooppix.fetcher.start_due(PLACES) == 1, "one request probes the host"
    await fetch(desk, passes=MANY // 4)
    clock.advance(PROBE + 1)
    await fetch(desk, passes=4)
    assert await states(desk, *names) == {FrameState.FETCHED}


async def test_a_rest_that_is_over_wakes_nobody_though_nobody_looked_meanwhile(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    await offer(desk, archive, *(f"{979412 + number}p" for number in range(MANY)))
    archive.faults.add(Busy(retry_after="1", times=1))
    await fetch(desk, passes=20)
    left = desk.snooppix.fetcher.respite.left
    assert left is not None
    assert 0 < left <= 1, "then the pool is to look again"
    clock.advance(60)
    assert desk.snooppix.fetcher.respite.left is None


async def test_frames_at_another_host_go_on_while_one_rests(
    desk: Desk, archive: ServedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [f"{979412 + number}p" for number in range(MANY)]
    good = ["979500p", "979501p"]
    await offer(desk, archive, *bad, *good)
    archive.faults.add(Busy(name="9794*", retry_after="600", times=0))
    locate = desk.snooppix.archive.locate

    async def elsewhere(uri: str) -> list[str]:
        found = await locate(uri)
        return [address.replace("127.0.0.1", "localhost") for address in found] if "9795" in uri else found

    monkeypatch.setattr(desk.snooppix.archive, "locate", elsewhere)
    await fetch(desk, passes=3)
    assert await states(desk, *good) == {FrameState.FETCHED}
    assert await states(desk, *bad) == {FrameState.SPOTTED}


async def test_while_the_locator_rests_all_wait_and_it_is_asked_for_none(
    desk: Desk, archive: ServedArchive, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{979412 + number}p" for number in range(MANY)]
    await offer(desk, archive, *names)
    archive.faults.add(Busy(at="raven", retry_after="600", times=0))
    counted = Counted(desk, monkeypatch)
    await fetch(desk, passes=2)
    units, located = counted.since()
    assert units < 20
    assert located <= 8
    assert all(frame.retry_at is not None for frame in await frames(desk, *names))
    archive.faults.clear()
    clock.advance(601)
    await fetch(desk)
    clock.advance(PROBE + 1)
    await fetch(desk, passes=4 + MANY // 4)
    assert await states(desk, *names) == {FrameState.FETCHED}


async def test_a_frame_that_the_locator_refuses_again_and_again_does_not_make_it_rest_for_others(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    bad = [f"{979412 + number}p" for number in range(8)]
    await offer(desk, archive, *bad, "979500p")
    archive.faults.add(Failing(at="raven", status=400, times=8))
    await fetch(desk, passes=3)
    assert await states(desk, "979500p") == {FrameState.FETCHED}


async def test_what_is_not_stored_yet_is_awaited_from_when_it_was_asked_for_first(
    desk: Desk, archive: ServedArchive, clock: SetClock
) -> None:
    """A frame that was listed long ago and becomes public today may come to its site hours after that."""
    await offer(desk, archive, "979412p")
    archive.faults.add(Forbidden())
    await fetch(desk)
    [parked] = await frames(desk, "979412p")
    assert parked.retry_at is not None
    clock.advance((parked.retry_at - clock.now()).total_seconds() + 1)
    archive.faults.add(Missing(times=2))
    await fetch(desk)
    assert await states(desk, "979412p") == {FrameState.SPOTTED}
    clock.advance(7201)
    await fetch(desk)
    clock.advance(7201)
    await fetch(desk)
    assert await states(desk, "979412p") == {FrameState.FETCHED}
