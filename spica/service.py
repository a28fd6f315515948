"""The daemon `spica`: the console's page and the pipeline."""

import errno
import socket
from collections.abc import Sequence

from aiohttp import web

from dbclient.database import Database
from spica.accounts import ensure_operator
from spica.password import hand_over
from spica.pipeline import Pipeline
from spica.web.app import build
from terapix.clock import SystemClock
from terapix.daemon import Daemon, command
from terapix.errors import TerapixError
from terapix.journal import logger
from terapix.sections import SpicaSection

log = logger("spica")

PORTS_TRIED = 20
"""Ports tried after the wanted one before we give up."""
IDLE = 20.0
"""Seconds between two passes when nothing changed: below the watchdog's limit and a daemon's silence."""


class PortTaken(TerapixError):
    """The page's port belongs to another program."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} of {host} is taken by another program: set spica.port in terapix.toml, "
            f"or TERAPIX_SPICA__PORT, or allow spica.port_search"
        )
        self.port = port


def listen(section: SpicaSection) -> socket.socket:
    """Bind the page's port, or the next free one where the settings allow."""
    family = socket.AF_INET6 if ":" in section.host else socket.AF_INET
    last = section.port + (PORTS_TRIED if section.port_search and section.port else 0)
    for port in range(section.port, last + 1):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((section.host, port))
            bound.listen(128)
        except OSError as problem:
            bound.close()
            if problem.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            return bound
    raise PortTaken(section.host, section.port)


def address(bound: socket.socket) -> str:
    """Give the page's address as a person opens it."""
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"


async def work(daemon: Daemon) -> None:
    """Serve the page and drive the pipeline until the daemon is told to stop."""
    clock = SystemClock()
    settings = daemon.settings
    database = await Database.open(settings.database_url)
    pipeline = Pipeline(database, settings, clock)
    bound = listen(settings.spica)
    runner = web.AppRunner(build(database, settings, clock), access_log=None, shutdown_timeout=2.0)
    try:
        async with database.write() as session:
            password = await ensure_operator(session, clock.now())
        if password:
            hand_over(password, settings)
        await runner.setup()
        await web.SockSite(runner, bound).start()
        await pipeline.start()
        page = address(bound)
        log.info("the page is open", address=page)
        await daemon.ready(f"page at {page}")
        while not daemon.stopping.is_set():
            said = await pipeline.pass_()
            await daemon.beat(said, page=page)
            await database.changed(timeout=IDLE, stop=daemon.stopping)
    finally:
        await pipeline.close()
        await runner.cleanup()
        await database.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon."""
    return command("spica", work, argv)


if __name__ == "__main__":
    raise SystemExit(main())
