"""Growth: what stages write is summed up as it is written, by instrument, stage and kind."""

import pytest
from sqlalchemy import event

from datatransfer.growth import Growth
from dbclient.stores import Frames, Growths, Jobs
from dbclient.stores.growths import FORGET
from tests.support.night import MAPS, NOW, job, later, node, placed


async def note(session, written, *, instrument="MegaPrime", stage="weight", unpacked=1000.0, now=NOW) -> None:
    await Growths().note(
        session, instrument=instrument, stage=stage, written=written, file=500, unpacked=unpacked, now=now
    )


async def test_what_a_job_wrote_counts_by_the_instrument_of_its_frame(database):
    async with database.write() as session:
        here = await node(session)
        for name, instrument, unpacked in (
            ("1p", "MegaPrime", 1000),
            ("2p", "MegaPrime", 3000),
            ("3p", "WIRCam", 500),
            ("4p", "MegaPrime", None),
        ):
            row = await placed(session, name, node_id=here)
            needs = {"unpacked": unpacked} if unpacked else None
            await Frames().describe(session, row.id, needs=needs, instrument=instrument)
            number = await job(session, row, node_id=here)
            await Jobs().claim(session, number, worker="w", token="t", now=NOW)
            await Jobs().finish(session, number, "t", products=MAPS, summary={}, now=NOW, source="w")
        measured = await Growths().measured(session)

    growth = Growth.of(measured)
    assert [(g.instrument, g.stage, g.kind, g.products) for g in measured] == [
        ("MegaPrime", "weight", "flag", 2),
        ("MegaPrime", "weight", "weight", 2),
        ("WIRCam", "weight", "flag", 1),
        ("WIRCam", "weight", "weight", 1),
    ]
    assert growth.shares("WIRCam") == pytest.approx({"weight": 0.4, "flag": 0.1})
    assert growth.shares("MegaPrime") == pytest.approx({"weight": 400 / 4000, "flag": 100 / 4000}, rel=0.01)


async def test_what_is_old_counts_less_and_less(database):
    async with database.write() as session:
        for _ in range(3):
            await note(session, {"weight": 100})
        for step in range(1500):
            await note(session, {"weight": 400}, now=later(step))
        (measured,) = await Growths().measured(session)
    assert measured.products == 1503
    assert measured.counted_at == later(1499)
    assert measured.product_bytes / measured.unpacked_bytes == pytest.approx(0.4, rel=0.001)
    assert measured.unpacked_bytes == pytest.approx(1000 / (1 - FORGET), rel=0.01)


async def test_a_frame_of_unknown_size_counts_nothing(database):
    async with database.write() as session:
        await note(session, {"weight": 100}, unpacked=0.0)
        assert await Growths().measured(session) == []


async def test_reading_growth_touches_neither_frames_nor_products(database):
    asked: list[str] = []
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *facts: asked.append(facts[2]))
    async with database.write() as session:
        await note(session, {"weight": 100})
    async with database.read() as session:
        assert len(await Growths().measured(session)) == 1
    assert not [statement for statement in asked if "frames" in statement or "products " in statement]


async def test_two_workers_that_end_at_once_are_both_counted(database, database_url):
    import asyncio

    from dbclient.database import Database

    other = await Database.open(database_url)

    async def finish(opened: Database) -> None:
        for _ in range(10):
            async with opened.write() as session:
                await note(session, {"weight": 100, "flag": 10})
                await asyncio.sleep(0)

    await asyncio.gather(finish(database), finish(other))
    await other.close()
    async with database.read() as session:
        assert {g.kind: g.products for g in await Growths().measured(session)} == {"weight": 20, "flag": 20}
