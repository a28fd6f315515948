"""The set clock stands until it is advanced."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from terapix.clock import SetClock, SystemClock

NOW = datetime(2003, 8, 25, 12, tzinfo=UTC)


async def test_sleepers_wake_in_the_order_of_their_hour() -> None:
    clock = SetClock(NOW)
    woken: list[float] = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (30.0, 10.0, 20.0):
            tasks.create_task(sleep(seconds))
        await asyncio.sleep(0)
        clock.advance(20)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (woken, clock.sleepers) == ([10.0, 20.0], 1)
        clock.advance(10)
    assert woken == [10.0, 20.0, 30.0]


async def test_a_sleeper_that_is_cancelled_is_forgotten() -> None:
    clock = SetClock(NOW)
    task = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    assert clock.sleepers == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.sleepers == 0


async def test_no_time_is_no_wait() -> None:
    await SetClock(NOW).sleep(0)


def test_it_tells_utc_and_never_runs_back() -> None:
    clock = SetClock(NOW.astimezone(timezone(timedelta(hours=-10))))
    clock.advance(1.5)
    assert (clock.now(), clock.now().tzinfo, clock.monotonic()) == (NOW + timedelta(seconds=1.5), UTC, 1.5)
    with pytest.raises(ValueError, match="time does not run back"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="no time zone"):
        SetClock(datetime(2003, 8, 25))  # noqa: DTZ001 - the point of the test


async def test_the_system_clock_is_aware_and_runs() -> None:
    clock = SystemClock()
    before, begun = clock.now(), clock.monotonic()
    await clock.sleep(0)
    assert before.tzinfo is UTC
    assert clock.now() >= before
    assert clock.monotonic() >= begun
