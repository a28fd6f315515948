"""Lists and sums for pages: filters, pages by number, what counts, and that SQLite answers from an index."""

import pytest
from sqlalchemy import event

from dbclient.schema import FrameState, TransferKind
from dbclient.stores import Exchange, Frames, Inventory, Jobs, Nodes, Stocks, Traffic, Transfers
from tests.support.night import NOW, bring, fetch, job, md5, node, placed, sight

S = FrameState


async def names(session, **how) -> list[str]:
    return [row.name for row in await Frames().search(session, **how)]


@pytest.fixture
async def night(database):
    """A night: two runs, two filters, one frame on a node, one failed, one processed again, one flat."""
    async with database.write() as session:
        here = await node(session)
        await placed(session, "1p", node_id=here)
        await bring(session, "2p", S.VALID, filter="g.MP9401")
        await sight(session, "3p", runid="08BF05")
        failed = await sight(session, "4p", runid="08BF05", size=None)
        await Frames().fail(session, failed.id, reason="404", now=NOW, source="t")
        await sight(session, "5p")
        await sight(session, "5p", digest=md5("2"))
        await placed(session, "08Am03.flat.r.36.02", node_id=here, kind="flat")
    return database


async def test_frames_are_found_by_each_of_their_facts(night):
    async with night.read() as session:
        assert await names(session) == ["5p", "4p", "3p", "2p", "1p"]
        assert await names(session, newest=False) == ["1p", "2p", "3p", "4p", "5p"]
        assert await names(session, runid="08BF05") == ["4p", "3p"]
        assert await names(session, runid="08AC14", filter="g.MP9401") == ["2p"]
        assert await names(session, state=S.FAILED) == ["4p"]
        assert await names(session, node="node1") == ["1p"]
        assert await names(session, node="node9") == []
        assert await names(session, name="5") == ["5p"]
        assert await names(session, name="08am", kind=None) == []
        assert await names(session, name="08Am", kind=None) == ["08Am03.flat.r.36.02"]
        assert await names(session, state=S.SUPERSEDED) == ["5p"]
        assert len(await names(session, superseded=True)) == 6


async def test_pages_follow_each_other_without_gap_or_overlap(night):
    async with night.read() as session:
        for newest in (True, False):
            seen, after = [], None
            while page := await Frames().search(session, limit=2, after=after, newest=newest):
                seen += [row.name for row in page]
                after = page[-1].id
            assert sorted(seen) == ["1p", "2p", "3p", "4p", "5p"]


async def test_a_row_says_where_the_frame_is_and_how_far(night):
    async with night.write() as session:
        row = next(r for r in await Frames().search(session) if r.name == "1p")
        assert (row.node, row.progress) == ("node1", None)
        number = await job(session, row, node_id=1)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Jobs().beat(session, number, "t", share=0.25, now=NOW)
        await Transfers().progress(session, await fetch(session, await sight(session, "3p", runid="08BF05")), done=400)
        shares = {r.name: r.progress for r in await Frames().search(session)}
        assert (shares["1p"], shares["3p"], shares["2p"]) == (0.25, 0.4, None)


async def test_the_newest_generation_of_each_exposure_counts(night):
    async with night.read() as session:
        assert await Frames().counts(session) == {S.PLACED: 1, S.VALID: 1, S.SPOTTED: 2, S.FAILED: 1}


async def test_runs_are_summed(night):
    async with night.read() as session:
        first, second = await Frames().runs(session)
    assert (first.runid, first.frames, first.bytes, first.filters) == ("08AC14", 3, 3000, ("g.MP9401", "r.MP9601"))
    assert first.states == {S.PLACED: 1, S.VALID: 1, S.SPOTTED: 1}
    assert (second.runid, second.frames, second.bytes) == ("08BF05", 2, 1000)


async def test_calibrations_that_nobody_has_seen_are_missing(night):
    async with night.write() as session:
        for name, flat, mask in (
            ("1p", "08Am03.flat.r.36.02", "mask.1"),
            ("2p", "flat.g", "mask.1"),
            ("3p", "no", "no"),
        ):
            row = await Frames().named(session, name)
            await Frames().describe(session, row.id, flat=flat, mask=mask)
        assert await Frames().calibrations_missing(session) == ["flat.g", "mask.1"]


