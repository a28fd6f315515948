"""The publisher's services: registry, listing (TAP), links, locator, files, acknowledgements and ledger.

They speak the archive's own protocol, so that a follower is an ordinary
SNOOPPIX. The registry and what services say of themselves are open; all else is
for the followers that are named, or for this host where none is.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from aiohttp import web

from dbclient.database import Database
from dbclient.records import PublicationRecord
from dbclient.stores import Publications, Receipts
from snooppix.protocol import async_tap, vosi
from snooppix.protocol.facts import facts_of, header_text, unchanged
from snooppix.protocol.negotiation import BadTransfer, read_transfer, write_transfer
from snooppix.protocol.ranges import Unsatisfiable, span
from snooppix.protocol.sending import cut, send
from snooppix.protocol.uws import Jobs
from snooppix.publisher import queries
from snooppix.publisher.acknowledgement import Acknowledgement, BadAcknowledgement
from snooppix.publisher.description import FITS, Offers, artifact_identity, content_type, uri_of
from snooppix.publisher.followers import LOCAL, Followers, comes_from_here, is_loopback
from snooppix.publisher.ledger import Ledger, entry
from snooppix.publisher.shelves import Shelves
from terapix.errors import TerapixError
from terapix.http import GUARDS, set_guards
from terapix.journal import logger
from terapix.sections import ArchiveSection

log = logger("publisher")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LARGEST_REQUEST: Final = 1 << 20
"""Bytes of a form, a transfer document or an acknowledgement."""
LEDGER_PAGE: Final = 500
"""Entries that are read at once."""
SERVICES: Final = {path: vosi.SERVICES[path] for path in ("argus", "raven", "minoc", "caom2ops")}
"""Path of each service and its identity: those that a follower's settings have from the start."""
_TRIES = 3
"""Times that a file is opened while newer generations take its place."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all handlers share."""

    database: Database
    ledger: Ledger
    offers: Offers
    shelves: Shelves
    archive: ArchiveSection
    followers: Callable[[], Followers]
    """Who may read now: the file may change while we serve."""
    jobs: Jobs
    """Queries that run by themselves."""


SITE = web.AppKey("site", Site)
FOLLOWER = web.RequestKey("follower", str)


def application(site: Site) -> web.Application:
    """Make the application."""
    app = web.Application(middlewares=[_admit], client_max_size=LARGEST_REQUEST)
    app[SITE] = site
    app[async_tap.DESK] = queries.desk(site.offers, site.jobs, base=base, owner=lambda request: request[FOLLOWER])
    app.on_shutdown.append(_ending)
    add = app.router.add_route
    add("GET", "/reg/resource-caps", _registry)
    for service in SERVICES:
        add("GET", f"/{service}/capabilities", _capabilities)
        add("GET", f"/{service}/availability", _availability)
    add("GET", "/argus{slashes:/+}tables", _tables)
    for method in ("GET", "POST"):
        add(method, "/argus{slashes:/+}sync", _query)  # astroquery asks for /argus//sync
        add(method, "/caom2ops/datalink", _links)
    for route in async_tap.routes():
        add(*route)
    for method in ("GET", "HEAD"):
        add(method, "/raven/files/{uri:.+}", _locate_file)
        add(method, "/minoc/files/{uri:.+}", _read_file)
    add("POST", "/raven/locate", _locate)
    add("POST", "/acknowledge", _acknowledge)
    add("GET", "/ledger", _ledger)
    return app


async def _ending(app: web.Application) -> None:
    app[SITE].jobs.close()


def base(request: web.Request) -> str:
    """Address under which the caller reached us; a proxy on this host says by which scheme."""
    scheme = request.headers.get("X-Forwarded-Proto", "") if is_loopback(request.remote) else ""
    return f"{scheme if scheme in {'http', 'https'} else request.scheme}://{request.host}"


