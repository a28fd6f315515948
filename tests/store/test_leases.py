"""Room on nodes: promised once, given back when the bytes are there or given up."""

import asyncio
import random

import pytest

from dbclient.database import Database
from dbclient.errors import NoSuchRow
from dbclient.schema import FrameState, NodeState
from dbclient.stores import Events, Leases, Nodes
from tests.support.night import GB, NOW, bring, node, placed, sight


async def promise(session, frame, node_id, *, size=GB, products=0, scratch=0) -> int:
    return await Leases().promise(
        session,
        frame_id=frame.id,
        node_id=node_id,
        frame_bytes=size,
        product_bytes=products,
        scratch_bytes=scratch,
        now=NOW,
    )


async def test_a_lease_is_settled_part_by_part(database):
    async with database.write() as session:
        here = await node(session)
        frame = await sight(session)
        await promise(session, frame, here, size=100, products=50, scratch=20)
        assert await Leases().leased(session, here) == 170
        await Leases().settle(session, frame.id, here, frame=True, now=NOW)
        assert await Leases().leased(session, here) == 70
        (lease,) = await Leases().open(session, here)
        assert (lease.frame_bytes, lease.product_bytes, lease.scratch_bytes) == (0, 50, 20)
        await Leases().settle(session, frame.id, here, products=True, now=NOW)
        assert await Leases().open(session) == []
        assert await Leases().leased(session, here) == 0


async def test_a_released_frame_holds_no_room_anywhere(database):
    async with database.write() as session:
        nodes = [await node(session, name) for name in ("node1", "node2")]
        frame, other = await sight(session, "1p"), await sight(session, "2p")
        for number in nodes:
            await promise(session, frame, number)
        await promise(session, other, nodes[0], size=7)
        await Leases().release(session, frame_id=frame.id, now=NOW)
        assert [await Leases().leased(session, number) for number in nodes] == [7, 0]


async def test_room_tells_what_is_free_promised_and_held(database):
    async with database.write() as session:
        here = await node(session, free=5 * GB, reserve=GB)
        await node(session, "node2", free=2 * GB)
        await placed(session, "1p", node_id=here)
        await placed(session, "flat", node_id=here, kind="flat")
        await bring(session, "2p", FrameState.VALID)
        first, second = await Nodes().room(session)
        assert (first.name, first.free, first.leased, first.reserve, first.frames) == ("node1", 5 * GB, 1200, GB, 1)
        assert (first.runs, second.runs) == (frozenset({"08AC14"}), frozenset())
        assert (second.frames, second.leased) == (0, 0)


async def test_a_promise_on_an_unknown_node_is_refused(database):
    async with database.write() as session:
        with pytest.raises(NoSuchRow, match="no node 99"):
            await promise(session, await sight(session), 99)


async def test_a_node_is_registered_again_when_its_settings_change(database):
    async with database.write() as session:
        number = await node(session)
        again = await Nodes().upsert(session, name="node1", directory="/new", capacity=7, reserve=1, now=NOW)
        held = await Nodes().named(session, "node1")
        assert (again, held.directory, held.capacity, held.reserve, held.free) == (number, "/new", 7, 1, 10 * GB)
        assert await Nodes().named(session, "node9") is None


async def test_a_change_of_state_is_told_once(database):
    async with database.write() as session:
        await node(session)
        for _ in range(2):
            await Nodes().set_state(session, "node1", NodeState.DOWN, reason="disk is gone", now=NOW, source="dt")
        told = [event.message for event in await Events().latest(session)]
        assert told == ["node1 is down: disk is gone"]
        assert (await Nodes().all(session))[0].state is NodeState.DOWN


async def test_a_daemon_has_one_row_until_it_ends(database):
    async with database.write() as session:
        for pid, status in ((1, "starts"), (2, "looks")):
            await Nodes().heartbeat(
                session,
                name="snooppix",
                host="h",
                pid=pid,
                status=status,
                endpoint="http://127.0.0.1:1",
                started_at=NOW,
                now=NOW,
                figures={"lag": 3},
            )
        (row,) = await Nodes().daemons(session)
        assert (row.pid, row.status, row.figures) == (2, "looks", {"lag": 3})
        await Nodes().forget(session, "snooppix", 1)
        assert len(await Nodes().daemons(session)) == 1
        await Nodes().forget(session, "snooppix", 2)
        assert await Nodes().daemons(session) == []


@pytest.mark.parametrize("seed", [1, 2])
async def test_two_coordinators_never_promise_the_same_bytes(database, database_url, seed):
    """Both decide on the room that they read, at the same time, until nothing fits any more."""
    chance = random.Random(seed)
    other = await Database.open(database_url)
    async with database.write() as session:
        await node(session, free=10 * GB, reserve=GB)
        frames = [await sight(session, f"{n}p") for n in range(24)]
    sizes = [chance.randrange(GB // 4, GB) for _ in frames]
    granted: list[int] = []

    async def place(opened: Database, frame, size: int) -> None:
        async with opened.write() as session:
            (room,) = await Nodes().room(session)
            await asyncio.sleep(0)
            if room.free - room.leased - room.reserve >= size:
                await promise(session, frame, room.node_id, size=size)
                granted.append(size)

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(place((database, other)[n % 2], *pair) for n, pair in enumerate(zip(frames, sizes, strict=True)))
        )
    await other.close()
    async with database.read() as session:
        leased = await Leases().leased(session, 1)
    assert leased == sum(granted)
    assert 8 * GB < leased <= 9 * GB
