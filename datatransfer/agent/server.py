"""The routes of an agent: what it reports, gives, fetches and removes, and who may ask for it."""

import asyncio
import contextlib
import json
import os
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import IO, Any, Final, Self

from aiohttp import web

from datatransfer.agent import holdings, leftovers, packs, reading
from datatransfer.agent.bringing import Bringings
from datatransfer.agent.leftovers import Leftover
from datatransfer.agent.receiver import Parcel
from datatransfer.agent.report import Reporter
from datatransfer.agent.roots import Refused, Root, checked, find, open_file, split
from datatransfer.agent.trust import Caller, Role, Trust
from datatransfer.errors import SourceGone, facts
from terapix.http import GUARDS, set_guards
from terapix.identity import Digest
from terapix.journal import logger

log = logger("datatransfer.agent")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BLOCK: Final = 1 << 20
"""Bytes that are read and sent at once where the kernel cannot send a file by itself (TLS)."""
SMALL: Final = 256 << 10
"""Bytes of a file that is sent in one go."""
BODY: Final = 16 << 20
"""Bytes of a request at most: a list of some ten thousand files."""
TELL: Final = 0.5
"""Seconds between two lines of progress; a line comes also when nothing moved, so that silence means a dead link."""
MOST: Final = 20_000
"""Files of one request at most."""
READERS: Final = frozenset(Role)
MASTERS: Final = frozenset({Role.COORDINATOR})
CALLER: Final = web.RequestKey("caller", Caller)
_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")