@web.middleware
async def _admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let followers in, and nobody else."""
    try:
        answer = await _admitted(request, handler)
    except web.HTTPException as problem:
        set_guards(problem, GUARDS)
        raise
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception:
        log.exception("request failed", method=request.method, path=request.path)
        answer = web.Response(status=500, text="This went wrong here; the log says why.\n")
    if not answer.prepared:
        set_guards(answer, GUARDS)
    return answer


async def _admitted(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.match_info.handler in _FOR_ALL:
        return await handler(request)
    followers = request.app[SITE].followers()
    if followers:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        name = followers.named(token.strip()) if scheme.lower() == "bearer" else None
        if name is None:
            return web.Response(status=401, text="authenticate first\n", headers={"WWW-Authenticate": "Bearer"})
        request[FOLLOWER] = name
    elif comes_from_here(request.remote, request.host, forwarded="X-Forwarded-For" in request.headers):
        request[FOLLOWER] = LOCAL
    else:
        return web.Response(status=403, text="products are read on this host alone: no followers are named\n")
    return await handler(request)


async def _registry(request: web.Request) -> web.Response:
    return web.Response(text=vosi.registry(base(request), services=SERVICES, whose="TERAPIX, for its products"))


async def _capabilities(request: web.Request) -> web.Response:
    service = request.path.split("/")[1]
    return web.Response(text=vosi.capabilities(base(request), service), content_type="text/xml")


async def _availability(_: web.Request) -> web.Response:
    return web.Response(text=vosi.availability(), content_type="text/xml")


async def _tables(_: web.Request) -> web.Response:
    return web.Response(text=vosi.tables(), content_type="text/xml")


_FOR_ALL = frozenset({_registry, _capabilities, _availability, _tables})


async def _query(request: web.Request) -> web.Response:
    return await queries.sync(request, request.app[SITE].offers)


async def _links(request: web.Request) -> web.Response:
    site = request.app[SITE]

    async def on_shelf(uri: str) -> bool:
        return await _offered(site, uri) is not None

    return await queries.links(request, site.offers, base=base(request), on_shelf=on_shelf)


async def _offered(site: Site, uri: str) -> PublicationRecord | None:
    """Give what is offered under a URI and lies on a shelf."""
    name = uri.rsplit("/", 1)[-1]
    if uri != uri_of(name, collection=site.archive.collection):
        return None
    async with site.database.read() as session:
        found = await Publications().offered(session, name)
    return found if found is not None and found.path is not None else None


class Lost(TerapixError):
    """What is offered cannot be read now."""

    def __init__(self, publication: PublicationRecord, why: str) -> None:
        super().__init__(f"{publication.name} is offered and cannot be read: {why}")
        self.publication = publication


async def _opened(site: Site, uri: str) -> tuple[PublicationRecord, BinaryIO] | None:
    """Open a file together with what is known of it.

    The ledger says first that a generation gives way, and then the file does: a
    row that is the same before and after the opening belongs to what was opened.
    """
    found = await _offered(site, uri)
    for _ in range(_TRIES):
        path = site.shelves.path(found) if found is not None else None
        if found is None or path is None:
            return None
        try:
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as problem:
            raise Lost(found, str(problem)) from problem
        again = await _offered(site, uri)
        if again is not None and again.id == found.id:
            return found, file
        file.close()
        found = again
    return None


async def _locate_file(request: web.Request) -> web.StreamResponse:
    """Say where a file is: 303 to the file service for GET, 200 with its facts for HEAD."""
    site, uri = request.app[SITE], request.match_info["uri"]
    found = await _offered(site, uri)
    if found is None:
        return _not_found()
    if request.method == "HEAD":
        return await _head(request, site, found)
    address = f"{base(request)}/minoc/files/{quote(uri, safe=':/')}"
    return web.Response(status=303, headers={"Location": f"{address}?{request.query_string}".rstrip("?")})


async def _locate(request: web.Request) -> web.Response:
    """Answer a transfer negotiation: our one place, or none, which is no error."""
    try:
        wanted = read_transfer(await request.read())
    except BadTransfer as problem:
        return web.Response(status=400, text=f"{problem}\n")
    found = await _offered(request.app[SITE], wanted.uri)
    places = [f"{base(request)}/minoc/files/{quote(wanted.uri, safe=':/')}"] if found else []
    return web.Response(text=write_transfer(wanted, places), content_type="text/xml")


async def _read_file(request: web.Request) -> web.StreamResponse:
    """Give a file, a part of it, its facts (HEAD) or its headers (META=true)."""
    site = request.app[SITE]
    try:
        opened = await _opened(site, request.match_info["uri"])
    except Lost as problem:
        return await _looked_after(site, problem)
    if opened is None:
        return _not_found()
    found, file = opened
    with file:
        if request.method == "HEAD":
            return await _head(request, site, found)
        if request.query.get("META", "").lower() == "true":
            return await _meta(found, file)
        return await _body(request, site, found, file)


async def _body(request: web.Request, site: Site, found: PublicationRecord, file: BinaryIO) -> web.StreamResponse:
    size = os.fstat(file.fileno()).st_size
    if size != found.size:
        return await _looked_after(site, Lost(found, f"it has {size} bytes and {found.size} in the ledger"))
    try:
        part = span(request.headers.get("Range"), size)
    except Unsatisfiable:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{size}", "Content-Length": "0"})
    if part.whole and found.offered_at is not None and unchanged(request, found.offered_at):
        return web.Response(status=304)
    facts = _facts(site, found)
    if not part.whole:
        facts["Content-Range"] = f"bytes {part.start}-{part.start + part.count - 1}/{size}"
    answer = web.StreamResponse(status=200 if part.whole else 206, headers=facts)
    set_guards(answer, GUARDS)
    answer.content_length = part.count
    await answer.prepare(request)
    sent = await send(request, answer, file, part.start, part.count)
    await (answer.write_eof() if sent == part.count else cut(request))
    return answer


async def _looked_after(site: Site, problem: Lost) -> web.Response:
    """Answer that a file is offered and will be there again; it is laid out anew, unless its whole disk is away."""
    log.error("an offered file cannot be read", file=problem.publication.name, why=str(problem))
    if site.shelves.named(problem.publication.disk).trouble is None:
        await site.ledger.lost(problem.publication)
    return web.Response(status=503, text="this file is being looked after\n", headers={"Retry-After": "60"})


async def _meta(found: PublicationRecord, file: BinaryIO) -> web.Response:
    if content_type(found.name) != FITS:
        return web.Response(status=400, text=f"not a fits file: {found.name}\n")
    text = await asyncio.to_thread(header_text, Path(f"/proc/self/fd/{file.fileno()}"))
    disposition = {"Content-Disposition": f'inline; filename="{found.name}.txt"'}
    return web.Response(text=text, content_type="text/plain", headers=disposition)


async def _head(request: web.Request, site: Site, found: PublicationRecord) -> web.StreamResponse:
    answer = web.StreamResponse(headers=_facts(site, found))
    set_guards(answer, GUARDS)
    answer.content_length = found.size
    await answer.prepare(request)
    await answer.write_eof()
    return answer


def _facts(site: Site, found: PublicationRecord) -> dict[str, str]:
    return facts_of(
        found.name,
        identity=artifact_identity(found.name, found.wire_digest, collection=site.archive.collection),
        md5=(found.wire_digest or "").rpartition(":")[2],
        modified=found.offered_at or found.registered_at,
        content_type=content_type(found.name),
    )


def _not_found() -> web.Response:
    return web.Response(status=404, text="not found\n")


async def _acknowledge(request: web.Request) -> web.Response:
    """Take what a follower holds: 200 if it is ours, 409 for another generation, 422 if it is something else."""
    if request.content_type != "application/json":
        return _json({"outcome": "bad", "reason": "application/json was expected"}, status=415)
    if "Origin" in request.headers:
        return _json({"outcome": "bad", "reason": "a page of another site acknowledges nothing"}, status=403)
    site = request.app[SITE]
    if not site.followers().may_acknowledge(request[FOLLOWER]):
        return _json({"outcome": "bad", "reason": f"{request[FOLLOWER]} reads, and acknowledges nothing"}, status=403)
    try:
        told = Acknowledgement.read(await request.read())
    except BadAcknowledgement as problem:
        return _json({"outcome": "bad", "reason": str(problem)}, status=400)
    judgement = await site.ledger.judge(told, by=request[FOLLOWER])
    return _json(
        {"outcome": judgement.outcome.name.lower(), "reason": judgement.sentence}, status=judgement.outcome.value
    )


async def _ledger(request: web.Request) -> web.StreamResponse:
    """Give the ledger, one JSON object a line, by name and generation."""
    answer = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
    set_guards(answer, GUARDS)
    await answer.prepare(request)
    behind = ("", 0)
    while True:
        async with request.app[SITE].database.read() as session:
            rows = await Publications().ledger(session, behind=behind, limit=LEDGER_PAGE)
            receipts = await Receipts().of(session, [row.id for row in rows])
        if not rows:
            await answer.write_eof()
            return answer
        behind = (rows[-1].name, rows[-1].generation)
        told = [entry(row, receipts[row.id], follower=request[FOLLOWER]) for row in rows]
        await answer.write("".join(f"{json.dumps(line)}\n" for line in told).encode())


def _json(value: dict[str, Any], *, status: int) -> web.Response:
    return web.json_response(value, status=status)
