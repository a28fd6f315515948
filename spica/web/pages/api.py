"""The same facts as JSON, for programs: ``/api/v1``."""

from dataclasses import fields
from typing import Any

from aiohttp import web
from pydantic_core import to_jsonable_python

from dbclient.stores import Chronicles, Events, Frames, Nodes
from spica.chain import summarise
from spica.follower import judge
from spica.story import tell
from spica.web.console import console_of
from spica.web.gate import Access, access
from spica.web.live import stream
from spica.web.pages.frame import asked_name
from spica.web.pages.frames import PAGE, Asked
from spica.web.pages.snooppix import gather

MOST = 1000
"""Rows of one answer."""


def _json(data: Any) -> web.Response:
    return web.json_response(to_jsonable_python(data))


def _whole(request: web.Request, key: str, default: int, most: int) -> int:
    said = request.query.get(key, "")
    if not said:
        return default
    if not said.isdecimal() or len(said) > 18:
        raise web.HTTPBadRequest(text=f"{key}={said[:20]!r} makes no sense here: a whole number was expected.")
    return min(int(said), most)


@access(Access.READER)
async def summary(request: web.Request) -> web.Response:
    """``/api/v1/summary``"""
    console = console_of(request)
    async with console.database.read() as session:
        return _json(await summarise(session, now=console.now(), settings=console.settings))


@access(Access.READER)
async def frames(request: web.Request) -> web.Response:
    """``/api/v1/frames``: as the table, with ``limit``; ``next`` is the address of the following rows."""
    console = console_of(request)
    asked = Asked.of(request.query)
    limit = max(1, _whole(request, "limit", PAGE, MOST))
    async with console.database.read() as session:
        found = await asked.search(session, limit=limit + 1)
    shown = found[:limit]
    following = asked.address("/api/v1/frames", after=shown[-1].id) if len(found) > limit else None
    if following and request.query.get("limit"):
        following += f"&limit={limit}"
    return _json({"frames": shown, "next": following})


@access(Access.READER)
async def frame(request: web.Request) -> web.Response:
    """``/api/v1/frames/{name}``"""
    console = console_of(request)
    async with console.database.read() as session:
        generations = await Frames().generations(session, asked_name(request))
        if not generations:
            raise web.HTTPNotFound(text=f"No frame {request.match_info['name']} is known here.")
        told = await Chronicles().of(session, generations[0])
    known = {each.name: getattr(told, each.name) for each in fields(told) if each.name != "nodes"}
    return _json({**known, "story": tell(told, now=console.now())})


@access(Access.READER)
async def nodes(request: web.Request) -> web.Response:
    """``/api/v1/nodes``"""
    async with console_of(request).database.read() as session:
        rooms = {room.name: room for room in await Nodes().room(session)}
        return _json({"nodes": [{"node": n, "room": rooms.get(n.name)} for n in await Nodes().all(session)]})


@access(Access.READER)
async def runs(request: web.Request) -> web.Response:
    """``/api/v1/runs``"""
    async with console_of(request).database.read() as session:
        return _json({"runs": await Frames().runs(session)})


@access(Access.READER)
async def snooppix(request: web.Request) -> web.Response:
    """``/api/v1/snooppix``: how it does, what comes and what goes; lists as the page has them."""
    console = console_of(request)
    async with console.database.read() as session:
        facts, lists = await gather(session, console)
    health = judge(facts)
    return _json(
        {
            "sentence": health.sentence,
            "well": health.well,
            "warnings": health.warnings,
            "readback": health.readback,
            "states": facts.states,
            "waiting": facts.waiting,
            "moving": facts.moving,
            "hosts": facts.hosts,
            **lists,
        }
    )


@access(Access.READER)
async def events(request: web.Request) -> web.Response:
    """``/api/v1/events``: oldest first behind ``after``, or the newest ones without it."""
    console = console_of(request)
    limit = max(1, _whole(request, "limit", PAGE, MOST))
    async with console.database.read() as session:
        if request.query.get("after"):
            found = await Events().after(session, _whole(request, "after", 0, 2**62), limit=limit)
        else:
            found = list(reversed(await Events().latest(session, limit=limit)))
    return _json({"events": found})


@access(Access.READER)
async def live(request: web.Request) -> web.StreamResponse:
    """``/events``: the stream that keeps pages fresh."""
    console = console_of(request)
    return await stream(request, console.live, console.database)
