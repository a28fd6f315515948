"""New, known and processed again: what a sighting makes of the rows."""

import asyncio

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState, JobState, ProductState, TransferState
from dbclient.stores import Events, Frames, Jobs, Leases, Products, Replicas, Sighted, Transfers
from tests.support.night import MAPS, NOW, bring, fetch, job, later, md5, node, placed, sight, sighting
from tests.support.table_archive import read

S = FrameState


async def taken(session, name="979412p", **facts) -> Sighted:
    return await Frames().sight(session, sighting(name, **facts), now=later(60), source="snooppix")


async def states(session, name="979412p") -> list[tuple[int, FrameState, bool]]:
    return [(row.generation, row.state, row.current) for row in await Frames().generations(session, name)]


async def test_a_new_frame_is_spotted_once(database):
    async with database.write() as session:
        assert await taken(session) is Sighted.NEW
        assert await taken(session) is Sighted.KNOWN
        assert await states(session) == [(1, S.SPOTTED, True)]
        assert [event.kind for event in await Events().latest(session)] == ["spotted"]


async def test_a_known_frame_takes_over_what_the_archive_has_learned(database):
    async with database.write() as session:
        await sight(session, digest=None, size=None, object=None, release=None)
        await taken(session, digest=md5("1"), size=1000, object="D3", release=later(5), modified=later(9))
        row = await Frames().named(session, "979412p")
    assert (row.wire_digest, row.size, row.object, row.release, row.archive_modified) == (
        md5("1"), 1000, "D3", later(5), later(9),
    )  # fmt: skip


@pytest.mark.parametrize("finished", [S.VALID, S.PLACED])
async def test_the_old_generation_stays_until_the_new_one_is_valid(database, finished):
    async with database.write() as session:
        old = await bring(session, "979412p", finished)
        assert await taken(session, digest=md5("2")) is Sighted.REPROCESSED
        assert await taken(session, digest=md5("2")) is Sighted.KNOWN
        assert await states(session) == [(2, S.SPOTTED, True), (1, finished, False)]
        new = await Frames().named(session, "979412p")
        assert new.supersedes == old.id
        await Frames().advance(session, new.id, S.FETCHED, now=NOW, source="t", message="here")
        assert (await states(session))[1] == (1, finished, False)
        await Frames().advance(session, new.id, S.VALID, now=NOW, source="t", message="valid")
        assert await states(session) == [(2, S.VALID, True), (1, S.SUPERSEDED, False)]


@pytest.mark.parametrize("unfinished", [S.SPOTTED, S.FETCHED, S.REJECTED, S.FAILED])
async def test_a_generation_that_has_given_nothing_is_superseded_at_once(database, unfinished):
    async with database.write() as session:
        row = await sight(session)
        transfer = await fetch(session, row)
        if unfinished is S.FAILED:
            await Frames().fail(session, row.id, reason="404", now=NOW, source="t")
        elif unfinished is not S.SPOTTED:
            await Frames().advance(session, row.id, unfinished, now=NOW, source="t", message="moves")
        await taken(session, digest=md5("2"))
        await taken(session, digest=md5("3"))
        assert await states(session) == [(3, S.SPOTTED, True), (2, S.SUPERSEDED, False), (1, S.SUPERSEDED, False)]
        assert (await Transfers().get(session, transfer)).state is TransferState.FAILED


