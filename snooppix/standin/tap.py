"""The query service: TAP, synchronous, by GET and POST."""

import asyncio

from aiohttp import web

from snooppix.standin.adql import BadQuery
from snooppix.standin.catalogue import Answer
from snooppix.standin.faults import DuplicateRows, QueryError
from snooppix.standin.site import SITE
from snooppix.standin.votable import MEDIA, error, separated, votable

LANGUAGES = {"ADQL", "ADQL-2.0", "ADQL-2.1"}


async def sync(request: web.Request) -> web.Response:
    """Answer a query. Parameters are taken from the address and from the form, whatever their case."""
    site = request.app[SITE]
    given = {key.upper(): text for key, text in request.query.items()}
    if request.method == "POST":
        form = await request.post()
        given |= {key.upper(): text for key, text in form.items() if isinstance(text, str)}
    if fault := site.faults.take(QueryError, ""):
        return _xml(error(fault.message), 200)
    try:
        media, most = _checked(given)
        query = given["QUERY"]
        answer = await asyncio.to_thread(site.catalogue.query, query, most=most, visible_at=site.visible_at(request))
    except BadQuery as problem:
        return _xml(error(str(problem)), 400)
    if site.faults.take(DuplicateRows, ""):
        answer = Answer(answer.columns, [row for row in answer.rows for _ in range(2)], answer.overflow)
    return web.Response(body=await asyncio.to_thread(_written, answer, media, query), content_type=media)


def _checked(given: dict[str, str]) -> tuple[str, int | None]:
    if given.get("REQUEST", "doQuery") != "doQuery":
        raise BadQuery(f"REQUEST={given['REQUEST']} is not known here, only doQuery")
    if given.get("LANG", "ADQL").upper() not in LANGUAGES:
        raise BadQuery(f"LANG={given['LANG']} is not known here, only {', '.join(sorted(LANGUAGES))}")
    if "QUERY" not in given:
        raise BadQuery("there is no QUERY")
    name = given.get("RESPONSEFORMAT") or given.get("FORMAT") or "votable"
    media = MEDIA.get(name.lower().replace(" ", ""))
    if media is None:
        raise BadQuery(f"RESPONSEFORMAT={name} is not known here, only {', '.join(MEDIA)}")
    most = given.get("MAXREC", "")
    if most and not most.isdecimal():
        raise BadQuery(f"MAXREC={most} is no number of rows")
    return media, int(most) if most else None


def _written(answer: Answer, media: str, query: str) -> bytes:
    if media == "text/csv":
        return separated(answer, ",").encode()
    if media == "text/tab-separated-values":
        return separated(answer, "\t").encode()
    return votable(answer, query=query).encode()


def _xml(text: str, status: int) -> web.Response:
    return web.Response(text=text, status=status, content_type="application/x-votable+xml")
