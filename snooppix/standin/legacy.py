"""The data service of old: /data/pub sends to /data/auth what is not public, which knows Basic authentication only."""

from aiohttp import web

from snooppix.standin.access import Verdict
from snooppix.standin.site import SITE, base, refuse
from snooppix.standin.storage import give

CHALLENGE = 'Basic realm="Canadian Astronomy Data Centre"'


async def read_legacy(request: web.Request) -> web.StreamResponse:
    """Give a file by its collection and name; `fhead=true` its headers."""
    site = request.app[SITE]
    file = await site.find(f"cadc:{request.match_info['collection']}/{request.match_info['name']}")
    if file is None:
        return web.Response(status=404, text="not found\n")
    verdict = site.judge(request, file)
    if verdict is Verdict.ALLOWED:
        return await give(request, site, file)
    if request.match_info["door"] == "pub":
        return web.Response(
            status=303, headers={"Location": f"{base(request)}{request.path_qs}".replace("/pub/", "/auth/", 1)}
        )
    answer = refuse(request, verdict)
    if verdict is Verdict.UNKNOWN:
        answer.headers.popall("WWW-Authenticate", None)
        answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer
