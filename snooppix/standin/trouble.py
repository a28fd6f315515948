"""Faults of whole services, committed before they answer."""

from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from email.utils import format_datetime

from aiohttp import web

from snooppix.standin.access import Verdict
from snooppix.standin.kinds import Busy, Down, Failing, Forbidden, LoginPage, Redirected, Refused, Stalled, Unauthorised
from snooppix.standin.site import SITE, Site, refuse, service_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LOGIN = (
    "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><h1>Sign in</h1>"
    '<form method="post"><input name="username"><input name="password" type="password"></form></body></html>\n'
)


@web.middleware
async def trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Commit what is ordered for this service and file, or let the service answer."""
    site = request.app[SITE]
    service = service_of(request)
    name = request.path.rsplit("/", 1)[-1] if "/files/" in request.path else ""
    if (refusal := _refusal(request, site, service, name)) is not None:
        return refusal
    body = service.startswith("minoc") and request.method == "GET" and name
    if not body and site.faults.take(Stalled, name, at=service):
        await site.closing.wait()
    return await handler(request)


def _refusal(request: web.Request, site: Site, service: str, name: str) -> web.Response | None:
    """Answer in place of the service, if that is ordered."""
    take = site.faults.take
    if take(Refused, name, at=service):
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=503)
    if take(Down, name, at=service):
        return web.Response(status=503, text="service unavailable\n")
    if busy := take(Busy, name, at=service):
        return _busy(site, busy)
    if failing := take(Failing, name, at=service):
        return web.Response(status=failing.status, text="internal error\n")
    if take(LoginPage, name, at=service):
        return web.Response(text=LOGIN, content_type="text/html")
    if take(Unauthorised, name, at=service):
        return refuse(request, Verdict.UNKNOWN)
    if forbidden := take(Forbidden, name, at=service):
        return web.Response(status=403, text=f"{forbidden.message}\n")
    if redirected := take(Redirected, name, at=service):
        place = f"{redirected.to.rstrip('/')}{request.rel_url}"
        return web.Response(status=redirected.status, headers={"Location": place})
    return None


def _busy(site: Site, busy: Busy) -> web.Response:
    wait = {"Retry-After": busy.retry_after} if busy.retry_after else {}
    if busy.date_in >= 0:
        moment = site.time().astimezone(UTC) + timedelta(seconds=busy.date_in)
        wait["Retry-After"] = format_datetime(moment, usegmt=True)
    return web.Response(status=busy.status, text="too busy, try later\n", headers=wait)
