"""Statistics, counted by hand on both databases."""

from datetime import UTC, date, datetime, timedelta

import pytest

from dbclient.schema import FrameState
from dbclient.stores import Frames, Grouping, Statistics, Sums
from tests.support.night import NOW, bring, md5, node, placed, sight

S = FrameState
MIDNIGHT = datetime(2008, 3, 31, tzinfo=UTC)


@pytest.fixture
async def spring(database):
    """Two runs, two filters, a node; one frame failed, one withdrawn, one came twice, one came at midnight; a flat."""
    async with database.write() as session:
        here, frames = await node(session), Frames()
        first = await placed(session, "1p", node_id=here, exposure_time=360.0)
        await frames.advance(session, first.id, S.WEIGHTED, now=NOW, source="t", message="1p is weighted")
        await placed(session, "2p", node_id=here, exposure_time=240.0, filter="g.MP9401")
        late = await bring(session, "3p", S.VALID, runid="08BF05", exposure_time=500.0)
        await frames.describe(session, late.id, fetched_at=MIDNIGHT)
        await sight(session, "4p", runid="08BF05", size=None, exposure_time=500.0)
        failed = await sight(session, "5p", exposure_time=500.0)
        await frames.fail(session, failed.id, reason="404", now=NOW, source="t")
        gone = await bring(session, "6p", S.VALID, exposure_time=100.0)
        await frames.describe(session, gone.id, withdrawn_at=NOW)
        await bring(session, "7p", S.VALID, runid=None, filter=None, exposure_time=None)
        await sight(session, "7p", runid=None, filter=None, digest=md5("2"))
        await placed(session, "08Am03.flat.r.36.02", node_id=here, kind="flat", exposure_time=9.0)
    return database


RUN = Sums(
    "08AC14", expected=3, held=3, weighted=1, aside=1, exposure=700.0, bytes=3000, received=3, received_bytes=3000
)
OTHER = Sums("08BF05", expected=2, held=1, exposure=500.0, bytes=1000, received=1, received_bytes=1000)
NAMELESS = Sums(None, expected=1, received=1, received_bytes=1000)


async def test_runs_are_counted_and_what_has_no_run_comes_last(spring):
    async with spring.read() as session:
        assert await Statistics().sums(session, Grouping.RUN) == [RUN, OTHER, NAMELESS]


async def test_filters_are_counted(spring):
    async with spring.read() as session:
        green, red, none = await Statistics().sums(session, Grouping.FILTER)
    assert green == Sums("g.MP9401", expected=1, held=1, exposure=240.0, bytes=1000, received=1, received_bytes=1000)
    assert (red.key, red.expected, red.held, red.weighted, red.aside) == ("r.MP9601", 4, 3, 1, 1)
    assert (red.exposure, red.bytes, red.received_bytes) == (960.0, 3000, 3000)
    assert none == NAMELESS


async def test_nodes_are_counted_by_what_lies_on_them(spring):
    async with spring.read() as session:
        (here,) = await Statistics().sums(session, Grouping.NODE)
    assert here == Sums(
        "node1", expected=2, held=2, weighted=1, exposure=600.0, bytes=2000, received=2, received_bytes=2000
    )


async def test_a_day_ends_at_midnight_utc_wherever_the_database_stands(spring):
    async with spring.read() as session:
        days = await Statistics().sums(session, Grouping.DAY)
    assert [(day.key, day.expected, day.held, day.received) for day in days] == [
        ("2008-03-30", 5, 3, 4),
        ("2008-03-31", 1, 1, 1),
    ]


async def test_every_grouping_but_nodes_counts_the_same_frames(spring):
    async with spring.read() as session:
        wholes = set()
        for by in set(Grouping) - {Grouping.NODE}:
            found = await Statistics().sums(session, by)
            names = ("expected", "held", "weighted", "aside", "exposure", "bytes", "received", "received_bytes")
            wholes.add(tuple(sum(getattr(one, name) for one in found) for name in names))
    assert wholes == {(6, 4, 1, 1, 1200.0, 4000, 5, 5000)}


async def test_first_and_last_day_are_both_included(spring):
    first, second = NOW.date(), MIDNIGHT.date()
    async with spring.read() as session:

        async def held(**days: date) -> int:
            return sum(one.held for one in await Statistics().sums(session, Grouping.RUN, **days))

        assert await held(until=first) == 3
        assert await held(since=second) == 1
        assert await held(since=first, until=second) == 4
        assert await held(since=second + timedelta(days=1)) == 0
        assert await held(until=date.max) == 4


async def test_statistics_begin_with_the_first_listing(spring):
    async with spring.read() as session:
        assert await Statistics().begin(session) == NOW


async def test_without_frames_there_are_no_rows_and_no_beginning(database):
    async with database.read() as session:
        assert [await Statistics().sums(session, by) for by in Grouping] == [[]] * len(Grouping)
        assert await Statistics().begin(session) is None
