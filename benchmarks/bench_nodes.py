"""What 50 nodes cost their coordinator: the CPU of its passes while agents on 50 addresses of loopback report.

The agents are one process of their own, which answers with figures that change each
time. First passes follow each other at once and ask every node, so that one of them is
known exactly. Then the loop runs as the daemon's does while something is written to the
database all the time; what it takes with one node would be there without the others.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatransfer.service import BREATH, IDLE, Coordinator
from dbclient.database import Database
from dbclient.stores import Events
from terapix.clock import SystemClock
from terapix.journal import open_journal
from terapix.sections import JournalSection, Settings

NODES = int(os.environ.get("NODES", "50"))
EVERY = 10.0
"""Seconds between two reports of a node."""
SHARE = 0.05
"""Of a core, at most."""
PASSES = 20
BUSY = 30.0
"""Seconds for which the loop is watched while something is written all the time."""
WRITES = 0.5
"""Seconds between two writings."""
TB = 10**12


def address(number: int) -> str:
    return f"127.0.1.{number}"


async def agents() -> None:
    """Serve as all agents, on one port of an address each, until standard input ends."""
    begun = time.monotonic()

    async def status(request: web.Request) -> web.Response:
        number = int(request.host.partition(":")[0].rpartition(".")[2])
        used = int((time.monotonic() - begun) * 1e9)
        disk = {"free": 9 * TB - used, "total": 10 * TB, "inodes": -1, "device": "64768"}
        own = {"directory": f"/data/node{number}", "held": used, "walks": 1, **disk, "elsewhere": {}}
        return web.json_response({"host": f"host{number}", "version": "1", "disks": {f"nodes/node{number}": own}})

    app = web.Application()
    app.router.add_get("/v1/status", status)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    first = web.TCPSite(runner, address(1), 0)
    await first.start()
    port = runner.addresses[0][1]
    for number in range(2, NODES + 1):
        await web.TCPSite(runner, address(number), port).start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextlib.contextmanager
def played() -> Iterator[int]:
    """Give the port of the agents."""
    command = [sys.executable, __file__, "agents"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdin
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()


def settings_of(directory: Path, port: int, count: int) -> Settings:
    token = directory / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef0123456789abcdef0123456789abcdef")
    nodes = [
        {"name": f"node{n}", "directory": f"/data/node{n}", "address": f"http://{address(n)}:{port}"}
        for n in range(1, count + 1)
    ]
    return Settings.model_validate(
        {"paths": {"directory": str(directory)}, "agent": {"token": str(token)}, "nodes": nodes}
    )


async def passes(coordinator: Coordinator) -> tuple[float, int]:
    """Give the CPU seconds of a pass that asks every node, and how many nodes answered."""
    for _ in range(3):
        await coordinator.pass_()
    begin = time.process_time()
    for _ in range(PASSES):
        await coordinator.pass_()
    return (time.process_time() - begin) / PASSES, len(coordinator.roster.standings)


async def busy(coordinator: Coordinator, database: Database) -> tuple[float, int]:
    """Give the share of a core that the loop takes while something is written all the time, and its passes."""
    writer = await Database.open(str(database.url.render_as_string(hide_password=False)))
    over = asyncio.Event()
    count = 0

    async def write() -> None:
        while not over.is_set():
            async with writer.write() as session:
                await Events().append(session, source="bench", kind="bench", message="goes on", now=datetime.now(UTC))
            await asyncio.sleep(WRITES)

    async def end() -> None:
        await asyncio.sleep(BUSY)
        over.set()

    tasks = [asyncio.create_task(write()), asyncio.create_task(end())]
    begin, used = time.perf_counter(), time.process_time()
    while not over.is_set():
        at = time.perf_counter()
        await coordinator.pass_()
        count += 1
        await asyncio.sleep(max(BREATH, time.perf_counter() - at))
        await database.changed(timeout=IDLE, stop=over)
    share = (time.process_time() - used) / (time.perf_counter() - begin)
    await asyncio.gather(*tasks)
    await writer.close()
    return share, count


async def coordinate(directory: Path, port: int, count: int) -> tuple[float, float, int, int]:
    """Watch a coordinator of some nodes; give what a pass costs that asks all, the share of a core, passes, answers."""
    settings = settings_of(directory, port, count)
    database = await Database.open(settings.database_url, create=True)
    asking = settings.model_copy(update={"datatransfer": settings.datatransfer.model_copy(update={"report": 0.001})})
    eager, coordinator = (Coordinator(database, each, SystemClock()) for each in (asking, settings))
    try:
        await eager.start()
        each, answered = await passes(eager)
        await coordinator.start()
        await passes(coordinator)
        share, made = await busy(coordinator, database)
    finally:
        await eager.close()
        await coordinator.close()
        await database.close()
    return each, share, made, answered


def measure() -> list[Row]:
    open_journal(JournalSection(level="error"), daemon="bench")
    found = []
    for count in (1, NODES):
        with tempfile.TemporaryDirectory() as directory, played() as port:
            found.append(asyncio.run(coordinate(Path(directory), port, count)))
    (one, alone, _, _), (each, share, made, answered) = found
    said = f"{answered} nodes answered" if answered == NODES else f"WRONG: {answered} nodes answered"
    return [
        Row(
            part="nodes report: a pass that asks all",
            input=f"{NODES} agents on loopback",
            ours=each,
            ours_cpu=each,
            goal=f"{SHARE * EVERY:.1f} s: 5 % of a core every {EVERY:.0f} s",
            agreement=f"{said}; {100 * each / EVERY:.1f} % of a core every {EVERY:.0f} s; with one node {one:.3f} s",
        ),
        Row(
            part="nodes report, per cent of a core more than with one node",
            input=f"{NODES} agents on loopback, something written every {WRITES} s",
            ours=100 * (share - alone),
            goal="5",
            agreement=f"{100 * share:.1f} against {100 * alone:.1f} % of a core, the writer included; {made} passes",
        ),
    ]


if __name__ == "__main__":
    if sys.argv[1:] == ["agents"]:
        asyncio.run(agents())
    else:
        command_line(measure)
