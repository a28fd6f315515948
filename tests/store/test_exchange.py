"""What comes from the archive and goes back to it, summed on both databases."""

from datetime import timedelta

from dbclient.records import FrameRecord
from dbclient.schema import (
    Difference,
    DifferenceState,
    FrameKind,
    FrameState,
    Host,
    HostState,
    Publication,
    PublicationState,
    TransferKind,
    TransferState,
)
from dbclient.stores import Bookmarks, Exchange, Frames, Sighting, Transfers
from dbclient.stores.exchange import Tally
from tests.support.night import NOW, later


async def sighted(session, name, **more) -> FrameRecord:
    await Frames().sight(session, Sighting(name=name, uri=f"cadc:CFHT/{name}", **more), now=NOW, source="test")
    return await Frames().named(session, name)


async def fetched(session, frame, *, ended, size, state=TransferState.DONE):
    number = await Transfers().begin(
        session, frame_id=frame.id, kind=TransferKind.FETCH, source="h", now=ended, bytes_total=size
    )
    await Transfers().end(session, number, state, now=ended)
    return number


async def test_what_waits_and_what_is_fetched_next(database):
    async with database.write() as session:
        one, two, three, four = [await sighted(session, name) for name in ("1p", "2p", "3p", "4p")]
        await Frames().wait(session, one.id, reason="later", retry_at=later(60), now=NOW, source="t")
        await Frames().wait(session, two.id, reason="soon", retry_at=later(30), now=NOW, source="t")
        await Transfers().begin(session, frame_id=three.id, kind=TransferKind.FETCH, source="h", now=NOW)
        await Frames().prioritise(session, four.id, 100)
        found = await Exchange().waiting(session, now=NOW, limit=9)
        assert [(frame.name, frame.reason) for frame in found] == [("2p", "soon"), ("1p", "later")]
        assert await Exchange().waiting_count(session, now=later(45)) == 1
        assert [frame.name for frame in await Exchange().waiting(session, now=NOW, limit=1, skip=1)] == ["1p"]
        assert [frame.name for frame in await Exchange().queued(session, now=NOW, limit=9)] == ["4p"]
        assert [frame.name for frame in await Exchange().queued(session, now=later(90), limit=9)] == ["4p", "1p", "2p"]
        assert await Exchange().tallies(session) == [Tally(FrameKind.OBJECT, None, FrameState.SPOTTED, 4, 0)]


async def test_the_queue_is_by_priority_then_by_row_page_by_page(database):
    async with database.write() as session:
        for number, priority in enumerate((0, 100, 0, 7, 100, 0)):
            await Frames().prioritise(session, (await sighted(session, f"{number}p")).id, priority)
        pages = [await Exchange().queued(session, now=NOW, limit=4, skip=skip) for skip in (0, 4, 8)]
        assert [[frame.name for frame in page] for page in pages] == [["1p", "4p", "3p", "0p"], ["2p", "5p"], []]


async def test_frames_are_counted_by_kind_run_and_state_and_what_was_withdrawn_beside(database):
    async with database.write() as session:
        for name, more in (
            ("1p", {"runid": "08AC14"}), ("2p", {"runid": "08AC14"}), ("3p", {"runid": "08BF05"}),
            ("flat", {"kind": FrameKind.FLAT, "runid": "08AC14"}),
        ):  # fmt: skip
            await sighted(session, name, **more)
        await Frames().withdraw(session, [(await Frames().named(session, "2p")).id], now=NOW, source="t")
        found = {
            (tally.kind, tally.runid): (tally.frames, tally.withdrawn) for tally in await Exchange().tallies(session)
        }
        assert found == {
            (FrameKind.OBJECT, "08AC14"): (2, 1),
            (FrameKind.OBJECT, "08BF05"): (1, 0),
            (FrameKind.FLAT, "08AC14"): (1, 0),
        }


