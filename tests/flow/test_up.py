"""`terapix up` as a process: it goes on where it was, and SIGTERM leaves nothing behind."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator

import psutil
import pytest

from dbclient.schema import FrameState
from spica.chain import Summary
from spica.demo import Night
from tests.flow.conftest import FRAMES
from tests.support.host import Host, alive, host

pytestmark = [pytest.mark.flow, pytest.mark.timeout(200), pytest.mark.xdist_group("flow")]

COMMAND = "from spica.cli import main; raise SystemExit(main())"
STOPPED_WITHIN = 15.0
"""Seconds from SIGTERM to the end of every process."""


@contextlib.asynccontextmanager
async def up(running: Host) -> AsyncIterator[psutil.Process]:
    """Run `terapix up` on a host; at the end it is told to stop and must have gone with all that it started."""
    log = (running.night.directory / "up.log").open("ab")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COMMAND, "up", "-c", str(running.night.config)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=running.supervisor.environment,
    )
    try:
        seen = psutil.Process(process.pid)
        yield seen
        family = [seen, *seen.children(recursive=True)]
        process.terminate()
        code = await asyncio.wait_for(process.wait(), STOPPED_WITHIN)
        assert code == 0
        assert len(family) > len(running.supervisor.daemons)
        assert alive(family) == []
    finally:
        log.close()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_up_stops_at_sigterm_and_goes_on_at_the_next_start_on_the_next_free_port(night: Night) -> None:
    async def begun() -> Summary | None:
        summary = await running.summary()
        return summary if any(step.name == "valid" and step.count for step in summary.chain) else None

    async def page() -> str | None:
        daemons = (await running.summary()).daemons
        told = [daemon.figures.get("page") for daemon in daemons if daemon.name == "spica" and daemon.figures]
        return str(told[0]) if told and told[0] else None

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with host(night, environment={"TERAPIX_SPICA__PORT": str(port)}, daemons=False) as running:
            async with up(running):
                await running.until(begun, seconds=60)
            assert (await running.summary()).states.get(FrameState.WEIGHTED, 0) < FRAMES
            async with up(running):
                summary = await running.until_weighted(FRAMES)
                assert summary.states[FrameState.WEIGHTED] == FRAMES
                await running.until_in_order()
                address = await running.until(page, seconds=30)
            assert port < int(address.rstrip("/").rpartition(":")[2]) < port + 20
