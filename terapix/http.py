"""The small web endpoint of a daemon, and the guards that every page of ours has."""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

GUARDS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer that says nothing else."""


class Reporter(Protocol):
    """What the endpoint asks of a daemon."""

    def alive(self) -> bool: ...
    def is_ready(self) -> bool: ...
    def report(self) -> dict[str, Any]: ...
    def figures_text(self) -> bytes: ...


def is_local(host: str) -> bool:
    """Tell whether a Host header names this machine by a name that no other site can point at us."""
    name = host.rsplit(":", 1)[0] if host.count(":") == 1 or host.startswith("[") else host
    name = name.strip("[]")
    if name in {"localhost", ""}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def guard(*, names: frozenset[str] = frozenset(), headers: Mapping[str, str] = GUARDS) -> Middleware:
    """Make the middleware that sets the guarding headers and refuses foreign Host headers (DNS rebinding)."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if not is_local(host) and host.rsplit(":", 1)[0] not in names:
            raise web.HTTPMisdirectedRequest(text="This name does not belong to this service.\n")
        try:
            answer = await handler(request)
        except web.HTTPException as problem:
            set_guards(problem, headers)
            raise
        if not answer.prepared:
            set_guards(answer, headers)
        return answer

    return middleware


def set_guards(answer: web.StreamResponse, headers: Mapping[str, str]) -> None:
    """Set each guarding header that the answer does not set itself."""
    for name, value in headers.items():
        answer.headers.setdefault(name, value)


def status_app(daemon: Reporter) -> web.Application:
    """Make the endpoint: /healthz, /readyz, /status (JSON), /metrics (Prometheus)."""

    async def health(_: web.Request) -> web.Response:
        return web.Response(
            text="alive\n" if daemon.alive() else "the work loop is silent\n", status=200 if daemon.alive() else 503
        )

    async def ready(_: web.Request) -> web.Response:
        return web.Response(
            text="ready\n" if daemon.is_ready() else "not ready\n", status=200 if daemon.is_ready() else 503
        )

    async def status(_: web.Request) -> web.Response:
        return web.json_response(daemon.report())

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=daemon.figures_text(), content_type="text/plain", charset="utf-8")

    app = web.Application(middlewares=[guard()])
    routes: dict[str, Callable[[web.Request], Awaitable[web.Response]]] = {
        "/healthz": health,
        "/readyz": ready,
        "/status": status,
        "/metrics": metrics,
    }
    for path, handler in routes.items():
        app.router.add_get(path, handler)
    return app
