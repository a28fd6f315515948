"""The stage after the weight: due where the maps are, never at the weight's cost, and due again with other maps."""

from dataclasses import replace

from sqlalchemy import update

from dbclient.records import FrameRecord, NewProduct
from dbclient.schema import FrameState, JobState, Product, ProductState, ReplicaState
from dbclient.stages import SOURCES
from dbclient.stores import Events, Frames, Growths, Jobs, Leases, Products, Replicas
from spica.pipeline.recovery import Recovery
from terapix.clock import SetClock
from tests.support.night import MAPS, NOW, job, later, md5, node, placed

CATALOGUE = (
    NewProduct("catalogue", "products/08AC14/979412p.ldac", 70, md5("c"), {}),
    NewProduct("psf", "products/08AC14/979412p.psf", 8, md5("d"), {}),
)
SEEN = {"seconds": 4, "sources": 900, "stars": 60, "seeing": 0.71}


def read(weight: str = md5("a"), flag: str = md5("b")) -> tuple[NewProduct, ...]:
    """Catalogue and PSF that were made with maps of these digests."""
    facts = {"weight": f"979412p_weight.fits.fz {weight}", "flag": f"979412p_flag.fits.fz {flag}"}
    return tuple(replace(product, provenance=facts) for product in CATALOGUE)


async def due(session, recipe="s1", weights="r1") -> list[tuple[str, str]]:
    wanted = await Jobs().wanted_after(session, stage=SOURCES, recipe=recipe, weights=weights)
    return [(frame.name, on.name) for frame, on in wanted]


async def end(session, number, products, *, at=NOW, summary=SEEN, followed=False) -> None:
    await Jobs().claim(session, number, worker="w", token="t", now=at)
    assert await Jobs().finish(
        session, number, "t", products=products, summary=summary, now=at, source="w", followed=followed
    )


async def weighted(session, here: int, name: str = "979412p", maps=MAPS, **facts) -> tuple[FrameRecord, int]:
    """Bring a frame to its maps, with room promised for its catalogue; give it with its weight job."""
    row = await placed(session, name, node_id=here, **facts)
    await Frames().describe(session, row.id, needs={"unpacked": 2000, "sources": 100})
    number = await job(session, row, node_id=here)
    await end(session, number, maps, followed=True)
    return await Frames().get(session, row.id), number


async def sources(session, row: FrameRecord, here: int) -> int:
    number = await Jobs().create(session, frame_id=row.id, node_id=here, stage=SOURCES, recipe="s1", now=NOW)
    assert number is not None
    return number


async def state(session, number: int) -> JobState:
    return (await Jobs().get(session, number)).state


async def test_a_weighted_frame_is_due_where_frame_and_both_maps_are_held(database):
    async with database.write() as session:
        here, there = await node(session), await node(session, "node2")
        await placed(session, "1p", node_id=here)
        await weighted(session, here, "2p", maps=MAPS[:1])
        row, _ = await weighted(session, here, "3p")
        elsewhere, _ = await weighted(session, here, "4p")
        [replica] = await Replicas().of_frame(session, elsewhere.id)
        await Replicas().hold(
            session, frame_id=elsewhere.id, node_id=there, path="f", size=1000, digest=md5("1"), now=NOW
        )
        await Replicas().mark(session, replica.id, ReplicaState.GONE)
        assert await due(session) == [("3p", "node1")]
        assert await due(session, weights="r2") == [], "maps of another recipe are due first"
        number = await sources(session, row, here)
        assert await due(session) == []
        assert await due(session, recipe="s2") == [("3p", "node1")], "another recipe of the sources is another job"
        await end(session, number, read())
        assert await due(session) == []
        assert await due(session, recipe="s2") == [("3p", "node1")]


async def test_what_is_done_is_told_counted_and_settles_the_rest_of_the_room(database):
    async with database.write() as session:
        here = await node(session)
        row, _ = await weighted(session, here)
        [lease] = await Leases().open(session)
        assert (lease.frame_bytes, lease.product_bytes, lease.scratch_bytes) == (0, 100, 0)
        assert await Jobs().uncatalogued(session) == (1, 0)
        await end(session, await sources(session, row, here), read(), at=later(4))
        frame = await Frames().get(session, row.id)
        assert (frame.state, frame.reason, frame.catalogued_at) == (FrameState.WEIGHTED, None, later(4))
        assert await Leases().open(session) == []
        assert await Jobs().uncatalogued(session) == (0, 0)
        kinds = [(p.stage, p.kind) for p in await Products().of_frame(session, row.id) if p.state is ProductState.HELD]
        assert kinds == [("weight", "weight"), ("weight", "flag"), (SOURCES, "catalogue"), (SOURCES, "psf")]
        assert {(g.stage, g.kind) for g in await Growths().measured(session)} == set(kinds)
        told = (await Events().latest(session, limit=1))[0]
        assert (told.kind, told.message) == (
            "catalogued",
            '979412p has its catalogue and PSF: 900 sources, 60 stars, seeing 0.71", made in 0.0 s',
        )


