"""The small web endpoint of a daemon, and the guards that every page of ours has."""

import errno
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from terapix.journal import logger
from terapix.metrics import CONTENT_TYPE

log = logger("http")

GUARDS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "TERAPIX",
}
"""Headers of every answer that says nothing else."""


class Reporter(Protocol):
    """What the endpoint asks of a daemon."""

    def alive(self) -> bool: ...
    def is_ready(self) -> bool: ...
    def report(self) -> dict[str, Any]: ...
    def figures_text(self) -> bytes: ...


def host_name(header: str) -> str:
    """Give the name in a Host header, without its port and in small letters."""
    if header.startswith("["):
        return header[1:].partition("]")[0].lower()
    return header.partition(":")[0].lower().rstrip(".")


def is_local(host: str) -> bool:
    """Tell whether a Host header names this machine by a name that no other site can point at us.

    A foreign site can make its own name lead to our address (DNS rebinding) and
    then read us with the visitor's browser; it cannot do so with an address.
    """
    name = host_name(host)
    if name in {"localhost", ""}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def guard(*, names: frozenset[str] = frozenset(), headers: Mapping[str, str] = GUARDS) -> Middleware:
    """Make the middleware that sets the guarding headers and refuses foreign Host headers.

    Parameters
    ----------
    names : frozenset of str
        Host names that belong to the service beside localhost and addresses.
    headers : mapping
        Set on every answer, refusals and failures included, that does not set them itself.
    """
    ours = frozenset(name.lower() for name in names)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not is_local(host) and host_name(host) not in ours:
            refusal = web.HTTPMisdirectedRequest(text="This name does not belong to this service.\n")
            set_guards(refusal, headers)
            raise refusal
        try:
            answer = await handler(request)
        except web.HTTPException as problem:
            set_guards(problem, headers)
            raise
        except Exception:
            log.exception("request failed", method=request.method, path=request.path)
            answer = web.Response(status=500, text="This went wrong here; the log says why.\n")
        if not answer.prepared:
            set_guards(answer, headers)
        return answer

    return middleware


def set_guards(answer: web.StreamResponse, headers: Mapping[str, str]) -> None:
    """Set each guarding header that the answer does not set itself."""
    for name, value in headers.items():
        answer.headers.setdefault(name, value)


def bind(host: str, port: int, *, tries: int = 1) -> socket.socket:
    """Listen on a port, or on the next free one of `tries`; port 0 takes any.

    Raises
    ------
    OSError
        When none of them is to be had; the last one's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = min(port + tries - 1, 65535) if port else 0
    for number in range(port, last + 1):
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, number))
            bound.listen(128)
        except OSError as problem:
            bound.close()
            if number == last or problem.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            break
    return bound


def address(bound: socket.socket, *, secure: bool = False) -> str:
    """Give a listening socket's address as ``http://127.0.0.1:8080``, or with https where it speaks TLS."""
    host, port = bound.getsockname()[:2]
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _dumps(report: Any) -> str:
    return json.dumps(report, default=str, ensure_ascii=False)


def status_app(daemon: Reporter, *, names: frozenset[str] = frozenset()) -> web.Application:
    """Make the endpoint: /healthz, /readyz, /status (JSON), /metrics (Prometheus)."""

    async def health(_: web.Request) -> web.Response:
        if daemon.alive():
            return web.Response(text="alive\n")
        return web.Response(text="the work loop is silent\n", status=503)

    async def ready(_: web.Request) -> web.Response:
        if daemon.is_ready():
            return web.Response(text="ready\n")
        return web.Response(text="not ready\n", status=503)

    async def status(_: web.Request) -> web.Response:
        return web.json_response(daemon.report(), dumps=_dumps)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=daemon.figures_text(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application(middlewares=[guard(names=names)])
    routes: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
        "/healthz": health,
        "/readyz": ready,
        "/status": status,
        "/metrics": metrics,
    }
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    return app
