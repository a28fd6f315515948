"""Signing in and out, and the choice of light or dark."""

from aiohttp import web

from spica.accounts import OPERATOR, AccountError, TooManyTries
from spica.web.console import THEMES, console_of, render, who_is
from spica.web.gate import Access, access, cookie_name, is_secure
from spica.web.policy import local_path

YEAR = 365 * 86400
"""Seconds that a choice of theme is kept."""


async def _field(request: web.Request, name: str) -> str:
    value = (await request.post()).get(name, "")
    return value if isinstance(value, str) else ""


@access(Access.ANYBODY)
async def login_page(request: web.Request) -> web.Response:
    """``GET /login``"""
    back = local_path(request.query.get("next"))
    if who_is(request) is not None:
        raise web.HTTPSeeOther(back)
    return render(request, "login.html", back=back, problem=None, name=OPERATOR)


@access(Access.ANYBODY)
async def login(request: web.Request) -> web.Response:
    """``POST /login``"""
    console = console_of(request)
    back = local_path(await _field(request, "next"))
    name = (await _field(request, "name")).strip()[:60]
    try:
        token = await console.sessions.sign_in(name, await _field(request, "password"), request.remote)
    except AccountError as problem:
        wait = problem.wait if isinstance(problem, TooManyTries) else None
        status = 403 if wait is None else 429
        answer = render(request, "login.html", status=status, back=back, problem=str(problem), name=name)
        if wait is not None:
            answer.headers["Retry-After"] = f"{wait:.0f}"
        return answer
    previous = who_is(request)
    if previous is not None:
        await console.sessions.sign_out(previous)
    answer = web.HTTPSeeOther(back)
    answer.set_cookie(cookie_name(request), token, httponly=True, samesite="Lax", secure=is_secure(request), path="/")
    raise answer


@access(Access.OPERATOR)
async def logout(request: web.Request) -> web.Response:
    """``POST /logout``"""
    who = who_is(request)
    if who is not None:
        await console_of(request).sessions.sign_out(who)
    answer = web.HTTPSeeOther("/")
    answer.del_cookie(cookie_name(request), httponly=True, samesite="Lax", secure=is_secure(request), path="/")
    raise answer


@access(Access.ANYBODY)
async def theme(request: web.Request) -> web.Response:
    """``POST /theme``"""
    wanted = await _field(request, "theme")
    answer = web.HTTPSeeOther(local_path(await _field(request, "next")))
    if wanted in THEMES:
        answer.set_cookie("theme", wanted, max_age=YEAR, httponly=True, samesite="Lax", secure=is_secure(request))
    raise answer
