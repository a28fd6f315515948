"""Nodes are emptied and evened out, runs lie on several nodes: with their products, through promises like all else."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dbclient.records import RequestRecord
from dbclient.schema import FrameKind, FrameState, NodeState, RequestKind, RequestState, TransferKind
from dbclient.stores import Events, Nodes, Requests, Transfers
from tests.support.keeping import GOOD, placed, products, weighted
from tests.support.site import Site, open_site


@pytest.fixture
async def pinned(tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose frames all go to node1, until it drains."""
    opened = await open_site(tmp_path, nodes=3)
    await opened.coordinator.start()
    for name in ("node2", "node3"):
        await turned(opened, name, NodeState.DRAINING)
    yield opened
    await opened.coordinator.close()
    await opened.database.close()


async def turned(site: Site, node: str, state: NodeState) -> None:
    async with site.database.write() as session:
        await Nodes().set_state(session, node, state, reason=None, now=site.clock.now(), source="test")


async def ask(site: Site, kind: RequestKind, **arguments: Any) -> int:
    async with site.database.write() as session:
        return await Requests().ask(session, kind, arguments, by="night", now=site.clock.now())


async def worked(site: Site, number: int, passes: int = 4) -> RequestRecord:
    """Let the order be carried on, with time passing between its runs; give how it stands."""
    for _ in range(passes):
        await site.settle(passes=1)
        site.clock.advance(60.0)
    async with site.database.read() as session:
        return await Requests().get(session, number)


async def where(site: Site, name: str) -> list[str]:
    return sorted(node for node, _ in await site.replicas(name))


async def test_a_node_is_emptied_with_the_products_that_lie_there(pinned: Site) -> None:
    await pinned.valid("08Am03.flat.r.36.02", kind=FrameKind.FLAT)
    await placed(pinned, "979412p")
    await pinned.valid("979413p", flat="08Am03.flat.r.36.02")
    await pinned.settle()
    _, place = await weighted(pinned, "979412p")
    for name in ("node2", "node3"):
        await turned(pinned, name, NodeState.UP)

    order = await worked(pinned, await ask(pinned, RequestKind.EVACUATE, node="node1"))

    assert (order.state, order.answer) == (
        RequestState.DONE,
        "node1 is empty: terapix nodes remove takes it out.",
    )
    assert (await pinned.node("node1")).state is NodeState.DRAINING
    pinned.clock.advance(3600.0)
    await pinned.settle(passes=1)
    assert pinned.files("node1") == []
    [node] = await where(pinned, "979412p")
    [product] = await products(pinned)
    assert product.node_id == (await pinned.node(node)).id
    moved = pinned.directory(node) / place.relative_to(pinned.directory("node1"))
    assert moved.is_file()
    assert (await pinned.frame("979412p")).state is FrameState.WEIGHTED
    assert await pinned.open_things() == (1, 0)


async def test_an_evacuation_goes_on_with_what_was_busy_or_did_not_fit(pinned: Site) -> None:
    await placed(pinned, "979412p")
    number = await ask(pinned, RequestKind.EVACUATE, node="node1")
    order = await worked(pinned, number, passes=1)
    assert order.state is RequestState.OPEN
    assert str(order.answer).startswith("1 frames are to leave node1: 1 frame cannot go now: 979412p needs")

    await turned(pinned, "node3", NodeState.UP)
    order = await worked(pinned, number)

    assert order.state is RequestState.DONE
    assert await where(pinned, "979412p") == ["node3"]


async def test_an_evacuation_ends_when_its_node_is_taken_into_use_again(pinned: Site) -> None:
    await placed(pinned, "979412p")
    number = await ask(pinned, RequestKind.EVACUATE, node="node1")
    await worked(pinned, number, passes=1)
    await ask(pinned, RequestKind.UNDRAIN, node="node1")
    order = await worked(pinned, number)
    assert (order.state, order.answer) == (
        RequestState.REFUSED,
        "node1 was taken into use again; what had left stays elsewhere.",
    )
    assert await where(pinned, "979412p") == ["node1"]


