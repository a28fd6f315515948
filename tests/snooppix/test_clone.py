"""A clone at the archive: an ordinary SNOOPPIX that follows our publisher, verifies what comes and acknowledges it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dbclient.records import FrameRecord
from dbclient.schema import FrameKind, FrameState, PublicationState
from dbclient.stores import Acknowledgements, Frames, Publications, Sighted, Sighting
from dbclient.stores.publications import Registration
from snooppix.publisher import server
from snooppix.publisher.comparison import compare, lines_of, received_line
from snooppix.publisher.ledger import Ledger, entry
from terapix.clock import SystemClock
from terapix.sections import Settings
from terapix.settings import load
from tests.snooppix.desk import Desk, at_work
from tests.support.publishing import Press, at_press, digest, publisher_settings

WEIGHT, PRODUCT = "979412p_weight.fits.fz", "979412p_weight"
ACKNOWLEDGED = PublicationState.ACKNOWLEDGED


def clone_settings(directory: Path, address: str, *, acknowledge: str | None = None, **archive: object) -> Settings:
    """Give the settings of a clone: a registry, what is offered there, and whom to tell."""
    told = f"{address}/acknowledge" if acknowledge is None else acknowledge
    overrides = {
        "paths": {"directory": str(directory)},
        "archive": {
            "registry": f"{address}/reg/resource-caps", "offers": "products", "acknowledge": told, **archive,
        },
        "snooppix": {"poll": 0.2, "reserve": 0, "read_timeout": 2.0},
    }  # fmt: skip
    return load(environment={}, overrides=overrides).settings


@pytest.fixture
async def press(tmp_path: Path) -> AsyncIterator[Press]:
    async with at_press(publisher_settings(tmp_path / "ours")) as press:
        yield press


@contextlib.asynccontextmanager
async def cloned(tmp_path: Path, press: Press, **archive: object) -> AsyncIterator[Desk]:
    assert press.publisher.address is not None
    async with at_work(clone_settings(tmp_path / "theirs", press.publisher.address, **archive)) as clone:  # type: ignore[arg-type]
        yield clone


async def acknowledged(clone: Desk, name: str = PRODUCT) -> FrameRecord:
    return await clone.until(lambda frame: frame is not None and frame.acknowledged_at is not None, name)


async def differences(press: Press, clone: Desk) -> list[str]:
    """Compare both ledgers."""
    async with press.database.read() as session:
        ours = [entry(row) for row in await Publications().ledger(session)]
    async with clone.database.read() as session:
        theirs = [received_line(frame) for frame in await Acknowledgements().held(session)]
    return [f"{item.name}: {item.sentence}" for item in compare(lines_of(ours), lines_of(theirs))]


async def test_products_go_back_byte_for_byte_and_are_acknowledged_once(tmp_path: Path, press: Press) -> None:
    weight, _ = await press.make("979412p", "weight", "flag")
    async with cloned(tmp_path, press) as clone:
        frame = await acknowledged(clone)
        await acknowledged(clone, "979412p_flag")

        assert (frame.kind, frame.state, frame.offered) == (FrameKind.PRODUCT, FrameState.VALID, 1)
        assert frame.path == f"from_TERAPIX/{WEIGHT}"
        assert (clone.settings.reception / frame.path).read_bytes() == weight
        row = await press.until(WEIGHT, lambda row: row.state is ACKNOWLEDGED)
        assert (row.wire_digest, row.pixel_digest) == (frame.wire_digest, frame.pixel_digest)
        assert await differences(press, clone) == []


async def test_a_frame_processed_again_goes_back_as_the_next_generation(tmp_path: Path, press: Press) -> None:
    await press.make("979412p", "weight")
    async with cloned(tmp_path, press) as clone:
        await acknowledged(clone)
        (again,) = await press.make("979412p", "weight", seed=2)
        frame = await clone.until(lambda f: f is not None and f.offered == 2 and f.acknowledged_at is not None, PRODUCT)
        assert (clone.settings.reception / str(frame.path)).read_bytes() == again
        assert [f.state for f in await clone.generations(PRODUCT)] == [FrameState.VALID, FrameState.SUPERSEDED]
        await press.until(WEIGHT, lambda row: row.generation == 2 and row.state is ACKNOWLEDGED)
        assert await differences(press, clone) == []


async def test_a_clone_needs_its_token_where_followers_are_named(tmp_path: Path) -> None:
    followers, token = tmp_path / "followers", tmp_path / "token"
    followers.write_text(f"cadc {'s' * 32}\n")
    token.write_text("s" * 32)
    for path in (followers, token):
        path.chmod(0o600)
    async with at_press(publisher_settings(tmp_path / "ours", followers=str(followers))) as press:
        await press.make("979412p", "weight")
        async with cloned(tmp_path, press, credential=str(token)) as clone:
            await acknowledged(clone)
            assert (await press.rows(WEIGHT))[0].acknowledged_by == "cadc"


async def test_catalogues_and_regions_go_back_too(tmp_path: Path, press: Press) -> None:
    name = "CFHTLS_D1_r_022559-042940_T0001.reg"
    file = tmp_path / "d1.reg"
    file.write_bytes(b'fk5;circle(36.5,-4.5,10")\n')
    ledger = Ledger(press.database, clock=SystemClock())
    async with cloned(tmp_path, press) as clone:
        await ledger.enter_by_hand(
            Registration(name=name, kind="regions", source=str(file), digest=digest(file.read_bytes()))
        )
        frame = await acknowledged(clone, name)
        assert (clone.settings.reception / str(frame.path)).read_bytes() == file.read_bytes()
        assert frame.pixel_digest is None


async def test_an_acknowledgement_that_cannot_be_sent_waits_with_its_reason_and_is_never_lost(
    tmp_path: Path, press: Press
) -> None:
    await press.make("979412p", "weight")
    assert press.publisher.address is not None
    nowhere = f"{press.publisher.address}/nowhere"
    async with cloned(tmp_path, press, acknowledge=nowhere) as clone:
        frame = await clone.until(lambda f: f is not None and f.retry_at is not None, PRODUCT)
        assert "refuses the acknowledgement (404)" in (frame.reason or "")
        assert frame.acknowledged_at is None
        async with clone.database.write() as session:
            await Frames().retry(session, frame.id, now=SystemClock().now(), source="test")
    async with cloned(tmp_path, press) as clone:
        await acknowledged(clone)


async def test_a_file_that_its_publisher_lost_by_a_restored_backup_is_not_taken_again(
    tmp_path: Path, press: Press
) -> None:
    await press.make("979412p", "weight")
    async with cloned(tmp_path, press) as clone:
        frame = await acknowledged(clone)
        seen = Sighting(name=PRODUCT, uri=frame.uri, kind=FrameKind.PRODUCT, digest=frame.wire_digest, offered=3)
        older = seen._replace(digest="md5:" + "0" * 32, offered=2)
        same = seen._replace(digest="md5:" + "0" * 32)
        async with clone.database.write() as session:
            for sighting, expected in (
                (seen, Sighted.KNOWN), (older, Sighted.OUTDATED), (older, Sighted.OUTDATED), (same, Sighted.OUTDATED),
            ):  # fmt: skip
                outcome = await Frames().sight(session, sighting, now=SystemClock().now(), source="test")
                assert outcome is expected
        told = [event.message for event in await clone.events() if event.kind == "outdated"]
        assert len([message for message in told if "the older one is refused" in message]) >= 1
        assert len(await clone.generations(PRODUCT)) == 1


async def test_a_generation_that_is_replaced_while_the_clone_fetches_it_is_followed_by_the_next(
    tmp_path: Path, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, half, go_on = server.send, asyncio.Event(), asyncio.Event()

    async def held_up(request: Any, answer: Any, file: Any, start: int, count: int) -> int:
        if half.is_set() and not go_on.is_set():
            await go_on.wait()
        first = await sent(request, answer, file, start, count // 2)
        half.set()
        await go_on.wait()
        return int(first + await sent(request, answer, file, start + first, count - first))

    monkeypatch.setattr(server, "send", held_up)
    await press.make("979412p", "weight")
    async with cloned(tmp_path, press) as clone:
        async with asyncio.timeout(60):
            await half.wait()
        (again,) = await press.make("979412p", "weight", seed=2)
        await press.until(WEIGHT, lambda row: row.generation == 2 and row.offered_at is not None)
        go_on.set()
        frame = await clone.until(lambda f: f is not None and f.offered == 2 and f.acknowledged_at is not None, PRODUCT)
        assert (clone.settings.reception / str(frame.path)).read_bytes() == again
        await press.until(WEIGHT, lambda row: row.generation == 2 and row.state is ACKNOWLEDGED)
        assert (await press.rows(WEIGHT))[1].state is PublicationState.SUPERSEDED
        assert await differences(press, clone) == []
        assert [f.reason for f in await clone.generations(PRODUCT)] == [None, None]


async def test_a_product_that_goes_from_the_ledger_while_the_clone_fetches_it_harms_neither_side(
    tmp_path: Path, press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def nothing(*_: Any) -> int:
        asked.set()
        return 0

    await press.make("979413p", "weight")
    await press.until("979413p_weight.fits.fz", lambda row: row.offered_at is not None)
    monkeypatch.setattr(server, "send", nothing)
    async with cloned(tmp_path, press) as clone:
        async with asyncio.timeout(60):
            await asked.wait()
        row = (await press.rows("979413p_weight.fits.fz"))[0]
        async with press.database.write() as session:
            await Publications().outdate(session, row.id, reached=2, now=SystemClock().now(), source="test")
        monkeypatch.undo()
        await press.make("979412p", "weight")
        await acknowledged(clone)  # the one that went holds nothing back
        frame = (await clone.generations("979413p_weight"))[0]
        assert frame.state is not FrameState.VALID
        assert await differences(press, clone) == []
