"""What goes wrong while products are put: the archive answers badly or not at all, and files change under way."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dbclient.schema import PublicationState
from dbclient.stores.publications import Registration
from snooppix.publisher.ledger import Ledger
from snooppix.publisher.parcel import Transaction, keep
from snooppix.standin import putting
from snooppix.standin.kinds import Busy, Down, Failing, Fault, Forbidden, LoginPage, Refused
from terapix.clock import SystemClock
from tests.snooppix.test_publisher_push import (
    SEGMENT,
    WEIGHT,
    archive,
    due_again,
    pushing,
    received,
    until_acknowledged,
)
from tests.support.archive import ServedArchive
from tests.support.publishing import Press

__all__ = ["archive"]

ACKNOWLEDGED = PublicationState.ACKNOWLEDGED
SIZES = pytest.mark.parametrize("segment", [10**9, SEGMENT], ids=["at once", "in segments"])


@pytest.mark.parametrize(
    "faults",
    [
        (Failing(status=500), Failing(status=502, skip=4), Failing(status=500, skip=14)),
        (Failing(status=400, skip=3), Failing(status=404, skip=8), Failing(status=413, skip=14)),
        (Failing(status=409, skip=1), Failing(status=423, skip=5), Failing(status=412, skip=11)),
        (Busy(status=429, retry_after="30", skip=2), Busy(retry_after="9" * 400, skip=6), Down(skip=11, times=2)),
        (Busy(retry_after="Thu, 01 Jan 9999 00:00:00 GMT", skip=3), Forbidden(skip=7), Refused(skip=12)),
        (LoginPage(), LoginPage(skip=6), Refused(skip=9)),
    ],
    ids=["errors", "refusals", "conflicts", "overload", "rests", "pages"],
)
async def test_bad_answers_at_any_moment_cost_waits_and_no_file(
    tmp_path: Path, archive: ServedArchive, faults: tuple[Fault, ...]
) -> None:
    archive.faults.add(*faults)
    async with pushing(tmp_path, archive) as press:
        (weight,) = await press.make("979412p", "weight")
        await due_again(press)
        assert received(archive) == weight
        assert len(await press.events("acknowledged")) == 1
        assert notes(press) == []
    assert archive.standin.site is not None
    assert archive.standin.site.uploads.open == 0
    assert {fault for fault, _ in archive.faults.committed} == set(faults)


def notes(press: Press) -> list[str]:
    """Uploads that are begun, as the shelf keeps them."""
    return [path.name for path in press.shelf.glob(".*.put")]


async def test_an_archive_that_takes_nothing_is_left_alone_by_all_files(tmp_path: Path, archive: ServedArchive) -> None:
    archive.faults.add(Busy(retry_after="3600", times=0))
    async with pushing(tmp_path, archive) as press:
        await press.make("979412p", "weight", "flag")
        for frame in ("979413p", "979414p"):
            await press.make(frame, "weight")
        await press.until("979414p_weight.fits.fz", lambda row: row.offered_at is not None)
        await press.until_found(rests(press), WEIGHT)
        assert len(archive.faults.committed) == 1
        archive.faults.clear()
        press.clock.days = 1
        await press.make("979415p", "weight")
        await press.until("979415p_weight.fits.fz", lambda row: row.state is ACKNOWLEDGED)


def rests(press: Press) -> Any:
    async def resting() -> bool | None:
        pusher = press.publisher.pusher
        assert pusher is not None
        return True if pusher.rests_until is not None else None

    return resting


@SIZES
async def test_an_answer_that_is_lost_after_the_file_was_stored_puts_it_once(
    tmp_path: Path, archive: ServedArchive, monkeypatch: pytest.MonkeyPatch, segment: int
) -> None:
    stored, lost = putting._commit, []

    async def answer_lost(site: Any, upload: Any) -> web.Response:
        answer = await stored(site, upload)
        if not lost:
            lost.append(upload.id)
            raise ConnectionResetError
        return answer

    monkeypatch.setattr(putting, "_commit", answer_lost)
    async with pushing(tmp_path, archive, segment=segment) as press:
        (weight,) = await press.make("979412p", "weight")
        await due_again(press)
        assert received(archive) == weight
        assert len(lost) == 1


async def test_a_file_that_is_replaced_while_it_is_put_goes_whole_and_the_next_after_it(
    tmp_path: Path, archive: ServedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    stored = putting._commit

    async def noted(site: Any, upload: Any) -> web.Response:
        answer = await stored(site, upload)
        seen.append(received(archive))
        return answer

    monkeypatch.setattr(putting, "_commit", noted)
    holding, go_on = asyncio.Event(), asyncio.Event()
    take = putting._take

    async def slowly(request: web.Request, site: Any, upload: Any) -> None:
        await take(request, site, upload)
        if upload.size > SEGMENT and not go_on.is_set():
            holding.set()
            await go_on.wait()

    monkeypatch.setattr(putting, "_take", slowly)
    async with pushing(tmp_path, archive) as press:
        (first,) = await press.make("979412p", "weight")
        async with asyncio.timeout(60):
            await holding.wait()
        (second,) = await press.make("979412p", "weight", seed=2)
        await press.until(WEIGHT, lambda row: row.generation == 2 and row.offered_at is not None)
        go_on.set()
        await until_acknowledged(press, generation=2)
    assert seen == [first, second]


@SIZES
async def test_a_file_that_was_damaged_on_its_shelf_is_not_put_but_laid_out_again(
    tmp_path: Path, archive: ServedArchive, segment: int
) -> None:
    archive.faults.add(Forbidden())  # it waits, and is damaged meanwhile
    async with pushing(tmp_path, archive, segment=segment) as press:
        (weight,) = await press.make("979412p", "weight")
        await press.until(WEIGHT, lambda row: row.retry_at is not None)
        damaged = bytearray(weight)
        damaged[len(damaged) // 2] ^= 1
        (press.shelf / WEIGHT).unlink()
        (press.shelf / WEIGHT).write_bytes(damaged)
        await due_again(press)
        assert received(archive) == weight
        assert len(await press.events("lost")) == 1


async def test_an_upload_that_nobody_will_finish_is_given_up(tmp_path: Path, archive: ServedArchive) -> None:
    site = archive.standin.site
    assert site is not None
    uri = f"cadc:CFHT/{WEIGHT}"
    begun = site.uploads.start(uri, total=10)
    shelf = tmp_path / "ours/reception/to_CADC"
    shelf.mkdir(parents=True)
    keep(
        shelf / f".{WEIGHT}.put",
        Transaction(begun.id, f"{archive.address}/minoc/files/{uri}", "md5:" + "0" * 32, 1, 10**9),
    )
    async with pushing(tmp_path, archive) as press:

        async def given_up() -> bool | None:
            return True if notes(press) == [] else None

        await press.until_found(given_up, WEIGHT)
        assert site.uploads.open == 0


@pytest.mark.parametrize("text", [b"[]", b'{"id": 1}', b"\xff\xfe"])
async def test_a_note_of_an_upload_that_makes_no_sense_is_no_obstacle(
    tmp_path: Path, archive: ServedArchive, text: bytes
) -> None:
    shelf = tmp_path / "ours/reception/to_CADC"
    shelf.mkdir(parents=True)
    (shelf / f".{WEIGHT}.put").write_bytes(text)
    async with pushing(tmp_path, archive) as press:
        (weight,) = await press.make("979412p", "weight")
        await until_acknowledged(press)
        assert received(archive) == weight


async def test_a_file_that_the_archive_spoiled_is_put_again_once_an_operator_registers_it_again(
    tmp_path: Path, archive: ServedArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, spoiled = putting._commit, []

    async def spoiling(site: Any, upload: Any) -> web.Response:
        answer = await stored(site, upload)
        if not spoiled:
            spoiled.append((archive.directory / WEIGHT).read_bytes())
            (archive.directory / WEIGHT).write_bytes(spoiled[0][:-1])
        return answer

    monkeypatch.setattr(putting, "_commit", spoiling)
    async with pushing(tmp_path, archive) as press:
        (weight,) = await press.make("979412p", "weight")
        row = await press.until(WEIGHT, lambda row: row.state is PublicationState.FAILED)
        assert "the archive holds another" in (row.reason or "")
        wanted = Registration(name=WEIGHT, kind="weight", source=row.source, digest=str(row.wire_digest))
        await Ledger(press.database, clock=SystemClock()).enter_by_hand(wanted)
        await until_acknowledged(press)
        assert received(archive) == weight
