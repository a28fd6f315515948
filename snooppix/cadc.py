"""The CADC archive, and every archive that speaks its protocol: registry, TAP over caom2, locator, file sites."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from yarl import URL

from dbclient.stores.frames import Sighting
from snooppix.archive import Batch
from snooppix.errors import ArchiveSilent, ListingBroken
from snooppix.listing import (
    COLUMNS,
    ELIXIR,
    RULED,
    Key,
    among,
    by_name,
    candidate,
    changes,
    everything,
    releases,
    selected,
    told,
)
from snooppix.names import Names
from snooppix.pages import MANY, PageReader
from snooppix.selection import Candidate, Rule, followed, quoted, rules, unsaid
from snooppix.tap import Services, Tap
from snooppix.wire import Wire
from terapix.clock import Clock
from terapix.sections import ArchiveSection, SelectionSection

LOCATE: Final = "http://www.opencadc.org/std/storage#locate-1.0"
"""Standard identity of what the locator can do."""
ASKED_AT_ONCE: Final = 200
"""Addresses named in one query: 5 kB of it."""
_MODIFIED: Final = COLUMNS.index("o.maxLastModified")
_URI: Final = COLUMNS.index("a.uri")
PULL: Final = "ivo://ivoa.net/vospace/core#httpsget"
PULL_PLAIN: Final = "ivo://ivoa.net/vospace/core#httpget"


class Cadc:
    """An archive as the Canadian Astronomy Data Centre runs one."""

    def __init__(
        self,
        wire: Wire,
        section: ArchiveSection,
        *,
        selection: SelectionSection | None = None,
        names: Names = ELIXIR,
        page: int,
        clock: Clock,
    ) -> None:
        self.wire = wire
        self.section = section
        self.selection = selection or SelectionSection()
        self.rules = tuple(
            rule
            for rule in rules(self.selection, RULED)
            if not (names.published and rule.name == "level")  # maps are of level 2 and stacks of 3: both are products
        )
        """What of the listing is followed."""
        self._unsaid = unsaid(self.rules)
        self.names = names
        self.page = page
        """Rows asked for at once."""
        self.services = Services(wire, section.registry, clock=clock)
        self.tap = Tap(wire, section, self.services)

    @property
    def name(self) -> str:
        return followed(self.tap.name, self.section, self.selection, self.names)

    async def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        """List changes page by page; a page that is full or says OVERFLOW is followed by the next."""
        async for batch in self._pages(lambda behind: changes(self._where(), mark=mark, behind=behind)):
            yield batch

    async def released(self, after: datetime, until: datetime) -> AsyncIterator[Batch]:
        """List what became visible or public between two moments, whether or not anything was changed."""
        async for batch in self._pages(lambda behind: releases(self._where(), after=after, until=until, behind=behind)):
            yield batch

    async def everything(self) -> AsyncIterator[Batch]:
        """List all that is selected, ordered by address."""
        async for batch in self._pages(lambda behind: everything(self._where(), behind=behind)):
            yield batch

    async def run(self, runid: str) -> AsyncIterator[Batch]:
        """List what is selected of one run, ordered by address."""
        where = [*self._where(), f"{RULED.run}={quoted(runid)}"]
        async for batch in self._pages(lambda behind: everything(where, behind=behind)):
            yield batch

    async def has(self, uris: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(uris), ASKED_AT_ONCE):
            some = uris[start : start + ASKED_AT_ONCE]
            rows, _ = await self._query(among(some), limit=4 * len(some), columns=1)
            found |= {row[0] for row in rows}
        return found & set(uris)

    def _where(self) -> list[str]:
        """Conditions of what is followed."""
        return selected(collection=self.section.collection, instrument=self.section.instrument, chosen=self.rules)

    async def rules_of(self, names: Names | None) -> tuple[Rule, ...]:
        """Give the rules that are followed, with that of names if there are any."""
        return rules(self.selection, RULED, names=names)

    async def candidates(self) -> AsyncIterator[list[Candidate]]:
        """List all science files of the collection and instrument page by page, whatever the rules say of them."""
        where = selected(collection=self.section.collection, instrument=self.section.instrument)
        async for rows in self._rows(lambda behind: everything(where, behind=behind)):
            yield [candidate(row, self.names) for row in rows]

    async def _pages(self, query: Callable[[Key | None], str]) -> AsyncIterator[Batch]:
        """Read what the rows of each page say."""
        reader = PageReader(self.names, self._unsaid)
        async for rows in self._rows(query):
            if len(rows) < MANY:
                yield reader.read(rows)
            else:  # in a thread, so that what was listed before is written meanwhile
                yield await asyncio.to_thread(reader.read, rows)

    async def _rows(self, query: Callable[[Key | None], str]) -> AsyncIterator[Sequence[list[str]]]:
        """Ask page after page, each behind the last row of the one before; rows are given as they come."""
        behind: Key | None = None
        while True:
            last, more = None, False
            async for piece in self.tap.stream(query(behind), limit=self.page, columns=len(COLUMNS)):
                more = piece.more
                if len(piece.rows):
                    last = Key(piece.rows[-1][_MODIFIED], piece.rows[-1][_URI])
                    yield piece.rows
            if last is None and behind is None:
                yield []
            if not more or last is None:
                return
            if last == behind:
                raise ListingBroken(self.section.tap, "the page behind a row begins with that row again")
            behind = last

    async def find(self, name: str) -> Sighting | None:
        rows, _ = await self._query(
            by_name(name, collection=self.section.collection, names=self.names), limit=self.page
        )
        found = [seen for row in rows if isinstance(seen := told(row, self.names), Sighting) and seen.name == name]
        return found[-1] if found else None

    async def locate(self, uri: str) -> list[str]:
        """Ask the locator where a file is; the addresses lead to allowed hosts only."""
        address = await self.services.address(self.section.locator, LOCATE, "locate")
        protocols = "".join(f'<vos:protocol uri="{uri_}"/>' for uri_ in (PULL, PULL_PLAIN))
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">'
            f"<vos:target>{_escaped(uri)}</vos:target><vos:direction>pullFromVoSpace</vos:direction>"
            f"{protocols}</vos:transfer>"
        )
        text = await self.wire.text("POST", address, headers={"Content-Type": "text/xml"}, data=body.encode())
        try:
            root = ElementTree.fromstring(text, forbid_dtd=True)
        except (ElementTree.ParseError, DefusedXmlException) as problem:
            raise ListingBroken(address, str(problem)) from problem
        given = [(e.text or "").strip() for e in root.iter() if e.tag.rsplit("}", 1)[-1] == "endpoint"]
        return self.wire.hosts.usable(given)

    async def header(self, uri: str) -> str:
        for endpoint in await self.locate(uri):
            return await self.wire.text("GET", URL(endpoint).update_query(META="true"))
        raise ArchiveSilent(uri, "it is stored nowhere")

    async def _query(self, query: str, *, limit: int, columns: int = len(COLUMNS)) -> tuple[Sequence[list[str]], bool]:
        """Run a query; True beside its rows if there are more of them."""
        answer = await self.tap.query(query, limit=limit, columns=columns)
        return answer.rows, answer.more


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
