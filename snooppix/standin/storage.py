"""The locator (raven) and the storage site (minoc), with the quirks of the real ones."""

import asyncio

from aiohttp import web

from snooppix.protocol.facts import digest_header, facts_of, header_text, unchanged
from snooppix.protocol.negotiation import PULL, PUSH, BadTransfer, read_transfer, write_transfer
from snooppix.protocol.ranges import Unsatisfiable, span
from snooppix.standin.access import Verdict
from snooppix.standin.delivery import deliver
from snooppix.standin.faults import Kind
from snooppix.standin.inventory import StoredFile
from snooppix.standin.kinds import (
    Expired,
    HexDigest,
    Missing,
    NoDigest,
    Renewed,
    Unlocated,
    WholeForRange,
    WrongDigest,
    WrongRange,
)
from snooppix.standin.putting import ID, tell_upload
from snooppix.standin.site import SITE, Site, refuse, service_of

CUTOUTS = {"SUB", "CIRCLE", "POLYGON", "POS", "BAND", "TIME", "POL"}
"""Parameters that ask for a part of a file, which the stand-in does not cut."""


async def locate_file(request: web.Request) -> web.StreamResponse:
    """Say where a file is: 303 to the site for GET, 200 with its facts for HEAD."""
    site, uri = request.app[SITE], request.match_info["uri"]
    file = await _found(request, uri)
    if isinstance(file, web.Response):
        return file
    if request.method == "HEAD":
        return await _head(request, file)
    address = site.addresses(request, uri)[0]
    if request.query_string:
        address += f"?{request.query_string}"
    return web.Response(status=303, headers={"Location": address})


async def locate(request: web.Request) -> web.Response:
    """Answer a transfer negotiation: every place a file can be read from, or none, which is no error."""
    site = request.app[SITE]
    try:
        wanted = read_transfer(await request.read(), directions=(PULL, PUSH))
    except BadTransfer as problem:
        return web.Response(status=400, text=f"{problem}\n")
    uri, asked = wanted.uri, wanted.protocols
    if wanted.direction == PUSH:  # who may not write is given no place, and no error either
        allowed = site.may_write(request) is Verdict.ALLOWED
        places = site.addresses(request, uri, verb="put")[:1] if asked and allowed else []
        return web.Response(text=write_transfer(wanted, places), content_type="text/xml")
    file = await site.find(uri)
    if file is not None and (verdict := site.judge(request, file)) is not Verdict.ALLOWED:
        return refuse(request, verdict)
    name = file.name if file else uri.rsplit("/", 1)[-1]
    if file is None or site.faults.take(Unlocated, name, at="raven") or site.faults.take(Missing, name, at="raven"):
        asked = ()
    places = site.addresses(request, uri) if asked else []
    return web.Response(text=write_transfer(wanted, places), content_type="text/xml")


async def read_file(request: web.Request) -> web.StreamResponse:
    """Give a file, a part of it, its facts (HEAD) or its headers (META=true)."""
    site = request.app[SITE]
    if request.method == "HEAD" and ID in request.headers:
        return await tell_upload(request)
    file = await _found(request, request.match_info["uri"])
    if isinstance(file, web.Response):
        return file
    return await give(request, site, file)


async def give(request: web.Request, site: Site, file: StoredFile) -> web.StreamResponse:
    """Give a file to a caller who may have it."""
    if request.method == "HEAD":
        return await _head(request, file)
    asked = {key.upper(): text for key, text in request.query.items()}
    if cuts := CUTOUTS & asked.keys():
        return web.Response(status=400, text=f"{', '.join(sorted(cuts))}: no cutouts from the stand-in\n")
    if asked.get("META", "").lower() == "true":
        return _headers_of(file)
    wanted = (
        None if site.faults.take(WholeForRange, file.name, at=service_of(request)) else request.headers.get("Range")
    )
    try:
        part = span(wanted, file.size)
    except Unsatisfiable:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{file.size}", "Content-Length": "0"})
    if part.whole and unchanged(request, file.modified):
        return web.Response(status=304)
    facts = _facts(request, file, count=True)
    if not part.whole:
        wrong = site.faults.take(WrongRange, file.name, at=service_of(request))
        start = part.start + (wrong.shift if wrong else 0)
        total = wrong.total if wrong and wrong.total >= 0 else file.size
        facts["Content-Range"] = f"bytes {start}-{start + part.count - 1}/{total}"
    return await deliver(request, file, facts, start=part.start, count=part.count, whole=part.whole)


async def _found(request: web.Request, uri: str) -> StoredFile | web.Response:
    site, at = request.app[SITE], service_of(request)
    ticket = request.match_info.get("ticket")
    if ticket is not None and not _good(site, ticket, uri):
        return refuse(request, Verdict.UNKNOWN)
    file = await site.find(uri)
    if file is None or site.faults.take(Missing, file.name, at=at):
        return web.Response(status=404, text=f"not found: {uri}\n")
    if at != "raven":
        if expired := site.faults.take(Expired, file.name, at=at):
            site.tickets.revoke(ticket or "")
            return refuse(request, Verdict.UNKNOWN if expired.status == 401 else Verdict.FORBIDDEN)
        if request.method == "GET" and site.faults.expects(Renewed) and await asyncio.to_thread(site.renew, file):
            file = await site.find(uri) or file
    verdict = Verdict.ALLOWED if ticket is not None else site.judge(request, file)
    return file if verdict is Verdict.ALLOWED else refuse(request, verdict)


def _good(site: Site, ticket: str, uri: str) -> bool:
    said = site.tickets.read(ticket)
    return said[:1] == ("get",) and said[2] == uri


async def _head(request: web.Request, file: StoredFile) -> web.StreamResponse:
    answer = web.StreamResponse(headers=_facts(request, file, count=False))
    answer.content_length = file.size
    await answer.prepare(request)
    await answer.write_eof()
    return answer


def _facts(request: web.Request, file: StoredFile, *, count: bool) -> dict[str, str]:
    """Headers of a file; faults of the digest are counted for GET only."""
    faults = request.app[SITE].faults

    def strikes(kind: type[Kind]) -> bool:
        return (faults.take if count else faults.peek)(kind, file.name, at=service_of(request)) is not None

    facts = facts_of(
        file.name, identity=file.identity, md5=file.md5, modified=file.modified, content_type=file.content_type
    )
    digest = bytes.fromhex(file.md5)
    if strikes(WrongDigest):
        digest = bytes(byte ^ 0xFF for byte in digest)
    if strikes(HexDigest):
        digest = digest.hex().encode()
    facts["Digest"] = digest_header(digest)
    if strikes(NoDigest):
        del facts["Digest"]
    return facts


def _headers_of(file: StoredFile) -> web.Response:
    """Headers of all HDUs as they are stored, a card a line."""
    if file.content_type != "application/fits":
        return web.Response(status=400, text=f"not a fits file: {file.uri}\n")
    disposition = {"Content-Disposition": f'inline; filename="{file.name}.txt"'}
    return web.Response(text=header_text(file.path), content_type="text/plain", headers=disposition)
