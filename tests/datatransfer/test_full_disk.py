"""A real file system that fills up, or is pulled away, in the middle of a move: nothing is lost or half written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbclient.schema import FrameState, NodeState, RequestKind, RequestState, TransferState
from dbclient.stores import Nodes, Requests, Transfers
from tests.support.keeping import placed, weighted
from tests.support.site import MB, Site, open_site
from tests.support.small_disk import SmallDisk, fill, small_disk

__all__ = ["small_disk"]

FRAME = b"pixels" * 1_000_000
NEEDS = {"frame": len(FRAME), "unpacked": 2, "scratch": 1}


@pytest.fixture
async def uneven(tmp_path: Path, small_disk: SmallDisk) -> AsyncIterator[Site]:
    """A site whose node1 has a disk of its own with 40 MB, and node2 less room on another one."""
    small_disk(tmp_path / "nodes" / "node1", 40 * MB)
    nodes = [
        {"name": name, "directory": f"nodes/{name}", "capacity": capacity, "reserve": 0}
        for name, capacity in (("node1", 100 * MB), ("node2", 20 * MB))
    ]
    opened = await open_site(tmp_path, nodes_are=nodes)
    await opened.coordinator.start()
    await opened.coordinator.roster.look()
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def test_a_disk_that_fills_up_while_a_frame_comes_is_left_clean_and_another_node_takes_it(uneven: Site) -> None:
    await uneven.valid("979412p", content=FRAME, needs=NEEDS)
    plan = await uneven.coordinator.assignment.pass_()
    assert [promise.node for promise in plan.promises] == ["node1"]
    ballast = fill(uneven.directory("node1"), leaving=2 * MB)

    await uneven.coordinator.moves.pass_()
    await uneven.coordinator.moves.settled()

    assert uneven.files("node1") == [ballast.name]
    assert await uneven.open_things() == (0, 0)
    waiting = await uneven.frame("979412p")
    assert (waiting.state, waiting.attempts) == (FrameState.VALID, 0)
    assert uneven.reception() == ["979412p.fits.fz"]
    async with uneven.database.read() as session:
        [failed] = await Transfers().history(session)
    assert failed.state is TransferState.FAILED
    assert "is full" in str(failed.reason)

    await uneven.settle()
    assert [node for node, _ in await uneven.replicas("979412p")] == ["node2"]
    assert await uneven.open_things() == (1, 0)


async def test_an_evacuation_to_a_disk_that_fills_up_takes_back_what_it_had_brought(uneven: Site) -> None:
    async with uneven.database.write() as session:
        now = uneven.clock.now()
        await Nodes().set_state(session, "node1", NodeState.DRAINING, reason=None, now=now, source="test")
    await placed(uneven, "979412p", content=FRAME)
    await weighted(uneven, "979412p")
    before = uneven.files("node2")
    async with uneven.database.write() as session:
        await Nodes().set_state(session, "node1", NodeState.UP, reason=None, now=now, source="test")
        number = await Requests().ask(session, RequestKind.EVACUATE, {"node": "node2"}, by="night", now=now)
    coordinator = uneven.coordinator
    await coordinator.roster.look()
    await coordinator.orders.pass_()
    ballast = fill(uneven.directory("node1"), leaving=2 * MB)

    await coordinator.moves.pass_()
    await coordinator.moves.settled()

    assert uneven.files("node1") == [ballast.name]
    assert uneven.files("node2") == before
    assert await uneven.open_things() == (0, 0)
    ballast.unlink()
    for _ in range(3):
        uneven.clock.advance(400.0)
        await uneven.settle(passes=1)
    async with uneven.database.read() as session:
        assert (await Requests().get(session, number)).state is RequestState.DONE
    assert uneven.files("node1") == before
    assert uneven.files("node2") == []


async def test_a_node_that_is_pulled_in_the_middle_and_put_back_has_the_frame_in_the_end(
    tmp_path: Path, small_disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_disk(tmp_path / "reception", 40 * MB)
    site = await open_site(tmp_path, nodes=1)
    try:
        await site.valid("979412p", content=FRAME, needs=NEEDS)
        root = site.directory("node1")

        def pull(step: str) -> None:
            if step == "move.half":
                root.rename(root.with_name("unplugged"))

        monkeypatch.setattr("datatransfer.mover.reached", pull)
        await site.settle(passes=2)
        assert (await site.frame("979412p")).state is FrameState.VALID
        assert site.reception() == ["979412p.fits.fz"]
        assert (await site.node("node1")).state is NodeState.DOWN

        monkeypatch.undo()
        root.with_name("unplugged").rename(root)
        for _ in range(3):
            site.clock.advance(400.0)
            await site.settle(passes=1)

        assert site.files("node1") == ["frames/08AC14/979412p.fits.fz"]
        assert site.reception() == []
        assert await site.open_things() == (1, 0)
    finally:
        await site.coordinator.close()
        await site.database.close()
