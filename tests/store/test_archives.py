"""History that is old goes into archives: nothing is lost on the way, and what was sealed can still be proved."""

import gzip
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from datatransfer import archivist
from datatransfer.archivist import Archivist
from dbclient import archive
from dbclient.archive import ArchiveDamaged
from dbclient.chain import Deed
from dbclient.schema import ArchiveKind, TransferKind, TransferState
from dbclient.sealing import seal, verify
from dbclient.stores import Archives, Events, Leases, Nodes, Transfers
from terapix.clock import SetClock
from terapix.hosts import RetentionSection
from tests.support.night import NOW, sight

POLICY = RetentionSection(events_days=30, transfers_days=800)


async def tell(database, *messages, now=NOW):
    for message in messages:
        async with database.write() as session:
            await Events().append(session, source="test", kind="told", message=message, now=now, data={"of": ["ö", 1]})
    while (await seal(database, now=now, most=3)).events:
        pass


async def messages(database):
    async with database.read() as session:
        return [event.message for event in await Events().after(session, 0)]


@pytest.fixture
async def old(database):
    """Eight events of long ago, and one of today."""
    await tell(database, *"abcdefgh")
    await tell(database, "today", now=NOW + timedelta(days=60))
    return database


def at(database, directory, *, days=60):
    return Archivist(database, POLICY, directory, SetClock(NOW + timedelta(days=days)))


async def test_a_dry_run_tells_what_would_go_and_changes_nothing(old, tmp_path):
    plan = {each.kind: each for each in await at(old, tmp_path).plan()}

    due = plan[ArchiveKind.EVENTS].due
    assert (due.rows, due.begins, due.ends) == (8, NOW, NOW)
    assert plan[ArchiveKind.LEASES].due.rows == 0
    assert len(await messages(old)) == 9
    assert list(tmp_path.glob("*.gz")) == []


async def test_old_events_go_into_a_file_and_still_fit_their_seals(old, tmp_path):
    [made] = await at(old, tmp_path).run()

    assert (made.first, made.last, made.rows, made.kind) == (1, 8, 8, ArchiveKind.EVENTS)
    told = await messages(old)
    assert told[0] == "today"
    assert "8 events from 2008-03-30 to 2008-03-30 went into" in told[1]
    assert [event.message for event in archive.events(tmp_path / made.path, digest=made.digest)] == list("abcdefgh")
    found = await verify(old, archives=tmp_path)
    assert (found.fits, found.events, found.absent) == (True, 9, 0)
    assert await at(old, tmp_path).run() == []


async def test_an_archive_that_is_not_here_is_told_and_the_rest_is_compared(old, tmp_path):
    [made] = await at(old, tmp_path).run()
    (tmp_path / made.path).unlink()

    found = await verify(old, archives=tmp_path)

    assert (found.fits, found.events, found.absent, found.absent_files) == (True, 1, 8, [made.path])


async def test_what_was_changed_in_an_archive_is_named(old, tmp_path):
    [made] = await at(old, tmp_path).run()
    place = tmp_path / made.path
    place.write_bytes(gzip.compress(gzip.decompress(place.read_bytes()).replace(b'"c"', b'"C"')))

    found = await verify(old, archives=tmp_path)

    assert [(misfit.deed, misfit.event) for misfit in found.misfits] == [(Deed.CHANGED, 3)]
    with pytest.raises(ArchiveDamaged, match="bring it back from a copy"):
        archive.events(place, digest=made.digest)


async def test_nothing_goes_that_cannot_be_read_back(old, tmp_path, monkeypatch):
    real = archive.write

    def damaged(path, kind, rows):
        told = real(path, kind, rows)
        path.write_bytes(path.read_bytes()[:-9])
        return told

    monkeypatch.setattr(archive, "write", damaged)

    with pytest.raises(ArchiveDamaged):
        await at(old, tmp_path).run()
    assert (await messages(old))[:8] == list("abcdefgh")


async def test_an_archivist_that_was_killed_goes_on(old, tmp_path, monkeypatch):
    real, calls = Archives.remove, []

    async def remove(self, session, kind, numbers):
        if calls:
            raise KeyboardInterrupt
        calls.append(numbers)
        return await real(self, session, kind, numbers)

    monkeypatch.setattr(archivist, "BATCH", 3)
    monkeypatch.setattr(Archives, "remove", remove)
    with pytest.raises(KeyboardInterrupt):
        await at(old, tmp_path).run()
    monkeypatch.undo()
    assert (await messages(old))[:5] == list("defgh")
    assert (await verify(old, archives=tmp_path)).fits

    assert await at(old, tmp_path).run() == []
    assert (await messages(old))[0] == "today"
    assert (await verify(old, archives=tmp_path)).fits


async def test_events_that_lie_in_no_archive_cannot_be_removed(old, tmp_path):
    async def remove(number):
        async with old.write() as session:
            await session.execute(text(f"DELETE FROM events WHERE id = {number}"))

    for number in (1, 9):
        with pytest.raises(DBAPIError, match="only ever added to"):
            await remove(number)
    await at(old, tmp_path).run()
    with pytest.raises(DBAPIError, match="only ever added to"):
        await remove(9)


async def test_large_histories_go_archive_by_archive(old, tmp_path, monkeypatch):
    monkeypatch.setattr(archivist, "MOST", 3)

    made = await at(old, tmp_path).run()

    assert [(one.first, one.last) for one in made] == [(1, 3), (4, 6), (7, 8)]
    assert (await verify(old, archives=tmp_path)).events >= 9


async def test_a_daemon_makes_one_archive_a_day_at_most_of_what_is_little(old, tmp_path):
    assert len(await at(old, tmp_path).run(now=False)) == 1
    async with old.read() as session:
        assert (await Archives().newest(session, ArchiveKind.EVENTS)).last == 8
    assert await at(old, tmp_path, days=60.5).run(now=False) == []
    assert await at(old, tmp_path, days=90.9).run(now=False) != []


async def test_transfers_that_are_over_go_with_their_leases_and_open_ones_stay(database, tmp_path):
    async with database.write() as session:
        await Nodes().upsert(session, name="node1", directory="/n", capacity=1, reserve=0, now=NOW)
        node = await Nodes().named(session, "node1")
        frame = await sight(session)
        for state in (TransferState.DONE, TransferState.RUNNING, TransferState.FAILED):
            number = await Transfers().begin(
                session, frame_id=frame.id, kind=TransferKind.MOVE, source="x", now=NOW, node_id=node.id
            )
            if state is not TransferState.RUNNING:
                await Transfers().end(session, number, state, now=NOW)
        await Leases().promise(
            session, frame_id=frame.id, node_id=node.id, frame_bytes=1, product_bytes=0, scratch_bytes=0, now=NOW
        )
        await Leases().release(session, frame.id, now=NOW)

    assert await at(database, tmp_path, days=799).run() == []
    made = await at(database, tmp_path, days=801).run()

    assert {one.kind: one.rows for one in made} == {ArchiveKind.TRANSFERS: 2, ArchiveKind.LEASES: 1}
    async with database.read() as session:
        assert len(await Transfers().running(session)) == 1
        assert await Transfers().history(session) == []
    [row, _] = archive.read(tmp_path / made[0].path)
    assert (row["state"], row["ended_at"]) == ("done", NOW.isoformat())


def test_transfers_are_kept_as_long_as_pages_count_them():
    with pytest.raises(ValueError, match="800 at least"):
        RetentionSection(transfers_days=30)
    with pytest.raises(ValueError, match="1 at least"):
        RetentionSection(events_days=0.5)
