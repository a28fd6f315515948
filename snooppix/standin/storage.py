"""The locator (raven) and the storage site (minoc), with the quirks of the real ones."""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from urllib.parse import quote
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from aiohttp import web
from defusedxml import DefusedXmlException

from snooppix.standin.cards import headers
from snooppix.standin.delivery import deliver
from snooppix.standin.faults import HexDigest, Kind, Missing, NoDigest, Unlocated, WholeForRange, WrongDigest
from snooppix.standin.inventory import StoredFile
from snooppix.standin.site import SITE, Verdict, base, refuse
from snooppix.standin.votable import xml
from terapix.errors import TerapixError

VOSPACE = "http://www.ivoa.net/xml/VOSpace/v2.0"
GET = "ivo://ivoa.net/vospace/core#httpsget"
PLAIN_GET = "ivo://ivoa.net/vospace/core#httpget"
CUTOUTS = {"SUB", "CIRCLE", "POLYGON", "POS", "BAND", "TIME", "POL"}
"""Parameters that ask for a part of a file, which the stand-in does not cut."""
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file that are asked for."""

    start: int
    count: int
    whole: bool


class Unsatisfiable(TerapixError):
    """A range that begins behind the end of the file."""


def span(header: str | None, size: int) -> Span:
    """Read a Range header as minoc does, which is not as the standard says.

    Several ranges, another unit, numbers that are none, or an end before the
    start give the whole file without a word; ``bytes=-500`` means 0 to 500.

    Raises
    ------
    Unsatisfiable
        The start lies at the end of the file or behind it.
    """
    whole = Span(0, size, whole=True)
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[0] == "bytes=-":
        return whole
    start = int(found[1] or 0)
    end = int(found[2]) if found[2] else size - 1
    if start >= size:
        raise Unsatisfiable
    if end < start:
        return whole
    return Span(start, min(end, size - 1) - start + 1, whole=False)


async def locate_file(request: web.Request) -> web.StreamResponse:
    """Say where a file is: 303 to the site for GET, 200 with its facts for HEAD."""
    uri = request.match_info["uri"]
    file = await _found(request, uri)
    if isinstance(file, web.Response):
        return file
    if request.method == "HEAD":
        return await _head(request, file)
    address = f"{base(request)}/minoc/files/{quote(uri, safe=':/')}"
    if request.query_string:
        address += f"?{request.query_string}"
    return web.Response(status=303, headers={"Location": address})


async def locate(request: web.Request) -> web.Response:
    """Answer a transfer negotiation: every place a file can be read from, or none, which is no error."""
    site = request.app[SITE]
    try:
        document: Element = defusedxml.ElementTree.fromstring(await request.read())
    except (ParseError, DefusedXmlException, ValueError) as error:
        return web.Response(status=400, text=f"invalid transfer document: {error}\n")
    space = document.tag.partition("}")[0].strip("{")
    uri = (document.findtext(f"{{{space}}}target") or "").strip()
    direction = (document.findtext(f"{{{space}}}direction") or "").strip()
    asked = [item.get("uri", "") for item in document.findall(f"{{{space}}}protocol")]
    if not uri or not direction:
        return web.Response(status=400, text="invalid transfer document: target and direction are needed\n")
    if direction != "pullFromVoSpace":
        return web.Response(status=400, text=f"direction {direction} is not offered here\n")
    file = await site.find(uri)
    if file is not None and (verdict := site.judge(request, file)) is not Verdict.ALLOWED:
        return refuse(request, verdict)
    name = file.name if file else uri.rsplit("/", 1)[-1]
    if file is None or site.faults.take(Unlocated, name) or site.faults.take(Missing, name):
        asked = []
    address = xml(f"{base(request)}/minoc/files/{quote(uri, safe=':/')}")
    places = "".join(
        f'<vos:protocol uri="{xml(item)}"><vos:endpoint>{address}</vos:endpoint></vos:protocol>'
        for item in dict.fromkeys(asked)
        if item in {GET, PLAIN_GET}
    )
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<vos:transfer xmlns:vos="{VOSPACE}" version="2.1">'
        f"<vos:target>{xml(uri)}</vos:target><vos:direction>{direction}</vos:direction>{places}</vos:transfer>\n"
    )
    return web.Response(text=text, content_type="text/xml")


async def read_file(request: web.Request) -> web.StreamResponse:
    """Give a file, a part of it, its facts (HEAD) or its headers (META=true)."""
    site = request.app[SITE]
    file = await _found(request, request.match_info["uri"])
    if isinstance(file, web.Response):
        return file
    if request.method == "HEAD":
        return await _head(request, file)
    asked = {key.upper(): text for key, text in request.query.items()}
    if cuts := CUTOUTS & asked.keys():
        return web.Response(status=400, text=f"{', '.join(sorted(cuts))}: no cutouts from the stand-in\n")
    if asked.get("META", "").lower() == "true":
        return _headers_of(file)
    wanted = None if site.faults.take(WholeForRange, file.name) else request.headers.get("Range")
    try:
        part = span(wanted, file.size)
    except Unsatisfiable:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{file.size}", "Content-Length": "0"})
    if part.whole and _unchanged(request, file):
        return web.Response(status=304)
    facts = _facts(request, file, count=True)
    if not part.whole:
        facts["Content-Range"] = f"bytes {part.start}-{part.start + part.count - 1}/{file.size}"
    return await deliver(request, file, facts, start=part.start, count=part.count, whole=part.whole)


async def _found(request: web.Request, uri: str) -> StoredFile | web.Response:
    site = request.app[SITE]
    file = await site.find(uri)
    if file is None or site.faults.take(Missing, file.name):
        return web.Response(status=404, text=f"not found: {uri}\n")
    verdict = site.judge(request, file)
    return file if verdict is Verdict.ALLOWED else refuse(request, verdict)


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
        return (faults.take if count else faults.peek)(kind, file.name) is not None

    digest = bytes.fromhex(file.md5)
    if strikes(WrongDigest):
        digest = bytes(byte ^ 0xFF for byte in digest)
    if strikes(HexDigest):
        digest = digest.hex().encode()
    facts = {
        "x-artifact-id": file.identity,
        "Digest": f"md5={base64.b64encode(digest).decode()}",
        "Last-Modified": format_datetime(file.modified.astimezone(UTC), usegmt=True),
        "Content-Type": file.content_type,
        "Content-Disposition": f'inline; filename="{file.name}"',
        "Accept-Ranges": "bytes",
    }
    if strikes(NoDigest):
        del facts["Digest"]
    return facts


def _headers_of(file: StoredFile) -> web.Response:
    """Headers of all HDUs as they are stored, a card a line."""
    if file.content_type != "application/fits":
        return web.Response(status=400, text=f"not a fits file: {file.uri}\n")
    lines = [card for cards in headers(file.path) for card in cards]
    disposition = {"Content-Disposition": f'inline; filename="{file.name}.txt"'}
    return web.Response(text="\n".join([*lines, ""]), content_type="text/plain", headers=disposition)


def _unchanged(request: web.Request, file: StoredFile) -> bool:
    given = request.headers.get("If-Modified-Since")
    if not given:
        return False
    try:
        since = parsedate_to_datetime(given)
    except ValueError:
        return False
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return file.modified.replace(microsecond=0) <= since.astimezone(UTC) <= datetime.max.replace(tzinfo=UTC)
