"""A node with a disk of its own for products: room is promised on each, and nothing goes below a missing mount."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dbclient.schema import FrameState, NodeState
from tests.support.site import MB, Site, open_site
from tests.support.small_disk import SmallDisk, pull_out, small_disk

__all__ = ["small_disk"]

NODES = [
    {"name": "node1", "directory": "nodes/node1", "capacity": 0, "reserve": 0, "own_disks": ["products"]},
    {"name": "node2", "directory": "nodes/node2", "capacity": 30 * MB, "reserve": 0},
]


@pytest.fixture
async def site(tmp_path: Path, small_disk: SmallDisk) -> AsyncIterator[Site]:
    small_disk(tmp_path / "nodes" / "node1" / "products", 10 * MB)
    opened = await open_site(tmp_path, nodes_are=NODES)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


def needs(products: int) -> dict[str, int]:
    return {"frame": 6000, "unpacked": 1, "weight": products, "flag": 1, "scratch": 1}


async def test_products_are_promised_on_their_own_disk(site: Site) -> None:
    await site.valid("979410p", needs=needs(8 * MB))
    await site.valid("979411p", needs=needs(8 * MB))
    await site.valid("979412p", needs=needs(40 * MB))

    await site.settle()

    assert [node for node, _ in await site.replicas("979410p")] == ["node1"], "its run begins where most room is"
    assert [node for node, _ in await site.replicas("979411p")] == ["node2"], "products of both do not fit"
    waiting = await site.frame("979412p")
    assert waiting.state is FrameState.VALID
    assert str(waiting.reason).startswith("needs 40 MB")
    node = await site.node("node1")
    assert node.disks is not None
    (products,) = [disk for disk in node.disks if disk["parts"] == ["products"]]
    assert products["total"] <= 10 * MB + 4096
    assert node.capacity > products["total"], "the whole disks of both"


async def test_a_node_whose_products_are_not_mounted_is_down_until_they_are(site: Site, small_disk: SmallDisk) -> None:
    await site.settle()
    assert (await site.node("node1")).state is NodeState.UP
    place = site.directory("node1") / "products"
    pull_out(place)

    await site.coordinator.pass_()

    node = await site.node("node1")
    assert node.state is NodeState.DOWN
    assert node.reason == f"the disk of its products is not mounted on {place}"
    await site.valid("979410p", needs=needs(MB))
    await site.settle()
    assert [name for name, _ in await site.replicas("979410p")] == ["node2"]
    assert list(place.iterdir()) == []

    small_disk(place, 10 * MB)
    await site.settle()
    assert (await site.node("node1")).state is NodeState.UP
