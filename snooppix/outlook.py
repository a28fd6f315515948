"""Outlook: what a frame will need before a byte of it is here, and whether it can be finished.

What is promised, and where, before a download begins:

- at reception, the bytes of the file (`snooppix.reception.Receptions`): the size
  that the archive lists, else the one that its META headers add up to;
- on the nodes nothing yet, for that is datatransfer's to promise once the frame is
  verified; but no download begins for which there will be no room. Every frame that
  is at reception without a node, and every begun download, is taken off the room that
  the nodes have, or will have when their jobs' scratch is given back.

The pixels of a camera's frames are known, and so is what its maps will take. Only where
that does not fit is the archive asked for the frame's own headers, which decide.
"""

import asyncio
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dbclient.database import Database
from dbclient.records import FrameRecord
from dbclient.schema import FrameKind
from dbclient.stores import Frames, Prospects
from dbclient.stores.prospects import Prospect
from snooppix.archive import Archive
from snooppix.errors import ArchiveError, FetchError, NoNode, NoRoom, Rejection, TooLarge
from snooppix.headers import BLOCK, CARD, Headers, data_size, read_dump
from snooppix.metadata import BYTE, FLOAT, SOURCES, needs
from snooppix.reception import Reception, Receptions
from terapix.identity import Digest
from terapix.instruments import Instrument
from terapix.journal import logger

log = logger("outlook")

KEPT: Final = 1.0
"""Seconds for which what the database said of the nodes is believed; downloads begun meanwhile are counted here."""
FULL: Final = 2.0
"""Seconds without a new download once there was no room for one: of a long queue, few are told to wait at a time."""
WIDEST: Final = 4
"""Bytes of a pixel at most."""
HEADERS: Final = 1_000_000
"""Bytes of the headers of a whole frame, where nothing better is known."""


@dataclass(frozen=True, slots=True)
class Need:
    """Room that a frame will take on a node, in bytes."""

    frame: int
    products: int
    """Weight and flag maps."""
    scratch: int
    """What its job needs while it runs."""

    @property
    def kept(self) -> int:
        return self.frame + self.products

    @property
    def total(self) -> int:
        return self.kept + self.scratch


