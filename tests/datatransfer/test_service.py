"""The daemons: one coordinator a host, settings read again, a node's agent that reports its disk."""

import asyncio
from pathlib import Path

import pytest

from datatransfer import service
from datatransfer.agent import service as agent
from datatransfer.service import LOCK, alone
from dbclient.schema import FrameState, NodeState
from dbclient.stores import Nodes
from terapix.clock import SystemClock
from terapix.daemon import Daemon
from terapix.notify import Notifier
from terapix.sections import Settings
from terapix.settings import Loaded
from tests.support.site import Site


def daemon_for(settings: Settings, name: str) -> Daemon:
    loaded = Loaded(settings=settings, origins={}, path=None)
    return Daemon(name, loaded=loaded, status=("127.0.0.1", 0), clock=SystemClock(), notifier=Notifier({}))


async def beaten(daemon: Daemon, times: int = 1) -> None:
    """Wait for beats."""
    told = asyncio.Semaphore(0)

    async def tell(status: str, figures: dict[str, object]) -> None:
        told.release()

    daemon.on_beat.append(tell)
    for _ in range(times):
        await told.acquire()


async def test_the_daemon_places_what_is_valid_and_ends_when_told(site: Site) -> None:
    await site.valid("979412p")
    daemon = daemon_for(site.settings, "datatransfer")
    running = asyncio.create_task(daemon.run(service.work))

    async with asyncio.timeout(60):
        while (await site.frame("979412p")).state is not FrameState.PLACED:
            await site.database.changed(timeout=1)
        async with site.database.read() as session:
            [row] = await Nodes().daemons(session)
        daemon.stopping.set()
        code = await running

    assert code == 0
    assert (row.name, row.endpoint) == ("datatransfer", daemon.endpoint)
    assert b'terapix_node_free_bytes{node="node1"}' in daemon.figures_text()
    async with site.database.read() as session:
        assert await Nodes().daemons(session) == []


async def test_settings_that_were_read_again_bring_new_nodes(site: Site) -> None:
    daemon = daemon_for(site.settings, "datatransfer")
    running = asyncio.create_task(daemon.run(service.work))
    async with asyncio.timeout(60):
        await beaten(daemon)
        nodes = [*site.settings.model_dump()["nodes"], {"name": "node3", "directory": "nodes/node3"}]
        daemon.settings = Settings.model_validate({**site.settings.model_dump(), "nodes": nodes})
        await site.valid("979412p")
        await beaten(daemon, 2)
        daemon.stopping.set()
        await running

    assert (await site.node("node3")).state is NodeState.UP
    assert (await site.node("node3")).capacity > 0


async def test_a_second_coordinator_waits_for_the_end_of_the_first(tmp_path: Path) -> None:
    stop = asyncio.Event()
    order: list[str] = []

    async def second() -> None:
        async with alone(tmp_path / LOCK, stop) as ours:
            order.append("second" if ours else "never")

    async with alone(tmp_path / LOCK, stop) as ours:
        assert ours
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        order.append("first")
    await waiting

    assert order == ["first", "second"]


async def test_a_coordinator_that_waits_can_be_stopped(tmp_path: Path) -> None:
    stop = asyncio.Event()
    async with alone(tmp_path / LOCK, asyncio.Event()):
        stop.set()
        async with alone(tmp_path / LOCK, stop) as ours:
            assert not ours


async def test_an_agent_reports_the_nodes_that_are_on_its_host(site: Site) -> None:
    await site.coordinator.start()
    (site.directory("node2")).rename(site.directory("node2").with_name("elsewhere"))
    (site.directory("node1") / "frames" / "a.fits").write_bytes(b"x" * 30_000_000)
    daemon = daemon_for(site.settings, "datatransfer-node")
    running = asyncio.create_task(daemon.run(agent.work))

    async with asyncio.timeout(60):
        await beaten(daemon, 2)  # it is ready, it has looked
        daemon.stopping.set()
        assert await running == 0

    assert (await site.node("node1")).seen_at is not None
    other = await site.node("node2")
    assert (other.seen_at, other.state) == (None, NodeState.UP)


async def test_an_agent_without_a_node_says_what_to_do(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(agent.NoNode, match=r"node1 in .*nodes/node1.*make the directory"):
        await agent.work(daemon_for(site.settings, "datatransfer-node"))