async def test_what_arrived_is_summed_by_hour_and_day_of_utc(database):
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    async with database.write() as session:
        frame = await sighted(session, "1p")
        for minutes, size in ((-1, 5), (0, 7), (59, 11), (60, 13), (61, 17)):
            await fetched(session, frame, ended=midnight + timedelta(minutes=minutes, seconds=0.25), size=size)
        await fetched(session, frame, ended=midnight, size=99, state=TransferState.FAILED)
        begins = [midnight + timedelta(hours=hour) for hour in range(24)]
        hours = await Exchange().flow(session, begins=begins)
        assert [(flow.begin, flow.files, flow.bytes) for flow in hours] == [
            (midnight, 2, 18),
            (midnight + timedelta(hours=1), 2, 30),
        ]
        days = await Exchange().flow(session, begins=[midnight - timedelta(days=back) for back in range(9, -1, -1)])
        assert [(flow.begin, flow.bytes) for flow in days] == [
            (midnight - timedelta(days=1), 5),
            (midnight, 48),
        ]
        arrived = await Exchange().arrived(session, limit=2)
        assert [(transfer.bytes_done, transfer.frame) for transfer in arrived] == [(17, "1p"), (13, "1p")]


async def test_releases_ahead_are_counted_by_step(database):
    noon = NOW.replace(hour=12, minute=0, second=0, microsecond=0)
    async with database.write() as session:
        for name, ahead in (("1p", -1), ("2p", 1), ("3p", 1.25), ("4p", 40), ("5p", 900)):
            await sighted(session, name, release=noon + timedelta(days=ahead))
        await sighted(session, "6p")
        soon = await Exchange().next_released(session, now=noon, limit=2)
        assert [frame.name for frame in soon] == ["2p", "3p"]
        days = [noon.replace(hour=0) + timedelta(days=ahead) for ahead in range(366)]
        found = await Exchange().releases(session, now=noon, begins=days)
        assert found == [(days[1], 2), (days[40], 1), (days[365], 1)]  # the last step has no end
        later_on = await Exchange().releases(session, now=noon + timedelta(days=1), begins=days)
        assert later_on == [(days[1], 1), (days[40], 1), (days[365], 1)]


async def test_hosts_that_rest_come_first(database):
    async with database.write() as session:
        session.add_all([Host(name="a", changed_at=NOW), Host(name="b", state=HostState.OPEN, changed_at=NOW)])
        await session.flush()
        assert [host.name for host in await Exchange().hosts(session, limit=9)] == ["b", "a"]


async def test_differences_and_bookmarks_the_latest_first(database):
    async with database.write() as session:
        for state in (DifferenceState.DONE, DifferenceState.RUNNING):
            session.add(Difference(archive="cadc/CFHT", state=state, asked_by="ann", started_at=NOW))
            await session.flush()
        await Bookmarks().set(session, "a", reached=NOW, now=NOW)
        await Bookmarks().set(session, "b", reached=NOW, now=later(1))
        found = await Exchange().differences(session, limit=9)
        assert [difference.state for difference in found] == [DifferenceState.RUNNING, DifferenceState.DONE]
        assert [mark.archive for mark in await Exchange().bookmarks(session, limit=9)] == ["b", "a"]


async def test_publications_are_counted_by_run_and_state(database):
    async with database.write() as session:
        for number, (runid, state) in enumerate(
            (("08AC14", PublicationState.DUE), ("08AC14", PublicationState.OFFERED), (None, PublicationState.FAILED))
        ):
            session.add(
                Publication(
                    name=f"{number}_weight.fits.fz", generation=1, kind="weight", state=state, runid=runid,
                    source="/x", size=10, registered_at=NOW,
                )
            )  # fmt: skip
            await session.flush()
        by_hand, run = await Exchange().published(session)
        assert (by_hand.runid, by_hand.states) == (None, {PublicationState.FAILED: 1})
        assert (run.runid, run.files, run.bytes) == ("08AC14", 2, 20)
        found = await Exchange().publications(session, limit=9, state=PublicationState.DUE)
        assert [publication.name for publication in found] == ["0_weight.fits.fz"]
        assert len(await Exchange().publications(session, limit=9, skip=2)) == 1
