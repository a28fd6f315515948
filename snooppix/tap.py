"""Services of an archive: where they are, and what its TAP service answers to a query."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import ClientError, ClientPayloadError, StreamReader
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from snooppix.errors import ArchiveSilent, ListingBroken, ListingRefused, NotAdmitted
from snooppix.votable import TableBroken, TableReader, TableRefused
from snooppix.wire import Wire, heard, trouble
from terapix.clock import Clock
from terapix.sections import ArchiveSection

KEPT: Final = 600.0
"""Seconds for which what the registry says is believed, as the archive's own client does."""
GATHERED: Final = 4 * 1024**2
"""Bytes of an answer that are read at once: eight thousand rows."""
LARGE: Final = 256 * 1024
"""Bytes from which on they are read in a thread of their own."""
TAP: Final = "ivo://ivoa.net/std/TAP"
"""Standard identity of a table access service."""


class Services:
    """Looks the archive's services up in its registry."""

    def __init__(self, wire: Wire, registry: str, *, clock: Clock) -> None:
        self.wire = wire
        self.registry = registry
        self._clock = clock
        self._services: dict[str, str] = {}
        self._learned = float("-inf")

    async def address(self, identity: str, standard: str, leaf: str) -> str:
        """Return the address of a service: what its capabilities say, or the place beside them."""
        now = self._clock.monotonic()
        if now - self._learned > KEPT:
            self._services.clear()
        key = f"{identity} {standard}"
        if key not in self._services:
            capabilities = (await self._named()).get(identity)
            if capabilities is None:
                raise ListingBroken(self.registry, f"it does not name {identity}")
            document = await self._public(capabilities)
            found = _access(document, standard) or f"{capabilities.rsplit('/', 1)[0]}/{leaf}".rstrip("/")
            self._services[key] = str(self.wire.hosts.check(found)).rstrip("/")
            self._learned = now
        return self._services[key]

    async def _named(self) -> dict[str, str]:
        """Read the registry: lines ``identity = address of capabilities``; an empty one is an error, never believed."""
        text = await self._public(self.registry)
        found: dict[str, str] = {}
        for line in text.splitlines():
            identity, equals, address = line.partition("=")
            if equals and not line.lstrip().startswith("#"):
                found[identity.strip()] = address.strip()
        if not found:
            raise ListingBroken(self.registry, "it names no service")
        return found

    async def _public(self, address: str) -> str:
        """Read what is open to everybody: a refusal there says nothing of any file, so it is trouble of the archive."""
        try:
            return await self.wire.text("GET", address)
        except NotAdmitted as problem:
            if problem.status == HTTPStatus.UNAUTHORIZED:
                raise
            raise ArchiveSilent(address, f"it refuses what is public: status {problem.status}") from problem


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found."""

    rows: Sequence[list[str]]
    names: list[str]
    """Names of the columns, as the service has them."""
    more: bool
    """There are more rows than came."""


class Tap:
    """The table access service that lists what an archive has."""

    def __init__(self, wire: Wire, section: ArchiveSection, services: Services) -> None:
        self.wire = wire
        self.section = section
        self.services = services

    @property
    def name(self) -> str:
        """Where it is: its own address, or the registry that knows it."""
        return self.section.address or self.section.registry

    async def query(self, query: str, *, limit: int, columns: int | None) -> Answer:
        """Run a query.

        Parameters
        ----------
        query : in ADQL
        limit : rows to send at most
        columns : how many there have to be; none if any number will do

        Raises
        ------
        ArchiveSilent, NotAdmitted, ListingRefused, ListingBroken
            As the service is.
        """
        rows: list[list[str]] = []
        names: list[str] = []
        more = False
        async for piece in self.stream(query, limit=limit, columns=columns):
            rows += piece.rows
            names, more = piece.names, piece.more
        return Answer(rows, names, more)

    async def stream(self, query: str, *, limit: int, columns: int | None) -> AsyncIterator[Answer]:
        """Run a query and give its rows as they come; the last piece, without rows, tells whether there are more."""
        base = self.section.address.rstrip("/") or await self.services.address(self.section.tap, TAP, "")
        address = base if base.endswith("/sync") else f"{base}/sync"
        form = {"LANG": "ADQL", "QUERY": query, "RESPONSEFORMAT": "votable", "MAXREC": str(limit)}
        reader = TableReader(columns)
        async with heard(address), self.wire.ask("POST", address, data=form) as response:
            if response.status in {401, 403, 429, 503}:
                raise trouble(response, address)
            try:
                async for chunk in _gathered(response.content):
                    if len(chunk) < LARGE:
                        reader.feed(chunk)
                    else:  # what was read before is written meanwhile, and that takes turns with this task
                        await asyncio.to_thread(reader.feed, chunk)
                    for rows in reader.pieces():
                        yield Answer(rows, reader.names, more=False)
                overflow = reader.close()
            except TableRefused as problem:
                raise ListingRefused(address, str(problem)) from problem
            except (TableBroken, ClientPayloadError) as problem:
                if response.status != 200:
                    raise trouble(response, address) from problem
                raise ListingBroken(address, str(problem)) from problem
            if response.status != 200:
                raise trouble(response, address)
        rest = list(reader.rows())
        yield Answer(rest, reader.names, more=overflow or reader.count >= limit)


async def _gathered(stream: StreamReader) -> AsyncIterator[bytes]:
    """Give what comes in pieces that are worth a transaction; what came before a failure is given, too."""
    held: list[bytes] = []
    size = 0
    try:
        async for chunk in stream.iter_any():
            for start in range(0, len(chunk), GATHERED):
                held.append(chunk[start : start + GATHERED])
                size += len(held[-1])
                if size >= GATHERED:
                    yield b"".join(held)
                    held, size = [], 0
    except (ClientError, TimeoutError, OSError):
        yield b"".join(held)
        raise
    yield b"".join(held)


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
