"""The query service: TAP, synchronous, by GET and POST."""

import asyncio
import fnmatch
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from snooppix.protocol.adql import BadQuery
from snooppix.protocol.asking import Asked, asked, parameters, parts, refused, written
from snooppix.protocol.tables import Answer
from snooppix.standin.kinds import DuplicateRows, Overflow, QueryError, SyncElsewhere
from snooppix.standin.site import SITE, Site, base


async def sync(request: web.Request) -> web.StreamResponse:
    """Answer a query. Parameters are taken from the address and from the form, whatever their case."""
    site = request.app[SITE]
    given = await parameters(request)
    if request.method == "POST" and site.faults.take(SyncElsewhere, "", at="argus"):
        return web.Response(status=303, headers={"Location": f"{base(request)}/argus/sync?{urlencode(given)}"})
    try:
        wanted = asked(given)
        answer = await find(site, wanted, visible_at=site.visible_at(request))
    except Ordered as fault:
        return refused(str(fault), status=200)
    except BadQuery as problem:
        return refused(str(problem))
    if isinstance(answer.rows, list):
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


class Ordered(BadQuery):
    """A query that fails on order."""


async def find(site: Site, wanted: Asked, *, visible_at: str | None) -> Answer:
    """Run a query, and do to its answer what is ordered.

    Raises
    ------
    Ordered
        It is to fail.
    BadQuery
        It can not be run.
    """
    answer = await asyncio.to_thread(site.catalogue.query, wanted.query, most=wanted.most, visible_at=visible_at)
    if not any(map(site.faults.expects, (QueryError, Overflow, DuplicateRows))):
        return answer

    def tells(pattern: str) -> bool:
        return pattern == "*" or any(_tells(row, pattern) for row in answer.rows)

    if failing := site.faults.take(QueryError, "", at="argus", matching=tells):
        raise Ordered(failing.message)
    if cut := site.faults.take(Overflow, "", at="argus", matching=tells):
        before = 0 if cut.name == "*" else next(n for n, row in enumerate(answer.rows) if _tells(row, cut.name))
        answer = replace(answer.first(before + cut.rows), overflow=True)
    if twice := site.faults.take(DuplicateRows, "", at="argus", matching=tells):
        doubled = [row for row in answer.rows for _ in range(1 + (twice.name == "*" or _tells(row, twice.name)))]
        answer = Answer(answer.columns, doubled, answer.overflow)
    return answer


def _tells(row: tuple[Any, ...], pattern: str) -> bool:
    """Tell whether a row has the name of a file, or a URI that ends in one, of a pattern."""
    return any(isinstance(cell, str) and fnmatch.fnmatchcase(cell.rsplit("/", 1)[-1], pattern) for cell in row)
