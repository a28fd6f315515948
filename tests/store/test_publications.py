"""The ledger of what goes back, and the outbox of what came, on both databases."""

import asyncio
from dataclasses import replace

from dbclient.schema import FrameKind, FrameState, PublicationState
from dbclient.stores import Acknowledgements, Events, Frames, Jobs, Publications, Sighted, Sighting
from dbclient.stores.publications import Registration
from tests.support.night import MAPS, NOW, job, later, md5, node, placed

DUE, OFFERED, ACKNOWLEDGED, SUPERSEDED, FAILED = (
    PublicationState.DUE,
    PublicationState.OFFERED,
    PublicationState.ACKNOWLEDGED,
    PublicationState.SUPERSEDED,
    PublicationState.FAILED,
)
NAME = "979412p_weight.fits.fz"
FILE = Registration(name=NAME, kind="weight", source="/data/w.fits.fz", digest=md5("a"))
SAID = {"now": NOW, "source": "publisher"}


async def weighted(session, name="979412p"):
    """Bring a frame to where its maps are held."""
    number = await node(session)
    frame = await placed(session, name, node_id=number)
    work = await job(session, frame, node_id=number)
    assert await Jobs().claim(session, work, worker="w", token="t", now=NOW)
    assert await Jobs().finish(session, work, "t", products=MAPS, summary={}, now=NOW, source="w")
    return frame


async def offered(session, registration=FILE):
    """Register a file and offer it."""
    row = await Publications().register(session, registration, **SAID)
    await Publications().lay_out(session, row.id, size=5, pixel_digest="sha256:" + "1" * 64, now=NOW)
    return await Publications().offer(session, row.id, path=f"to_CADC/{registration.name}", **SAID)


async def test_products_that_are_held_and_not_in_the_ledger_are_wanted(database):
    async with database.write() as session:
        frame = await weighted(session)
        found = await Publications().unpublished(session, kinds=["weight", "flag"], limit=9)
        assert [(item.frame, item.kind, item.runid) for item in found] == [
            ("979412p", "weight", "08AC14"),
            ("979412p", "flag", "08AC14"),
        ]
        assert found[0].source == "/data/node1/products/08AC14/979412p_weight.fits.fz"
        known = replace(FILE, digest=found[0].digest, product_id=found[0].product_id, frame_id=frame.id)
        await Publications().register(session, known, **SAID)
        assert [i.kind for i in await Publications().unpublished(session, kinds=["weight", "flag"], limit=9)] == [
            "flag"
        ]
        assert await Publications().unpublished(session, kinds=["weight"], limit=9) == []


async def test_generations_rise_with_new_bytes_only_and_never_fall_below_a_floor(database):
    async with database.write() as session:
        first = await Publications().register(session, FILE, **SAID)
        assert (await Publications().register(session, FILE, **SAID)).id == first.id
        second = await Publications().register(session, replace(FILE, digest=md5("b")), **SAID)
        third = await Publications().register(session, replace(FILE, digest=md5("c")), floor=7, **SAID)
        assert [row.generation for row in (first, second, third)] == [1, 2, 8]
        assert [row.generation for row in await Publications().generations(session, NAME)] == [8, 2, 1]
        assert await Publications().newest(session, "other") is None


async def test_two_that_register_at_once_make_one_row(database):
    async def register(letter):
        async with database.write() as session:
            await Publications().register(session, replace(FILE, digest=md5(letter)), **SAID)

    await asyncio.gather(*(register(letter) for letter in "aabb"))
    async with database.read() as session:
        rows = await Publications().ledger(session)
        assert [row.generation for row in rows] == list(range(1, len(rows) + 1))
        assert 2 <= len(rows) <= 4


async def test_a_new_generation_takes_the_place_of_the_one_before(database):
    async with database.write() as session:
        first = await offered(session)
        assert (await Publications().offered(session, NAME)).id == first.id
        second = await Publications().register(session, replace(FILE, digest=md5("b")), **SAID)
        assert (await Publications().offered(session, NAME)).id == first.id  # until the new one is on the shelf
        await Publications().lay_out(session, second.id, size=6, pixel_digest=None, now=NOW)
        assert await Publications().offered(session, NAME) is None
        old = await Publications().get(session, first.id)
        assert (old.state, old.path, old.deleted_at) == (SUPERSEDED, None, NOW)
        await Publications().offer(session, second.id, path="to_CADC/x", **SAID)
        assert [item.publication.generation for item in await Publications().listed(session)] == [2]


async def test_what_was_acknowledged_stays_so_when_a_newer_one_comes(database):
    async with database.write() as session:
        first = await offered(session)
        await Publications().acknowledge(session, first.id, by="cadc", **SAID)
        await offered(session, replace(FILE, digest=md5("b")))
        old = await Publications().get(session, first.id)
        assert (old.state, old.path) == (ACKNOWLEDGED, None)
        assert await Publications().deletable(session, before=later(1), limit=9) == []