class Lines:
    """An answer of one JSON object a line, written as there is something to say."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})

    async def __aenter__(self) -> Self:
        set_guards(self.answer, GUARDS)
        await self.answer.prepare(self._request)
        return self

    async def __aexit__(self, *problem: object) -> None:
        if problem[0] is None:
            await self.answer.write_eof()
        elif self._request.transport is not None:
            self._request.transport.abort()  # who asked learns at once that no more lines come

    async def write(self, item: Mapping[str, Any]) -> None:
        await self.answer.write(json.dumps(item).encode() + b"\n")


class Server:
    """Answers coordinator and agents."""

    def __init__(self, roots: Mapping[str, Root], *, trust: Trust, reporter: Reporter, bringings: Bringings) -> None:
        self._roots = roots
        self._trust = trust
        self._reporter = reporter
        self._bringings = bringings

    def app(self) -> web.Application:
        """Put the application together: each route names the roles that may use it."""
        app = web.Application(middlewares=[self._guard], client_max_size=BODY)
        routes: tuple[tuple[str, str, Handler, frozenset[Role]], ...] = (
            ("GET", "/v1/status", self._status, READERS),
            ("GET", "/v1/files/{place:.+}", self._give, READERS),
            ("DELETE", "/v1/files/{place:.+}", self._remove, MASTERS),
            ("POST", "/v1/pack", self._pack, READERS),
            ("POST", "/v1/bring", self._bring, MASTERS),
            ("POST", "/v1/pace", self._pace, MASTERS),
            ("POST", "/v1/sizes", self._sizes, MASTERS),
            ("POST", "/v1/keep", self._keep, MASTERS),
            ("POST", "/v1/digests", self._digests, MASTERS),
            ("POST", "/v1/read", self._read, MASTERS),
            ("POST", "/v1/set-aside", self._set_aside, MASTERS),
            ("GET", "/v1/list/{kind}/{name}", self._list, MASTERS),
            ("GET", "/v1/leftovers/{kind}/{name}", self._leftovers, MASTERS),
            ("POST", "/v1/leftovers/{kind}/{name}", self._remove_leftover, MASTERS),
        )
        for method, path, handler, roles in routes:
            app.router.add_route(method, path, _for(roles, handler))
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let in whom we know, and word what goes wrong."""
        transport = request.transport
        address = (transport.get_extra_info("peername") if transport else None) or ("",)
        peer = transport.get_extra_info("peercert") if transport else None
        caller = self._trust.caller(peer=peer, headers=request.headers, host=str(address[0]))
        answer: web.StreamResponse
        try:
            if caller is None:
                log.warning("a caller that nobody knows was refused", host=address[0], path=request.path)
                answer = web.Response(status=401, text="This agent does not know you.\n")
            else:
                request[CALLER] = caller
                answer = await handler(request)
        except web.HTTPException as problem:
            set_guards(problem, GUARDS)
            raise
        except Refused as problem:
            log.warning("a request was refused", caller=caller.name if caller else "", reason=str(problem))
            answer = web.Response(status=403, text=f"{problem}\n")
        except SourceGone as problem:
            answer = web.json_response(facts(problem), status=404)
        except (ValueError, KeyError, TypeError, IndexError) as problem:
            answer = web.Response(status=400, text=f"This request makes no sense: {problem!r}\n")
        except Exception:
            log.exception("a request went wrong", path=request.path)
            answer = web.Response(status=500, text="This went wrong here; the log says why.\n")
        if not answer.prepared:
            set_guards(answer, GUARDS)
        return answer

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(await self._reporter.report())

    async def _give(self, request: web.Request) -> web.StreamResponse:
        """Send a file, or a range of it."""
        root_name, path = split(request.match_info["place"])
        root = find(self._roots, root_name, path)
        handle = await asyncio.to_thread(open_file, root, path)
        with os.fdopen(handle, "rb", buffering=0) as file:
            size = os.fstat(handle).st_size
            begin, end = _range(request.headers.get("Range", ""), size)
            headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
            status = 200
            if (begin, end) != (0, size):
                headers["Content-Range"], status = f"bytes {begin}-{end - 1}/{size}", 206
            if end - begin <= SMALL:
                content = await asyncio.to_thread(os.pread, handle, end - begin, begin)
                return web.Response(body=content, status=status, headers=headers)
            answer = web.StreamResponse(status=status, headers=headers)
            answer.content_length = end - begin
            set_guards(answer, GUARDS)
            await answer.prepare(request)
            with contextlib.suppress(ConnectionResetError):
                await _send(request, answer, file, begin, end)
                await answer.write_eof()
        return answer

    async def _pack(self, request: web.Request) -> web.StreamResponse:
        """Send many small files, one behind the other."""
        origins = [str(origin) for origin in _at_most(packs.FILES, await request.json())]
        answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        set_guards(answer, GUARDS)
        await answer.prepare(request)
        pieces = packs.packed(self._roots, origins)
        reading = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
        while (piece := await reading) is not None:
            reading = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
            await answer.write(piece)
        await answer.write_eof()
        return answer

    async def _remove(self, request: web.Request) -> web.Response:
        """Remove a file of the size that the coordinator knows; another one is not ours to judge."""
        root_name, path = split(request.match_info["place"])
        root = find(self._roots, root_name, path)
        gone = await asyncio.to_thread(holdings.remove, root, path, int(request.query["size"]))
        log.info("file removed", root=root_name, path=path, there=gone, caller=request[CALLER].name)
        return web.json_response({"removed": gone})

    async def _bring(self, request: web.Request) -> web.StreamResponse:
        """Fetch files from another agent; each line of the answer is progress, or how one of them ended."""
        parcels = [_parcel(item) for item in _at_most(MOST, (await request.json())["files"])]
        for parcel in parcels:
            find(self._roots, parcel.root, parcel.path)
        lines = Lines(request)
        with contextlib.suppress(ConnectionResetError):
            async with lines, contextlib.aclosing(self._bringings.bring(parcels, every=TELL)) as news:
                async for item in news:
                    await lines.write(item)
        return lines.answer

    async def _pace(self, request: web.Request) -> web.Response:
        """Set how fast files come over links; those that are not named come as fast as they can."""
        told = _at_most(MOST, (await request.json())["links"])
        rates = {(str(link["from"]), str(link["to"])): max(0, int(link["rate"])) for link in told}
        self._bringings.paces.set(rates)
        log.info("rates of links are set", rates={f"{link[0]} {link[1]}": rate for link, rate in rates.items()})
        return web.json_response({"links": len(rates)})

    async def _sizes(self, request: web.Request) -> web.Response:
        root, paths = await self._named(request)
        return web.json_response(await asyncio.to_thread(holdings.sizes, root, paths))

    async def _keep(self, request: web.Request) -> web.Response:
        """Keep what has come of files that are to come later."""
        root, paths = await self._named(request)
        return web.json_response({"kept": await asyncio.to_thread(holdings.keep_parts, root, paths)})

    async def _digests(self, request: web.Request) -> web.StreamResponse:
        """Read files again and give their digests, one a line."""
        root, paths = await self._named(request)
        async with Lines(request) as lines:
            for path in paths:
                reading = asyncio.ensure_future(asyncio.to_thread(holdings.digest, root, path))
                while not (await asyncio.wait({reading}, timeout=TELL))[0]:
                    await lines.write({})
                await lines.write({"path": path, "digest": reading.result()})
        return lines.answer

    async def _read(self, request: web.Request) -> web.StreamResponse:
        """Read a file again at no more than a rate, and tell what it reads as; it ends when nobody listens any more."""
        asked = await request.json()
        path = checked(str(asked["path"]))
        root = find(self._roots, str(asked["root"]), path)
        stop = threading.Event()
        work = asyncio.ensure_future(asyncio.to_thread(reading.read, root, path, rate=float(asked["rate"]), stop=stop))
        try:
            async with Lines(request) as lines:
                while not (await asyncio.wait({work}, timeout=TELL))[0]:
                    await lines.write({})
                await lines.write(asdict(work.result()))
        finally:
            stop.set()
        return lines.answer

    async def _set_aside(self, request: web.Request) -> web.Response:
        """Move a file that was found damaged into quarantine."""
        asked = await request.json()
        path = checked(str(asked["path"]))
        root = find(self._roots, str(asked["root"]), path)
        why = {str(key): str(value) for key, value in asked["why"].items()}
        kept = await asyncio.to_thread(holdings.set_aside, root, path, why)
        log.warning("file set aside", root=root.name, path=path, now=kept, caller=request[CALLER].name)
        return web.json_response({"kept": kept})

    async def _list(self, request: web.Request) -> web.StreamResponse:
        """List every file of a root with its size, one a line."""
        found = await asyncio.to_thread(holdings.listing, self._root(request))
        async with Lines(request) as lines:
            for path, size in found:
                await lines.write({"path": path, "size": size})
        return lines.answer

    async def _leftovers(self, request: web.Request) -> web.StreamResponse:
        """List scratch and what was set aside, one a line."""
        found = await asyncio.to_thread(leftovers.leftovers, self._root(request))
        async with Lines(request) as lines:
            for item in found:
                await lines.write(asdict(item))
        return lines.answer

    async def _remove_leftover(self, request: web.Request) -> web.Response:
        """Remove a leftover that is as it was listed."""
        root, asked = self._root(request), await request.json()
        leftover = Leftover(str(asked["path"]), int(asked["size"]), float(asked["used"]))
        gone = await asyncio.to_thread(leftovers.remove, root, leftover)
        log.info("leftover removed", root=root.name, path=leftover.path, there=gone, caller=request[CALLER].name)
        return web.json_response({"removed": gone})

    def _root(self, request: web.Request) -> Root:
        """Give the root that a request names as a whole."""
        name = f"{request.match_info['kind']}/{request.match_info['name']}"
        if name not in self._roots:
            raise Refused(f"{name} is not given to anybody here")
        return self._roots[name]

    async def _named(self, request: web.Request) -> tuple[Root, list[str]]:
        """Read root and paths of a request that asks about several files."""
        asked = await request.json()
        paths = [checked(str(path)) for path in _at_most(MOST, asked["paths"])]
        roots = {find(self._roots, str(asked["root"]), path).name for path in paths}
        return self._roots[roots.pop()], paths


