"""Stocks: what nodes hold is kept up by the database, exact in every transaction, whoever writes."""

import asyncio
import random
from collections import defaultdict

import pytest
from sqlalchemy import text

from dbclient.database import Database
from dbclient.schema import ReplicaState, StockKind
from dbclient.stores import Replicas, Stocks
from tests.support.night import NOW, md5, node, placed, sight

SUMMED = (
    "SELECT node_id, sum(size) FROM (SELECT node_id, size, state FROM replicas UNION ALL "
    "SELECT node_id, size, state FROM products) AS held WHERE state = 'held' GROUP BY node_id"
)


async def summed(session) -> dict[int, int]:
    """Sum the rows themselves, as nobody does any more."""
    return {node: int(size) for node, size in await session.execute(text(SUMMED)) if size}


async def hold(session, frame, node_id: int, size: int) -> int:
    return await Replicas().hold(
        session, frame_id=frame.id, node_id=node_id, path="frames/x", size=size, digest=md5("1"), now=NOW
    )


@pytest.mark.parametrize("seed", range(3))
async def test_holdings_are_the_sums_whatever_happened(database, seed):
    chance = random.Random(seed)
    async with database.write() as session:
        nodes = [await node(session, f"node{n}") for n in range(3)]
        frames = [await sight(session, f"{n}p") for n in range(8)]
        made: list[int] = []
        for _ in range(120):
            deed = chance.choice(("hold", "mark", "erase", "add up", "verify"))
            if deed == "hold":
                made.append(await hold(session, chance.choice(frames), chance.choice(nodes), chance.randrange(1000)))
            elif deed == "mark" and made:
                await session.flush()
                await Replicas().mark(session, chance.choice(made), chance.choice(list(ReplicaState)))
            elif deed == "erase" and len(made) > 4:
                number = made.pop(chance.randrange(len(made)))
                made = [other for other in made if other != number]
                await session.flush()
                session.expire_all()
                await session.execute(text(f"DELETE FROM replicas WHERE id = {number}"))
                session.expunge_all()
            elif deed == "add up":
                await Stocks().add_up(session)
            elif deed == "verify":
                await session.execute(text("UPDATE replicas SET size = size, state = state"))
            await session.flush()
            assert await Stocks().bytes(session) == await summed(session)


async def test_files_are_counted_by_kind(database):
    async with database.write() as session:
        here = await node(session)
        await placed(session, "1p", node_id=here)
        await placed(session, "2p", node_id=here)
        assert await Stocks().files(session, StockKind.REPLICA) == {here: 2}
        assert await Stocks().files(session, StockKind.PRODUCT) == {}


async def test_what_is_undone_was_never_held(database):
    async with database.write() as session:
        here, frame = await node(session), await sight(session)
    with pytest.raises(ZeroDivisionError):
        async with database.write() as session:
            await hold(session, frame, here, 1 // 0 if await hold(session, frame, here, 500) else 0)
    async with database.read() as session:
        assert await Stocks().bytes(session) == {}


async def test_adding_up_loses_nothing_that_others_write_meanwhile(database, database_url):
    other = await Database.open(database_url)
    async with database.write() as session:
        here = await node(session)
        frames = [await sight(session, f"{n}p") for n in range(40)]

    async def write() -> None:
        for frame in frames:
            async with other.write() as session:
                await hold(session, frame, here, 10)
                await asyncio.sleep(0)

    async def add_up() -> None:
        for _ in range(20):
            async with database.write() as session:
                await Stocks().add_up(session)
                await asyncio.sleep(0)

    await asyncio.gather(write(), add_up(), add_up())
    async with database.read() as session:
        assert await Stocks().bytes(session) == {here: 400}
    await other.close()
    async with database.write() as session:
        await Stocks().add_up(session)
        held: dict[int, int] = defaultdict(int)
        for number, size in await session.execute(text("SELECT node_id, bytes FROM stocks")):
            held[number] += size
        assert held == {here: 400}
