"""The daemon `datatransfer-node`: the agent of a host.

With a certificate or a token it listens, and coordinator and other agents ask
it; it needs no database then. With neither it only measures the nodes of its
host and reports them into their rows, as on a host that shares the database.
"""

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from datatransfer.agent.bringing import Bringings
from datatransfer.agent.holdings import sweep
from datatransfer.agent.report import Reporter
from datatransfer.agent.roots import Root, roots_of
from datatransfer.agent.server import Server
from datatransfer.agent.trust import Trust
from datatransfer.depots import Depots
from datatransfer.disks import furnish
from datatransfer.nodes import WALK, Roster
from dbclient.database import Database
from dbclient.heartbeat import keep_heartbeat
from terapix.daemon import Daemon, command
from terapix.errors import TerapixError
from terapix.http import bind
from terapix.journal import logger
from terapix.sections import Settings

log = logger("datatransfer-node")

NAME = "datatransfer-node"
REPORT = 20.0
"""Seconds between two reports: below the watchdog's limit and a daemon's silence."""
SWEEP = 6 * 3600.0
"""Seconds after which a part that nobody goes on with is removed."""
CONNECTIONS = 256
"""Connections that may wait to be accepted."""
YOUNG = 20_000
"""Objects that are made before Python looks for rings among them; a list of ten thousand files makes many, and none."""


class NoNode(TerapixError):
    """No node of the settings lies on this host."""

    def __init__(self, settings: Settings) -> None:
        known = ", ".join(f"{node.name} in {settings.at(node.directory)}" for node in settings.nodes) or "none"
        super().__init__(
            f"no node's directory is on {socket.gethostname()}: [[nodes]] in terapix.toml has {known}; "
            f"make the directory of this host's node, or name it there"
        )


class NotToBeHad(TerapixError):
    """The agent's address is taken or not ours."""

    def __init__(self, host: str, port: int, problem: OSError) -> None:
        super().__init__(f"the agent cannot listen on {host}:{port} ({problem.strerror}): see agent.listen, agent.port")


def here(settings: Settings) -> frozenset[str]:
    """Names of the nodes of this host: those that [agent] names, else those whose directory is here."""
    chosen = frozenset(settings.agent.nodes)
    return chosen or frozenset(node.name for node in settings.nodes if settings.at(node.directory).is_dir())


async def work(daemon: Daemon) -> None:
    """Serve and measure until the daemon is told to stop."""
    trust = Trust.of(daemon.settings)
    names = await asyncio.to_thread(here, daemon.settings)
    if trust is not None:
        await _serve(daemon, trust, names)
        return
    if not names:
        raise NoNode(daemon.settings)
    await _report(daemon, names)


@contextlib.asynccontextmanager
async def serving(settings: Settings, trust: Trust, roots: dict[str, Root], reporter: Reporter) -> AsyncIterator[str]:
    """Open the agent's address while the body runs; give the address."""
    section = settings.agent
    bringings = Bringings(roots, trust=trust, segments=section.segments, rate=section.rate)
    app = Server(roots, trust=trust, reporter=reporter, bringings=bringings).app()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0, handler_cancellation=True)
    await runner.setup()
    sweeping = asyncio.create_task(_sweep(roots, bringings), name="sweep")
    try:
        try:
            bound = bind(section.listen, section.port)
        except OSError as problem:
            raise NotToBeHad(section.listen, section.port, problem) from problem
        await web.SockSite(runner, bound, ssl_context=trust.server, backlog=CONNECTIONS).start()
        host, port = bound.getsockname()[:2]
        yield f"{trust.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        sweeping.cancel()
        await bringings.close()
        await runner.cleanup()


async def _serve(daemon: Daemon, trust: Trust, names: frozenset[str]) -> None:
    settings = daemon.settings
    for node in settings.nodes:
        if node.name in names and not settings.at(node.directory).exists():
            with contextlib.suppress(OSError):
                await asyncio.to_thread(furnish, settings.at(node.directory))
    roots = await asyncio.to_thread(roots_of, settings, names)
    reporter = Reporter(roots, daemon.clock, walk_every=max(settings.datatransfer.interval, WALK))
    async with serving(settings, trust, roots, reporter) as address:
        log.info("agent listens", address=address, roots=sorted(roots))
        gc.freeze()  # what stands now stays, and is not searched again: 10,000 files cost a tenth of a second less
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        await daemon.ready(f"serves {', '.join(sorted(roots)) or 'nothing'} at {address}")
        while not daemon.stopping.is_set():
            disks = await reporter.disks()
            ill = [f"{name}: {disk['ill']}" for name, disk in disks.items() if "ill" in disk]
            await daemon.beat("; ".join(ill) or f"serves {', '.join(sorted(disks))} at {address}", agent=address)
            await _pause(daemon.stopping, REPORT)


async def _sweep(roots: dict[str, Root], bringings: Bringings) -> None:
    """Clear up what nobody goes on with."""
    while True:
        for root in roots.values():
            try:
                await asyncio.to_thread(sweep, root, older_than=SWEEP, now=time.time(), busy=bringings.busy(root.name))
            except OSError as problem:
                log.warning("parts could not be cleared up", root=root.name, problem=str(problem))
        await asyncio.sleep(SWEEP / 6)


async def _report(daemon: Daemon, names: frozenset[str]) -> None:
    """Measure and write it into the nodes' rows."""
    settings = daemon.settings
    database = await Database.open(settings.database_url)
    try:
        depots = Depots(settings, daemon.clock)
        roster = Roster(database, settings, daemon.clock, depots, source=NAME, only=names)
        keep_heartbeat(daemon, database, name=f"{NAME}:{socket.gethostname()}")
        await daemon.ready(f"measures {', '.join(sorted(names))}")
        while not daemon.stopping.is_set():
            await roster.look()
            ill = names - set(roster.standings)
            await daemon.beat(f"{', '.join(sorted(ill))} down" if ill else f"{', '.join(sorted(names))} well")
            await _pause(daemon.stopping, REPORT)
    finally:
        await database.close()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon."""
    return command(NAME, work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