async def test_what_waits_is_due_again_at_its_moment_and_told_once(database):
    async with database.write() as session:
        row = await Publications().register(session, FILE, **SAID)
        for _ in range(2):
            await Publications().wait(session, row.id, reason="no disk", retry_at=later(60), **SAID)
        assert await Publications().due(session, now=NOW, limit=9) == []
        (due,) = await Publications().due(session, now=later(60), limit=9)
        assert (due.reason, due.attempts) == ("no disk", 2)
        assert await Publications().to_push(session, now=later(60), limit=9) == []
        assert [e.kind for e in await Events().latest(session)] == ["waits", "registered"]


async def test_a_failure_is_told_once_and_an_acknowledgement_heals_it(database):
    async with database.write() as session:
        row = await offered(session)
        for _ in range(2):
            await Publications().fail(session, row.id, reason="other bytes", **SAID)
        assert [e.kind for e in await Events().latest(session)].count("publication-failed") == 1
        assert (await Publications().offered(session, NAME)).state is FAILED  # it may be fetched again
        for _ in range(2):
            await Publications().acknowledge(session, row.id, by="cadc", **SAID)
        kept = await Publications().get(session, row.id)
        assert (kept.state, kept.reason, kept.acknowledged_by) == (ACKNOWLEDGED, None, "cadc")
        assert await Publications().counts(session) == {ACKNOWLEDGED: 1}


async def test_only_what_is_acknowledged_may_be_deleted_and_it_stays_listed(database):
    async with database.write() as session:
        row = await offered(session)
        assert await Publications().deletable(session, before=later(10**6), limit=9) == []
        await Publications().acknowledge(session, row.id, by="cadc", **SAID)
        assert [r.id for r in await Publications().deletable(session, before=NOW, limit=9)] == [row.id]
        await Publications().deleted(session, row.id, **SAID)
        assert await Publications().deletable(session, before=later(10**6), limit=9) == []
        assert [item.publication.id for item in await Publications().listed(session)] == [row.id]


async def test_a_list_tells_of_the_sky_what_the_frame_tells(database):
    async with database.write() as session:
        frame = await weighted(session)
        await offered(session, replace(FILE, frame_id=frame.id))
        await offered(session, replace(FILE, name="CFHTLS_D1_r_022559-042940_T0001.cat", digest=md5("c")))
        stack, weight = sorted(await Publications().listed(session), key=lambda item: item.publication.name == NAME)
        assert (weight.filter, stack.filter) == ("r.MP9601", None)


async def valid_product(session, *, offered=1):
    seen = Sighting(
        name="979412p_weight", uri=f"terapix:CFHT/{NAME}", kind=FrameKind.PRODUCT, digest=md5("a"), offered=offered
    )
    await Frames().sight(session, seen, now=NOW, source="s")
    row = await Frames().named(session, seen.name)
    for state in (FrameState.FETCHED, FrameState.VALID):
        await Frames().advance(session, row.id, state, now=NOW, source="s", message="m")
    return seen, row


async def test_a_product_that_is_verified_is_owed_an_acknowledgement_until_it_is_given(database):
    async with database.write() as session:
        _, row = await valid_product(session)
        await weighted(session)  # frames are owed none
        assert [frame.id for frame in await Acknowledgements().due(session, now=NOW, limit=9)] == [row.id]
        await Frames().wait(session, row.id, reason="silence", retry_at=later(5), now=NOW, source="s")
        assert await Acknowledgements().due(session, now=NOW, limit=9) == []
        await Acknowledgements().done(session, row.id, now=later(5), source="s")
        assert await Acknowledgements().due(session, now=later(9), limit=9) == []
        (held,) = await Acknowledgements().held(session)
        assert (held.acknowledged_at, held.reason, held.offered) == (later(5), None, 1)


async def test_an_older_generation_is_refused_and_told_once(database):
    async with database.write() as session:
        seen, row = await valid_product(session, offered=3)
        for wrong in (
            seen._replace(offered=2),
            seen._replace(offered=2, digest=md5("b")),
            seen._replace(digest=md5("b")),
        ):
            for _ in range(2):
                assert await Frames().sight(session, wrong, now=NOW, source="s") is Sighted.OUTDATED
        assert len(await Frames().generations(session, row.name)) == 1
        assert [e.kind for e in await Events().of_frame(session, row.id)].count("outdated") == 2
        fresh = seen._replace(offered=4, digest=md5("b"))
        assert await Frames().sight(session, fresh, now=NOW, source="s") is Sighted.REPROCESSED


async def test_the_same_bytes_counted_anew_are_acknowledged_anew(database):
    async with database.write() as session:
        seen, row = await valid_product(session)
        await Acknowledgements().done(session, row.id, now=NOW, source="s")
        assert await Frames().sight(session, seen._replace(offered=5), now=NOW, source="s") is Sighted.KNOWN
        (due,) = await Acknowledgements().due(session, now=NOW, limit=9)
        assert due.offered == 5
