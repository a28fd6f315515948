"""Kill -9 of coordinator and agents at every named step between hosts: nothing is lost, twice, or left over."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dbclient.records import RequestRecord
from dbclient.schema import RequestKind, RequestState
from dbclient.stores import Cargoes, Nodes, Requests
from spica.demo import Night, hosts_of
from spica.supervisor import Supervisor
from terapix.clock import SystemClock
from terapix.settings import load
from terapix.steps import BETWEEN_HOSTS
from tests.flow.conftest import FRAMES
from tests.support.host import AT_ONCE, BOTH_STAGES, IN_A_HURRY, KERNELS, Host, host

pytestmark = [pytest.mark.flow, pytest.mark.timeout(400), pytest.mark.xdist_group("flow")]

COORDINATORS = ("move.promised", "move.claimed", "move.recorded")
"""Steps of the coordinator in a move between hosts."""
DEADLY = (*COORDINATORS, *BETWEEN_HOSTS)


@contextlib.asynccontextmanager
async def two_hosts(night: Night, environment: Mapping[str, str]) -> AsyncIterator[Host]:
    """Let a night run on two hosts, each with its agent; what dies is started again."""
    async with host(night, environment=environment) as running, contextlib.AsyncExitStack() as exits:
        around = {**IN_A_HURRY, "TERAPIX_PATHS__CACHE": str(KERNELS), **environment}
        for other in hosts_of(night, load(night.config)):
            beside = Supervisor(
                night.config,
                logs=other.logs,
                environment={**other.environment, **around},
                daemons=other.daemons,
                restart=AT_ONCE,
            )
            await beside.start()
            exits.push_async_callback(beside.stop)
        yield running


async def ordered(running: Host, kind: RequestKind, **arguments: Any) -> RequestRecord:
    """Give an order, and wait until it is carried out."""
    async with running.database.write() as session:
        number = await Requests().ask(session, kind, arguments, by="test", now=SystemClock().now())

    async def done() -> RequestRecord | None:
        async with running.database.read() as session:
            order = await Requests().get(session, number)
        return None if order.state is RequestState.OPEN else order

    return await running.until(done, seconds=150)


async def lying(running: Host, node: str) -> int:
    async with running.database.read() as session:
        row = await Nodes().named(session, node)
        assert row is not None
        return await Cargoes().count(session, row.id)


async def test_coordinator_and_agents_killed_at_every_step_between_hosts_lose_nothing(
    night: Night, tmp_path: Path
) -> None:
    died = tmp_path / "died"
    died.mkdir()
    environment = {"TERAPIX_DIE_AT": ",".join(DEADLY), "TERAPIX_DIE_ONCE": str(died), **BOTH_STAGES}
    async with two_hosts(replace(night, hosts=2), environment) as running:
        await running.until_weighted(FRAMES, seconds=300)
        await running.until_in_order(seconds=120)
        for step in died.iterdir():
            step.unlink()

        order = await ordered(running, RequestKind.EVACUATE, node="node1")
        assert (order.state, await lying(running, "node1")) == (RequestState.DONE, 0), order.answer
        await running.until_in_order(seconds=90)
        assert await lying(running, "node2") == FRAMES
        assert " with 9 products, and no more on node1" in await running.story("980103p")
        deaths = sorted(step.name for step in died.iterdir())

    assert deaths == sorted(DEADLY)