async def test_the_inventory_answers_on_both_databases(night):
    async with night.write() as session:
        held = await Frames().named(session, "1p")
        coming = await Frames().named(session, "2p")
        await Frames().describe(session, held.id, flat="08Am03.flat.r.36.02", mask="mask.1")
        await Transfers().begin(session, frame_id=coming.id, node_id=1, kind=TransferKind.MOVE, source="x", now=NOW)
        inventory = Inventory()
        assert await Stocks().bytes(session) == {1: 2000}
        assert await inventory.open_moves(session) == {coming.id: 1}
        assert {(c.name, c.state, c.held) for c in await inventory.calibrations(session)} == {
            ("08Am03.flat.r.36.02", S.PLACED, True),
            ("mask.1", None, False),
        }
        assert (await Nodes().room(session))[0].runs == frozenset({"08AC14"})


LOOKS = {
    "newest": (lambda s: Frames().search(s), "COVERING INDEX ix_frames_states"),
    "next page": (lambda s: Frames().search(s, after=3), "COVERING INDEX ix_frames_states"),
    "of a state": (lambda s: Frames().search(s, state=S.VALID), "ix_frames_states"),
    "of a run": (lambda s: Frames().search(s, runid="08AC14", filter="g.MP9401"), "ix_frames_run"),
    "on a node": (lambda s: Frames().search(s, node="node1"), "ix_replicas_held"),
    "counts": (lambda s: Frames().counts(s), "INTEGER PRIMARY KEY (rowid>?)"),
    "runs": (lambda s: Frames().runs(s), "INTEGER PRIMARY KEY (rowid>?)"),
    "tallies": (lambda s: Exchange().tallies(s), "INTEGER PRIMARY KEY (rowid>?)"),
    "waiting": (lambda s: Exchange().waiting(s, now=NOW, limit=5), "ix_frames_waiting"),
    "how many wait": (lambda s: Exchange().waiting_count(s, now=NOW), "COVERING INDEX ix_frames_waiting"),
    "released next": (lambda s: Exchange().next_released(s, now=NOW, limit=5), "ix_frames_release"),
    "releases": (lambda s: Exchange().releases(s, now=NOW, begins=[NOW]), "COVERING INDEX ix_frames_release"),
    "calibrations needed": (lambda s: Inventory().calibrations(s), "ix_frames_states"),
    "calibrations held": (lambda s: Inventory().calibrations_held(s), "(kind=?"),
    "run together": (lambda s: Inventory().company(s, "run", ["08AC14"]), "ix_frames_run"),
    "field together": (lambda s: Inventory().company(s, "field", ["D1"]), "ix_frames_field"),
    "due": (lambda s: Frames().due(s, S.SPOTTED, now=NOW, limit=5), "COVERING INDEX ix_frames_urgent"),
    "due without haste": (lambda s: Frames().due(s, S.SPOTTED, now=NOW, limit=5), "ix_frames_states"),
    "queued": (lambda s: Exchange().queued(s, now=NOW, limit=5), "ix_frames_states"),
    "pace of stages": (lambda s: Jobs().stage_seconds(s), "SCAN jobs"),  # from the end, and no further than need be
    "pace of nodes": (lambda s: Jobs().seconds(s), "SCAN jobs"),
    "without a catalogue": (lambda s: Jobs().uncatalogued(s), "ix_frames_uncatalogued"),
    "come of late": (lambda s: Traffic().arrived(s, since=NOW), "ix_transfers_ended"),
}


async def plans_of(night, ask):
    """Give the lines of SQLite's plans for what is asked."""
    asked: list[tuple[str, tuple[object, ...]]] = []

    def note(connection, cursor, statement, parameters, context, many):
        asked.append((statement, parameters))

    event.listen(night.engine.sync_engine, "before_cursor_execute", note)
    plans = []
    async with night.read() as session:
        await ask(session)
        for statement, parameters in [(s, p) for s, p in asked if s.startswith("SELECT")]:
            found = await (await session.connection()).exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [row[3] for row in found]
    return plans


async def test_frames_to_be_catalogued_are_looked_for_among_those_without_a_catalogue(night):
    """And not among all jobs that are done: 0.3 s of each pass with a million frames."""
    if not night.sqlite:
        return
    plans = await plans_of(night, lambda s: Jobs().wanted_after(s, stage="sources", recipe="r", weights="w"))
    first = next(line for line in plans if "frames" in line or "jobs_1" in line)
    assert "ix_frames_uncatalogued" in first, plans


@pytest.mark.parametrize("look", LOOKS)
async def test_lists_are_read_from_an_index_and_not_sorted(night, look):
    """The plans that keep a list at milliseconds with 100 000 frames; PostgreSQL plans by its own statistics."""
    if not night.sqlite:
        return
    ask, index = LOOKS[look]
    plans = await plans_of(night, ask)
    assert any(index in line for line in plans), plans
    assert not [line for line in plans if "TEMP B-TREE FOR ORDER BY" in line or line == "SCAN frames"], plans
