"""Outlook: no download begins that cannot be finished, at reception or on the nodes."""

import hashlib
import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from dbclient.database import Database
from dbclient.schema import FrameState, NodeState
from dbclient.stores import Frames, Leases, Nodes, Prospects
from dbclient.stores.prospects import Prospect
from snooppix import treatment
from snooppix.cadc import Cadc
from snooppix.errors import NoNode, TooLarge
from snooppix.outlook import Need, file_size, guess, objection
from snooppix.protocol.facts import header_text
from terapix.clock import SystemClock
from terapix.retry import Backoff
from tests.snooppix.desk import at_work, settings_for, small_camera
from tests.support import night
from tests.support.archive import ServedArchive, small_fits

FEW = 4
CAMERA = small_camera().with_ccds(FEW)
NEED = Need(frame=700, products=200, scratch=100)
NOW = SystemClock().now()


@pytest.mark.parametrize(
    ("nodes", "before", "found"),
    [
        ([], 100, None),
        ([("node1", 5000, 1000)], 0, None),
        ([("node1", 5000, 999)], 0, NoNode),
        ([("node1", 5000, 1900)], 1, None),
        ([("node1", 5000, 1899)], 1, NoNode),
        ([("node1", 5000, 999), ("node2", 900, 900)], 0, NoNode),
        ([("node1", 5000, 1000), ("node2", 5000, 1000)], 1, None),
        ([("node1", 5000, -200), ("node2", 5000, 1900)], 2, NoNode),
        ([("node1", 999, 999), ("node2", 900, 900)], 0, TooLarge),
    ],
)
def test_a_frame_is_begun_where_it_and_all_before_it_find_room(
    nodes: list[tuple[str, int, int]], before: int, found: type | None
) -> None:
    against = objection("979412p", NEED, [Prospect(*node) for node in nodes], before=before)
    assert (type(against) if against else None) is found


def test_the_sentence_says_what_is_needed_and_what_is_missing() -> None:
    need = Need(310_000_000, 250_000_000, 250_000_000)
    [small, full] = [
        objection("979412p", need, [Prospect("node1", most, left)], before=3)
        for most, left in ((500_000_000, 500_000_000), (2_000_000_000_000, 900_000_000))
    ]
    assert "needs 810 MB on a node with its maps, and the largest, node1, holds 500 MB in all" in str(small)
    assert "needs 810 MB on a node with its maps, and about 2000 MB are missing there" in str(full)


@pytest.mark.parametrize("name", ["979412p", "979412o", "08Am03.flat.r.36.02"])
def test_the_headers_add_up_to_the_size_of_the_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.fits"
    path.write_bytes(small_fits(name))
    assert file_size(header_text(path)) == path.stat().st_size


def test_the_headers_of_a_compressed_file_do_too(tmp_path: Path) -> None:
    path = tmp_path / "file.fits.fz"
    pixels = np.random.default_rng(1).integers(0, 500, (200, 300)).astype(np.int16)
    hdus = [fits.PrimaryHDU(), *(fits.CompImageHDU(pixels, name=f"ccd{n:02d}") for n in range(3))]
    file = io.BytesIO()
    fits.HDUList(hdus).writeto(file)
    path.write_bytes(file.getvalue())
    assert file_size(header_text(path)) == path.stat().st_size


async def test_nodes_have_room_left_when_their_jobs_have_ended(tmp_path: Path) -> None:
    database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'terapix.sqlite'}", create=True)
    async with database.write() as session:
        for name in ("node1", "node2", "fresh"):
            await Nodes().upsert(session, name=name, directory=f"/{name}", capacity=5000, reserve=500, now=NOW)
        for name in ("node1", "node2"):
            await Nodes().measure(session, name, used=1000, free=4000, now=NOW)
        await Nodes().set_state(session, "node2", NodeState.DOWN, reason="unplugged", now=NOW, source="test")
        frame = await night.sight(session)
        await Leases().promise(
            session, frame_id=frame.id, node_id=1, frame_bytes=700, product_bytes=200, scratch_bytes=100, now=NOW
        )
    async with database.read() as session:
        found = await Prospects().nodes(session)
    assert found == [Prospect("node1", 4500, 2600), Prospect("node2", 4500, 3500)]
    await database.close()


async def test_a_frame_for_which_no_node_has_room_is_not_begun_until_one_has(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("snooppix.service.HEARTBEAT", 0.2)
    monkeypatch.setattr("snooppix.outlook.FULL", 0.1)
    monkeypatch.setattr("snooppix.outlook.KEPT", 0.0)
    soon = replace(treatment.TREATMENTS[NoNode], backoff=Backoff(first=0.1, factor=1.0, ceiling=0.1, attempts=99))
    monkeypatch.setattr(treatment, "TREATMENTS", {**treatment.TREATMENTS, NoNode: soon})
    content = small_fits("979412p", ccds=FEW)
    served_archive.offer("979412p", content=content)
    need = guess(CAMERA, len(content), compression=0.3)
    settings = settings_for(tmp_path / "host", served_archive.registry, poll=0.2)
    settings.paths.directory.mkdir()
    database = await Database.open(settings.database_url, create=True)
    async with database.write() as session:
        await Nodes().upsert(session, name="node1", directory="/n", capacity=need.total - 1, reserve=0, now=NOW)
        await Nodes().measure(session, "node1", used=0, free=need.total - 1, now=NOW)
    async with at_work(settings, camera=CAMERA) as desk:
        large = await desk.until(lambda frame: bool(frame and frame.reason), "979412p")
        async with database.write() as session:
            await Nodes().upsert(session, name="node1", directory="/n", capacity=10**9, reserve=0, now=NOW)
            await Frames().describe(session, large.id, retry_at=None)
        full = await desk.until(lambda frame: bool(frame and "missing" in (frame.reason or "")), "979412p")
        assert desk.incoming() == []
        async with database.write() as session:
            await Nodes().measure(session, "node1", used=0, free=need.total, now=NOW)
        frame = await desk.until_state("979412p", FrameState.VALID)
        fetches = [event for event in await desk.events() if event.kind == "fetched"]
    await database.close()
    assert "holds 0 MB in all: it is not fetched" in (large.reason or "")
    assert large.retry_at is not None
    assert large.retry_at - NOW > timedelta(minutes=30)
    assert large.needs == frame.needs, "as its headers told at the archive"
    assert (large.attempts, full.attempts) == (0, 0)
    assert len(fetches) == 1


async def test_a_listing_without_a_size_is_promised_what_its_headers_add_up_to(
    served_archive: ServedArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = small_fits("979412p", ccds=FEW)
    served_archive.offer("979412p", content=content)
    promised: list[int] = []

    async def find_no_size(self: Cadc, mark: object) -> object:
        async for batch in since(self, mark):
            yield type(batch)(
                tuple(seen._replace(size=None) for seen in batch.sightings), batch.reached, batch.passed_over
            )

    since = Cadc.since
    monkeypatch.setattr(Cadc, "since", find_no_size)
    async with at_work(settings_for(tmp_path / "host", served_archive.registry), camera=CAMERA) as desk:
        choose = desk.snooppix.receptions.choose

        async def watched(frame_id: int, name: str, digest: object, size: int, **more: object) -> object:
            promised.append(size)
            return await choose(frame_id, name, digest, size, **more)

        monkeypatch.setattr(desk.snooppix.receptions, "choose", watched)
        frame = await desk.until_state("979412p", FrameState.VALID)
    assert promised == [len(content)]
    assert frame.wire_digest == f"md5:{hashlib.md5(content, usedforsecurity=False).hexdigest()}"
