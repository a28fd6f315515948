"""The login service (gms): a token for name and password, and the cookie that carries it."""

from aiohttp import web

from snooppix.protocol.asking import parameters
from snooppix.standin.access import COOKIE, Verdict
from snooppix.standin.site import LOGIN, LOGIN_LIFETIME, NOBODY, SITE, refuse


async def login(request: web.Request) -> web.Response:
    """Give a token for a username and a password; it is good as bearer token and as cookie."""
    site, given = request.app[SITE], await parameters(request)
    access = site.access
    user = access.by_password(given.get("USERNAME", ""), given.get("PASSWORD", "")) if access is not None else None
    if user is None:
        return refuse(request, Verdict.UNKNOWN)
    token = site.tickets.issue(LOGIN, user.name, seconds=LOGIN_LIFETIME)
    answer = web.Response(text=token)
    answer.set_cookie(COOKIE, token, max_age=int(LOGIN_LIFETIME), httponly=True)
    return answer


async def whoami(request: web.Request) -> web.Response:
    """Say who the caller is."""
    user = request.app[SITE].caller(request)
    if user is None or user is NOBODY:
        return refuse(request, Verdict.UNKNOWN)
    return web.Response(text=f"{user.name}\n")
