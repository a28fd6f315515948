"""The stand-in archive: an aiohttp server over a directory of FITS files that speaks CADC's protocol."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC
from email.utils import format_datetime
from pathlib import Path
from typing import Self

from aiohttp import web

from snooppix.protocol import async_tap, vosi
from snooppix.standin import legacy, links, login, putting, storage, tap
from snooppix.standin.access import Access
from snooppix.standin.faults import Faults
from snooppix.standin.site import NOBODY, SITE, Site, base
from snooppix.standin.trouble import trouble
from terapix.clock import Clock, SystemClock
from terapix.journal import logger

GRACE = 0.2
"""Seconds that answers under way are given when the stand-in ends."""
LARGEST_REQUEST = 1 << 20
"""Bytes of a form or a transfer document."""


class StandIn:
    """An archive over a directory; files that appear while it runs are listed with the time they were seen."""

    def __init__(
        self,
        directory: Path,
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        access: Access | None = None,
        mirrors: int = 1,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._mirrors = mirrors
        self._tls = tls
        self.directory = directory
        self.faults = faults if faults is not None else Faults()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.access = access
        self.address: str | None = None
        """Root of all services, once started."""
        self.site: Site | None = None
        """What its handlers share, once started."""
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def app(self) -> web.Application:
        """A new application over the directory."""
        app = web.Application(middlewares=[trouble], client_max_size=LARGEST_REQUEST)
        site = Site(self.directory, faults=self.faults, clock=self.clock, access=self.access)
        self.site = app[SITE] = site
        app[async_tap.DESK] = links.desk(site)
        site.inventory.note()
        site.uploads.sweep()
        app.cleanup_ctx.append(_prepared)
        app.on_shutdown.append(_ending)
        app.on_response_prepare.append(_signed)
        add = app.router.add_route
        add("GET", "/reg/resource-caps", _registry)
        for service in vosi.SERVICES:
            add("GET", f"/{service}/capabilities", _capabilities)
            add("GET", f"/{service}/availability", _availability)
        for method in ("GET", "POST"):
            add(method, "/argus{slashes:/+}sync", tap.sync)  # astroquery asks for /argus//sync
            add(method, "/caom2ops/datalink", links.links)
        add("GET", "/argus{slashes:/+}tables", _tables)
        for method in ("GET", "HEAD"):
            add(method, "/raven/files/{uri:.+}", storage.locate_file)
        files = {
            "GET": storage.read_file,
            "HEAD": storage.read_file,
            "PUT": putting.put_file,
            "POST": putting.change_file,
            "DELETE": putting.delete_file,
        }
        for method, handler in files.items():
            for path in ("/files/{ticket:[^/:]+}/{uri:[^/]+:.+}", "/files/{uri:.+}"):
                add(method, f"/{{site:minoc[0-9]*}}{path}", handler)
        add("POST", "/raven/locate", storage.locate)
        for route in async_tap.routes():
            add(*route)
        for method in ("GET", "POST"):
            add(method, "/gms/login", login.login)
        add("GET", "/gms/whoami", login.whoami)
        for method in ("GET", "HEAD"):
            add(method, "/data/{door:pub|auth}/{collection}/{name}", legacy.read_legacy)
        return app

    @property
    def registry(self) -> str:
        """Address of the registry, once started."""
        return f"{self.address}/reg/resource-caps"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; return the address of the root. After a `close` without port, the same port is taken again."""
        runner = web.AppRunner(self.app, handler_cancellation=True, shutdown_timeout=GRACE, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port or self._port, ssl_context=self._tls).start()
            for number in range(1, self._mirrors):  # each on a port of its own, so that it counts as another host
                await web.TCPSite(runner, host, port + number if port else 0, ssl_context=self._tls).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        assert self.site is not None
        self.site.mirrors = [address[1] for address in runner.addresses[1:]]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{'https' if self._tls else 'http'}://{shown}:{self._port}"
        return self.address

    async def close(self) -> None:
        """Stop listening; answers under way are cut."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *problem: object) -> None:
        await self.close()


async def serve(
    directory: Path,
    host: str,
    port: int,
    faults: Faults | Path | None,
    stopping: asyncio.Event,
    *,
    announce: Callable[[str], None] | None = None,
    access: Access | Path | None = None,
    mirrors: int = 1,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Run a stand-in until `stopping` is set; `announce` is told the registry's address once it answers.

    Raises
    ------
    FaultsUnreadable
        The file of faults does not say what it should.
    AccessUnreadable
        The file of users does not.
    OSError
        The port is taken.
    """
    wanted = Faults.read(faults) if isinstance(faults, Path) else faults
    known = Access.read(access) if isinstance(access, Path) else access
    archive = StandIn(directory, faults=wanted, clock=SystemClock(), access=known, mirrors=mirrors, tls=tls)
    await archive.start(host, port)
    log = logger("snooppix.standin")
    log.info("stand-in archive listens", registry=archive.registry, directory=str(directory))
    if announce:
        announce(archive.registry)
    try:
        await stopping.wait()
    finally:
        await archive.close()


async def _prepared(app: web.Application) -> AsyncIterator[None]:
    first = asyncio.create_task(asyncio.to_thread(app[SITE].catalogue.refresh))
    yield
    await asyncio.gather(first, return_exceptions=True)
    app[SITE].catalogue.close()


async def _ending(app: web.Application) -> None:
    app[SITE].closing.set()
    app[SITE].jobs.close()


async def _signed(request: web.Request, answer: web.StreamResponse) -> None:
    """Put the archive's time on an answer, and the name of a caller that it knows."""
    site = request.app[SITE]
    answer.headers["Date"] = format_datetime(site.time().astimezone(UTC), usegmt=True)
    if (user := site.caller(request)) is not None and user is not NOBODY:
        answer.headers["x-vo-authenticated"] = user.name


async def _registry(request: web.Request) -> web.Response:
    return web.Response(text=vosi.registry(base(request)))


async def _capabilities(request: web.Request) -> web.Response:
    service = request.path.split("/")[1]
    return web.Response(text=vosi.capabilities(base(request), service), content_type="text/xml")


async def _availability(_: web.Request) -> web.Response:
    return web.Response(text=vosi.availability(), content_type="text/xml")


async def _tables(_: web.Request) -> web.Response:
    return web.Response(text=vosi.tables(), content_type="text/xml")