async def test_with_the_old_generation_its_products_jobs_and_leases_are_set_aside(database):
    async with database.write() as session:
        here = await node(session)
        done = await placed(session, "1p", node_id=here)
        number = await job(session, done, node_id=here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Jobs().finish(session, number, "t", products=MAPS, summary={}, now=NOW, source="t")
        working = await placed(session, "2p", node_id=here)
        number = await job(session, working, node_id=here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        for name in ("1p", "2p"):
            await taken(session, name, digest=md5("2"))
            new = await Frames().named(session, name)
            for state in (S.FETCHED, S.VALID):
                await Frames().advance(session, new.id, state, now=NOW, source="t", message="moves")
        assert {product.state for product in await Products().of_frame(session, done.id)} == {ProductState.SUPERSEDED}
        assert [j.state for j in await Jobs().of_frame(session, done.id)] == [JobState.DONE]
        assert [j.state for j in await Jobs().of_frame(session, working.id)] == [JobState.SUPERSEDED]
        assert await Leases().open(session) == []
        assert not await Jobs().beat(session, number, "t", share=0.5, now=NOW)
        assert not await Jobs().finish(session, number, "t", products=MAPS, summary={}, now=NOW, source="t")


async def test_without_a_digest_size_and_stamp_tell_what_is_new(database):
    async with database.write() as session:
        known = {"digest": None, "size": 1000, "modified": later(10)}
        assert await taken(session, **known) is Sighted.NEW
        assert await taken(session, **known) is Sighted.KNOWN
        assert await taken(session, **known | {"modified": later(5)}) is Sighted.KNOWN
        assert await taken(session, **known | {"modified": later(20)}) is Sighted.REPROCESSED
        assert await taken(session, **known | {"modified": later(20), "size": 1001}) is Sighted.REPROCESSED


async def test_a_digest_of_another_kind_proves_nothing(database):
    async with database.write() as session:
        await sight(session)
        assert await taken(session, digest="sha256:" + "f" * 64) is Sighted.KNOWN
        assert (await Frames().named(session, "979412p")).wire_digest == md5("1")


async def test_two_watchers_that_see_the_same_at_once_make_one_row(database, database_url):
    other = await Database.open(database_url)

    async def watch(opened: Database) -> Sighted:
        async with opened.write() as session:
            return await taken(session)

    async with asyncio.timeout(60):
        seen = await asyncio.gather(*(watch(opened) for opened in (database, other) * 3))
    await other.close()
    assert sorted(outcome.value for outcome in seen) == ["known"] * 5 + ["new"]
    async with database.read() as session:
        assert await states(session) == [(1, S.SPOTTED, True)]


async def test_hostile_words_are_cut_and_cleaned_instead_of_breaking_the_database(database):
    async with database.write() as session:
        row = await sight(session, runid="08AC14" * 20, object="D3\0\ud800é", exposure_time=float("nan"))
        await Frames().describe(session, row.id, elixir={"PHOT_C": float("inf"), "NOTE\0": "a\0b"}, needs=None)
    async with database.read() as session:
        row = await Frames().get(session, row.id)
        assert (len(row.runid), row.object, row.exposure_time) == (20, "D3?é", None)
        assert row.elixir == {"PHOT_C": None, "NOTE": "ab"}
        assert row.needs is None


async def test_generations_say_what_made_them(database):
    first = {"version": "2.0", "processed_at": later(0)}
    async with database.write() as session:
        await taken(session, **first)
        assert await taken(session, **first | {"processed_at": later(59)}) is Sighted.KNOWN
        assert await taken(session, **first | {"processed_at": later(61)}) is Sighted.REPROCESSED
        assert await taken(session, **first | {"processed_at": later(61), "version": "2.1"}) is Sighted.REPROCESSED
        changed = {"processed_at": later(61), "version": "2.1", "digest": md5("2")}
        assert await taken(session, **changed) is Sighted.REPROCESSED
        causes = [row.cause for row in await Frames().generations(session, "979412p")]
    assert causes == ["checksum", "version", "processed", "new"]


async def test_what_was_not_told_before_makes_no_generation(database):
    async with database.write() as session:
        await taken(session)
        assert await taken(session, version="2.0", processed_at=later(0), offered=3) is Sighted.KNOWN
        row = await Frames().named(session, "979412p")
    assert (row.elixir_version, row.processed_at, row.offered) == ("2.0", later(0), 3)


async def test_a_replaced_generation_that_is_listed_again_without_a_newer_stamp_is_old_news(database):
    async with database.write() as session:
        await taken(session, modified=later(1))
        await taken(session, modified=later(2), digest=md5("2"))
        assert await taken(session, modified=later(1)) is Sighted.KNOWN
        assert await taken(session, modified=later(2)) is Sighted.KNOWN
        assert (await Frames().named(session, "979412p")).wire_digest == md5("2")
        assert await taken(session, modified=later(3)) is Sighted.REPROCESSED


async def test_what_is_listed_again_long_after_it_was_replaced_is_what_the_archive_has(database):
    """As it is where a listing was wrong for a while, or the archive's clock: no stamp tells."""
    async with database.write() as session:
        await taken(session, modified=later(1))
        await taken(session, modified=later(1), digest=md5("2"))
        seen = sighting(modified=later(1))
        assert await Frames().sight(session, seen, now=later(3600), source="snooppix") is Sighted.REPROCESSED
        rows = await Frames().generations(session, "979412p")
        assert [row.wire_digest for row in rows] == [md5("1"), md5("2"), md5("1")]


async def test_a_changed_release_date_moves_the_frame_that_waits_for_it(database):
    async with database.write() as session:
        row = await sight(session, release=later(9000))
        await Frames().wait(session, row.id, reason="not public", retry_at=later(9000), now=NOW, source="t")
        await taken(session, release=later(7000))
        assert (await Frames().named(session, "979412p")).retry_at == later(7000)
        await taken(session, release=later(10))
        assert (await Frames().named(session, "979412p")).retry_at == later(60)


async def test_a_released_frame_that_waits_is_due_at_once_and_no_other(database):
    async with database.write() as session:
        for name, release in (("1p", later(10)), ("2p", later(9000)), ("3p", None)):
            row = await sight(session, name, release=release)
            await Frames().wait(session, row.id, reason="403", retry_at=later(3600), now=NOW, source="t")
        assert await Frames().release(session, ["1p", "2p", "3p", "4p"], now=later(60)) == 1
        due = await Frames().due(session, S.SPOTTED, now=later(60))
    assert [row.name for row in due] == ["1p"]


async def test_a_withdrawn_frame_is_marked_kept_and_taken_back_when_it_is_listed_again(database):
    async with database.write() as session:
        row = await bring(session, "979412p", S.VALID)
        assert await Frames().withdraw(session, [row.id, row.id, 99], now=later(5), source="t") == 1
        marked = await Frames().get(session, row.id)
        assert (marked.state, marked.withdrawn_at) == (S.VALID, later(5))
        assert await taken(session) is Sighted.RETURNED
        assert (await Frames().get(session, row.id)).withdrawn_at is None
        told = [event.kind for event in await Events().of_frame(session, row.id)]
    assert told[-2:] == ["withdrawn", "returned"]


@pytest.mark.parametrize("count", [3, 150, 450])
async def test_many_sightings_at_once_mean_what_they_mean_one_by_one(database, count):
    facts = {"object": "a\0b", "runid": "08AC14" * 9, "exposure_time": float("inf"), "modified": later(1), "offered": 2}
    many = [sighting(f"{700000 + n}p", size=n, release=later(n), **facts) for n in range(count)]
    async with database.write() as session:
        await sight(session, "700001p", size=1)
        outcomes = await Frames().sight_all(session, many, now=later(60), source="snooppix")
        assert [outcome is Sighted.NEW for outcome in outcomes] == [n != 1 for n in range(count)]
        first = await Frames().named(session, "700000p")
        singly = await sight(session, "1p", size=0, release=later(0), **facts)
        same = ("runid", "object", "exposure_time", "release", "archive_modified", "offered", "kind", "state", "cause")
        assert [getattr(first, name) for name in same] == [getattr(singly, name) for name in same]
        assert (first.current, first.priority, first.spotted_at) == (True, 0, later(60))
        assert set(await Frames().sight_all(session, many, now=later(61), source="snooppix")) == {Sighted.KNOWN}
        told = [event for event in await Events().latest(session, limit=500) if event.kind == "spotted"]
    assert len(told) == (count + 1 if count < 100 else 3)
    assert sum(event.data["frames"] for event in told if event.data) == (0 if count < 100 else count - 1)


async def test_of_a_name_that_is_listed_twice_the_last_row_counts(database):
    async with database.write() as session:
        pair = [sighting(digest=md5("1")), sighting(digest=md5("2"))]
        assert await Frames().sight_all(session, pair, now=NOW, source="t") == [Sighted.KNOWN, Sighted.NEW]
        assert [row.wire_digest for row in await Frames().generations(session, "979412p")] == [md5("2")]
        assert await Frames().sight_all(session, pair, now=NOW, source="t") == [Sighted.KNOWN, Sighted.KNOWN]


async def test_products_of_the_old_generation_serve_until_the_new_one_is_valid_and_then_its_jobs_are_due(database):
    async with database.write() as session:
        here = await node(session)
        old = await placed(session, node_id=here)
        number = await job(session, old, node_id=here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Jobs().finish(session, number, "t", products=MAPS, summary={}, now=NOW, source="t")
        await taken(session, digest=md5("2"))
        assert {product.state for product in await Products().of_frame(session, old.id)} == {ProductState.HELD}
        new = await Frames().named(session, "979412p")
        await Frames().advance(session, new.id, S.FETCHED, now=NOW, source="t", message="here")
        assert {product.state for product in await Products().of_frame(session, old.id)} == {ProductState.HELD}
        await Frames().advance(session, new.id, S.VALID, now=NOW, source="t", message="valid")
        assert {product.state for product in await Products().of_frame(session, old.id)} == {ProductState.SUPERSEDED}
        assert await Jobs().wanted(session, stage="weight", recipe="r1") == []
        await Frames().advance(session, new.id, S.PLACED, now=NOW, source="t", message="placed", path=None)
        await Replicas().hold(
            session, frame_id=new.id, node_id=here, path="f.g2.fits.fz", size=1, digest=md5("2"), now=NOW
        )
        wanted = await Jobs().wanted(session, stage="weight", recipe="r1")
    assert [(frame.generation, where.name) for frame, where in wanted] == [(2, "node1")]


@pytest.mark.parametrize("before", [0, 1, 60, 150])
async def test_a_slab_counts_what_is_new_known_and_processed_again(database, before):
    many = [sighting(f"{700000 + n}p", modified=later(n), size=n) for n in range(200)]
    slab = read(many).slab
    async with database.write() as session:
        if before:
            await Frames().sight_all(session, many[:before], now=NOW, source="snooppix")
            await sight(session, "700000p", digest=md5("9"), size=0, modified=later(500))
        counts = await Frames().sight_slab(session, slab, now=later(60), source="snooppix")
        again = await Frames().sight_slab(session, slab, now=later(61), source="snooppix")
        told = [e for e in await Events().latest(session, limit=500) if e.kind == "spotted" and e.at == later(60)]
    assert counts[Sighted.NEW] == 200 - before
    assert sum(counts.values()) == sum(again.values()) == 200
    assert again[Sighted.NEW] == 0
    assert sum(event.data["frames"] if event.data else 1 for event in told) == 200 - before
    assert all(event.data or event.frame_id for event in told)
