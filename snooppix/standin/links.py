"""The stand-in's part of links and of queries that run by themselves: who may see and read what."""

from aiohttp import web

from snooppix.protocol import datalink
from snooppix.protocol.asking import Asked
from snooppix.protocol.async_tap import Desk
from snooppix.protocol.datalink import Described
from snooppix.protocol.tables import Answer
from snooppix.standin.access import Verdict
from snooppix.standin.site import NOBODY, SITE, Site, base, refuse
from snooppix.standin.tap import find


async def links(request: web.Request) -> web.Response:
    """Give the files of planes, and whether this caller may read them."""
    site = request.app[SITE]

    async def may_read(uri: str) -> bool:
        file = await site.find(uri)
        return file is not None and site.judge(request, file) is Verdict.ALLOWED

    known = Described(tables=site.catalogue, base=base(request), visible_at=site.visible_at(request), may_read=may_read)
    return await datalink.links(request, known)


def desk(site: Site) -> Desk:
    """Let callers of the stand-in make jobs."""

    async def run(wanted: Asked, visible_at: str | None) -> Answer:
        return await find(site, wanted, visible_at=visible_at)

    return Desk(jobs=site.jobs, base=base, owner=_owner, refusal=_refusal, visible_at=site.visible_at, find=run)


def _owner(request: web.Request) -> str:
    user = request.app[SITE].caller(request)
    return user.name if user is not None else ""


def _refusal(request: web.Request) -> web.Response | None:
    return refuse(request, Verdict.UNKNOWN) if request.app[SITE].caller(request) is NOBODY else None
