"""Units of work: what is read is of one moment, what is written is whole, and nobody waits who only reads."""

import asyncio
import contextlib
import itertools

import pytest
from sqlalchemy.exc import DBAPIError, IntegrityError

from dbclient import engines
from dbclient.database import Database
from dbclient.errors import Busy, NoSuchRow
from dbclient.schema import Event
from dbclient.stores import Events, Frames
from tests.support.awaits import Watched
from tests.support.night import NOW, sight


@pytest.fixture
async def other(database_url):
    """Give a second opening of the same database, as another process has."""
    opened = await Database.open(database_url)
    yield opened
    await opened.close()


async def test_a_unit_that_raises_leaves_nothing(database):
    async def half(name: str) -> None:
        async with database.write() as session:
            await sight(session, name)
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        await half("979412p")
    async with database.read() as session:
        assert await Frames().named(session, "979412p") is None
        assert await Events().newest_id(session) == 0


async def test_trouble_with_files_inside_a_unit_is_not_the_databases(database):
    with pytest.raises(FileNotFoundError):
        async with database.write():
            raise FileNotFoundError("/data/node1")


async def test_a_reader_does_not_wait_for_a_writer_and_sees_one_moment(database, other):
    async with database.write() as writing:
        await sight(writing, "1p")
        async with asyncio.timeout(60), other.read() as reading:
            assert await Frames().named(reading, "1p") is None
            await writing.commit()
            assert await Frames().named(reading, "1p") is None
    async with other.read() as reading:
        assert await Frames().named(reading, "1p") is not None


async def test_a_reader_cannot_write(database):
    with pytest.raises(DBAPIError):
        async with database.read() as session:
            await sight(session)


async def test_rows_must_name_rows_that_exist(database):
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add(Event(at=NOW, source="test", kind="none", message="of no frame", frame_id=4711))


async def test_many_writers_in_two_openings_all_come_through(database, other):
    async def write(opened: Database, number: int) -> None:
        async with opened.write() as session:
            await sight(session, f"{number}p")

    async with asyncio.timeout(60):
        await asyncio.gather(*(write((database, other)[n % 2], n) for n in range(20)))
    async with database.read() as session:
        assert len(await Frames().search(session)) == 20


async def test_a_lock_that_is_not_given_back_is_told_as_busy(tmp_path, monkeypatch):
    monkeypatch.setattr(engines, "PRAGMAS", ("busy_timeout=5",))
    url = f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}"
    holder = await Database.open(url, create=True)
    waiter = await Database.open(url)
    async with holder.write():
        with pytest.raises(Busy, match="write lock") as busy:
            async with waiter.write():
                pass
    assert busy.value.retryable
    async with waiter.write() as session:
        await sight(session)
    await holder.close()
    await waiter.close()


async def test_what_is_asked_for_by_number_and_absent_is_named(database):
    async with database.read() as session:
        with pytest.raises(NoSuchRow, match="no frame 7"):
            await Frames().get(session, 7)


async def test_a_moment_without_zone_is_refused(database):
    with pytest.raises(Exception, match="has no time zone"):
        async with database.write() as session:
            await Events().append(session, source="t", kind="k", message="m", now=NOW.replace(tzinfo=None))


async def test_a_write_unit_cancelled_at_any_await_leaves_the_next_one_free(database):
    """SQLite has one lock: a task that is cancelled in the middle of a statement must not take it along."""

    async def unit(number):
        async with database.write() as session:
            await sight(session, f"{number}p")

    tasks = []  # a cancelled task keeps its frames, and with them the driver's cursors
    for number in itertools.count(1):
        here = number

        def at(step, here=here):
            if step == here:
                asyncio.get_running_loop().call_soon(tasks[-1].cancel)

        async def watched(at=at, here=here):
            await Watched(unit(here), at)

        tasks.append(asyncio.create_task(watched()))
        with contextlib.suppress(asyncio.CancelledError):
            await tasks[-1]
        async with asyncio.timeout(60), database.write():
            pass
        if not tasks[-1].cancelled():
            break
    assert number > 3, "it was never cancelled"
    async with database.read() as session:
        assert await Frames().named(session, f"{number}p") is not None
