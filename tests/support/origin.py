"""A small server that notes who asks, and a wire towards it."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from aiohttp import web

from snooppix.wire import Wire
from terapix.sections import ArchiveSection, SnooppixSection

SECRET = "s3cret-t0ken"
Judge = Callable[[web.Request], bool]


@dataclass(slots=True)
class Origin:
    """A small server that notes who asks."""

    judge: Judge = lambda _: True
    """Whether a request is welcome; others get 401."""
    redirect: str = ""
    """Where /moved leads."""
    cookie: str = ""
    """What the login gives."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Headers of requests."""
    logins: int = 0
    peers: list[str] = field(default_factory=list)
    """Common names of certificates that were shown."""
    address: str = ""

    @property
    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/file", self._file)
        app.router.add_get("/moved", self._moved)
        app.router.add_post("/login", self._login)
        app.router.add_get("/reg", self._registry)
        app.router.add_get("/gms/capabilities", self._capabilities)
        return app

    def _note(self, request: web.Request) -> None:
        self.asked.append(dict(request.headers))
        shown = request.get_extra_info("peercert")
        if shown:
            self.peers.append(str(dict(pair[0] for pair in shown["subject"]).get("commonName", "")))

    async def _file(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.Response(text="pixels") if self.judge(request) else web.Response(status=401)

    async def _moved(self, request: web.Request) -> web.Response:
        self._note(request)
        return web.Response(status=303, headers={"Location": self.redirect})

    async def _login(self, request: web.Request) -> web.Response:
        form = await request.post()
        self.logins += 1
        if (form["username"], form["password"]) != ("wilma", SECRET):
            return web.Response(status=401)
        return web.Response(text=self.cookie)

    async def _registry(self, _: web.Request) -> web.Response:
        return web.Response(text=f"ivo://cadc.nrc.ca/gms = {self.address}/gms/capabilities\n")

    async def _capabilities(self, _: web.Request) -> web.Response:
        return web.Response(
            text='<c><capability standardID="ivo://ivoa.net/sso#tls-with-password"><interface>'
            f"<accessURL>{self.address}/login</accessURL></interface></capability></c>"
        )


@contextlib.asynccontextmanager
async def serving(origin: Origin, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Origin]:
    runner = web.AppRunner(origin.app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    origin.address = f"{'https' if tls else 'http'}://localhost:{runner.addresses[0][1]}"
    try:
        yield origin
    finally:
        await runner.cleanup()


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def wire_to(origin: Origin, path: Path | None, sign_in: str = "bearer", **archive: object) -> Wire:
    section = ArchiveSection.model_validate(
        {
            "registry": f"{origin.address}/reg",
            "credential": path,
            "sign_in": sign_in,
            "hosts": ("localhost",),
            **archive,
        }
    )
    return Wire(section, SnooppixSection(connect_timeout=5.0, read_timeout=5.0))


async def status(wire: Wire, address: str) -> int:
    async with wire.ask("GET", address) as response:
        await response.read()
        return response.status


def bearer_is(*tokens: str) -> Judge:
    return lambda request: request.headers.get("Authorization") in {f"Bearer {token}" for token in tokens}


def server_side(authority: trustme.CA, *, wants_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    if wants_certificate:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