def _for(roles: frozenset[Role], handler: Handler) -> Handler:
    """Let a route be used by these roles only."""

    async def only(request: web.Request) -> web.StreamResponse:
        caller = request[CALLER]
        if caller.role not in roles:
            raise Refused(f"{request.method} {request.path} is for the coordinator alone, and {caller.name} is none")
        return await handler(request)

    return only


def _at_most(most: int, items: list[Any]) -> list[Any]:
    """Refuse a list that is too long, rather than forget its end."""
    if len(items) > most:
        raise Refused(f"{len(items)} files are named, and {most} are taken at once")
    return items


def _range(header: str, size: int) -> tuple[int, int]:
    """Give where a range begins and ends; the whole file where none is asked for."""
    if not header:
        return 0, size
    found = _RANGE.fullmatch(header)
    begin, last = (int(found[1]), int(found[2])) if found else (size, 0)
    if not begin <= last < size:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    return begin, last + 1


async def _send(request: web.Request, answer: web.StreamResponse, file: IO[bytes], begin: int, end: int) -> None:
    """Send a part of a file: by the kernel where the bytes go out as they are."""
    loop = asyncio.get_running_loop()
    transport = request.transport
    if transport is None:
        raise ConnectionResetError
    if transport.get_extra_info("sslcontext") is None:
        await loop.sendfile(transport, file, begin, end - begin)
        return
    handle = file.fileno()
    reading = loop.run_in_executor(None, os.pread, handle, min(BLOCK, end - begin), begin)
    while begin < end:
        block = await reading
        if not block:
            raise ConnectionResetError
        begin += len(block)
        if begin < end:
            reading = loop.run_in_executor(None, os.pread, handle, min(BLOCK, end - begin), begin)
        await answer.write(block)


def _parcel(item: Mapping[str, Any]) -> Parcel:
    """Read what is to be brought from a request."""
    root, path = split(str(item["to"]))
    origin = str(item["from"])
    split(origin)
    source = _address(str(item["source"]))
    return Parcel(source, origin, root, path, str(Digest.parse(item["digest"])), int(item["size"]))


@lru_cache(maxsize=64)
def _address(source: str) -> str:
    if not re.fullmatch(r"https?://[^/?#@\s]{1,255}", source):
        raise Refused(f"{source!r} is no address of an agent")
    return source
