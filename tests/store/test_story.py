"""The whole story of a frame in sentences: each thing that the database remembers of it is told."""

from datetime import timedelta

from dbclient.schema import (
    FrameState,
    JobState,
    NodeState,
    ReplicaState,
    RequestKind,
    RequestState,
    TransferKind,
    TransferMode,
    TransferState,
)
from dbclient.stores import Chronicles, Frames, Jobs, Nodes, Publications, Receipts, Replicas, Requests, Transfers
from dbclient.stores.publications import Registration
from spica.story import tell
from tests.support.night import MAPS, NOW, bring, job, later, md5, node, placed, sight


async def story(session, name: str = "979412p") -> str:
    frame = await Frames().named(session, name)
    return "\n".join(tell(await Chronicles().of(session, frame), now=later(60)))


async def test_where_it_lies_and_when_it_was_read_last(database):
    async with database.write() as session:
        here, there = await node(session), await node(session, "node2")
        frame = await placed(session, node_id=here)
        await Replicas().hold(session, frame_id=frame.id, node_id=there, path="x", size=1, digest="md5:1", now=NOW)
        told = await story(session)
        assert "It lies on node1 as frames/979412p.fits.fz, 1 kB; its digest was last compared on 2008-03-30" in told
        assert "Room is promised to it on node1 since 06:23:00: 500 B for maps, 100 B for unpacked pixels." in told
        (_, copy) = await Replicas().of_frame(session, frame.id)
        await Replicas().mark(session, copy.id, ReplicaState.DAMAGED)
        await Nodes().set_state(session, "node1", NodeState.DOWN, reason="no answer", now=NOW, source="t")
        told = await story(session)
        assert "Its copy on node2 is damaged and is never used." in told
        assert "It lies on node1, which is down, as frames/" in told


async def test_how_far_its_transfers_are_and_which_mode_sends_it(database):
    async with database.write() as session:
        here = await node(session)
        frame = await bring(session, "979412p", FrameState.VALID)
        facts = {"frame_id": frame.id, "node_id": here, "source": "x", "bytes_total": 1000, "now": NOW}
        number = await Transfers().begin(
            session,
            kind=TransferKind.MOVE,
            state=TransferState.PROMISED,
            mode=TransferMode.IMMEDIATE,
            priority=100,
            **facts,
        )
        told = await story(session)
        assert "Its file lies at reception, as from_CADC/headervalid/979412p.fits.fz." in told
        assert "It waits for its turn to be moved to node1, in lane 100, immediate." in told
        await Transfers().start(session, number, now=NOW)
        await Transfers().progress(session, number, done=250)
        assert "It is being moved to node1, 25 % of 1 kB, immediate." in await story(session)
        await Transfers().end(session, number, TransferState.DONE, now=NOW)
        assert "being moved" not in await story(session)


async def test_what_was_made_of_it_was_published_and_who_has_confirmed_it(database):
    async with database.write() as session:
        here = await node(session)
        frame = await placed(session, node_id=here)
        number = await job(session, frame, node_id=here)
        await Jobs().claim(session, number, worker="w", token="t", now=NOW)
        await Jobs().beat(session, number, "t", share=0.5, now=NOW)
        assert "Its weight job runs on w, 50 % done." in await story(session)
        await Jobs().finish(session, number, "t", products=list(MAPS), summary={}, now=NOW, source="spica")
        assert "Made of it on 2008-03-30 06:23, on node1: weight (200 B), flag (50 B)." in await story(session)
        await Nodes().set_state(session, "node1", NodeState.DOWN, reason="no answer", now=NOW, source="t")
        assert "on node1, which is down: weight (200 B), flag (50 B)." in await story(session)
        await Nodes().set_state(session, "node1", NodeState.UP, reason="", now=NOW, source="t")
        (weight, _) = await Publications().unpublished(session, kinds=["weight", "flag"], limit=9)
        told = await published(session, weight)
        assert "979412p_weight.fits.fz, generation 1, is offered to the archive since 2008-03-30 06:23" in told
        assert "terapix2 holds another file than it." in told


async def published(session, made) -> str:
    """Register and offer a product, and let a follower have another file; tell the story."""
    said = {"now": NOW, "source": "publisher"}
    wanted = Registration(
        name="979412p_weight.fits.fz",
        kind="weight",
        source=made.source,
        digest=made.digest,
        product_id=made.product_id,
        frame_id=made.frame_id,
    )
    row = await Publications().register(session, wanted, **said)
    await Publications().lay_out(session, row.id, size=200, pixel_digest=None, now=NOW)
    await Publications().offer(session, row.id, path="to_CADC/x", **said)
    await Receipts().note(session, row.id, follower="terapix2", agrees=False, wire=md5("2"), pixels=None, now=NOW)
    return await story(session)


async def test_what_operators_ordered_of_its_run_stands_in_the_history(database):
    async with database.write() as session:
        await sight(session)
        order = {"runid": "08AC14", "node": "node1", "filter": None}
        number = await Requests().ask(session, RequestKind.TRANSFER, order, by="ann", now=later(10))
        await Requests().ask(session, RequestKind.TRANSFER, {**order, "runid": "other"}, by="bob", now=later(11))
        told = await story(session)
        assert "06:23:10  ann ordered: transfer runid 08AC14, node node1, which no daemon has answered yet" in told
        assert "bob" not in told
        await Requests().answer(session, number, RequestState.DONE, "1 frame goes.", now=later(12))
        assert "ann ordered: transfer runid 08AC14, node node1: 1 frame goes." in await story(session)


async def test_other_processings_and_a_withdrawal_are_told(database):
    async with database.write() as session:
        await bring(session, "979412p", FrameState.VALID)
        newer = await sight(session, digest=md5("2"))
        await Frames().withdraw(session, [newer.id], now=NOW + timedelta(days=1), source="t")
        told = await story(session)
        assert "It is the newest processing: generation 1 is valid." in told
        assert "The archive lists it no more since 2008-03-31; what is here is kept." in told
        old = (await Frames().generations(session, "979412p"))[-1]
        first = "\n".join(tell(await Chronicles().of(session, old), now=NOW))
        assert "A newer processing of it is known: generation 2 is spotted." in first


async def test_a_frame_of_which_little_is_known_is_told_too(database):
    async with database.write() as session:
        await sight(session, "1p", runid=None, filter=None, size=None, digest=None)
        assert "1p, generation 1: spotted." in await story(session, "1p")
        assert JobState.DUE not in await story(session, "1p")
