"""Frames find their node and are recorded there, exactly once, whatever happens on the way."""

import shutil
from pathlib import Path

import pytest

from datatransfer import depots
from datatransfer.errors import DiskFull
from dbclient.schema import FrameKind, FrameState, NodeState
from dbclient.sealing import verify
from dbclient.stores import Events, Frames, Nodes
from tests.support.site import MB, Site


async def test_a_valid_frame_is_moved_to_a_node_and_recorded(site: Site) -> None:
    await site.valid("979412p")

    await site.settle()

    frame = await site.frame("979412p")
    [(node, replica)] = await site.replicas("979412p")
    assert frame.state is FrameState.PLACED
    assert frame.path is None
    assert frame.reason is None
    assert replica.path == "frames/08AC14/979412p.fits.fz"
    assert replica.digest == frame.wire_digest
    assert site.files(node) == [replica.path]
    assert site.reception() == []
    assert await site.open_things() == (1, 0)


async def test_a_run_whose_name_leads_out_of_the_node_does_not(site: Site) -> None:
    await site.valid("979412p", runid="../../etc")

    await site.settle()

    [(_, replica)] = await site.replicas("979412p")
    assert replica.path == "frames/no-run/979412p.fits.fz"


async def test_a_run_stays_together(site: Site) -> None:
    for number in range(4):
        await site.valid(f"97941{number}p", runid="08AC14" if number < 3 else "08AF05")

    await site.settle(passes=5)

    nodes = [(await site.replicas(f"97941{number}p"))[0][0] for number in range(4)]
    assert len(set(nodes[:3])) == 1
    assert nodes[3] != nodes[0]


async def test_a_frame_that_fits_nowhere_waits_with_the_bytes_that_are_missing(site: Site) -> None:
    await site.valid("979412p", needs={"frame": 6000, "unpacked": 100 * MB, "scratch": 250 * MB})
    await site.valid("979413p")

    await site.settle()

    waiting, placed = await site.frame("979412p"), await site.frame("979413p")
    assert waiting.state is FrameState.VALID
    assert waiting.attempts == 0
    assert waiting.reason is not None
    assert waiting.reason.startswith("needs 3")
    assert "are missing" in waiting.reason
    assert placed.state is FrameState.PLACED


async def test_a_waiting_frame_is_told_once_and_placed_when_there_is_room(site: Site) -> None:
    frame = await site.valid("979412p", needs={"frame": 6000, "unpacked": 2, "scratch": 150 * MB})
    await site.settle(passes=4)
    async with site.database.read() as session:
        told = [event for event in await Events().of_frame(session, frame.id) if event.kind == "waits"]
    assert len(told) == 1

    async with site.database.write() as session:
        for name in ("node1", "node2"):
            await Nodes().upsert(
                session,
                name=name,
                directory=str(site.directory(name)),
                capacity=200 * MB,
                reserve=0,
                now=site.clock.now(),
            )
    await site.coordinator.pass_()
    await site.coordinator.moves.settled()

    assert (await site.frame("979412p")).state is FrameState.PLACED


async def test_calibrations_are_copied_to_the_node_and_stay_at_reception(site: Site) -> None:
    await site.valid("08Am03.flat.r.36.02", kind=FrameKind.FLAT, content=b"flat" * 500)
    await site.valid("979412p", flat="08Am03.flat.r.36.02", mask="2003A.mask.0.36.02")

    await site.settle()

    [(node, _)] = await site.replicas("979412p")
    assert [(n, r.path) for n, r in await site.replicas("08Am03.flat.r.36.02")] == [
        (node, "calibrations/08Am03.flat.r.36.02.fits.fz")
    ]
    assert (site.settings.reception / "from_CADC/calibrations/08Am03.flat.r.36.02.fits.fz").is_file()
    assert (await site.frame("08Am03.flat.r.36.02")).state is FrameState.VALID


