"""``/statistics``: what came, what is held and what was made of it, as a table, drawn, as CSV and as JSON."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping
from pydantic_core import to_jsonable_python

from dbclient.stores import Events
from spica.statistics import By, Row, as_csv, gather
from spica.web import charts
from spica.web.console import Console, console_of, render
from spica.web.gate import Access, access

SHOWN = 100
"""Rows of a page of the table; CSV and JSON have all."""
DAYS = timedelta(days=1000)
"""Days back from the last one that the table by day goes, if no first day is asked for."""
DRAWN = 92
"""Days of the chart at the most, the last ones."""
MONTH = 31
"""Days of the chart if no day is asked for."""
LINKS = {By.RUN: "run", By.FILTER: "filter", By.NODE: "node"}
"""Which of the filters of ``/frames`` a row leads to."""

EARLIEST = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What statistics are asked for."""

    by: By = By.RUN
    since: date | None = None
    until: date | None = None

    @classmethod
    def of(cls, query: MultiMapping[str]) -> Self:
        """Read the query of an address.

        Raises
        ------
        aiohttp.web.HTTPBadRequest
            With the parameter and the value that make no sense.
        """
        since, until = _day(query, "since"), _day(query, "until")
        if since and until and until < since:
            raise web.HTTPBadRequest(text=f"until={until} makes no sense here: it lies before since={since}.")
        return cls(_by(query.get("by", "")), since, until)

    def address(self, path: str) -> str:
        """Give the address at which the same is answered by another page."""
        query = {"by": self.by.value, "since": self.since, "until": self.until}
        return f"{path}?{urlencode({key: value for key, value in query.items() if value})}"


def _by(said: str) -> By:
    try:
        return By(said) if said else By.RUN
    except ValueError:
        raise web.HTTPBadRequest(
            text=f"by={said[:20]!r} makes no sense here: one of {', '.join(By)} was expected."
        ) from None


def _day(query: MultiMapping[str], key: str) -> date | None:
    said = query.get(key, "")
    if not said:
        return None
    try:
        day = date.fromisoformat(said)
    except ValueError:
        day = date.min
    if day < EARLIEST:
        raise web.HTTPBadRequest(text=f"{key}={said[:20]!r} makes no sense here: a day was expected, as 2008-03-30.")
    return day


def _page(query: MultiMapping[str], *, rows: int) -> int:
    """Give the page of the table that is asked for, or the last one."""
    said = query.get("page", "1")
    if not said.isdecimal() or not 0 < len(said) < 7:
        raise web.HTTPBadRequest(text=f"page={said[:20]!r} makes no sense here: a number from 1 was expected.")
    return min(max(1, int(said)), max(1, -(-rows // SHOWN)))


@access(Access.READER)
async def statistics(request: web.Request) -> web.Response:
    """``/statistics``"""
    console, asked = console_of(request), Asked.of(request.query)
    now = console.now()
    last = min(asked.until or now.date(), now.date())
    short = asked.by is By.DAY and asked.since is None
    found = await _rows(console, Asked(By.DAY, last - DAYS, asked.until) if short else asked, asked.by)
    page = _page(request.query, rows=len(found))
    bands = found if asked.by is By.FILTER else await _rows(console, asked, By.FILTER)
    return render(
        request,
        "statistics.html",
        asked=asked,
        choices=list(By),
        rows=found[SHOWN * (page - 1) : SHOWN * page],
        known=len(found),
        short=DAYS.days if short else None,
        earlier=f"{asked.address('/statistics')}&page={page - 1}" if page > 1 else None,
        following=f"{asked.address('/statistics')}&page={page + 1}" if len(found) > SHOWN * page else None,
        bands=bands,
        longest=max((row.exposure for row in bands), default=0.0),
        flow=await _flow(console, asked, last),
        drawn_until=min(now, charts.days(now, 1)[0] + timedelta(days=(last - now.date()).days + 1)),
        link=LINKS.get(asked.by),
        table=asked.address("/statistics.csv"),
        document=asked.address("/api/v1/statistics"),
    )


@access(Access.READER)
async def as_table(request: web.Request) -> web.Response:
    """``/statistics.csv``"""
    asked = Asked.of(request.query)
    found = await _rows(console_of(request), asked, asked.by)
    named = {"Content-Disposition": f'attachment; filename="statistics-by-{asked.by}.csv"'}
    return web.Response(text=as_csv(found), content_type="text/csv", charset="utf-8", headers=named)


@access(Access.READER)
async def as_document(request: web.Request) -> web.Response:
    """``/api/v1/statistics``"""
    asked = Asked.of(request.query)
    found = await _rows(console_of(request), asked, asked.by)
    return web.json_response(to_jsonable_python({"by": asked.by, "statistics": found}))


async def _rows(console: Console, asked: Asked, by: By, *, what: str = "statistics") -> list[Row]:
    """Give the rows; they are kept for a while, for all frames are read for them."""

    async def make() -> list[Row]:
        async with console.database.read() as session:
            return await gather(session, by, since=asked.since, until=asked.until, now=console.now())

    async with console.database.read() as session:
        newest = await Events().newest_id(session)
    return await console.kept.get(f"{what} by {by}", (newest, asked.since, asked.until), make)


async def _flow(console: Console, asked: Asked, last: date) -> charts.Chart:
    """Draw what was received a day, up to the last day that is asked for: the same files as in the table."""
    now = console.now()
    count = min(DRAWN, max(1, (last - asked.since).days + 1)) if asked.since else MONTH
    begins = charts.days(now - timedelta(days=(now.date() - last).days), count)
    drawn = Asked(By.DAY, begins[0].date(), last)
    values = {
        datetime.combine(date.fromisoformat(row.name), time(), UTC): (float(row.received_bytes), row.received)
        for row in await _rows(console, drawn, By.DAY, what="flow")
        if row.known
    }
    return charts.over_time(values, begins=begins, marks=min(5, count))
