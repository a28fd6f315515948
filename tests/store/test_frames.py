"""A frame's way: legal moves, waiting, failing, trying again, each with its event."""

import pytest

from dbclient.errors import IllegalMove
from dbclient.schema import FrameKind, FrameState, JobState, Level
from dbclient.stores import Events, Frames, Jobs
from tests.support.night import NOW, bring, job, later, node, placed, sight

S = FrameState


async def move(session, row, to, **columns):
    await Frames().advance(session, row.id, to, now=later(1), source="test", message="moves on", **columns)
    return await Frames().get(session, row.id)


async def test_each_step_is_stamped_told_and_clears_what_was_waited_for(database):
    async with database.write() as session:
        row = await sight(session)
        await Frames().wait(session, row.id, reason="503", retry_at=later(60), now=NOW, source="snooppix")
        row = await move(session, row, S.FETCHED, path="incoming/979412p.fits.fz", size=1234)
        assert (row.reason, row.retry_at, row.attempts) == (None, None, 0)
        assert (row.fetched_at, row.path, row.size) == (later(1), "incoming/979412p.fits.fz", 1234)
        row = await move(session, await move(session, row, S.VALID), S.PLACED, path=None)
        row = await move(session, row, S.WEIGHTED)
        assert (row.valid_at, row.placed_at, row.weighted_at, row.path) == (later(1), later(1), later(1), None)
        told = [event.kind for event in await Events().of_frame(session, row.id)]
        assert told == ["spotted", "waits", "fetched", "valid", "placed", "weighted"]


async def test_an_illegal_move_is_refused_and_leaves_the_frame(database):
    async with database.write() as session:
        row = await sight(session)
        with pytest.raises(IllegalMove, match="979412p cannot go from spotted to placed"):
            await move(session, row, S.PLACED)
        assert (await Frames().get(session, row.id)).state is S.SPOTTED


async def test_an_unknown_column_is_refused(database):
    async with database.write() as session:
        row = await sight(session)
        with pytest.raises(AttributeError, match="airmas"):
            await Frames().describe(session, row.id, airmas=1.2)


async def test_going_back_forgets_the_moments_of_the_way_not_gone_any_more(database):
    async with database.write() as session:
        row = await bring(session, "979412p", S.PLACED)
        row = await move(session, row, S.SPOTTED, path=None)
        assert (row.fetched_at, row.valid_at, row.placed_at) == (None, None, None)


async def test_waiting_counts_tries_and_tells_each_reason_once(database):
    async with database.write() as session:
        row = await sight(session)
        for reason, count in (("503", True), ("503", True), ("no room", False)):
            await Frames().wait(session, row.id, reason=reason, retry_at=None, now=NOW, source="snooppix", count=count)
        row = await Frames().get(session, row.id)
        assert (row.state, row.reason, row.attempts) == (S.SPOTTED, "no room", 2)
        told = [e.message for e in await Events().of_frame(session, row.id) if e.kind == "waits"]
        assert told == ["979412p waits: 503", "979412p waits: no room"]


async def test_nothing_that_comes_late_moves_a_superseded_frame(database):
    async with database.write() as session:
        old = await sight(session)
        await sight(session, digest="md5:" + "2" * 32)
        await Frames().wait(session, old.id, reason="late", retry_at=None, now=NOW, source="t")
        await Frames().fail(session, old.id, reason="late", now=NOW, source="t")
        with pytest.raises(IllegalMove):
            await move(session, old, S.FETCHED)
        with pytest.raises(IllegalMove):
            await Frames().retry(session, old.id, now=NOW, source="t")
        assert (await Frames().get(session, old.id)).state is S.SUPERSEDED


@pytest.mark.parametrize("reached", [S.SPOTTED, S.FETCHED, S.VALID, S.PLACED])
async def test_a_failed_frame_tried_again_goes_on_where_it_was(database, reached):
    async with database.write() as session:
        row = await bring(session, "979412p", reached)
        await Frames().fail(session, row.id, reason="8 tries", now=NOW, source="t")
        failed = await Frames().get(session, row.id)
        assert (failed.state, failed.reason) == (S.FAILED, "8 tries")
        assert (await Events().latest(session, limit=1))[0].level is Level.ERROR
        await Frames().retry(session, row.id, now=NOW, source="operator:ann")
        again = await Frames().get(session, row.id)
        assert (again.state, again.reason, again.attempts, again.priority) == (reached, None, 0, 100)


async def test_a_rejected_frame_tried_again_is_fetched_again(database):
    async with database.write() as session:
        row = await bring(session, "979412p", S.FETCHED)
        await move(session, row, S.REJECTED, reason="not Elixir", path="from_CADC/rejected/x")
        await Frames().retry(session, row.id, now=NOW, source="operator:ann")
        row = await Frames().get(session, row.id)
        assert (row.state, row.path, row.fetched_at, row.reason) == (S.SPOTTED, None, None, None)


async def test_with_a_frame_its_failed_job_is_tried_again(database):
    async with database.write() as session:
        here = await node(session)
        row = await placed(session, node_id=here)
        number = await job(session, row, node_id=here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Jobs().fail(session, number, "t", reason="flat is damaged", retry_at=None, now=NOW, source="worker")
        assert (await Frames().get(session, row.id)).reason == "weight: flat is damaged"
        await Frames().retry(session, row.id, now=NOW, source="operator:ann")
        assert (await Frames().get(session, row.id)).state is S.PLACED
        held = await Jobs().get(session, number)
        assert (held.state, held.attempts, held.reason) == (JobState.DUE, 0, None)


async def test_due_frames_come_by_priority_then_as_they_were_spotted(database):
    async with database.write() as session:
        rows = {name: await sight(session, name) for name in ("1p", "2p", "3p", "4p", "5p", "flat")}
        await Frames().describe(session, rows["4p"].id, priority=100)
        await Frames().describe(session, rows["flat"].id, priority=10, kind=FrameKind.FLAT)
        await Frames().wait(session, rows["2p"].id, reason="503", retry_at=later(60), now=NOW, source="t")
        await Frames().wait(session, rows["3p"].id, reason="no room", retry_at=None, now=NOW, source="t")

        async def due(seconds, **how):
            return [r.name for r in await Frames().due(session, S.SPOTTED, now=later(seconds), **how)]

        assert await due(0, limit=10) == ["4p", "flat", "1p", "3p", "5p"]
        assert await due(60, limit=10) == ["4p", "flat", "1p", "2p", "3p", "5p"]
        assert await due(0, limit=3) == ["4p", "flat", "1p"]
        assert await due(0, limit=10, kinds=(FrameKind.FLAT,)) == ["flat"]
        assert await Frames().due(session, S.VALID, now=NOW, limit=10) == []


async def test_an_event_names_its_frame_once(database):
    async with database.write() as session:
        row = await sight(session)
        for message in ("979412p arrived", "is here", "It is on node1."):
            await Frames().advance(session, row.id, S.SPOTTED, now=NOW, source="t", message=message)
        told = [event.message for event in await Events().of_frame(session, row.id)][1:]
        assert told == ["979412p arrived", "979412p is here", "979412p: It is on node1."]
