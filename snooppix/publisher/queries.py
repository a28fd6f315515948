"""What followers ask of the listing: queries at once, queries that run by themselves, and links to files."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from snooppix.protocol import datalink
from snooppix.protocol.adql import BadQuery
from snooppix.protocol.asking import Asked, asked, parameters, refused, written
from snooppix.protocol.async_tap import Desk
from snooppix.protocol.datalink import Described
from snooppix.protocol.tables import Answer
from snooppix.protocol.uws import Jobs
from snooppix.publisher.description import Offers

JOBS: Final = 100
"""Queries that run by themselves, or wait to be fetched, at once."""
ROOM: Final = 32 << 20
"""Bytes of their results that are kept."""


async def sync(request: web.Request, offers: Offers) -> web.Response:
    """Answer a query at once."""
    given = await parameters(request)
    try:
        wanted = asked(given)
        answer = await asyncio.to_thread(offers.query, wanted.query, most=wanted.most)
    except BadQuery as problem:
        return refused(str(problem))
    return web.Response(body=await asyncio.to_thread(written, answer, wanted), content_type=wanted.media)


def desk(
    offers: Offers, jobs: Jobs, *, base: Callable[[web.Request], str], owner: Callable[[web.Request], str]
) -> Desk:
    """Let followers make jobs; each sees its own."""

    async def find(wanted: Asked, _: str | None) -> Answer:
        return await asyncio.to_thread(offers.query, wanted.query, most=wanted.most)

    return Desk(jobs=jobs, base=base, owner=owner, refusal=lambda _: None, visible_at=lambda _: None, find=find)


async def links(
    request: web.Request, offers: Offers, *, base: str, on_shelf: Callable[[str], Awaitable[bool]]
) -> web.Response:
    """Give the files of planes: a follower may read all that lies on the shelf."""
    known = Described(tables=offers, base=base, visible_at=None, may_read=on_shelf)
    return await datalink.links(request, known)
