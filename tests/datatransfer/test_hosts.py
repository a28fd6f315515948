"""Nodes on other hosts: frames go there, between them and away from them, and a host that is gone holds nobody up."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from datatransfer.agent.courier import Courier
from dbclient.schema import FrameKind, FrameState, NodeState, ReplicaState, RequestKind
from dbclient.stores import Nodes, Replicas, Requests
from terapix.http import bind
from tests.support.agents import Agent, agent, shared_token
from tests.support.site import MB, Site, open_site


def free_port(host: str) -> int:
    bound = bind(host, 0)
    port: int = bound.getsockname()[1]
    bound.close()
    return port


class Hosts:
    """A coordinator's host with the reception, and a node on each of two others."""

    def __init__(self, site: Site, directory: Path, ports: dict[str, int]) -> None:
        self.site = site
        self.directory = directory
        self.ports = ports
        self.agents: dict[str, Agent] = {}
        self._exits = {name: contextlib.AsyncExitStack() for name in ports}

    async def begin(self, name: str) -> None:
        token = shared_token(self.directory)
        host = f"127.0.0.{name[-1]}"
        if name == "node1":
            more: dict[str, Any] = {"reception": self.site.settings.reception}
        else:
            more = {}
        self.agents[name] = await self._exits[name].enter_async_context(
            agent(self.directory / "hosts", name, token, listen=host, port=self.ports[name], **more)
        )

    async def end(self, name: str) -> None:
        await self._exits[name].aclose()

    async def close(self) -> None:
        for exits in self._exits.values():
            await exits.aclose()


@pytest.fixture
async def hosts(tmp_path: Path) -> AsyncIterator[Hosts]:
    ports = {f"node{number}": free_port(f"127.0.0.{number}") for number in (1, 2, 3)}
    token = shared_token(tmp_path)
    nodes = [
        {
            "name": name,
            "directory": str(tmp_path / "hosts" / name) if name == "node1" else "/elsewhere",
            "address": f"http://127.0.0.{name[-1]}:{port}",
            "capacity": 100 * MB,
            "reserve": 0,
        }
        for name, port in ports.items()
    ]
    site = await open_site(
        tmp_path / "site", nodes_are=nodes, agent={**token, "listen": "127.0.0.1", "port": ports["node1"]}
    )
    opened = Hosts(site, tmp_path, ports)
    site.settings.reception.mkdir(parents=True)
    for name in ports:
        await opened.begin(name)
    yield opened
    await site.coordinator.close()
    await opened.close()
    await site.database.close()


async def move(site: Site, runid: str, node: str) -> str:
    async with site.database.write() as session:
        number = await Requests().ask(
            session, RequestKind.TRANSFER, {"runid": runid, "node": node}, by="anna", now=site.clock.now()
        )
    await site.settle()
    async with site.database.read() as session:
        return (await Requests().get(session, number)).answer or ""


async def test_a_frame_goes_to_another_host_and_on_to_a_third_one(hosts: Hosts) -> None:
    site = hosts.site
    await site.coordinator.start()
    await site.coordinator.roster.look()
    assert (await site.node("node2")).directory == str(hosts.agents["node2"].directory)
    frame = await site.valid("979412p", flat="flat.r", mask=None)
    await site.valid("flat.r", kind=FrameKind.FLAT, content=b"flat" * 100)
    await move(site, "08AC14", "node2")
    ((node, replica),) = await site.replicas("979412p")
    assert (node, replica.size) == ("node2", frame.size)
    assert site.reception() == []
    await site.settle()
    assert sorted(path.name for path in hosts.agents["node2"].directory.rglob("*.fits.fz")) == [
        "979412p.fits.fz",
        "flat.r.fits.fz",
    ]

    await move(site, "08AC14", "node3")
    assert [name for name, _ in await site.replicas("979412p")] == ["node3"]
    assert not (hosts.agents["node2"].directory / replica.path).exists()
    await move(site, "08AC14", "node1")
    assert [name for name, _ in await site.replicas("979412p")] == ["node1"]
    assert not (hosts.agents["node3"].directory / replica.path).exists()
    assert (await site.open_things())[1] == 0


async def test_a_host_that_is_gone_is_down_with_its_reason_and_holds_no_pass_up(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = hosts.site
    await site.settle(1)
    await hosts.end("node3")
    site.clock.advance(10)
    await site.coordinator.pass_()
    node = await site.node("node3")
    assert node.state is NodeState.DOWN
    assert "does not answer" in (node.reason or "")
    await site.valid("979412p")
    asked: list[str] = []
    looks = Courier.status

    async def noted(courier: Courier, address: str, **how: Any) -> dict[str, Any]:
        asked.append(address)
        return await looks(courier, address, **how)

    monkeypatch.setattr(Courier, "status", noted)
    await site.settle(2)
    assert sum(address.endswith(f":{hosts.ports['node3']}") for address in asked) <= 3, (
        "once at the start, and once a pass"
    )
    assert (await site.frame("979412p")).state is FrameState.PLACED
    await hosts.begin("node3")
    await site.settle(2)
    assert (await site.node("node3")).state is NodeState.UP


async def test_a_node_that_comes_back_is_compared_with_the_database_before_it_is_used(hosts: Hosts) -> None:
    site = hosts.site
    await site.coordinator.start()
    await site.coordinator.roster.look()
    for name in ("979412p", "979413p", "979414p"):
        await site.valid(name, content=name.encode() * 500)
    await move(site, "08AC14", "node2")
    held = {name: (await site.replicas(name))[0][1].path for name in ("979412p", "979413p", "979414p")}
    root = hosts.agents["node2"].directory
    await hosts.end("node2")
    site.clock.advance(10)
    await site.coordinator.pass_()
    assert (await site.node("node2")).state is NodeState.DOWN
    (root / held["979412p"]).unlink()
    (root / held["979413p"]).write_bytes(b"979413q" * 500)
    await hosts.begin("node2")
    for _ in range(2):
        await site.coordinator.roster.look()
    assert (await site.node("node2")).state is NodeState.UP
    async with site.database.read() as session:
        node = await Nodes().named(session, "node2")
        assert node is not None
        states = {
            name: [r.state for r in await Replicas().of_frame(session, (await site.frame(name)).id)] for name in held
        }
    assert states == {
        "979412p": [ReplicaState.GONE],
        "979413p": [ReplicaState.DAMAGED],
        "979414p": [ReplicaState.HELD],
    }
    assert [(await site.frame(name)).state for name in held] == [
        FrameState.SPOTTED,
        FrameState.SPOTTED,
        FrameState.PLACED,
    ]
