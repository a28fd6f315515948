"""The query service: TAP, synchronous, by GET and POST."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlencode

from aiohttp import web

from snooppix.protocol.adql import BadQuery
from snooppix.protocol.asking import Asked, asked, parameters, parts, refused, written
from snooppix.protocol.tables import Answer
from snooppix.protocol.votable import ROWS
from snooppix.standin.kinds import DuplicateRows, Overflow, QueryError, SyncElsewhere
from snooppix.standin.site import SITE, Site, base


async def sync(request: web.Request) -> web.StreamResponse:
    """Answer a query. Parameters are taken from the address and from the form, whatever their case."""
    site = request.app[SITE]
    given = await parameters(request)
    if request.method == "POST" and site.faults.take(SyncElsewhere, "", at="argus"):
        return web.Response(status=303, headers={"Location": f"{base(request)}/argus/sync?{urlencode(given)}"})
    if fault := site.faults.take(QueryError, "", at="argus"):
        return refused(fault.message, status=200)
    try:
        wanted = asked(given)
        answer = await find(site, wanted, visible_at=site.visible_at(request))
    except BadQuery as problem:
        return refused(str(problem))
    if len(answer.rows) <= ROWS:
        return web.Response(body=await asyncio.to_thread(written, answer, wanted), content_type=wanted.media)
    return await _streamed(request, parts(answer, wanted), wanted.media)


async def _streamed(request: web.Request, pieces: Iterator[bytes], media: str) -> web.StreamResponse:
    """Send a large answer while it is written, so that it is never whole in memory."""
    response = web.StreamResponse(headers={"Content-Type": media})
    await response.prepare(request)
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        await response.write(piece)
    await response.write_eof()
    return response


async def find(site: Site, wanted: Asked, *, visible_at: str | None) -> Answer:
    """Run a query, and do to its answer what is ordered.

    Raises
    ------
    BadQuery
        It can not be run.
    """
    answer = await asyncio.to_thread(site.catalogue.query, wanted.query, most=wanted.most, visible_at=visible_at)
    if cut := site.faults.take(Overflow, "", at="argus"):
        answer = Answer(answer.columns, answer.rows[: cut.rows], overflow=True)
    if site.faults.take(DuplicateRows, "", at="argus"):
        answer = Answer(answer.columns, [row for row in answer.rows for _ in range(2)], answer.overflow)
    return answer
