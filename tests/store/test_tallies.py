"""Sums that are kept are the sums that are counted, whatever happened, on both databases."""

import asyncio
import contextlib
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from dbclient.errors import Busy
from dbclient.schema import FrameState, ReplicaState, TallyLevel, TallyMark
from dbclient.stores import Frames, Replicas, Sighting, Tallies
from tests.support.night import NOW, bring, md5, node, placed, sight, sighting

S = FrameState


class Undone(Exception):
    """Takes back what was done in a unit, as a fault would."""


async def same(session) -> None:
    """Say that what is kept is what the frames themselves say."""
    assert not await Tallies().recount(session)


async def test_what_happens_to_a_frame_is_in_the_sums_at_once_and_stays_so_when_it_is_folded(database):
    tallies = Tallies()
    async with database.write() as session:
        here, there = await node(session), await node(session, "node2")
        first = await placed(session, "1p", node_id=here, exposure_time=360.0)
        await same(session)
        await tallies.fold(session)
        await same(session)
        assert await tallies.idle(session)
        await Frames().advance(session, first.id, S.WEIGHTED, now=NOW, source="t", message="1p is weighted")
        await Replicas().hold(session, frame_id=first.id, node_id=there, path="x", size=1, digest="md5:1", now=NOW)
        await sight(session, "2p", exposure_time=1e300, size=2**62)
        await Frames().sight_all(
            session, [Sighting(name=f"{n}o", uri="x", size=n, runid="R") for n in range(3, 300)], now=NOW, source="t"
        )
        await same(session)
        assert not await tallies.idle(session)
        await tallies.fold(session)
        await same(session)
        (replica, _) = await Replicas().of_frame(session, first.id)
        await Replicas().mark(session, replica.id, ReplicaState.GONE)
        await sight(session, "1p", digest=md5("2"))
        await same(session)
        await tallies.fold(session)
        await same(session)


async def test_groups_that_nothing_belongs_to_any_more_are_gone(database):
    async with database.write() as session:
        frame = await sight(session, "1p")
        await Tallies().fold(session)
        await Frames().advance(session, frame.id, S.FETCHED, now=NOW, source="t", message="1p is fetched")
        await Tallies().fold(session)
        states = (await session.execute(text("SELECT DISTINCT state FROM tallies"))).all()
        assert [tuple(row) for row in states] == [("fetched",)]


async def test_what_is_undone_is_in_no_sum(database):
    async with database.write() as session:
        await sight(session, "1p")
        await Tallies().fold(session)
    with contextlib.suppress(Undone):
        async with database.write() as session:
            await bring(session, "1p", S.VALID)
            await sight(session, "2p")
            await Tallies().fold(session)
            raise Undone
    async with database.read() as session:
        await same(session)
        assert [row.frames for row in await session.execute(select(Tallies().counted(session, TallyLevel.RUN)))] == [1]


async def test_a_count_anew_tells_what_is_wrong_and_it_is_mended_though_others_write_meanwhile(database):
    tallies = Tallies()
    async with database.write() as session:
        frame = await placed(session, "1p", node_id=await node(session))
        await sight(session, "2p")
        await tallies.fold(session)
        await same(session)
        await session.execute(text("UPDATE tallies SET frames = frames + 5 WHERE level = 'run'"))
        await session.execute(text("DELETE FROM tallies WHERE level = 'date'"))
    async with database.read() as reading:
        await reading.execute(select(TallyMark.counted))  # its moment is now
        async with asyncio.timeout(60), database.write() as session:
            await Frames().advance(session, frame.id, S.WEIGHTED, now=NOW, source="t", message="1p is weighted")
            await sight(session, "3p")
            while (await tallies.fold(session)).more:
                pass
        lacking = await tallies.recount(reading)
    assert sorted((group.level, measures[0]) for group, measures in lacking.items()) == [
        *((TallyLevel.DATE, 1) for _ in range(2)),
        *((TallyLevel.RUN, -5) for _ in range(2)),  # one in each state
    ]
    async with database.write() as session:
        await tallies.mend(session, lacking)
        await same(session)


async def test_a_fold_ends_where_it_is_told_to(database):
    async with database.write() as session:
        for number in range(6):
            await bring(session, f"{number}p", S.VALID)
        folds = 0
        while (await Tallies().fold(session, most=2)).more:
            await same(session)
            folds += 1
        assert folds >= 3
        assert await Tallies().idle(session)


NAMES = [f"{number}p" for number in range(5)]
DEEDS = st.one_of(
    st.tuples(st.just("sight"), st.sampled_from(NAMES), st.sampled_from(["1", "2", "3"])),
    st.tuples(st.just("go"), st.sampled_from(NAMES), st.sampled_from([S.FETCHED, S.VALID, S.PLACED, S.WEIGHTED])),
    st.tuples(st.just("hold"), st.sampled_from(NAMES), st.sampled_from([1, 2])),
    st.tuples(st.just("gone"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("describe"), st.sampled_from(NAMES), st.sampled_from(["r.MP9601", "g.MP9401", None])),
    st.tuples(st.just("withdraw"), st.sampled_from(NAMES), st.just(0)),
    st.tuples(st.just("fold"), st.just(""), st.sampled_from([1, 3, 100])),
)


async def do(session, deed, name, how, now) -> None:
    """Do one deed, if it can be done."""
    frames, held = Frames(), await Frames().named(session, name) if name else None
    if deed == "fold":
        await Tallies().fold(session, most=how)
    elif deed == "sight":
        await Frames().sight(session, sighting(name, digest=md5(how)), now=now, source="t")
    elif held is None:
        return
    elif deed == "go":
        await frames.describe(session, held.id, state=how, fetched_at=now)
    elif deed == "hold":
        await Replicas().hold(session, frame_id=held.id, node_id=how, path="x", size=1, digest="md5:1", now=now)
    elif deed == "gone":
        for replica in await Replicas().of_frame(session, held.id):
            await Replicas().mark(session, replica.id, ReplicaState.GONE)
    elif deed == "describe":
        await frames.describe(session, held.id, filter=how, size=7, exposure_time=0.1)
    else:
        await frames.withdraw(session, [held.id], now=now, source="t")


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(deeds=st.lists(DEEDS, max_size=25))
async def test_whatever_happens_in_whatever_order_kept_is_counted(database, deeds):
    with contextlib.suppress(Undone):
        async with database.write() as session:
            nodes = {1: await node(session), 2: await node(session, "node2")}
            for number, (deed, name, how) in enumerate(deeds):
                way = nodes[how] if deed == "hold" else how
                await do(session, deed, name, way, now=NOW + timedelta(hours=7 * number))
            await same(session)
            while (await Tallies().fold(session)).more:
                pass
            await same(session)
            raise Undone


async def test_of_two_units_that_wait_for_each_other_one_is_told_that_it_may_try_again(database):
    if database.sqlite:  # one writes after the other there
        return
    async with database.write() as session:
        numbers = [(await sight(session, name)).id for name in ("1p", "2p")]
    both = asyncio.Barrier(2)

    async def change(first: int, second: int) -> None:
        async with database.write() as session:
            await Frames().describe(session, first, filter="g")
            await both.wait()
            await Frames().describe(session, second, filter="r")

    ends = await asyncio.gather(change(*numbers), change(*reversed(numbers)), return_exceptions=True)
    (busy,) = [end for end in ends if end is not None]
    assert isinstance(busy, Busy)
    assert busy.retryable
    async with database.read() as session:
        await same(session)
