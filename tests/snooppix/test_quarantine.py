"""Quarantine keeps what explains a rejection, within bounds; operators look, fetch again, or accept with a reason."""

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dbclient.schema import FrameState, Level, RequestKind, RequestState
from dbclient.stores import Requests
from snooppix import quarantine, treatment
from snooppix.quarantine import set_aside, set_aside_on
from snooppix.reception import Reception
from snooppix.standin.kinds import Flipped
from terapix.clock import SystemClock
from terapix.retry import Backoff
from tests.snooppix.desk import Desk, at_work, settings_for, small_camera
from tests.support.archive import ServedArchive, small_fits

FEW = 4
CAMERA = small_camera().with_ccds(FEW)
NAME = "979412p.fits.fz"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let waits be as long as a test can bear."""
    short = {
        kind: replace(row, backoff=Backoff(first=0.05, factor=1.0, ceiling=0.1, attempts=row.backoff.attempts))
        for kind, row in treatment.TREATMENTS.items()
    }
    monkeypatch.setattr(treatment, "TREATMENTS", short)
    monkeypatch.setattr("snooppix.service.HEARTBEAT", 0.2)


@pytest.fixture
def disk(tmp_path: Path) -> Reception:
    disk = Reception(tmp_path / "reception", reserve=0)
    disk.prepare()
    disk.release()
    return disk


def put_aside(disk: Reception, name: str, word: str, size: int) -> list[str]:
    source = Path("incoming") / name
    (disk.root / source).write_bytes(os.urandom(size))
    return set_aside(disk, source, Path("from_CADC/rejected") / word / name, {"reason": f"{name} is {word}"})


def kept(disk: Reception) -> list[str]:
    return sorted(item.path.name for item in set_aside_on(disk) if item.kept)


async def ask(desk: Desk, kind: RequestKind, **arguments: str) -> tuple[RequestState, str]:
    async with desk.database.write() as session:
        number = await Requests().ask(session, kind, arguments, by="wilma", now=SystemClock().now())
    async with asyncio.timeout(60):
        while True:
            async with desk.database.read() as session:
                request = await Requests().get(session, number)
            if request.state is not RequestState.OPEN:
                return request.state, request.answer or ""
            await desk.database.changed(timeout=0.1)


def test_the_oldest_evidence_goes_when_the_quarantine_is_full_and_its_notes_stay(
    disk: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "SHARE", 0.0)
    assert put_aside(disk, "1p.fits", "damaged", 5000) == [], "the newest is kept whatever its size"
    assert put_aside(disk, "2p.fits", "raw", 5000) == ["1p.fits"]
    assert kept(disk) == ["2p.fits"]
    assert [item.why["reason"] for item in set_aside_on(disk)] == ["1p.fits is damaged", "2p.fits is raw"]


def test_newer_evidence_of_a_file_takes_the_place_of_the_older(disk: Reception) -> None:
    put_aside(disk, NAME, "damaged", 5000)
    put_aside(disk, NAME, "wcs", 6000)
    [item] = set_aside_on(disk)
    assert (item.word, item.path.stat().st_size) == ("wcs", 6000)


async def test_what_fills_the_quarantine_is_told_in_an_event(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "SHARE", 0.0)
    for name in ("979412p", "979413p"):
        served_archive.offer(name, content=small_fits(name, ccds=FEW, FILTER=None))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        for name in ("979412p", "979413p"):
            await desk.until_state(name, FrameState.REJECTED)
        told = [(event.level, event.message) for event in await desk.events() if event.kind == "quarantine-full"]
    assert len(told) == 1
    assert told[0][0] is Level.WARNING
    assert "the oldest evidence was removed, its notes stay: 97941" in told[0][1]


async def test_the_note_says_what_was_expected_what_came_from_where_and_how_to_go_on(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p", content=small_fits("979412p", ccds=FEW))
    served_archive.faults.add(Flipped(byte=5000, times=0))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        frame = await desk.until_state("979412p", FrameState.REJECTED)
        [item] = desk.snooppix.quarantine.all()
    path = desk.settings.received(frame.disk, str(frame.path))
    assert item.path == path
    assert item.why["expected"] == frame.wire_digest != item.why["found"]
    assert item.why["found"].startswith("md5:")
    assert item.why["host"] == "127.0.0.1"
    assert item.why["generation"] == 1
    assert item.why["look"] == f"terapix snooppix check {path}"
    assert item.why["again"] == "terapix snooppix retry 979412p"
    assert "headers" in item.why
    assert json.loads(path.with_name(f"{NAME}.why.json").read_text()) == item.why


async def test_a_frame_without_a_keyword_is_accepted_with_a_reason_that_stays(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    content = small_fits("979412p", ccds=FEW, FILTER=None)
    served_archive.offer("979412p", content=content)
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        await desk.until_state("979412p", FrameState.REJECTED)
        silent = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="  ")
        answer = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="the log has the filter:\n r.MP9601.")
        frame = await desk.until_state("979412p", FrameState.VALID)
        [event] = [event for event in await desk.events() if event.kind == "accepted"]
        again = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="twice")
        left = desk.snooppix.quarantine.all()
    assert silent == (RequestState.REFUSED, "A reason is needed: it stays in the frame's history.")
    assert answer[0] is RequestState.DONE
    assert "Excused: the keyword FILTER is missing or empty" in answer[1]
    assert frame.reason == "accepted by wilma: the log has the filter: r.MP9601"
    assert (frame.filter, frame.runid, frame.ccds, frame.path) == (None, "08AC14", FEW, f"from_CADC/headervalid/{NAME}")
    assert frame.pixel_digest
    assert desk.settings.received(frame.disk, str(frame.path)).read_bytes() == content
    assert (event.source, event.level) == ("operator:wilma", Level.WARNING)
    assert "by wilma, because: the log has the filter: r.MP9601. Excused: the keyword FILTER" in event.message
    assert again == (RequestState.REFUSED, "979412p is valid and not rejected: there is nothing to accept.")
    assert left == []


async def test_a_frame_without_a_place_on_the_sky_is_accepted_without_coordinates(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    content = small_fits("979412p", ccds=FEW, IMRED_OP="OVERSCAN").replace(b"RA---TAN", b"PIXEL   ")
    served_archive.offer("979412p", content=_without_sums(content))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        await desk.until_state("979412p", FrameState.REJECTED)
        state, answer = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="for its photometry")
        frame = await desk.frame("979412p")
    assert state is RequestState.DONE, answer
    assert "lacks MASK_BP" in answer
    assert "CTYPE1 is PIXEL" in answer
    assert frame is not None
    assert (frame.state, frame.ra, frame.corners) == (FrameState.VALID, None, None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (small_fits("979412o", ccds=FEW), "it is a raw exposure"),
        (small_fits("979412p", ccds=FEW - 1, FILTER=None), "it has 3 CCD images"),
        (small_fits("979413p", ccds=FEW, FILTER=None), "its header says EXPNUM = 979413"),
        (small_fits("979412p", ccds=FEW, FILTER=None, RUNID="../08A"), "is no name of a run"),
        (small_fits("979412p", ccds=FEW, FILTER=None)[:-2880], "more than the file has"),
        (small_fits("979412p", ccds=FEW, FILTER=None).replace(b"AIRMASS =", b"AIRMESS =", 1), "CHECKSUM"),
    ],
)
async def test_what_cannot_be_excused_is_refused_with_a_sentence(
    content: bytes, sentence: str, served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p", content=content)
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        await desk.until_state("979412p", FrameState.REJECTED)
        state, answer = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="I want it")
        frame = await desk.frame("979412p")
    assert state is RequestState.REFUSED
    assert answer.startswith("979412p cannot be accepted: ")
    assert sentence in answer
    assert frame is not None
    assert frame.state is FrameState.REJECTED


async def test_another_digest_or_a_file_that_is_gone_is_never_accepted(
    served_archive: ServedArchive, tmp_path: Path
) -> None:
    served_archive.offer("979412p", content=small_fits("979412p", ccds=FEW))
    served_archive.faults.add(Flipped(byte=5000, times=0))
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        frame = await desk.until_state("979412p", FrameState.REJECTED)
        other = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="why not")
        desk.settings.received(frame.disk, str(frame.path)).unlink()
        gone = await ask(desk, RequestKind.ACCEPT, frame="979412p", because="why not")
        unknown = await ask(desk, RequestKind.ACCEPT, frame="1p", because="why not")
    assert other[0] is gone[0] is unknown[0] is RequestState.REFUSED
    assert "its digest is md5:" in other[1]
    assert "is not in quarantine any more: terapix snooppix retry 979412p fetches it again" in gone[1]


def _without_sums(content: bytes) -> bytes:
    """Take the checksums out, which would tell that something was changed."""
    return content.replace(b"CHECKSUM=", b"CHECKSOM=").replace(b"DATASUM =", b"DATASOM =")
