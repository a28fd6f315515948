"""The stand-in archive: an aiohttp server over a directory of FITS files that speaks CADC's protocol."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Self

from aiohttp import web

from snooppix.protocol import vosi
from snooppix.standin import datalink, storage, tap
from snooppix.standin.faults import Busy, Down, Faults, LoginPage, Refused, Stalled
from snooppix.standin.site import SITE, Access, Site, base
from terapix.clock import Clock, SystemClock
from terapix.journal import logger

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

GRACE = 0.2
"""Seconds that answers under way are given when the stand-in ends."""
LARGEST_REQUEST = 1 << 20
"""Bytes of a form or a transfer document."""
LOGIN = (
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in</h1>"
    '<form method="post"><input name="username"><input name="password" type="password"></form></body></html>\n'
)


class StandIn:
    """An archive over a directory; files that appear while it runs are listed with the time they were seen."""

    def __init__(
        self,
        directory: Path,
        *,
        faults: Faults | None = None,
        clock: Clock | None = None,
        access: Access | None = None,
    ) -> None:
        self.directory = directory
        self.faults = faults if faults is not None else Faults()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.access = access
        self.address: str | None = None
        """Root of all services, once started."""
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def app(self) -> web.Application:
        """A new application over the directory."""
        app = web.Application(middlewares=[_trouble], client_max_size=LARGEST_REQUEST)
        app[SITE] = site = Site(self.directory, faults=self.faults, clock=self.clock, access=self.access)
        site.inventory.note()
        app.cleanup_ctx.append(_prepared)
        app.on_shutdown.append(_ending)
        add = app.router.add_route
        add("GET", "/reg/resource-caps", _registry)
        for service in vosi.SERVICES:
            add("GET", f"/{service}/capabilities", _capabilities)
            add("GET", f"/{service}/availability", _availability)
        for method in ("GET", "POST"):
            add(method, "/argus/sync", tap.sync)
            add(method, "/caom2ops/datalink", datalink.links)
        add("GET", "/argus/tables", _tables)
        for method in ("GET", "HEAD"):
            add(method, "/raven/files/{uri:.+}", storage.locate_file)
            add(method, "/minoc/files/{uri:.+}", storage.read_file)
        add("POST", "/raven/locate", storage.locate)
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
            await web.TCPSite(runner, host, port or self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._port}"
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
) -> None:
    """Run a stand-in until `stopping` is set; `announce` is told the registry's address once it answers.

    Raises
    ------
    FaultsUnreadable
        The file of faults does not say what it should.
    OSError
        The port is taken.
    """
    wanted = Faults.read(faults) if isinstance(faults, Path) else faults
    archive = StandIn(directory, faults=wanted, clock=SystemClock())
    await archive.start(host, port)
    log = logger("snooppix.standin")
    log.info("stand-in archive listens", registry=archive.registry, directory=str(directory))
    if announce:
        announce(archive.registry)
    try:
        await stopping.wait()
    finally:
        await archive.close()


@web.middleware
async def _trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Commit the faults of whole services, before they answer."""
    site = request.app[SITE]
    faults = site.faults
    service = request.path.split("/")[1]
    name = request.path.rsplit("/", 1)[-1] if "/files/" in request.path else ""
    if faults.take(Refused, name, at=service):
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=503)
    if faults.take(Down, name, at=service):
        return web.Response(status=503, text="service unavailable\n")
    if busy := faults.take(Busy, name, at=service):
        wait = {"Retry-After": busy.retry_after} if busy.retry_after else {}
        return web.Response(status=busy.status, text="too busy, try later\n", headers=wait)
    if faults.take(LoginPage, name, at=service):
        return web.Response(text=LOGIN, content_type="text/html")
    body = service == "minoc" and request.method == "GET" and name
    if not body and faults.take(Stalled, name, at=service):
        await site.closing.wait()
    return await handler(request)


async def _prepared(app: web.Application) -> AsyncIterator[None]:
    first = asyncio.create_task(asyncio.to_thread(app[SITE].catalogue.refresh))
    yield
    await asyncio.gather(first, return_exceptions=True)
    app[SITE].catalogue.close()


async def _ending(app: web.Application) -> None:
    app[SITE].closing.set()


async def _registry(request: web.Request) -> web.Response:
    return web.Response(text=vosi.registry(base(request)))


async def _capabilities(request: web.Request) -> web.Response:
    service = request.path.split("/")[1]
    return web.Response(text=vosi.capabilities(base(request), service), content_type="text/xml")


async def _availability(_: web.Request) -> web.Response:
    return web.Response(text=vosi.availability(), content_type="text/xml")


async def _tables(_: web.Request) -> web.Response:
    return web.Response(text=vosi.tables(), content_type="text/xml")
