"""The links service: which files a plane has, where they are, and whether this caller may read them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from snooppix.protocol.schema import Column
from snooppix.protocol.tables import Answer, Tables
from snooppix.protocol.votable import error, votable

MEDIA: Final = "application/x-votable+xml;content=datalink"
SEMANTICS: Final = {"science": "#this", "calibration": "#this", "preview": "#preview", "thumbnail": "#thumbnail"}
"""What a file is to its plane, by product type; anything else is auxiliary."""
MOST: Final = 500
"""Planes that can be asked for at once."""

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
    Column("link_authorized", "boolean"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What the archive whose links these are knows of its files."""

    tables: Tables
    base: str
    """Address under which the caller reached us."""
    visible_at: str | None
    """Time at which descriptions must be public for this caller; none: the caller sees all."""
    may_read: Callable[[str], Awaitable[bool]]
    """Tells whether this caller may read the file of a URI now."""


async def links(request: web.Request, known: Described) -> web.Response:
    """Answer with a row for each file of each plane that is asked for by its publisherID."""
    given = list(request.query.items())
    if request.method == "POST":
        given += [(key, text) for key, text in (await request.post()).items() if isinstance(text, str)]
    identities = [text for key, text in given if key.upper() == "ID"]
    if not identities or len(identities) > MOST:
        said = f"{len(identities)} IDs at once are too many: at most {MOST}" if identities else "there is no ID"
        return web.Response(status=400, text=error(said), content_type="application/x-votable+xml")
    rows = [row for identity in identities for row in await _rows(known, identity)]
    return web.Response(body=votable(Answer(COLUMNS, rows, overflow=False)).encode(), headers={"Content-Type": MEDIA})


async def _rows(known: Described, identity: str) -> list[tuple[Any, ...]]:
    quoted = identity.replace("'", "''")
    found = await asyncio.to_thread(
        known.tables.query,
        "SELECT a.uri, a.productType, a.contentType, a.contentLength FROM caom2.Plane p "  # noqa: S608 - read only, quoted
        f"JOIN caom2.Artifact a ON p.planeID = a.planeID WHERE p.publisherID = '{quoted}' ORDER BY a.uri",
        most=None,
        visible_at=known.visible_at,
    )
    if not found.rows:
        missing = f"NotFoundFault: {identity}"
        return [(identity, None, None, missing, "#this", None, None, None, None, None)]
    return [await _row(known, identity, *row) for row in found.rows]


async def _row(
    known: Described, identity: str, uri: str, product: str, content_type: str, length: int
) -> tuple[Any, ...]:
    address = f"{known.base}/raven/files/{quote(uri, safe=':/')}"
    described = (SEMANTICS.get(product, "#auxiliary"), None, content_type, length)
    return (identity, address, None, None, *described, "optional", str(await known.may_read(uri)).lower())
