"""PUT at the storage site: a file at once, or segment by segment in a transaction, as minoc takes it."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from snooppix.protocol.facts import digest_header
from snooppix.standin.access import Verdict
from snooppix.standin.kinds import PutCut, PutDamaged, PutLost
from snooppix.standin.site import SITE, Site, refuse
from snooppix.standin.uploads import NotTaken, Segment, Upload
from terapix.errors import TerapixError
from terapix.identity import Digest

ID, OPERATION, TOTAL = "x-put-txn-id", "x-put-txn-op", "x-total-length"
SMALLEST, LARGEST = "x-put-segment-minbytes", "x-put-segment-maxbytes"
BLOCK = 1 << 18
"""Bytes taken at once."""


async def put_file(request: web.Request) -> web.StreamResponse:
    """Store a file (201), or do a step of a transaction: start or append (202), commit (201)."""
    return await _writing(request, _put)


async def change_file(request: web.Request) -> web.StreamResponse:
    """Revert the last segment of a transaction, or abort it."""
    return await _writing(request, _change)


async def delete_file(request: web.Request) -> web.StreamResponse:
    """Take a file away, or abort a transaction: 204."""
    return await _writing(request, _delete)


async def tell_upload(request: web.Request) -> web.StreamResponse:
    """Tell how far a transaction is: Content-Length and Digest of what has come."""
    return await _writing(request, _tell)


async def _writing(
    request: web.Request, step: Callable[[web.Request, Site], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    site = request.app[SITE]
    ticket = request.match_info.get("ticket")
    said = site.tickets.read(ticket) if ticket is not None else ()
    authorised = said[:1] == ("put",) and said[2] == request.match_info["uri"]
    if not authorised and (verdict := site.may_write(request)) is not Verdict.ALLOWED:
        return refuse(request, verdict, why="you may not write here")
    try:
        return await step(request, site)
    except NotTaken as problem:
        return web.Response(status=problem.status, text=f"{problem}\n")


async def _put(request: web.Request, site: Site) -> web.StreamResponse:
    uri, operation = request.match_info["uri"], request.headers.get(OPERATION, "").lower()
    number = request.headers.get(ID, "")
    if operation not in {"", "start", "commit"}:
        raise NotTaken(400, f"{OPERATION}: {operation} is no operation of PUT, only start and commit")
    if number and operation != "start":
        upload = site.uploads.find(number, uri)
        if site.faults.take(PutLost, upload.name):
            site.uploads.abort(upload)
            raise NotTaken(404, f"no transaction {number} for {uri}")
        if operation == "commit":
            return await _commit(site, upload)
        await _take(request, site, upload)
        return _state(site, upload)
    if operation == "commit":
        raise NotTaken(400, f"a commit needs {ID}")
    upload = site.uploads.start(uri, total=_total(request, operation), digest=_wanted(request))
    try:
        if operation != "start" or request.content_length != 0:
            await _take(request, site, upload)
        return _state(site, upload) if operation == "start" else await _commit(site, upload)
    except BaseException:
        site.uploads.abort(upload)
        raise


async def _change(request: web.Request, site: Site) -> web.StreamResponse:
    operation = request.headers.get(OPERATION, "").lower()
    upload = site.uploads.find(request.headers.get(ID, ""), request.match_info["uri"])
    if operation == "revert":
        site.uploads.undo(upload)
        return _state(site, upload)
    if operation == "abort":
        site.uploads.abort(upload)
        return web.Response(status=204)
    raise NotTaken(400, f"{OPERATION}: {operation or 'nothing'} is no operation of POST, only revert and abort")


async def _delete(request: web.Request, site: Site) -> web.StreamResponse:
    uri = request.match_info["uri"]
    if number := request.headers.get(ID, ""):
        site.uploads.abort(site.uploads.find(number, uri))
        return web.Response(status=204)
    file = await site.find(uri)
    if file is None:
        raise NotTaken(404, f"not found: {uri}")
    file.path.unlink(missing_ok=True)
    await asyncio.to_thread(site.catalogue.refresh)
    return web.Response(status=204)


async def _tell(request: web.Request, site: Site) -> web.StreamResponse:
    upload = site.uploads.find(request.headers.get(ID, ""), request.match_info["uri"])
    answer = web.StreamResponse(status=202, headers=_facts(site, upload))
    answer.content_length = upload.size
    await answer.prepare(request)
    await answer.write_eof()
    return answer


async def _take(request: web.Request, site: Site, upload: Upload) -> None:
    """Append the body of a request; a body that breaks off leaves the transaction as it was."""
    site.uploads.expect(upload, request.content_length)
    cut = site.faults.take(PutCut, upload.name)
    damaged = site.faults.take(PutDamaged, upload.name)
    came = 0
    with Segment(upload, damage=_damage(damaged.byte, upload.size) if damaged else None) as segment:
        async for block in request.content.iter_chunked(BLOCK):
            came += len(block)
            if cut is not None and came > cut.after:
                if request.transport is not None:
                    request.transport.close()
                raise NotTaken(500, "the connection was cut on order")
            if came > site.uploads.largest:
                raise NotTaken(413, f"a segment has {site.uploads.largest} bytes at most")
            segment.write(block)


def _damage(byte: int, start: int) -> Callable[[bytes, int], bytes]:
    def damage(block: bytes, place: int) -> bytes:
        at = start + byte - place
        return block[:at] + bytes([block[at] ^ 0xFF]) + block[at + 1 :] if 0 <= at < len(block) else block

    return damage


async def _commit(site: Site, upload: Upload) -> web.Response:
    site.uploads.commit(upload)
    await asyncio.to_thread(site.catalogue.refresh)
    return web.Response(status=201, headers={"Digest": digest_header(upload.hasher.digest())})


def _state(site: Site, upload: Upload) -> web.Response:
    return web.Response(status=202, headers=_facts(site, upload))


def _facts(site: Site, upload: Upload) -> dict[str, str]:
    facts = {ID: upload.id, SMALLEST: str(site.uploads.smallest), LARGEST: str(site.uploads.largest)}
    if upload.size:
        facts["Digest"] = digest_header(upload.hasher.digest())
    return facts


def _total(request: web.Request, operation: str) -> int | None:
    text = request.headers.get(TOTAL, "")
    if text.isdecimal():
        return int(text)
    return None if operation == "start" else request.content_length


def _wanted(request: web.Request) -> str:
    """Read the MD5 that the caller announces; empty if it does not."""
    text = request.headers.get("Digest", "")
    if not text:
        return ""
    try:
        found = Digest.of_header(text)
    except (TerapixError, ValueError) as problem:
        raise NotTaken(400, f"Digest: {text}: {problem}") from problem
    return found.hexadecimal if found is not None else ""
