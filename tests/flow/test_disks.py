"""Disks that fill up and nodes that go away: frames wait with a reason that a person can act on, then go on."""

import json
from collections.abc import Awaitable, Callable

import pytest

from dbclient.schema import FrameState, NodeState
from spica.demo import Night
from tests.flow.conftest import FRAMES, names
from tests.support.host import host
from tests.support.small_disk import SmallDisk, fill, small_disk

__all__ = ["small_disk"]

pytestmark = [pytest.mark.flow, pytest.mark.timeout(200), pytest.mark.xdist_group("flow")]

DISK = 64_000_000
"""Bytes: three frames and their calibrations at reception, one after the other on a node."""


async def test_frames_wait_for_room_at_reception_and_go_on(night: Night, small_disk: SmallDisk) -> None:
    reception = night.directory / "reception"
    small_disk(reception, DISK)
    ballast = fill(reception, leaving=1_000_000)
    async with host(night, environment={"TERAPIX_SNOOPPIX__RESERVE": "0"}) as running:
        for name in names(night.archive):
            await running.until_frame(name, FrameState.SPOTTED, because="missing")
        assert "MB are missing" in await running.story("980101p")
        ballast.unlink()
        for name in names(night.archive):
            await running.ask(name)
        await running.until_weighted(FRAMES)
        await running.until_in_order()


async def test_frames_wait_for_room_on_a_full_node_and_go_on(night: Night, small_disk: SmallDisk) -> None:
    disk = night.directory / "nodes" / "node1"
    small_disk(disk, 4 * DISK)
    ballast = fill(disk, leaving=5_000_000)
    node = {"name": "node1", "directory": str(disk), "capacity": 2_000_000_000, "reserve": 0}
    async with host(night, environment={"TERAPIX_NODES": json.dumps([node])}) as running:

        async def all_wait() -> bool | None:
            """At reception if they came before the node was measured; else they are not even begun."""
            frames = [await running.frame(name) for name in names(night.archive)]
            return True if all(frame and "missing" in (frame.reason or "") for frame in frames) else None

        await running.until(all_wait, seconds=120)
        ballast.unlink()
        for name in names(night.archive):
            await running.ask(name)
        await running.until_weighted(FRAMES)
        await running.until_in_order()


async def test_a_node_that_is_gone_is_told_and_taken_up_again_when_it_is_back(night: Night) -> None:
    def node1(state: NodeState) -> Callable[[], Awaitable[str | None]]:
        async def stands() -> str | None:
            bars = (await running.summary()).nodes
            return next((bar.reason or "well" for bar in bars if bar.name == "node1" and bar.state is state), None)

        return stands

    async def placed() -> bool | None:
        frame = await running.frame(names(night.archive)[0])
        return True if frame and frame.placed_at else None

    async with host(night) as running:
        await running.until(placed, seconds=120)
        root = night.directory / "nodes" / "node1"
        root.rename(away := root.with_name("unplugged"))
        reason = await running.until(node1(NodeState.DOWN), seconds=60)
        assert f"its directory {root} is gone" in reason
        assert any("node1 is down" in warning for warning in (await running.summary()).warnings)
        away.rename(root)
        await running.until(node1(NodeState.UP), seconds=60)
        await running.until_weighted(FRAMES)
        await running.until_in_order()
