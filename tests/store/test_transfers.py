"""Transfers in both legs, replicas, products: what moves, and what is held."""

import pytest

from dbclient.errors import NoSuchRow
from dbclient.schema import ProductState, ReplicaState, TransferKind, TransferState
from dbclient.stores import Jobs, Products, Replicas, Traffic, Transfers
from tests.support.night import MAPS, NOW, fetch, job, later, md5, node, placed, sight


async def test_a_move_is_promised_taken_up_and_ended(database):
    async with database.write() as session:
        here = await node(session)
        row = await sight(session)
        number = await Transfers().begin(
            session,
            frame_id=row.id,
            kind=TransferKind.MOVE,
            source="from_CADC/headervalid/979412p.fits.fz",
            node_id=here,
            bytes_total=1000,
            state=TransferState.PROMISED,
            now=NOW,
        )
        assert [t.id for t in await Transfers().promised(session)] == [number]
        assert await Transfers().running(session) == []
        assert await Transfers().start(session, number, now=later(1))
        assert not await Transfers().start(session, number, now=later(2))
        await Transfers().progress(session, number, done=600, rate=3e8)
        (moving,) = await Transfers().running(session, TransferKind.MOVE)
        assert (moving.frame, moving.node, moving.bytes_done, moving.rate) == ("979412p", "node1", 600, 3e8)
        assert moving.started_at == later(1)
        await Transfers().renew(session, number)
        assert (await Transfers().get(session, number)).state is TransferState.PROMISED
        await Transfers().end(session, number, TransferState.DONE, now=later(3))
        assert [t.id for t in await Transfers().open_of_frame(session, row.id)] == []
        (over,) = await Transfers().history(session, limit=10)
        assert (over.state, over.ended_at, over.bytes_done) == (TransferState.DONE, later(3), 1000)


async def test_what_came_to_each_node_of_late_is_counted(database):
    async with database.write() as session:
        nodes = [await node(session, name) for name in ("node1", "node2", "node3")]
        ends = [
            (0, "DONE", 10),
            (0, "DONE", 20),
            (0, "DONE", 2),
            (1, "DONE", 30),
            (1, "FAILED", 30),
            (None, "DONE", 30),
        ]
        for number, (place, state, moment) in enumerate(ends):
            row = await sight(session, f"{number}p")
            if place is None:
                moved = await fetch(session, row)
            else:
                moved = await Transfers().begin(
                    session, frame_id=row.id, kind=TransferKind.MOVE, source="x", node_id=nodes[place], now=NOW
                )
            await Transfers().end(session, moved, TransferState[state], now=later(moment))
        assert await Traffic().arrived(session, since=later(10)) == {nodes[0]: 2, nodes[1]: 1}
        assert await Traffic().arrived(session, since=later(31)) == {}


async def test_the_history_is_newest_first_by_run_and_page(database):
    async with database.write() as session:
        numbers = []
        for name, run in (("1p", "A"), ("2p", "B"), ("3p", "A")):
            number = await fetch(session, await sight(session, name, runid=run))
            await Transfers().end(session, number, TransferState.FAILED, now=NOW, reason="reset")
            numbers.append(number)
        assert [t.frame for t in await Transfers().history(session, limit=2)] == ["3p", "2p"]
        assert [t.frame for t in await Transfers().history(session, limit=9, runid="A")] == ["3p", "1p"]
        assert [t.frame for t in await Transfers().history(session, limit=9, before=numbers[1])] == ["1p"]
        with pytest.raises(NoSuchRow):
            await Transfers().get(session, 99)


async def test_a_replica_is_held_once_and_can_be_marked(database):
    async with database.write() as session:
        here = await node(session)
        row = await sight(session)
        facts = {"frame_id": row.id, "node_id": here, "size": 10, "digest": md5("1")}
        first = await Replicas().hold(session, path="frames/a", now=NOW, **facts)
        await Replicas().mark(session, first, ReplicaState.GONE)
        assert await Replicas().on_node(session, here) == []
        assert (await Replicas().of_frame(session, row.id))[0].state is ReplicaState.GONE
        again = await Replicas().hold(session, path="frames/b", now=later(1), **facts)
        (held,) = await Replicas().on_node(session, here)
        assert (again, held.path, held.verified_at) == (first, "frames/b", later(1))
        with pytest.raises(NoSuchRow):
            await Replicas().mark(session, 99, ReplicaState.GONE)


async def test_products_are_found_by_frame_and_by_node(database):
    async with database.write() as session:
        here = await node(session)
        for name in ("1p", "2p", "3p"):
            row = await placed(session, name, node_id=here)
            number = await job(session, row, node_id=here)
            await Jobs().claim(session, number, worker="w", token="t", now=NOW)
            await Jobs().finish(session, number, "t", products=MAPS, summary={}, now=NOW, source="w")
        made = await Products().of_frame(session, row.id)
        assert await Products().get(session, made[0].id) == made[0]
        assert len(await Products().on_node(session, here)) == 6
        assert made[0].state is ProductState.HELD
        with pytest.raises(NoSuchRow):
            await Products().get(session, 99)
