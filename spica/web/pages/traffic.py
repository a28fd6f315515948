"""``/transfer/history``, ``/flow`` and ``/filters``: what moved and when, what was received, which filters are used."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping
from pydantic_core import to_jsonable_python
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import TransferRecord
from dbclient.schema import TransferKind, TransferMode, TransferState
from dbclient.stores import Events, Exchange, Grouping, Nodes, Statistics, Traffic
from dbclient.stores.traffic import Wanted, seconds_of
from spica.statistics import By, gather, harmless
from spica.web import charts
from spica.web.console import Console, console_of, render
from spica.web.gate import Access, access

PAGE: Final = 100
"""Transfers on a page."""
MOST: Final = 10_000
"""Transfers of one CSV or JSON."""
SHOWN: Final = 30
"""Runs of which the filters are shown, the last ones in their order."""
HOURS, DAYS, MONTHS = 24, 31, 24
"""Steps of the charts."""
OVER: Final = (TransferState.DONE, TransferState.FAILED)
COLUMNS: Final = ("frame", "kind", "source", "node", "mode", "state", "reason", "bytes_total", "bytes_done", "seconds",
                  "created_at", "started_at", "ended_at")  # fmt: skip

E = TypeVar("E", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which transfers are asked for."""

    wanted: Wanted
    before: int | None
    """Number of the last transfer of the page before."""

    @classmethod
    def of(cls, query: MultiMapping[str]) -> Self:
        """Read the query of an address.

        Raises
        ------
        aiohttp.web.HTTPBadRequest
            With the parameter and the value that make no sense.
        """
        said = query.get("before", "")
        if said and (not said.isdecimal() or len(said) > 18):
            raise _bad("before", said, "a row number")
        wanted = Wanted(
            runid=_text(query, "run"),
            node=_text(query, "node"),
            mode=_word(query, "mode", TransferMode, tuple(TransferMode)),
            kind=_word(query, "kind", TransferKind, tuple(TransferKind)),
            state=_word(query, "state", TransferState, OVER),
        )
        return cls(wanted, int(said) if said else None)

    def address(self, path: str = "/transfer/history", *, before: int | None = None) -> str:
        """Give the address of this list."""
        values = {"run": self.wanted.runid, "before": before}
        values |= {name: getattr(self.wanted, name) for name in ("node", "mode", "kind", "state")}
        query = urlencode({name: str(value) for name, value in values.items() if value is not None})
        return f"{path}?{query}" if query else path

    @property
    def narrowed(self) -> bool:
        return self.wanted != Wanted()


def _bad(key: str, value: str, expected: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{key}={value[:40]!r} makes no sense here: {expected} was expected.")


def _text(query: MultiMapping[str], key: str) -> str | None:
    value = query.get(key, "").strip()
    if len(value) > 40 or not value.isprintable():
        raise _bad(key, value, "up to 40 printable signs")
    return value or None


def _word(query: MultiMapping[str], key: str, words: type[E], allowed: Sequence[E]) -> E | None:
    value = query.get(key, "")
    if value and value not in allowed:
        raise _bad(key, value, f"one of {', '.join(allowed)}")
    return words(value) if value else None


@access(Access.READER)
async def history(request: web.Request) -> web.Response:
    """``/transfer/history``"""
    console, asked = console_of(request), Asked.of(request.query)
    async with console.database.read() as session:
        found = await Traffic().history(session, asked.wanted, limit=PAGE + 1, before=asked.before)
        nodes = [node.name for node in await Nodes().all(session)]
        newest = await Events().newest_id(session)
    shown = found[:PAGE]
    return render(
        request,
        "transfer_history.html",
        asked=asked,
        rows=shown,
        nodes=nodes,
        modes=list(TransferMode),
        kinds=list(TransferKind),
        states=list(OVER),
        following=asked.address(before=shown[-1].id) if len(found) > PAGE else None,
        first=asked.address() if asked.before else None,
        table=asked.address("/transfer/history.csv"),
        document=asked.address("/api/v1/transfers"),
        newest=newest,
    )


async def _all(session: AsyncSession, console: Console, asked: Asked) -> list[dict[str, Any]]:
    found = await Traffic().history(session, asked.wanted, limit=MOST, before=asked.before)
    return [_facts(one, console.now()) for one in found]


def _facts(one: TransferRecord, now: datetime) -> dict[str, Any]:
    known = {field.name: getattr(one, field.name) for field in fields(one)}
    known["seconds"] = seconds_of(one, now=now)
    return {name: known[name] for name in COLUMNS}


@access(Access.READER)
async def history_table(request: web.Request) -> web.Response:
    """``/transfer/history.csv``: the latest `MOST`, with ``before`` those before them."""
    console = console_of(request)
    async with console.database.read() as session:
        found = await _all(session, console, Asked.of(request.query))
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in found:
        values = (value.isoformat() if isinstance(value, datetime) else value for value in one.values())
        writer.writerow([harmless(value) if isinstance(value, str) else value for value in values])
    named = {"Content-Disposition": 'attachment; filename="transfers.csv"'}
    return web.Response(text=text.getvalue(), content_type="text/csv", charset="utf-8", headers=named)


@access(Access.READER)
async def history_document(request: web.Request) -> web.Response:
    """``/api/v1/transfers``: likewise."""
    console = console_of(request)
    async with console.database.read() as session:
        found = await _all(session, console, Asked.of(request.query))
    return web.json_response(to_jsonable_python({"transfers": found}))


@access(Access.READER)
async def flow(request: web.Request) -> web.Response:
    """``/flow``: what was received in the last hours, days and months."""
    console = console_of(request)
    now = console.now()
    hours, days = charts.hours(now, HOURS), charts.days(now, DAYS)
    months = months_back(now, MONTHS)
    async with console.database.read() as session:
        by_hour = await Exchange().flow(session, begins=hours)
        sums = await Statistics().sums(session, Grouping.DAY, since=days[0].date())
        whole = await Statistics().sums(session, Grouping.MONTH, since=months[0].date())
        newest = await Events().newest_id(session)
    received = {midnight(one.key): (float(one.received_bytes), one.received) for one in sums if one.key}
    monthly = {midnight(one.key): (float(one.received_bytes), one.received) for one in whole if one.key}
    hourly = {one.begin: (float(one.bytes), one.files) for one in by_hour}
    return render(
        request,
        "flow.html",
        day=charts.over_time(hourly, begins=hours, marks=5),
        month=charts.over_time(received, begins=days, marks=5),
        years=charts.over_time(monthly, begins=months, marks=5),
        newest=newest,
    )


def midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)


def months_back(now: datetime, count: int) -> list[datetime]:
    """Give the beginnings of the last months, the present one last."""
    found = [now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)]
    while len(found) < count:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found[::-1]


@access(Access.READER)
async def filters(request: web.Request) -> web.Response:
    """``/filters``: which filters are used, and in which of the latest runs."""
    console = console_of(request)
    async with console.database.read() as session:
        rows = await gather(session, By.FILTER, now=console.now())
        runs = await Traffic().filters_of_runs(session, limit=SHOWN)
        newest = await Events().newest_id(session)
    rows = sorted(rows, key=lambda row: -row.exposure)
    return render(
        request,
        "filters.html",
        rows=rows,
        longest=max((row.exposure for row in rows), default=0.0),
        bands=[row.name for row in rows if row.known],
        runs=runs,
        newest=newest,
    )