async def test_a_full_disk_sends_the_frame_elsewhere_and_counts_no_try(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.valid("979412p")
    refused: list[Path] = []
    real = depots.carry

    def carry(haul: depots.Haul, **more: object) -> depots.Carried:
        if not refused:
            refused.append(haul.root)
            raise DiskFull(haul.part, written=10, size=haul.size)
        return real(haul, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(depots, "carry", carry)

    await site.settle(passes=1)
    frame = await site.frame("979412p")
    assert frame.state is FrameState.VALID
    assert frame.attempts == 0
    assert "is full" in str(frame.reason)
    assert await site.open_things() == (0, 0)

    await site.settle()
    [(node, _)] = await site.replicas("979412p")
    assert site.directory(node) / "frames" != refused[0]
    assert site.reception() == []


async def test_a_file_that_is_gone_is_tried_again_later_and_then_fails(site: Site) -> None:
    await site.valid("979412p")
    (site.settings.reception / "from_CADC/headervalid/979412p.fits.fz").unlink()

    await site.settle()
    frame = await site.frame("979412p")
    assert frame.state is FrameState.VALID
    assert frame.attempts == 1
    assert frame.retry_at is not None
    assert "is not there" in str(frame.reason)

    for _ in range(8):
        site.clock.advance(1000)
        await site.settle(passes=1)
    assert (await site.frame("979412p")).state is FrameState.FAILED
    assert await site.open_things() == (0, 0)


async def test_a_node_that_is_gone_goes_down_and_comes_back(site: Site, tmp_path: Path) -> None:
    await site.settle()
    away = tmp_path / "away"
    site.directory("node1").rename(away)

    await site.coordinator.pass_()
    down = await site.node("node1")
    assert down.state is NodeState.DOWN
    assert "is gone" in str(down.reason)

    await site.valid("979412p")
    await site.settle()
    assert [node for node, _ in await site.replicas("979412p")] == ["node2"]
    assert not site.directory("node1").exists()

    away.rename(site.directory("node1"))
    await site.coordinator.pass_()
    assert (await site.node("node1")).state is NodeState.UP


async def test_a_disk_that_is_not_mounted_is_not_written_to(site: Site) -> None:
    await site.settle()
    shutil.rmtree(site.directory("node1"))
    site.directory("node1").mkdir()

    await site.coordinator.pass_()

    node = await site.node("node1")
    assert node.state is NodeState.DOWN
    assert "is empty" in str(node.reason)
    assert list(site.directory("node1").iterdir()) == []


async def test_what_a_node_holds_is_measured(site: Site) -> None:
    await site.valid("979412p", content=b"x" * 20_000)
    await site.settle()
    [(name, _)] = await site.replicas("979412p")
    (site.directory(name) / "frames" / "untracked.fits").write_bytes(b"y" * 30_000_000)

    site.clock.advance(700)
    await site.settle()

    node = await site.node(name)
    assert node.used == 30_020_000
    assert node.free == node.capacity - node.used


async def test_a_superseded_frame_is_not_moved(site: Site) -> None:
    old = await site.valid("979412p")
    await site.coordinator.start()
    await site.coordinator.roster.look()
    await site.coordinator.assignment.pass_()
    await site.valid("979412p", content=b"better pixels" * 500)

    await site.settle()

    async with site.database.read() as session:
        frame = await Frames().get(session, old.id)
    assert frame.state is FrameState.SUPERSEDED
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert await site.open_things() == (1, 0)


async def test_what_happened_is_sealed_every_few_seconds(site: Site) -> None:
    await site.valid("979412p")
    await site.coordinator.pass_()
    first = await verify(site.database)
    assert (first.fits, first.unsealed, first.seals) == (True, 0, 1)

    await site.valid("979413p")
    assert await site.coordinator.sealer.pass_() == 0, "not so soon"
    site.clock.advance(seconds=6)
    assert await site.coordinator.sealer.pass_() == (await verify(site.database)).events - first.events