async def test_a_copy_has_bytes_of_its_own_and_both_nodes_keep_it(site: Site) -> None:
    node, first = await placed(site)
    other = "node2" if node == "node1" else "node1"

    order = await worked(site, await ask(site, RequestKind.COPY, runid="08AC14", node=other, filter=None))

    assert order.state is RequestState.DONE
    assert await where(site, "979412p") == ["node1", "node2"]
    second = site.directory(other) / first.relative_to(site.directory(node))
    assert second.read_bytes() == GOOD
    assert second.stat().st_ino != first.stat().st_ino
    async with site.database.read() as session:
        kinds = [transfer.kind for transfer in await Transfers().history(session)]
        said = [event.message for event in await Events().latest(session) if event.kind == "copied"]
    assert kinds == [TransferKind.COPY, TransferKind.MOVE]
    assert said == [f"979412p is on {other} as well as on {node}, copied with its digest verified"]
    assert await site.open_things() == (1, 0)


async def test_a_copy_on_the_same_disk_protects_nothing_and_is_refused_unless_asked_for_by_name(site: Site) -> None:
    await placed(site)
    order = await worked(site, await ask(site, RequestKind.COPY, runid="08AC14", replicas=2, filter=None))
    assert order.state is RequestState.REFUSED
    assert "no node on another disk takes frames" in str(order.answer)


async def test_what_is_not_there_is_refused(site: Site) -> None:
    await site.settle(passes=1)
    for kind, arguments, words in (
        (RequestKind.COPY, {"runid": "08AC14", "node": "node1"}, "No frame of 08AC14 lies on a node."),
        (RequestKind.COPY, {"runid": "08AC14", "node": "node9"}, "There is no node 'node9'; nodes are: node1, node2."),
        (RequestKind.EVACUATE, {"node": "node9"}, "There is no node 'node9'; nodes are: node1, node2."),
        (RequestKind.TRANSFER, {"runid": "08AC14", "node": "node1"}, "No frame of run 08AC14 is here."),
    ):
        order = await worked(site, await ask(site, kind, **arguments), passes=1)
        assert (order.state, order.answer) == (RequestState.REFUSED, words)


async def test_nodes_are_made_more_alike_within_the_bytes_that_may_be_carried(pinned: Site) -> None:
    sizes = {"frame": 6000, "unpacked": 2, "scratch": 10_000_000}
    for number in range(6):
        await pinned.valid(f"97941{number}p", needs=sizes)
    await pinned.settle()
    for name in ("node2", "node3"):
        await turned(pinned, name, NodeState.UP)

    order = await worked(pinned, await ask(pinned, RequestKind.REBALANCE, most=2 * 6000))
    assert order.state is RequestState.DONE
    assert str(order.answer).startswith("Of 12 kB at most: 2 frames go, 12 kB")
    assert sorted([await where(pinned, f"97941{n}p") for n in range(6)]) == [["node1"]] * 4 + [["node2"], ["node3"]]

    await worked(pinned, await ask(pinned, RequestKind.REBALANCE, most=10**9))
    lying = [(await where(pinned, f"97941{n}p"))[0] for n in range(6)]
    assert [lying.count(f"node{n}") for n in (1, 2, 3)] == [2, 2, 2]
    order = await worked(pinned, await ask(pinned, RequestKind.REBALANCE, most=10**9))
    assert "nothing is to go" in str(order.answer)


async def test_several_filters_are_sent_by_one_order(site: Site) -> None:
    for name, band in (("979412p", "r.MP9601"), ("979413p", "g.MP9401"), ("979414p", "i.MP9701")):
        await site.valid(name, filter=band)
    order = await worked(
        site,
        await ask(site, RequestKind.TRANSFER, runid="08AC14", node="node2", filter="r.MP9601, g.MP9401"),
        passes=1,
    )
    assert str(order.answer).startswith("08AC14 in r.MP9601, g.MP9401 to node2: 2 frames go")


async def test_what_was_brought_is_taken_back_when_the_rest_cannot_be(pinned: Site) -> None:
    node, file = await placed(pinned)
    await weighted(pinned)
    await turned(pinned, "node2", NodeState.UP)
    file.rename(away := file.with_name("away"))

    order = await worked(pinned, await ask(pinned, RequestKind.EVACUATE, node=node), passes=2)

    assert order.state is RequestState.OPEN
    assert await where(pinned, "979412p") == [node]
    assert pinned.files("node2") == []
    away.rename(file)
    assert (await worked(pinned, order.id)).state is RequestState.DONE
    assert [Path(path).name for path in pinned.files("node2")] == ["979412p.fits.fz", "979412p_weight.fits"]
