"""Who waits for a change learns of it soon; beats and progress wake nobody; idleness costs nothing."""

import asyncio
import time

import pytest

from dbclient.database import Database
from dbclient.stores import Events, Nodes
from tests.support.night import NOW, fetch, node, sight


@pytest.fixture
async def other(database_url):
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


async def write_event(database: Database) -> None:
    async with database.write() as session:
        await Events().append(session, source="test", kind="test", message="something", now=NOW)


async def beat(database: Database, status: str) -> None:
    async with database.write() as session:
        await Nodes().heartbeat(
            session, name="spica", host="h", pid=1, status=status, endpoint=None, started_at=NOW, now=NOW, figures=None
        )


async def test_an_event_of_another_process_ends_the_wait(database, other):
    assert not await database.changed(timeout=0)
    waiting = asyncio.create_task(database.changed(timeout=20))
    await asyncio.sleep(0)
    begin = time.monotonic()
    await write_event(other)
    assert await waiting
    assert time.monotonic() - begin < 5


async def test_what_was_written_between_two_waits_is_not_missed(database, other):
    assert not await database.changed(timeout=0)
    await write_event(other)
    assert await database.changed(timeout=20)
    assert not await database.changed(timeout=0)


async def test_every_task_is_told_whatever_the_others_have_heard(database, other):
    async def pass_then_wait(heard: asyncio.Event) -> bool:
        await database.changed(timeout=0)
        await heard.wait()
        return await database.changed(timeout=20)

    written = asyncio.Event()
    tasks = [asyncio.create_task(pass_then_wait(written)) for _ in range(3)]
    await asyncio.sleep(0)
    await write_event(other)
    written.set()
    assert await asyncio.gather(*tasks) == [True, True, True]


async def test_beats_wake_nobody_unless_progress_is_asked_for(database, other):
    await database.changed(timeout=0)
    await beat(other, "looks")
    assert not await database.changed(timeout=0.6)
    await beat(other, "fetches")
    assert await database.changed(timeout=20, progress=True)


async def test_a_stop_ends_the_wait_at_once(database):
    stop = asyncio.Event()
    waiting = asyncio.create_task(database.changed(timeout=60, stop=stop))
    await asyncio.sleep(0)
    begin = time.monotonic()
    stop.set()
    assert not await waiting
    assert time.monotonic() - begin < 5


async def test_transfers_progress_without_waking(database, other):
    async with database.write() as session:
        await node(session)
        await fetch(session, await sight(session))
    assert await database.changed(timeout=20)
    async with other.write() as session:
        await Nodes().measure(session, "node1", used=1, free=2, now=NOW)
    assert not await database.changed(timeout=0.6)


async def test_who_waits_looks_a_few_times_a_second_and_does_nothing_else(database, monkeypatch):
    await database.changed(timeout=0)
    news, looks = database._news, []
    look = news.look

    async def counted() -> None:
        looks.append(1)
        await look()

    monkeypatch.setattr(news, "look", counted)
    assert not await database.changed(timeout=1.0)
    # one look at the begin, one at the end, and those between: what a look costs is measured by bench_night.py
    assert 2 <= len(looks) <= 1.0 / news.every + 3


async def test_a_line_to_the_server_that_breaks_is_made_anew(postgresql):
    name = await postgresql.fresh()
    opened = await Database.open(postgresql.url(name))
    other = await Database.open(postgresql.url(name))
    await opened.changed(timeout=0)
    await postgresql.command(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND query LIKE 'LISTEN%'"
    )
    await write_event(other)
    assert await opened.changed(timeout=20)
    await write_event(other)
    assert await opened.changed(timeout=20)
    await opened.close()
    await other.close()
    await postgresql.give_back(name)
