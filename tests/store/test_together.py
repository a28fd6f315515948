"""Steps of many tasks in one write unit: each has its own outcome, and none suffers from another."""

import asyncio

import pytest

from dbclient.convoy import Convoy
from dbclient.errors import IllegalMove, NoSuchRow
from dbclient.schema import FrameState
from dbclient.stores import Events, Frames
from tests.support.night import NOW, sight


async def frame_of(database, name):
    async with database.write() as session:
        return (await sight(session, name)).id


def fetched(number):
    async def step(session):
        await Frames().advance(session, number, FrameState.FETCHED, now=NOW, source="snooppix", message="arrived")
        return number

    return step


async def test_what_many_tasks_write_is_there_when_each_goes_on(database):
    numbers = [await frame_of(database, f"{number}p") for number in range(9)]
    assert await asyncio.gather(*(database.together(fetched(number)) for number in numbers)) == numbers
    async with database.read() as session:
        assert await Frames().counts(session) == {FrameState.FETCHED: 9}
        told = [event.frame_id for event in await Events().after(session, 0) if event.kind == "fetched"]
    assert sorted(told) == numbers


async def test_a_step_that_fails_takes_no_other_along(database):
    numbers = [await frame_of(database, f"{number}p") for number in range(5)]
    async with database.write() as session:
        await Frames().advance(session, numbers[2], FrameState.SUPERSEDED, now=NOW, source="snooppix", message="gone")
    steps = [database.together(fetched(number)) for number in (*numbers, 999)]
    outcomes = await asyncio.gather(*steps, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [n for n in numbers if n != numbers[2]]
    assert [type(outcome) for outcome in outcomes if not isinstance(outcome, int)] == [IllegalMove, NoSuchRow]
    async with database.read() as session:
        assert await Frames().counts(session) == {FrameState.FETCHED: 4, FrameState.SUPERSEDED: 1}
        assert [event.kind for event in await Events().of_frame(session, numbers[0])][-1:] == ["fetched"]


async def test_while_one_unit_is_written_the_steps_that_come_make_the_next_one(database):
    units, convoy = [], Convoy(database.write)

    async def step(session):
        if id(session) not in units:
            units.append(id(session))

    await asyncio.gather(convoy.carry(step), *(convoy.carry(step) for _ in range(20)))
    assert len(units) <= 2


async def test_who_is_cancelled_sees_a_step_through_that_has_begun(database):
    number = await frame_of(database, "1p")
    begun = asyncio.Event()

    async def step(session):
        begun.set()
        await asyncio.sleep(0)
        await fetched(number)(session)

    convoy = Convoy(database.write)
    task = asyncio.create_task(convoy.carry(step))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.read() as session:
        assert (await Frames().get(session, number)).state is FrameState.FETCHED


async def test_who_is_cancelled_before_his_step_begins_takes_it_along(database):
    number = await frame_of(database, "1p")
    convoy = Convoy(database.write)
    async with database.write():
        first = asyncio.create_task(convoy.carry(fetched(number)))
        await asyncio.sleep(0)
        task = asyncio.create_task(convoy.carry(fetched(999)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert await first == number
    await convoy.end()


async def test_trouble_of_the_database_reaches_each_who_waits(database):
    class Gone(Exception):
        """What the unit raises before any step."""

    class Closed:
        async def __aenter__(self):
            raise Gone

        async def __aexit__(self, *problem):
            pass

    convoy = Convoy(Closed)
    outcomes = await asyncio.gather(*(convoy.carry(fetched(1)) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [Gone, Gone, Gone]
