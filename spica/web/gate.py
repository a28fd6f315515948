"""The one gate that every request passes: who asks, and may they?

Each handler says with `access` whom it serves. One that says nothing serves
nobody but the operator, so a forgotten word closes a page and never opens it.
"""

import enum
import hmac
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from spica.accounts import SignedIn
from spica.web.console import WHO, console_of, is_fragment, render, who_is
from spica.web.policy import SAFE_METHODS, local_path, same_origin
from terapix.errors import TerapixError
from terapix.journal import logger

log = logger("spica")

COOKIE = "terapix"
"""Session cookie on plain HTTP, which is for loopback only."""
SECURE_COOKIE = "__Host-terapix"
"""Session cookie on HTTPS; browsers accept it only with Secure, without Domain and for the whole site."""

F = TypeVar("F", bound=Callable[[web.Request], Awaitable[web.StreamResponse]])


class Access(enum.Enum):
    """Whom a handler serves."""

    ANYBODY = "anybody"  #: signing in, and what the sign-in page needs
    READER = "reader"  #: everybody where reading is open, the operator where it is closed
    OPERATOR = "operator"  #: the operator's session only


_ACCESS = "_terapix_access"


def access(whom: Access) -> Callable[[F], F]:
    """Say whom a handler serves."""

    def mark(handler: F) -> F:
        setattr(handler, _ACCESS, whom)
        return handler

    return mark


def access_of(handler: object) -> Access:
    """Give whom a handler serves: the operator only unless it says otherwise."""
    found = getattr(handler, _ACCESS, Access.OPERATOR)
    return found if isinstance(found, Access) else Access.OPERATOR


def is_secure(request: web.Request) -> bool:
    """Tell whether the browser came by HTTPS, to us or to the proxy before us."""
    return request.secure or request.headers.get("X-Forwarded-Proto") == "https"


def cookie_name(request: web.Request) -> str:
    return SECURE_COOKIE if is_secure(request) else COOKIE


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its handler, or turn it away."""
    if request.match_info.http_exception is not None:
        raise request.match_info.http_exception
    wanted = access_of(request.match_info.handler)
    who = await _session(request)
    if who is not None:
        request[WHO] = who
    if request.method not in SAFE_METHODS and not same_origin(request.headers):
        raise web.HTTPForbidden(text="This form was not sent by a page of this console.")
    closed = console_of(request).settings.spica.reading == "closed"
    if wanted is Access.OPERATOR or (wanted is Access.READER and closed):
        if who is None:
            raise _turned_away(request)
        if request.method not in SAFE_METHODS:
            await _check_token(request, who)
    return await handler(request)


async def _session(request: web.Request) -> SignedIn | None:
    token = request.cookies.get(cookie_name(request))
    if not token or len(token) > 200:
        return None
    active = not is_fragment(request) and not request.path.startswith(("/events", "/api/", "/static/"))
    return await console_of(request).sessions.of(token, active=active)


async def _check_token(request: web.Request, who: SignedIn) -> None:
    """Compare the form's token with the session's."""
    form = await request.post()
    sent = form.get("csrf")
    if not isinstance(sent, str) or not hmac.compare_digest(sent.encode(), who.csrf.encode()):
        raise web.HTTPForbidden(text="The form is too old: go back, reload the page and send it again.")


def _turned_away(request: web.Request) -> web.HTTPException:
    """Say how to get in, in the way the asker understands."""
    back = request.path_qs if request.method in SAFE_METHODS else "/"
    login = f"/login?next={quote(local_path(back), safe='')}"
    if is_fragment(request):
        return web.HTTPUnauthorized(text="Sign in again.", headers={"HX-Redirect": "/login"})
    if request.path.startswith(("/api/", "/events")):
        return web.HTTPUnauthorized(text="Reading is closed: sign in.")
    return web.HTTPSeeOther(login)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn errors into pages that say what happened and what to do; into JSON for programs."""
    try:
        return await handler(request)
    except web.HTTPException as problem:
        if problem.status < 400:
            raise
        answer = _told(request, problem.status, problem.text or problem.reason)
        for name in ("Retry-After", "HX-Redirect", "Allow"):
            if name in problem.headers:
                answer.headers[name] = problem.headers[name]
        return answer
    except TerapixError as problem:
        log.warning("a page failed", path=request.path, reason=str(problem))
        return _told(request, 503 if problem.retryable else 500, str(problem))
    except Exception:
        log.exception("a page failed", path=request.path)
        return _told(request, 500, "Something is wrong inside the console; its log says what.")


def _told(request: web.Request, status: int, text: str) -> web.Response:
    if request.path.startswith("/api/"):
        problem = {"type": "about:blank", "status": status, "title": HEADINGS.get(status, "Problem"), "detail": text}
        return web.json_response(problem, status=status, content_type="application/problem+json")
    if is_fragment(request) or request.path.startswith(("/events", "/static/")):
        return web.Response(text=text + "\n", status=status)
    heading = HEADINGS.get(status, "Problem")
    return render(
        request, "problem.html", status=status, heading=heading, text=_plain(status, text), who=who_is(request)
    )


HEADINGS = {
    400: "That could not be understood",
    401: "Sign in first",
    403: "Not allowed",
    404: "Nothing is here",
    405: "Not in this way",
    413: "Too large",
    421: "Wrong name",
    429: "Too many tries",
    500: "A fault of ours",
    503: "Not now",
}


def _plain(status: int, text: str) -> str:
    """Give a sentence where aiohttp only repeats the status."""
    if text.startswith(f"{status}:"):
        return {404: "No page, frame or file has this address.", 405: "This address takes forms only."}.get(status, "")
    return text
