"""The table of frames, filtered by its address and read page by page."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiMapping
from sqlalchemy.ext.asyncio import AsyncSession

from dbclient.records import FrameRow
from dbclient.schema import FrameState
from dbclient.stores import Events, Frames, Nodes, Traffic
from spica.web.console import console_of, render
from spica.web.gate import Access, access
from terapix.identity import UnsafeName, safe_name

PAGE = 100
"""Frames on a page."""
CHOICES = 200
"""Runs that the filter offers; others can be written."""
LONGEST = 80
"""Signs of a filter's value."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a table of frames is asked for."""

    state: FrameState | None = None
    runid: str | None = None
    filter: str | None = None
    node: str | None = None
    name: str | None = None
    after: int | None = None
    """Row number of the last frame on the page before."""

    @classmethod
    def of(cls, query: MultiMapping[str]) -> Self:
        """Read the query of an address.

        Raises
        ------
        aiohttp.web.HTTPBadRequest
            With the parameter and the value that make no sense.
        """
        return cls(
            state=_state(query.get("state", "")),
            runid=_text(query, "run"),
            filter=_text(query, "filter"),
            node=_text(query, "node"),
            name=_name(query.get("name", "")),
            after=_number(query.get("after", "")),
        )

    async def search(self, session: AsyncSession, *, limit: int) -> list[FrameRow]:
        """Find the frames that are asked for, newest first."""
        return await Frames().search(
            session,
            name=self.name,
            state=self.state,
            runid=self.runid,
            filter=self.filter,
            node=self.node,
            after=self.after,
            limit=limit,
        )

    def address(self, path: str = "/frames", *, after: int | None = None) -> str:
        """Give the address of this table, from the first page or from row `after` on."""
        values = {
            "state": self.state.value if self.state else None,
            "run": self.runid,
            "filter": self.filter,
            "node": self.node,
            "name": self.name,
            "after": after,
        }
        query = urlencode({key: value for key, value in values.items() if value is not None})
        return f"{path}?{query}" if query else path

    @property
    def narrowed(self) -> bool:
        """True when any filter is set."""
        return any((self.state, self.runid, self.filter, self.node, self.name))


def _bad(key: str, value: str, expected: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{key}={value[:LONGEST]!r} makes no sense here: {expected} was expected.")


def _state(value: str) -> FrameState | None:
    if not value:
        return None
    try:
        return FrameState(value)
    except ValueError:
        raise _bad("state", value, "one of " + ", ".join(state.value for state in FrameState)) from None


def _text(query: MultiMapping[str], key: str) -> str | None:
    value = query.get(key, "").strip()
    if len(value) > LONGEST or not value.isprintable():
        raise _bad(key, value, f"up to {LONGEST} printable signs")
    return value or None


def _name(value: str) -> str | None:
    if not value.strip():
        return None
    try:
        return safe_name(value.strip())
    except UnsafeName as problem:
        raise web.HTTPBadRequest(text=f"{problem}.") from None


def _number(value: str) -> int | None:
    if not value:
        return None
    if not value.isdecimal() or len(value) > 18:
        raise _bad("after", value, "a row number")
    return int(value)


@access(Access.READER)
async def frames(request: web.Request) -> web.Response:
    """``/frames``"""
    console = console_of(request)
    asked = Asked.of(request.query)
    async with console.database.read() as session:
        found = await asked.search(session, limit=PAGE + 1)
        runs = await Traffic().run_names(session, limit=CHOICES)
        bands = await Traffic().filters(session)
        nodes = await Nodes().all(session)
        newest = await Events().newest_id(session)
    more = len(found) > PAGE
    shown = found[:PAGE]
    return render(
        request,
        "frames.html",
        asked=asked,
        frames=shown,
        following=asked.address(after=shown[-1].id) if more else None,
        first=asked.address() if asked.after else None,
        states=list(FrameState),
        runs=[name for name in runs if name],
        filters=sorted(band for band in bands if band),
        nodes=[node.name for node in nodes],
        known=sum(bands.values()),
        newest=newest,
    )
