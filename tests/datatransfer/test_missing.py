"""A node that is missing holds nothing: what it had comes again, and it is read before it counts when it is back."""

from datetime import timedelta
from pathlib import Path

import pytest

from datatransfer.missing import Missing, NotDown
from dbclient.schema import FrameState, NodeState, ProductState, ReplicaState
from dbclient.stores import Nodes, Replicas
from tests.datatransfer.test_scrub import fetched_again, recovery
from tests.support.keeping import BAD, GOOD, RECIPE, copied, placed, products, weighted
from tests.support.site import Site

WEEK = timedelta(days=8).total_seconds()


async def gone_for_long(site: Site, node: str) -> Path:
    """Take a node's disk away and let a week pass; give where the disk is."""
    away = site.directory(node).with_name("unmounted")
    site.directory(node).rename(away)
    site.directory(node).mkdir()
    await site.coordinator.pass_()
    assert (await site.node(node)).state is NodeState.DOWN
    site.clock.advance(WEEK)
    await site.coordinator.pass_()
    return away


async def back(site: Site, node: str, away: Path) -> None:
    site.directory(node).rmdir()
    away.rename(site.directory(node))
    await site.coordinator.pass_()
    await site.coordinator.upkeep.settled()


async def state_of(site: Site, name: str, node: str) -> ReplicaState:
    number = (await site.node(node)).id
    async with site.database.read() as session:
        held = await Replicas().of_frame(session, (await site.frame(name)).id)
    return next(replica.state for replica in held if replica.node_id == number)


async def test_after_its_days_a_node_is_missing_and_what_it_held_is_fetched_again(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    await gone_for_long(site, node)
    missing = await site.node(node)
    assert missing.state is NodeState.MISSING
    assert "1 files on it are not counted" in (missing.reason or "")
    assert (await site.frame("979412p")).state is FrameState.SPOTTED
    assert await state_of(site, "979412p", node) is ReplicaState.AWAY
    assert await site.replicas("979412p") == []


async def test_a_frame_that_another_node_holds_is_not_fetched_again(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    other, _ = await copied(site, "979412p", node)
    await gone_for_long(site, node)
    assert (await site.frame("979412p")).state is FrameState.PLACED
    assert [name for name, _ in await site.replicas("979412p")] == [other]


async def test_a_jump_of_the_clock_or_a_long_sleep_of_the_coordinator_makes_no_node_missing(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    site.directory(node).rename(site.directory(node).with_name("unmounted"))
    await site.coordinator.pass_()
    await site.coordinator.close()
    site.clock.advance(WEEK)
    again = site.restarted()
    await again.start()
    await again.pass_()
    assert (await site.node(node)).state is NodeState.DOWN
    site.clock.advance(601.0)
    await again.pass_()
    assert (await site.node(node)).state is NodeState.MISSING


async def test_only_a_node_that_is_down_can_be_called_missing(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    with pytest.raises(NotDown, match=f"{node} is up"):
        await Missing(site.database, site.clock, days=0.0, source="test").declare(await site.node(node), "so be it")
    assert await state_of(site, "979412p", node) is ReplicaState.HELD


async def test_a_node_that_is_back_gives_each_file_that_reads_well_and_keeps_no_other(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    for name in ("979413p", "979414p"):
        await placed(site, name, content=GOOD + name.encode())
    on_node = {name: (await site.replicas(name))[0] for name in ("979412p", "979413p", "979414p")}
    here = [name for name, (where, _) in on_node.items() if where == node]
    away = await gone_for_long(site, node)
    (away / on_node[here[0]][1].path).write_bytes(BAD)
    await back(site, node, away)
    assert (await site.node(node)).state is NodeState.UP
    assert (await site.frame(here[0])).state is FrameState.SPOTTED
    assert await state_of(site, here[0], node) is ReplicaState.DAMAGED
    assert len(list((site.directory(node) / "quarantine").rglob("*.fits.fz"))) == 1
    for name in here[1:]:
        assert (await site.frame(name)).state is FrameState.PLACED
        assert await state_of(site, name, node) is ReplicaState.HELD


async def test_a_weighted_frame_that_comes_back_with_its_node_needs_nothing_made_again(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    await weighted(site)
    away = await gone_for_long(site, node)
    assert [product.state for product in await products(site)] == [ProductState.AWAY]
    await back(site, node, away)
    await recovery(site).take_up(stage="weight", recipe=RECIPE)
    assert (await site.frame("979412p")).state is FrameState.WEIGHTED
    assert [product.state for product in await products(site)] == [ProductState.HELD]


async def test_maps_of_a_missing_node_are_made_again_where_the_frame_is(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    await weighted(site)
    await gone_for_long(site, node)
    await fetched_again(site)
    [(other, _)] = await site.replicas("979412p")
    assert other != node
    assert await recovery(site).take_up(stage="weight", recipe=RECIPE) == 1
    await weighted(site)
    [product] = await products(site)
    assert (product.state, product.node_id) == (ProductState.HELD, (await site.node(other)).id)


async def test_a_node_that_drained_before_it_was_missing_drains_on(site: Site) -> None:
    node, _ = await placed(site, "979412p")
    async with site.database.write() as session:
        await Nodes().set_state(
            session, node, NodeState.DRAINING, reason="drained", now=site.clock.now(), source="test"
        )
    away = await gone_for_long(site, node)
    await back(site, node, away)
    assert (await site.node(node)).state is NodeState.DRAINING