async def test_failing_sources_leave_the_weight_and_are_visible_and_tried_again(database):
    async with database.write() as session:
        here = await node(session)
        row, weight = await weighted(session, here)
        number = await sources(session, row, here)
        for attempt, retry_at in ((1, later(60)), (2, None)):
            await Jobs().claim(session, number, worker="w", token="t", now=later(100))
            await Jobs().fail(session, number, "t", reason="no memory", retry_at=retry_at, now=NOW, source="w")
            frame = await Frames().get(session, row.id)
            assert (frame.state, frame.weighted_at, frame.retry_at) == (FrameState.WEIGHTED, NOW, retry_at), attempt
            assert "no memory" in str(frame.reason)
        assert (await state(session, number), await state(session, weight)) == (JobState.FAILED, JobState.DONE)
        held = [p.kind for p in await Products().of_frame(session, row.id) if p.state is ProductState.HELD]
        assert held == ["weight", "flag"]
        assert await Leases().open(session) == []
        assert await Jobs().uncatalogued(session) == (1, 1)
        assert await due(session) == []
        await Frames().retry(session, row.id, now=NOW, source="operator")
        assert [j.id for j in await Jobs().due(session, now=NOW)] == [number]
        assert (await Frames().get(session, row.id)).state is FrameState.WEIGHTED


async def test_a_stage_that_is_not_wanted_waits(database):
    async with database.write() as session:
        here = await node(session)
        row, _ = await weighted(session, here)
        await sources(session, row, here)
        assert await Jobs().due(session, now=NOW, wanted=["weight"]) == []
        assert len(await Jobs().due(session, now=NOW)) == 1


async def again(session, row: FrameRecord, weight: int, maps) -> None:
    """Make the maps anew."""
    await Jobs().lost(session, weight, reason="marks changed", now=NOW, source="spica")
    await Frames().advance(session, row.id, FrameState.PLACED, now=NOW, source="spica", message="is due again")
    await end(session, weight, maps, at=later(9))


async def test_maps_of_other_bytes_make_the_sources_due_again_and_the_same_bytes_do_not(database):
    async with database.write() as session:
        here = await node(session)
        row, weight = await weighted(session, here)
        number = await sources(session, row, here)
        await end(session, number, read())
        await again(session, row, weight, MAPS)
        assert await state(session, number) is JobState.DONE
        await again(session, row, weight, (MAPS[0], replace(MAPS[1], digest=md5("e"))))
        assert await state(session, number) is JobState.DUE
        assert (await Frames().get(session, row.id)).catalogued_at is None
        await end(session, number, read(flag=md5("e")), at=later(20))
        assert (await Frames().get(session, row.id)).catalogued_at == later(20)


async def test_sources_do_not_run_while_the_maps_are_made_and_read_no_old_ones(database):
    async with database.write() as session:
        here = await node(session)
        row, weight = await weighted(session, here)
        number = await sources(session, row, here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await again(session, row, weight, (replace(MAPS[0], digest=md5("e")), MAPS[1]))
        await Jobs().finish(session, number, "t", products=read(), summary=SEEN, now=later(12), source="w")
        assert await state(session, number) is JobState.DUE, "it had read the maps of before"
        assert (await Frames().get(session, row.id)).catalogued_at is None
        await Frames().advance(session, row.id, FrameState.PLACED, now=NOW, source="spica", message="is due again")
        assert await Jobs().due(session, now=later(12)) == []


async def test_failed_sources_are_tried_again_with_new_maps(database):
    async with database.write() as session:
        here = await node(session)
        row, weight = await weighted(session, here)
        number = await sources(session, row, here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Jobs().fail(session, number, "t", reason="damaged", retry_at=None, now=NOW, source="w")
        await again(session, row, weight, (replace(MAPS[0], digest=md5("e")), MAPS[1]))
        assert await state(session, number) is JobState.DUE


async def test_a_lost_catalogue_is_made_again_and_the_frame_stays_weighted(database):
    async with database.write() as session:
        here = await node(session)
        row, weight = await weighted(session, here)
        number = await sources(session, row, here)
        await end(session, number, read())
        gone = update(Product).where(Product.frame_id == row.id, Product.kind == "psf")
        await session.execute(gone.values(state=ProductState.GONE))

    assert await Recovery(database, SetClock(NOW), lease=60.0, source="spica").remake() == 1

    async with database.read() as session:
        assert (await state(session, number), await state(session, weight)) == (JobState.DUE, JobState.DONE)
        frame = await Frames().get(session, row.id)
        assert (frame.state, frame.weighted_at, frame.catalogued_at) == (FrameState.WEIGHTED, NOW, None)
