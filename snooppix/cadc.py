"""The CADC archive, and every archive that speaks its protocol: registry, TAP over caom2, locator, file sites."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import Final

from aiohttp import ClientPayloadError
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException
from yarl import URL

from dbclient.stores.frames import Sighting
from snooppix.archive import Batch
from snooppix.errors import ArchiveSilent, ListingBroken, ListingRefused, UnsafeAddress
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
    moment,
    refusal,
    releases,
    selected,
    sighting,
)
from snooppix.names import Names
from snooppix.selection import keeps, rules, unsaid
from snooppix.votable import TableBroken, TableReader, TableRefused
from snooppix.wire import Wire, heard, retry_after
from terapix.clock import Clock
from terapix.journal import logger
from terapix.sections import ArchiveSection, SelectionSection

log = logger("cadc")

KEPT: Final = 600.0
"""Seconds for which what the registry says is believed, as the archive's own client does."""
TAP: Final = "ivo://ivoa.net/std/TAP"
LOCATE: Final = "http://www.opencadc.org/std/storage#locate-1.0"
"""Standard identities of what a service can do."""
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
        self.rules = rules(selection or SelectionSection(), RULED)
        """What of the listing is followed."""
        self._unsaid = unsaid(self.rules)
        self.names = names
        self.page = page
        """Rows asked for at once."""
        self._clock = clock
        self._services: dict[str, str] = {}
        self._learned = float("-inf")

    @property
    def name(self) -> str:
        return f"{self.section.registry} {self.section.collection}"[:120]

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

    async def _pages(self, query: Callable[[Key | None], str]) -> AsyncIterator[Batch]:
        """Ask page after page, each behind the last row of the one before."""
        behind: Key | None = None
        while True:
            rows, more = await self._query(query(behind), limit=self.page)
            found = [
                seen
                for row in rows
                if (seen := sighting(row, self.names)) is not None
                and (not self._unsaid or keeps(self._unsaid, candidate(row)))
            ]
            reached = moment(rows[-1][_MODIFIED]) if rows else None
            refused = tuple(why for row in rows if (why := refusal(row, self.names)) is not None)
            yield Batch(tuple(found), reached, len(rows) - len(found), refused)
            if not more or not rows:
                return
            last = Key(rows[-1][_MODIFIED], rows[-1][_URI])
            if last == behind:
                raise ListingBroken(self.section.tap, "the page behind a row begins with that row again")
            behind = last

    async def find(self, name: str) -> Sighting | None:
        rows, _ = await self._query(by_name(name, collection=self.section.collection), limit=self.page)
        found = [seen for row in rows if (seen := sighting(row, self.names)) is not None and seen.name == name]
        return found[-1] if found else None

    async def locate(self, uri: str) -> list[str]:
        """Ask the locator where a file is; the addresses lead to allowed hosts only."""
        address = f"{await self._service(self.section.locator, LOCATE, 'locate')}"
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
        usable = []
        for endpoint in given:
            try:
                usable.append(str(self.wire.hosts.check(endpoint)))
            except UnsafeAddress as problem:
                log.warning("mirror passed over", address=endpoint[:200], why=str(problem))
        if given and not usable:
            raise UnsafeAddress(given[0][:300], allowed=(self.wire.hosts.registry.authority, *self.wire.hosts.more))
        return list(dict.fromkeys(usable))

    async def header(self, uri: str) -> str:
        for endpoint in await self.locate(uri):
            return await self.wire.text("GET", URL(endpoint).update_query(META="true"))
        raise ArchiveSilent(uri, "it is stored nowhere")

    async def _query(self, query: str, *, limit: int, columns: int = len(COLUMNS)) -> tuple[list[list[str]], bool]:
        """Run a query; True beside its rows if there are more of them."""
        base = await self._service(self.section.tap, TAP, "")
        address = base if base.endswith("/sync") else f"{base}/sync"
        form = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "votable", "MAXREC": str(limit)}
        reader = TableReader(columns)
        rows: list[list[str]] = []
        async with heard(address), self.wire.ask("POST", address, data=form) as response:
            if response.status in {429, 503}:
                raise ArchiveSilent(address, f"status {response.status}", retry_after=retry_after(response))
            try:
                async for chunk in response.content.iter_any():
                    reader.feed(chunk)
                    rows += reader.rows()
                overflow = reader.close()
            except TableRefused as problem:
                raise ListingRefused(address, str(problem)) from problem
            except (TableBroken, ClientPayloadError) as problem:
                if response.status != 200:
                    raise ArchiveSilent(address, f"status {response.status}") from problem
                raise ListingBroken(address, str(problem)) from problem
            if response.status != 200:
                raise ArchiveSilent(address, f"status {response.status}")
        return rows, overflow or len(rows) >= limit

    async def _service(self, identity: str, standard: str, leaf: str) -> str:
        """Return the address of a service: what its capabilities say, or the place beside them."""
        now = self._clock.monotonic()
        if now - self._learned > KEPT:
            self._services.clear()
        key = f"{identity} {standard}"
        if key not in self._services:
            capabilities = (await self._registry()).get(identity)
            if capabilities is None:
                raise ListingBroken(self.section.registry, f"it does not name {identity}")
            document = await self.wire.text("GET", capabilities)
            found = _access(document, standard) or f"{capabilities.rsplit('/', 1)[0]}/{leaf}".rstrip("/")
            self._services[key] = str(self.wire.hosts.check(found)).rstrip("/")
            self._learned = now
        return self._services[key]

    async def _registry(self) -> dict[str, str]:
        """Read the registry: lines ``identity = address of capabilities``; an empty one is an error, never believed."""
        text = await self.wire.text("GET", self.section.registry)
        found: dict[str, str] = {}
        for line in text.splitlines():
            identity, equals, address = line.partition("=")
            if equals and not line.lstrip().startswith("#"):
                found[identity.strip()] = address.strip()
        if not found:
            raise ListingBroken(self.section.registry, "it names no service")
        return found


def _access(document: str, standard: str) -> str | None:
    """Return the address that a capabilities document gives for a standard; none if it does not."""
    try:
        root = ElementTree.fromstring(document, forbid_dtd=True)
    except (ElementTree.ParseError, DefusedXmlException):
        return None
    for capability in root.iter():
        if (
            capability.tag.rsplit("}", 1)[-1] == "capability"
            and capability.get("standardID", "").split("#sync")[0] == standard
        ):
            for element in capability.iter():
                if element.tag.rsplit("}", 1)[-1] == "accessURL" and element.text:
                    return str(element.text).strip()
    return None


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
