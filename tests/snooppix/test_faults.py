"""Trouble on the way in: each frame ends in a clear state with its reason, and the others go on."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dbclient.schema import FrameState, Level, RequestKind, RequestState
from dbclient.stores import Frames, Requests
from snooppix import treatment
from snooppix.reception import Reception, ReceptionTaken
from snooppix.standin.kinds import (
    Busy,
    Down,
    Dropped,
    Flipped,
    Listed,
    LoginPage,
    Missing,
    Slow,
    WrongDigest,
)
from terapix.clock import SystemClock
from terapix.part import Bound, Part
from terapix.retry import Backoff
from tests.snooppix.desk import Desk, at_work, settings_for
from tests.support.archive import ServedArchive, small_fits


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits be as long as a test can bear; the table itself is tested in test_treatment."""
    short = {
        kind: replace(row, backoff=Backoff(first=0.05, factor=1.0, ceiling=0.1, attempts=row.backoff.attempts))
        for kind, row in treatment.TREATMENTS.items()
    }
    monkeypatch.setattr(treatment, "TREATMENTS", short)
    monkeypatch.setattr("snooppix.service.HEARTBEAT", 0.2)


async def test_a_damaged_frame_is_quarantined_and_the_other_goes_on(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    served_archive.offer("979413p", seed=2)
    served_archive.faults.add(Flipped(name="979412p*", byte=5000, times=0))

    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        bad = await desk.until_state("979412p", FrameState.REJECTED)
        await desk.until_state("979413p", FrameState.VALID)

    rejected = desk.settings.reception / "from_CADC/rejected/damaged"
    why = json.loads((rejected / "979412p.fits.fz.why.json").read_text())
    assert "3 tries gave no better copy" in (bad.reason or "")
    assert why["expected"] == bad.wire_digest
    assert why["again"] == "terapix snooppix retry 979412p"
    assert len((rejected / "979412p.fits.fz").read_bytes()) == len(small_fits("979412p"))
    assert desk.incoming() == []


async def test_a_login_page_for_ever_is_quarantined_with_what_came(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    served_archive.faults.add(LoginPage(times=0))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        frame = await desk.until_state("979412p", FrameState.REJECTED)
    assert "web page" in (frame.reason or "")
    assert (desk.settings.reception / "from_CADC/rejected/not-fits/979412p.fits.fz.why.json").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Busy(retry_after="0"),
        Missing(),
        LoginPage(),
        WrongDigest(),
        Flipped(byte=9000),
        Dropped(after=1000, times=3),
        Down(at="minoc", times=2),
        Down(at="raven", times=2),
        Down(at="argus", times=2),
        Listed(length=17),
        Listed(length=10**7),
    ],
)
async def test_passing_trouble_leaves_a_valid_frame(
    fault: object, served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    served_archive.faults.add(fault)  # type: ignore[arg-type]
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        frame = await desk.until_state("979412p", FrameState.VALID)
    assert (desk.settings.reception / str(frame.path)).read_bytes() == small_fits("979412p")
    assert frame.reason is None
    assert desk.incoming() == []


async def test_an_archive_that_is_down_is_told_once_and_its_return_too(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snooppix.discovery.SILENCE", Backoff(first=0.05, factor=1.0, ceiling=0.1, attempts=9))
    served_archive.offer("979412p")
    served_archive.faults.add(Down(times=8))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        events = await desk.events()
    told = [(event.kind, event.level) for event in events if event.kind.startswith("archive-")]
    assert told == [("archive-down", Level.WARNING), ("archive-up", Level.INFO)]


async def test_a_full_disk_makes_frames_wait_with_the_bytes_that_miss(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = {"free": 1000}
    monkeypatch.setattr(Reception, "room", lambda self: room["free"])
    served_archive.offer("979412p")
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        waiting = await desk.until(lambda frame: frame is not None and bool(frame.reason), "979412p")
        room["free"] = 10**9
        frame = await desk.until_state("979412p", FrameState.VALID)
        waits = [event for event in await desk.events() if event.kind == "waits"]
    assert waiting.attempts == frame.attempts == 0
    assert "about 10 MB are missing" in (waiting.reason or "")
    assert len(waits) == 1


async def test_room_is_kept_for_downloads_that_run(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two frames of one size, room for one and a half: the second waits until the first is whole."""
    served_archive.offer("979412p")
    served_archive.offer("979413p", seed=2)
    served_archive.faults.add(Slow(rate=60_000, times=1))
    size = len(small_fits("979412p"))
    monkeypatch.setattr(Reception, "room", lambda self: size * 3 // 2)
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        await desk.until_state("979413p", FrameState.VALID)
        waits = [event.message for event in await desk.events() if event.kind == "waits"]
    assert len(waits) == 1
    assert "are missing" in waits[0]


async def test_a_second_snooppix_on_the_same_disk_is_refused(served_archive: ServedArchive, tmp_path: Path) -> None:
    served_archive.offer("979412p")
    settings = settings_for(tmp_path / "host", served_archive.registry)
    async with at_work(settings) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        with pytest.raises(ReceptionTaken, match="another snooppix works on"):
            Reception(settings.reception, reserve=0).prepare()


async def _ask(desk: Desk, kind: RequestKind, frame: str, **more: object) -> tuple[RequestState, str]:
    async with desk.database.write() as session:
        arguments = {"frame": frame, **more}
        number = await Requests().ask(session, kind, arguments, by="wilma", now=SystemClock().now())
    while True:
        async with desk.database.read() as session:
            request = await Requests().get(session, number)
        if request.state is not RequestState.OPEN:
            return request.state, request.answer or ""
        await desk.database.changed(timeout=0.1)


async def test_operators_fetch_retry_and_reload(served_archive: ServedArchive, tmp_path: Path) -> None:
    served_archive.offer("979412p")
    settings = settings_for(tmp_path / "host", served_archive.registry, poll=300.0)
    async with at_work(settings) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        served_archive.offer("979413p", seed=2)
        found = await _ask(desk, RequestKind.FETCH, "979413p")
        await desk.until_state("979413p", FrameState.VALID)
        absent = await _ask(desk, RequestKind.FETCH, "979499p")
        hostile = await _ask(desk, RequestKind.FETCH, "../../etc/passwd")
        here = await _ask(desk, RequestKind.FETCH, "979412p")

        async with desk.database.write() as session:
            frame = await Frames().named(session, "979412p")
            assert frame is not None
            await Frames().describe(session, frame.id, filter="wrong", airmass=9.9)
        unreasoned = await _ask(desk, RequestKind.RELOAD, "979412p")
        reloaded = await _ask(desk, RequestKind.RELOAD, "979412p", because="a test wrote nonsense")
        again = await _ask(desk, RequestKind.RELOAD, "979412p", because="to be sure")
        undone = await _ask(desk, RequestKind.RELOAD, "979412p", because="nonsense was right", undo=True)
        once = await _ask(desk, RequestKind.RELOAD, "979412p", because="twice", undo=True)
        anew = await _ask(desk, RequestKind.RELOAD, "979412p", because="for good")
        unknown = await _ask(desk, RequestKind.RETRY, "979499p")
        now = await desk.frame("979412p")

    assert found == (RequestState.DONE, "979413p was found at the archive and is fetched next.")
    assert absent[0] is RequestState.REFUSED
    assert "no processed frame, flat or mask named 979499p" in absent[1]
    assert hostile[0] is RequestState.REFUSED
    assert here == (RequestState.REFUSED, "979412p is here already: it is valid.")
    assert "airmass 9.9 → 1.388, filter wrong → r.MP9601" in reloaded[1]
    assert reloaded[1].endswith("Because: a test wrote nonsense.")
    assert unreasoned == (
        RequestState.REFUSED,
        "Say because of what it is reloaded: the history keeps the reason.",
    )
    assert "nothing differs" in again[1]
    assert "airmass 1.388 → 9.9, filter r.MP9601 → wrong" in undone[1]
    assert once == (RequestState.REFUSED, "Nothing of 979412p was reloaded that is not taken back already.")
    assert "filter wrong → r.MP9601" in anew[1]
    assert unknown == (RequestState.REFUSED, "No frame 979499p is known here.")
    assert now is not None
    assert now.filter == "r.MP9601"


async def test_a_rejected_frame_is_fetched_again_when_an_operator_asks(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    served_archive.faults.add(Flipped(byte=5000, times=0))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        await desk.until_state("979412p", FrameState.REJECTED, seconds=60)
        served_archive.faults.clear()
        state, _ = await _ask(desk, RequestKind.RETRY, "979412p")
        await desk.until_state("979412p", FrameState.VALID)
    assert state is RequestState.DONE
    assert desk.snooppix.quarantine.all() == []


async def test_what_an_earlier_life_left_in_incoming_is_put_right(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p")
    settings = settings_for(tmp_path / "host", served_archive.registry)
    incoming = settings.reception / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "979412p.fits.fz").write_bytes(small_fits("979412p", seed=9))
    (incoming / "stranger.fits").write_bytes(b"SIMPLE  = who knows")
    part = Part.open(incoming / "1111111p.0123456789abcdef.part")
    part.bind(Bound("md5:0", "", 100))
    part.close()

    async with at_work(settings) as desk:
        await desk.until_state("979412p", FrameState.VALID)

    assert desk.incoming() == []
    aside = settings.reception / "from_CADC/rejected/unknown-file"
    assert "stranger.fits" in [path.name for path in aside.iterdir()]


async def test_a_file_that_is_where_it_belongs_is_adopted_without_a_download(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    """The database is gone, the disk is not: nothing is fetched again."""
    served_archive.offer("979412p")
    settings = settings_for(tmp_path / "host", served_archive.registry)
    valid = settings.reception / "from_CADC/headervalid"
    valid.mkdir(parents=True)
    (valid / "979412p.fits.fz").write_bytes(small_fits("979412p"))
    served_archive.faults.add(Down(at="minoc"))

    async with at_work(settings) as desk:
        frame = await desk.until_state("979412p", FrameState.VALID)
        events = [event.message for event in await desk.events()]

    assert frame.path == "from_CADC/headervalid/979412p.fits.fz"
    assert any("was here already" in message for message in events)


async def test_figures_are_told(served_archive: ServedArchive, tmp_path: Path) -> None:
    served_archive.offer("979412p")
    async with at_work(settings_for(tmp_path / "host", served_archive.registry)) as desk:
        await desk.until_state("979412p", FrameState.VALID)
        desk.snooppix._measure()
        text = desk.snooppix.daemon.figures_text().decode()
    assert "terapix_fetched_frames 1.0" in text
    assert "terapix_archive_up 1.0" in text
    assert 'terapix_sorted_frames{outcome="valid"} 1.0' in text
    assert "terapix_bookmark_age_seconds" in text
