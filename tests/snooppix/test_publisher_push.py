"""Products are put to an archive that receives: at once or in segments, and a cut or a kill costs one segment."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbclient.schema import PublicationState
from snooppix.publisher.parcel import Transaction
from snooppix.standin.access import Access
from snooppix.standin.kinds import Fault, PutCut, PutDamaged, PutLost
from terapix.clock import SystemClock
from tests.support.archive import ServedArchive
from tests.support.publishing import Press, at_press, publisher_settings

WEIGHT = "979412p_weight.fits.fz"
SEGMENT = 2000
"""Bytes; the test's files have ten times as many."""


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[ServedArchive]:
    """An archive that receives, and whose one writer has a token."""
    directory = tmp_path / "received"
    directory.mkdir()
    served = ServedArchive(
        directory, clock=SystemClock(), access=Access({"w" * 20: None}, writers=frozenset({"w" * 20}))
    )
    async with served.standin:
        yield served


@contextlib.asynccontextmanager
async def pushing(
    tmp_path: Path, archive: ServedArchive, *, segment: int = SEGMENT, token: str = "w"
) -> AsyncIterator[Press]:
    credential = tmp_path / "token"
    credential.write_text(token * 20)
    credential.chmod(0o600)
    settings = publisher_settings(tmp_path / "ours", push=f"{archive.address}/minoc", push_segment=segment)
    signed = settings.archive.model_copy(update={"credential": credential})
    async with at_press(settings.model_copy(update={"archive": signed})) as press:
        yield press


async def until_acknowledged(press: Press, *, generation: int = 1) -> None:
    await press.until(WEIGHT, lambda row: row.state is PublicationState.ACKNOWLEDGED and row.generation == generation)


def received(archive: ServedArchive) -> bytes:
    return (archive.directory / WEIGHT).read_bytes()


@pytest.mark.parametrize("segment", [10**9, SEGMENT])
async def test_a_file_is_put_and_its_digest_there_acknowledges_it(
    tmp_path: Path, archive: ServedArchive, segment: int
) -> None:
    async with pushing(tmp_path, archive, segment=segment) as press:
        (weight,) = await press.make("979412p", "weight")
        await until_acknowledged(press)
        assert received(archive) == weight
        assert (await press.rows(WEIGHT))[0].acknowledged_by == "127.0.0.1"
        assert [path.name for path in press.shelf.iterdir() if path.name.startswith(".")] == []

        (again,) = await press.make("979412p", "weight", seed=2)
        await until_acknowledged(press, generation=2)
        assert received(archive) == again


@pytest.mark.parametrize(
    "fault",
    [
        PutCut(after=500, skip=3),
        PutDamaged(byte=7, skip=2),
        PutLost(skip=4),
        PutCut(after=0),
        PutDamaged(byte=0, times=2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.skip}",
)
async def test_a_trouble_on_the_way_costs_a_segment_and_no_file(
    tmp_path: Path, archive: ServedArchive, fault: Fault
) -> None:
    archive.faults.add(fault)
    async with pushing(tmp_path, archive) as press:
        (weight,) = await press.make("979412p", "weight")
        await due_again(press)
        await until_acknowledged(press)
        assert received(archive) == weight


async def due_again(press: Press) -> None:
    """Let what waits be due at once, until it is acknowledged."""

    async def hurry() -> bool | None:
        rows = await press.rows(WEIGHT)
        if rows and rows[0].retry_at is not None:
            press.later(8)
        return True if rows and rows[0].state is PublicationState.ACKNOWLEDGED else None

    await press.until_found(hurry, WEIGHT)


@pytest.mark.parametrize("step", ["put.started", "put.appended", "put.committed"])
async def test_a_publisher_that_was_killed_goes_on_where_the_archive_is(
    tmp_path: Path, archive: ServedArchive, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill(reached: str) -> None:
        if reached == step:
            raise Killed

    made: list[bytes] = []

    async def until_killed() -> None:
        async with pushing(tmp_path, archive) as press:
            made.extend(await press.make("979412p", "weight"))
            await killed(press)

    with monkeypatch.context() as patch:
        patch.setattr("snooppix.publisher.push.reached", kill)
        with pytest.raises((Killed, BaseExceptionGroup)):
            await until_killed()
    async with pushing(tmp_path, archive) as press:
        await until_acknowledged(press)
        assert [received(archive)] == made
        assert len(await press.events("acknowledged")) == 1


async def killed(press: Press) -> None:
    """Wait for the publisher's end."""
    async with asyncio.timeout(60):
        while press.publisher.shelves.all[0]._lock >= 0:
            await asyncio.sleep(0.01)


async def test_a_writer_that_the_archive_does_not_know_waits_and_says_why(
    tmp_path: Path, archive: ServedArchive
) -> None:
    async with pushing(tmp_path, archive, token="x") as press:
        await press.make("979412p", "weight")
        row = await press.until(WEIGHT, lambda row: row.retry_at is not None)
        assert "401" in (row.reason or "")
        assert row.state is PublicationState.OFFERED


def test_a_segment_is_as_large_as_is_wanted_and_the_archive_allows() -> None:
    def size(wanted: int, smallest: int, largest: int) -> int:
        return Transaction("1", "a", "d", smallest, largest).segment(wanted)

    assert [size(100, 0, 0), size(100, 200, 0), size(100, 0, 50), size(100, 10, 1000)] == [100, 200, 50, 100]