def objection(name: str, need: Need, nodes: Sequence[Prospect], *, before: int) -> FetchError | None:
    """Say why a frame could not be finished; none if it can, or if no node is known.

    Parameters
    ----------
    before : frames of about the same need that will have room on the nodes first
    """
    if not nodes:
        return None
    largest = max(nodes, key=lambda node: node.most)
    if need.total > largest.most:
        return TooLarge(
            name,
            "the nodes",
            f"it needs {_mb(need.total)} on a node with its maps, and the largest, {largest.node}, "
            f"holds {_mb(largest.most)} in all: it is not fetched",
        )
    places = sum(max(0, (node.left - need.scratch) // max(need.kept, 1)) for node in nodes)
    if before + 1 > places:
        missing = (before + 1 - places) * need.kept
        return NoNode(
            name,
            "the nodes",
            f"it needs {_mb(need.total)} on a node with its maps, and about {_mb(_rounded(missing))} are missing there",
        )
    return None


def guess(instrument: Instrument, size: int | None, *, compression: float) -> Need:
    """What a frame of a camera needs at most, before anything was asked about it."""
    pixels = max(instrument.ccd_counts) * instrument.width * instrument.height
    maps = math.ceil(pixels * FLOAT * compression) + math.ceil(pixels * BYTE * compression) if instrument.weights else 0
    made = maps + (math.ceil(pixels * SOURCES) if maps else 0)
    return Need(size if size is not None else pixels * WIDEST + HEADERS, made, maps)


def need_of(told: Mapping[str, float], size: int | None) -> Need:
    """What a frame needs as its headers told."""
    frame = size if size is not None else int(told["frame"])
    return Need(frame, int(told["weight"] + told["flag"] + told.get("sources", 0)), int(told["scratch"]))


def file_size(text: str) -> int:
    """Bytes of the file whose headers these are, a card a line: headers and data, each in whole blocks.

    Raises
    ------
    Rejection
        If they are no FITS headers, or announce what cannot be.
    """
    headers = read_dump(text)
    cards = [0]
    for line in text.splitlines():
        cards[-1] += 1
        if line.rstrip() == "END":
            cards.append(0)
    heads = sum(-(-count * CARD // BLOCK) * BLOCK for count in cards if count)
    parts = (data_size(header, number=number) for number, header in enumerate((headers.primary, *headers.extensions)))
    return heads + sum(-(-part // BLOCK) * BLOCK for part in parts)


class Outlook:
    """Judges frames that are about to be fetched."""

    def __init__(
        self,
        database: Database,
        archive: Archive,
        receptions: Receptions,
        instrument: Instrument,
        *,
        compression: float,
    ) -> None:
        self.database = database
        self.archive = archive
        self.receptions = receptions
        self.instrument = instrument
        self.compression = compression
        """Share of its unpacked size that a compressed map takes."""
        self._nodes: list[Prospect] = []
        self._coming = 0
        self._read = float("-inf")
        self._promising = asyncio.Lock()
        self._full_until = float("-inf")

    @property
    def full(self) -> bool:
        """Whether there was no room for a download just now."""
        return time.monotonic() < self._full_until

    async def promise(self, frame: FrameRecord, *, avoid: Collection[str] = ()) -> Reception:
        """Promise the whole file its room before its first byte is asked for; what cannot be finished is not begun.

        Raises
        ------
        TooLarge, NoNode, NoRoom
            If no node could ever hold it; if none will have room as things stand; if no reception disk has.
        """
        need, told = await self.need(frame), frame.needs is not None
        while True:
            async with self._promising:
                against = await self.objection(frame, need)
                if against is None:
                    return await self._choose(frame, need.frame, avoid)
            if told or (asked := await self.ask(frame)) is None:
                if isinstance(against, NoNode):
                    self._full_until = time.monotonic() + FULL
                raise against
            need, told = asked, True

    async def _choose(self, frame: FrameRecord, size: int, avoid: Collection[str]) -> Reception:
        digest = Digest.parse(frame.wire_digest) if frame.wire_digest else None
        try:
            return await self.receptions.choose(frame.id, frame.name, digest, size, avoid=avoid)
        except NoRoom:
            self._full_until = time.monotonic() + FULL
            raise

    async def need(self, frame: FrameRecord) -> Need:
        """What a frame needs: as its headers told, else what every frame of the camera needs.

        The archive is asked for its headers here only where its listing does not tell the size.
        """
        if frame.needs:
            return need_of(frame.needs, frame.size)
        if frame.size is None and (told := await self.ask(frame)) is not None:
            return told
        return guess(self.instrument, frame.size, compression=self.compression)

    def arrived(self) -> None:
        """Count a frame that is at reception now, until the database is read again."""
        self._coming += 1

    async def objection(self, frame: FrameRecord, need: Need) -> FetchError | None:
        """Say why a frame could not be finished, if it is fetched beside those that have begun; none if it can."""
        if frame.kind is not FrameKind.OBJECT:
            return None
        if time.monotonic() - self._read > KEPT:
            async with self.database.read() as session:
                self._nodes = await Prospects().nodes(session)
                self._coming = await Prospects().coming(session) if self._nodes else 0
            self._read = time.monotonic()
        if not self._nodes:
            return None
        begun = await self.receptions.begun(besides=frame.id)
        return objection(frame.name, need, self._nodes, before=self._coming + begun)

    async def ask(self, frame: FrameRecord) -> Need | None:
        """Learn what a frame needs from its headers at the archive, and keep it; none if they do not tell."""
        try:
            text = await self.archive.header(frame.uri)
            headers = _whole(await asyncio.to_thread(read_dump, text), frame.kind)
            size = frame.size if frame.size is not None else file_size(text)
        except (ArchiveError, Rejection) as problem:
            log.info("headers do not tell what a frame needs", frame=frame.name, why=str(problem))
            return None
        told = needs(headers, size=size, compression=self.compression, maps=self.instrument.weights)
        if frame.kind is FrameKind.OBJECT:
            async with self.database.write() as session:
                await Frames().describe(session, frame.id, needs=told)
        log.info("headers tell what a frame needs", frame=frame.name, needs=told)
        return need_of(told, size)


def _whole(headers: Headers, kind: FrameKind) -> Headers:
    """Refuse to conclude from some of a frame's headers alone, as an archive may give them."""
    announced = headers.primary.integer("NEXTEND")
    lacks = announced is not None and announced != len(headers.extensions)
    if lacks or (kind is FrameKind.OBJECT and not headers.images):
        raise Rejection("incomplete", f"{len(headers.extensions)} extensions are told, NEXTEND = {announced}")
    return headers


def _mb(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 10**10 else f"{count / 1e6:.0f} MB"


def _rounded(missing: int) -> int:
    """So coarse that a sentence about it does not change with every look at the nodes."""
    step = int(10 ** max(7, len(str(missing)) - 1))
    return -(-missing // step) * step
