"""How the archive is followed by the running daemon: what dates alone release, and what operators ask for."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from dbclient.schema import FrameState, RequestKind, RequestState
from dbclient.stores import Requests
from snooppix.standin.access import Access
from snooppix.standin.kinds import Listed, Withdrawn
from terapix.clock import SetClock, SystemClock
from tests.snooppix.desk import Desk, at_work, laid_out, settings_for
from tests.support.archive import ServedArchive

NIGHT = datetime(2008, 3, 30, 6, tzinfo=UTC)
DAY = 86_400.0


async def ask(desk: Desk, kind: RequestKind) -> str:
    """Ask the daemon for something and give its answer."""
    async with desk.database.write() as session:
        number = await Requests().ask(session, kind, {}, by="ann", now=SystemClock().now())
    async with asyncio.timeout(60):
        while True:
            async with desk.database.read() as session:
                found = await Requests().get(session, number)
            if found.state is not RequestState.OPEN:
                return str(found.answer)
            await desk.database.changed(timeout=0.2)


async def test_a_row_that_its_date_alone_makes_visible_is_found_by_the_look_at_releases(tmp_path: Path) -> None:
    clock = SetClock(NIGHT)
    (tmp_path / "archive").mkdir()
    archive = ServedArchive(tmp_path / "archive", clock=clock, access=Access({}))
    await archive.standin.start("127.0.0.1", 0)
    archive.offer("979412p", REL_DATE="2008-03-30T07:00:00", MET_DATE="2008-04-02T00:00:00")
    archive.faults.add(Listed(name="979412p*", lag=DAY))
    settings = settings_for(tmp_path / "host", archive.registry, look_back=60.0)
    async with laid_out(settings, clock=clock) as desk:
        watcher = desk.snooppix.watcher
        archive.offer("979499p", REL_DATE="2008-03-30T05:00:00", MET_DATE="2008-03-30T05:00:00")
        await watcher.look()
        await watcher.look_at_releases()
        assert await desk.frame("979412p") is None, "its description is not public"
        clock.advance(4 * DAY)
        archive.offer("979500p", REL_DATE="2008-03-30T05:00:00", MET_DATE="2008-03-30T05:00:00")
        await watcher.look()
        await watcher.look()
        unseen = await desk.frame("979412p")
        await watcher.look_at_releases()
        seen = await desk.frame("979412p")
    await archive.standin.close()
    assert unseen is None, "no change tells of it"
    assert seen is not None
    assert seen.state is FrameState.SPOTTED


async def test_an_operator_has_the_archive_looked_at_and_compared(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "host", served_archive.registry, poll=3600.0, difference="")
    async with at_work(settings) as desk:
        served_archive.offer("979412p")
        looked = await ask(desk, RequestKind.LOOK)
        await desk.until_state("979412p", FrameState.VALID)
        served_archive.offer("979413p")
        served_archive.faults.add(Withdrawn(name="979412p*"))
        compared = await ask(desk, RequestKind.DIFFERENCE)
        await desk.until_state("979413p", FrameState.VALID)
        withdrawn = await desk.frame("979412p")
        held = (settings.reception / "from_CADC" / "headervalid" / "979412p.fits.fz").exists()
        served_archive.faults.clear()
        again = await ask(desk, RequestKind.DIFFERENCE)
        back = await desk.frame("979412p")
    assert looked.startswith("The archive was looked at: ")
    assert compared == "1 frames are listed: 1 missed, 1 withdrawn."
    assert withdrawn is not None
    assert withdrawn.withdrawn_at is not None
    assert held, "what the archive withdraws is never deleted here"
    assert again == "2 frames are listed: 1 returned."
    assert back is not None
    assert back.withdrawn_at is None
