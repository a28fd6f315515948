"""The daemon `spica`: the console's page and the pipeline."""

import socket
from collections.abc import Sequence

from aiohttp import web

from dbclient.database import Database
from dbclient.heartbeat import keep_heartbeat
from spica.accounts import ensure_operator
from spica.password import hand_over
from spica.pipeline import Pipeline
from spica.web.app import build
from terapix.daemon import Daemon, command
from terapix.errors import TerapixError
from terapix.http import address, bind
from terapix.journal import logger
from terapix.sections import Settings, SpicaSection

log = logger("spica")

PORTS_TRIED = 20
"""Ports tried, from the wanted one on, before we give up."""
IDLE = 20.0
"""Seconds between two passes when nothing changed: below the watchdog's limit and a daemon's silence."""


class PortTaken(TerapixError):
    """The page's port belongs to another program."""

    def __init__(self, host: str, port: int, problem: OSError) -> None:
        super().__init__(
            f"the page cannot listen on port {port} of {host} ({problem.strerror}): set spica.port in terapix.toml, "
            f"or TERAPIX_SPICA__PORT, or allow spica.port_search"
        )
        self.port = port


def listen(section: SpicaSection) -> socket.socket:
    """Take the page's port, or the next free one where the settings allow."""
    try:
        return bind(section.host, section.port, tries=PORTS_TRIED if section.port_search else 1)
    except OSError as problem:
        raise PortTaken(section.host, section.port, problem) from problem


async def work(daemon: Daemon) -> None:
    """Serve the page and drive the pipeline until the daemon is told to stop."""
    settings, clock = daemon.settings, daemon.clock
    database = await Database.open(settings.database_url)
    try:
        async with database.write() as session:
            password = await ensure_operator(session, clock.now())
        if password:
            hand_over(password, settings)
        heartbeat = keep_heartbeat(daemon, database)
        await _serve(daemon, database)
        await heartbeat.end()
    finally:
        await database.close()


def concerns_pipeline(settings: Settings) -> tuple[object, ...]:
    """Give the settings that the pipeline was built from: when they change, it is built anew."""
    section = settings.spica
    scheduler = (section.scheduler_host, section.scheduler_port, settings.agent)
    return settings.paths, settings.nodes, settings.processing, section.local_workers, *scheduler


async def _serve(daemon: Daemon, database: Database) -> None:
    built = concerns_pipeline(daemon.settings)
    pipeline = Pipeline(database, daemon.settings, daemon.clock)
    bound = listen(daemon.settings.spica)
    runner = web.AppRunner(
        build(database, daemon.settings, daemon.clock, config=daemon.loaded.path), access_log=None, shutdown_timeout=2.0
    )
    try:
        await runner.setup()
        await web.SockSite(runner, bound).start()
        page = f"{address(bound)}/"
        log.info("the page is open", address=page)
        await daemon.ready(f"page at {page}")
        await daemon.beat("the pipeline starts", page=page)
        await pipeline.start()
        while not daemon.stopping.is_set():
            if concerns_pipeline(daemon.settings) != built:
                built = concerns_pipeline(daemon.settings)
                await pipeline.close()
                pipeline = Pipeline(database, daemon.settings, daemon.clock)
                await pipeline.start()
                log.info("the pipeline was built anew from changed settings")
            await daemon.beat(await pipeline.pass_(), page=page)
            await database.changed(timeout=IDLE, stop=daemon.stopping)
    finally:
        await pipeline.close()
        await runner.cleanup()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon."""
    return command("spica", work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
