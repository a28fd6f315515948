"""New, known and processed again: what a sighting makes of the rows."""

import asyncio

import pytest

from dbclient.database import Database
from dbclient.schema import FrameState, JobState, ProductState, TransferState
from dbclient.stores import Events, Frames, Jobs, Leases, Products, Sighted, Transfers
from tests.support.night import MAPS, NOW, bring, fetch, job, later, md5, node, placed, sight, sighting

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

    async with asyncio.timeout(30):
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
