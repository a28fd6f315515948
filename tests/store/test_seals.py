"""The history is sealed: what is changed, removed or put in afterwards is named, and who is late is no forger."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dbclient.chain import Deed, gaps_between, without
from dbclient.database import Database
from dbclient.sealing import seal, verify
from dbclient.stores import Events, Seals
from tests.support.night import NOW, later, sight


async def tell(database, *messages):
    """Write events, each in a unit of its own."""
    for message in messages:
        async with database.write() as session:
            await Events().append(
                session, source="test", kind="told", message=message, now=NOW, data={"at": 1.5, "of": ["ö", None]}
            )


async def seal_all(database, *, now=NOW, most=3):
    sealed = 0
    while count := (await seal(database, now=now, most=most)).events:
        sealed += count
    return sealed


@asynccontextmanager
async def forging(database):
    """Work on the tables as somebody does who may do all: without the triggers."""
    async with database.write() as session:
        if database.sqlite:
            for table in ("events", "seals"):
                for deed in ("UPDATE", "DELETE"):
                    await session.execute(text(f"DROP TRIGGER IF EXISTS {table}_kept_from_{deed}"))
        else:
            await session.execute(text("SET LOCAL session_replication_role = replica"))
        yield session


def named(found):
    return [(misfit.deed, misfit.event) for misfit in found.misfits]


async def test_what_was_sealed_fits_and_what_is_newer_is_counted(database):
    await tell(database, *"abcdefgh")
    assert await seal_all(database) == 8
    assert await seal_all(database) == 0
    await tell(database, "i", "j")

    told = []
    found = await verify(database, progress=lambda done, total: told.append((done, total)))

    assert (found.fits, found.seals, found.events, found.unsealed) == (True, 3, 8, 2)
    assert told == [(3, 8), (6, 8), (8, 8)]


async def test_a_history_without_events_fits(database):
    found = await verify(database)
    assert (found.fits, found.seals, found.events, found.unsealed) == (True, 0, 0, 0)


@pytest.mark.parametrize(
    "column", ["message = 'x'", "at = '2008-01-01 00:00:00+00'", "level = 'error'", "source = 'y'", "data = NULL"]
)
async def test_a_changed_event_is_named(database, column):
    await tell(database, *"abcdefgh")
    await seal_all(database)
    async with forging(database) as session:
        await session.execute(text(f"UPDATE events SET {column.replace('+00', '')} WHERE id = 5"))

    assert named(await verify(database)) == [(Deed.CHANGED, 5)]


async def test_an_event_that_no_longer_makes_sense_is_named_too(database):
    await tell(database, *"abcdefgh")
    await seal_all(database)
    async with forging(database) as session:
        await session.execute(text("UPDATE events SET level = 'bogus' WHERE id = 5"))

    assert named(await verify(database)) == [(Deed.CHANGED, 5)]


@pytest.mark.parametrize("number", [1, 3, 5, 8])
async def test_a_removed_event_is_named(database, number):
    await tell(database, *"abcdefgh")
    await seal_all(database)
    async with forging(database) as session:
        await session.execute(text(f"DELETE FROM events WHERE id = {number}"))

    assert named(await verify(database)) == [(Deed.REMOVED, number)]


async def test_an_event_put_in_where_none_was_is_named(database):
    await tell(database, *"abcdefgh")
    async with forging(database) as session:
        await session.execute(text("DELETE FROM events WHERE id = 4"))
    await seal_all(database)
    now = later(120)
    await tell(database, "i")
    await seal_all(database, now=now)
    async with forging(database) as session:
        await session.execute(
            text(
                "INSERT INTO events (id, at, source, kind, level, message) "
                "SELECT 4, at, source, kind, level, 'forged' FROM events WHERE id = 5"
            )
        )

    assert named(await verify(database)) == [(Deed.PUT_IN, 4)]


async def test_a_seal_that_was_changed_or_removed_does_not_fit_the_chain(database):
    await tell(database, *"abcdefgh")
    await seal_all(database)
    async with forging(database) as session:
        await session.execute(text("UPDATE seals SET content = digest WHERE id = 2"))
    found = await verify(database)
    assert named(found) == [(Deed.RESEALED, 4)]
    assert found.misfits[0].sentence == "seal 2, from event 4 on, does not fit the one before it"
    async with forging(database) as session:
        await session.execute(text("DELETE FROM seals WHERE id = 2"))
    assert named(await verify(database)) == [(Deed.RESEALED, 7)]


async def test_a_history_that_was_sealed_anew_lacks_the_digest_that_was_noted(database):
    await tell(database, *"abcdefgh")
    await seal_all(database)
    noted = (await verify(database)).digest
    await tell(database, "i")
    await seal_all(database)
    assert (await verify(database, noted=noted)).fits
    async with forging(database) as session:
        await session.execute(text("UPDATE events SET message = 'x' WHERE id = 2"))
        await session.execute(text("DELETE FROM seals"))
    await seal_all(database)

    assert (await verify(database)).fits
    assert not (await verify(database, noted=noted)).fits


async def test_the_database_refuses_to_change_or_remove_what_happened(database):
    await tell(database, "a")
    await seal_all(database)
    for table, column in (("events", "message"), ("seals", "content")):
        for deed in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
            with pytest.raises(DBAPIError, match="only ever added to"):
                async with database.write() as session:
                    await session.execute(text(deed))


@pytest.fixture
async def overtaking(postgresql):
    """Give a database whose writers overtake each other; those of SQLite take turns."""
    name = await postgresql.fresh()
    opened = await Database.open(postgresql.url(name))
    yield opened
    await opened.close()
    await postgresql.give_back(name)


async def test_an_event_that_is_committed_after_its_neighbours_were_sealed_is_sealed_late(overtaking):
    database = overtaking
    await tell(database, "a")
    slow = database.write()
    unit = await slow.__aenter__()
    await Events().append(unit, source="test", kind="told", message="slow", now=NOW)
    await tell(database, "c")
    assert await seal_all(database) == 2
    assert await seal_all(database, now=later(120)) == 0, "it runs still: it may take as long as it likes"
    await tell(database, "d")
    assert await seal_all(database, now=later(240)) == 1
    await slow.__aexit__(None, None, None)

    found = await verify(database)
    assert (found.fits, found.events, found.unsealed) == (True, 3, 1)
    assert await seal_all(database, now=later(241)) == 1
    found = await verify(database)
    assert (found.fits, found.events, found.unsealed) == (True, 4, 0)
    async with forging(database) as session:
        await session.execute(text("UPDATE events SET message = 'x' WHERE id = 2"))
    assert named(await verify(database)) == [(Deed.CHANGED, 2)]


async def test_a_number_that_was_drawn_in_vain_is_not_awaited_for_ever(database):
    await tell(database, "a")
    async with database.write() as session:
        await Events().append(session, source="test", kind="told", message="undone", now=NOW)
        await session.rollback()
    await tell(database, "c")
    await seal_all(database)
    await tell(database, "d")
    await seal_all(database, now=NOW + timedelta(minutes=2))

    async with database.read() as session:
        newest = await Seals().newest(session)
    assert newest.awaited == []
    assert (await verify(database)).fits


async def test_many_write_and_two_seal_at_once_and_every_event_is_sealed_once(database, database_url):
    other = await Database.open(database_url)
    ends = asyncio.Event()

    async def sealing(opened):
        sealed = 0
        while not ends.is_set():
            sealed += (await seal(opened, now=NOW, most=7)).events
            await asyncio.sleep(0)
        return sealed

    sealers = [asyncio.create_task(sealing(opened)) for opened in (database, other)]
    await asyncio.gather(*(tell((database, other)[n % 2], *"abcde") for n in range(10)))
    ends.set()
    sealed = sum(await asyncio.gather(*sealers)) + await seal_all(database)

    assert sealed == 50
    found = await verify(database)
    assert (found.fits, found.events, found.unsealed) == (True, 50, 0)
    await other.close()


async def test_events_since_a_moment_are_found_among_many(database):
    async with database.write() as session:
        frame = await sight(session)
        for day in range(10):
            await Events().append(
                session, source="t", kind="k", message=f"day {day}", now=NOW + timedelta(days=day), frame_id=frame.id
            )
    async with database.read() as session:
        found = await Events().latest(session, since=NOW + timedelta(days=7))
        assert [event.message for event in found] == ["day 9", "day 8", "day 7"]
        assert await Events().latest(session, since=NOW + timedelta(days=99)) == []


def test_gaps_are_what_is_missing_among_numbers():
    assert gaps_between([3, 4, 8], 1) == [(2, 2), (5, 7)]
    assert without((5, 9), [5, 7, 12]) == [(6, 6), (8, 9)]
    assert without((5, 6), [5, 6]) == []
