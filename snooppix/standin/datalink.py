"""The links service: which files a plane has, where they are, and whether this caller may read them."""

import asyncio
from typing import Any
from urllib.parse import quote

from aiohttp import web

from snooppix.protocol.schema import Column
from snooppix.protocol.tables import Answer
from snooppix.protocol.votable import error, votable
from snooppix.standin.access import Verdict
from snooppix.standin.site import SITE, base

MEDIA = "application/x-votable+xml;content=datalink"
SEMANTICS = {"science": "#this", "calibration": "#this", "preview": "#preview", "thumbnail": "#thumbnail"}
"""What a file is to its plane, by product type; anything else is auxiliary."""

COLUMNS = (
    Column("ID", "char"),
    Column("access_url", "char"),
    Column("service_def", "char"),
    Column("error_message", "char"),
    Column("semantics", "char"),
    Column("description", "char"),
    Column("content_type", "char"),
    Column("content_length", "long", unit="byte"),
    Column("link_auth", "char"),
    Column("link_authorized", "char"),
)


async def links(request: web.Request) -> web.Response:
    """Answer with a row for each file of each plane that is asked for by its publisherID."""
    given = list(request.query.items())
    if request.method == "POST":
        given += [(key, text) for key, text in (await request.post()).items() if isinstance(text, str)]
    identities = [text for key, text in given if key.upper() == "ID"]
    if not identities:
        return web.Response(status=400, text=error("there is no ID"), content_type="application/x-votable+xml")
    rows = [row for identity in identities for row in await _rows(request, identity)]
    return web.Response(body=votable(Answer(COLUMNS, rows, overflow=False)).encode(), headers={"Content-Type": MEDIA})


async def _rows(request: web.Request, identity: str) -> list[tuple[Any, ...]]:
    site = request.app[SITE]
    quoted = identity.replace("'", "''")
    found = await asyncio.to_thread(
        site.catalogue.query,
        "SELECT a.uri, a.productType, a.contentType, a.contentLength FROM caom2.Plane p "  # noqa: S608 - read only, quoted
        f"JOIN caom2.Artifact a ON p.planeID = a.planeID WHERE p.publisherID = '{quoted}' ORDER BY a.uri",
        most=None,
        visible_at=site.visible_at(request),
    )
    if not found.rows:
        missing = f"NotFoundFault: {identity}"
        return [(identity, None, None, missing, "#this", None, None, None, None, None)]
    return [await _row(request, identity, *row) for row in found.rows]


async def _row(
    request: web.Request, identity: str, uri: str, product: str, content_type: str, length: int
) -> tuple[Any, ...]:
    site = request.app[SITE]
    address = f"{base(request)}/raven/files/{quote(uri, safe=':/')}"
    file = await site.find(uri)
    allowed = file is not None and site.judge(request, file) is Verdict.ALLOWED
    described = (SEMANTICS.get(product, "#auxiliary"), None, content_type, length)
    return (identity, address, None, None, *described, "optional", str(allowed).lower())
