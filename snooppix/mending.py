"""A file whose digest is wrong although all bytes came: the damage is found, and it alone is fetched again.

Three ways, the cheapest first. Blocks that read otherwise than they came were
damaged on our disk. Else the FITS checksums tell which HDUs are wrong. Else a
second copy is compared block by block, and the mixture of both with the right
digest is kept. Only when all this fails does the file count as damaged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import combinations
from typing import BinaryIO, Final

import numpy as np

from snooppix.carrier import Progress
from snooppix.errors import FetchError, Rejection
from snooppix.headers import BLOCK as CARDS
from snooppix.headers import CARD, LONGEST_HEADER, MOST_HDUS, Header, data_size
from terapix.blocks import BLOCK, extent
from terapix.identity import Digest
from terapix.journal import logger
from terapix.part import Part

log = logger("mending")

ALTERNATIVES: Final = 6
"""Blocks in which two copies may differ for every mixture of them to be tried: each costs a digest of the file."""
MOST_HELD: Final = 16
"""Blocks of a second copy that are held in memory: one that differs in more is another file, or begun anew it is."""
ROUNDS: Final = 4
"""Looks at the HDUs: a damaged header hides what lies behind it until it is mended."""

Again = Callable[[str, int, int], Awaitable[bytes]]
"""Fetches bytes from the first to before the last of a source."""


class Mender:
    """Mends one part."""

    def __init__(self, part: Part, expected: Digest, sources: Sequence[str], again: Again, progress: Progress) -> None:
        self.part = part
        self.expected = expected
        self.sources = sources
        """The one that gave the file, then its mirrors."""
        self._again = again
        self._progress = progress

    async def mend(self) -> bool:
        """Find the damage and fetch it again; afterwards the digest of the part is right, or it was all in vain."""
        for way in (self._by_journal, self._by_hdus, self._by_second_copy):
            await way()
            if await asyncio.to_thread(self.part.rehash) == self.expected:
                log.info("file mended", part=self.part.path.name, bytes=self._progress.repaired, way=way.__name__)
                return True
        return False

    async def _by_journal(self) -> None:
        """Fetch again what was damaged on our disk."""
        for index in await asyncio.to_thread(self.part.damaged_blocks):
            before = self.part.blocks[index]
            for source in self.sources:
                if await self._fetch(source, index) and self.part.blocks[index] == before:
                    break

    async def _by_hdus(self) -> None:
        """Fetch the blocks again that hold HDUs with wrong checksums, from mirrors first."""
        for _ in range(ROUNDS):
            wrong = await asyncio.to_thread(damaged_hdus, self.part)
            if not wrong:
                return
            for source in (*self.sources[1:], self.sources[0]):
                for index in _blocks_of(wrong):
                    await self._fetch(source, index)
                left = await asyncio.to_thread(damaged_hdus, self.part)
                if left != wrong:
                    break
            else:
                return

    async def _by_second_copy(self) -> None:
        """Compare with a second copy, and keep the right mixture."""
        total = self.part.bound.total if self.part.bound else 0
        for source in self.sources[1:] or self.sources:
            others: dict[int, bytes] = {}
            for index in range(-(-total // BLOCK)):
                content = await self._bytes(source, index)
                if content is None:
                    break
                if content != await asyncio.to_thread(self.part.read_block, index):
                    others[index] = content
                if len(others) > MOST_HELD:
                    others.clear()
                    break
            for chosen in _mixtures(others):
                mixture = {index: others[index] for index in chosen}
                if await asyncio.to_thread(self.part.digest_with, mixture) == self.expected:
                    for index, content in mixture.items():
                        await asyncio.to_thread(self.part.replace, index, content)
                    return

    async def _fetch(self, source: str, index: int) -> bool:
        """Put a block in place as another try gives it; False if it could not be had."""
        content = await self._bytes(source, index)
        if content is None:
            return False
        await asyncio.to_thread(self.part.replace, index, content)
        return True

    async def _bytes(self, source: str, index: int) -> bytes | None:
        begin, end = extent(index, self.part.bound.total if self.part.bound else -1)
        try:
            content = await self._again(source, begin, end)
        except FetchError as problem:
            log.info("no second copy of a block", source=source, why=str(problem))
            return None
        self._progress.repaired += len(content)
        return content


def _mixtures(others: Iterable[int]) -> Iterable[tuple[int, ...]]:
    """Give the sets of blocks to take from the other copy: all, then one, two and more."""
    listed = tuple(sorted(others))
    if not listed:
        return
    yield listed
    if len(listed) <= ALTERNATIVES:
        for count in range(1, len(listed)):
            yield from combinations(listed, count)


def _blocks_of(stretches: Sequence[tuple[int, int]]) -> list[int]:
    return sorted({index for begin, end in stretches for index in range(begin // BLOCK, -(-end // BLOCK))})


def damaged_hdus(part: Part) -> list[tuple[int, int]]:
    """Name the HDUs of a file whose bytes do not add up to their CHECKSUM.

    The sum of all 32-bit words of a good HDU, with end-around carry, is all ones
    (FITS 4.0, 4.4.2.7). HDUs without CHECKSUM are passed over; where a header
    cannot be read its first block is named, and nothing behind it.
    """
    total = part.bound.total if part.bound else 0
    wrong: list[tuple[int, int]] = []
    with part.path.open("rb") as file:
        begin = 0
        for number in range(MOST_HDUS):
            if begin >= total:
                break
            try:
                header, length = _header(file, begin, number)
                end = begin + length + -(-data_size(header, number=number) // CARDS) * CARDS
            except Rejection:
                return [*wrong, (begin, min(begin + CARDS, total))]
            if end > total:
                return [*wrong, (begin, min(begin + length, total))]
            if "CHECKSUM" in header.values and not _adds_up(file, begin, end):
                wrong.append((begin, end))
            begin = end
    return wrong


def _header(file: BinaryIO, begin: int, number: int) -> tuple[Header, int]:
    file.seek(begin)
    cards: list[str] = []
    while len(cards) * CARD < LONGEST_HEADER:
        block = file.read(CARDS)
        if len(block) < CARDS:
            break
        text = block.decode("latin-1")
        fresh = [text[i : i + CARD] for i in range(0, CARDS, CARD)]
        if not cards and not fresh[0].startswith(("SIMPLE  =", "XTENSION=")):
            break
        cards += fresh
        if any(card.rstrip() == "END" for card in fresh):
            return Header.of_cards(iter(cards)), len(cards) * CARD
    raise Rejection("not-fits", f"HDU {number} has no header that can be read")


def _adds_up(file: BinaryIO, begin: int, end: int) -> bool:
    file.seek(begin)
    total = 0
    while begin < end and (block := file.read(min(BLOCK, end - begin))):
        total += int(np.frombuffer(block, ">u4").sum(dtype=np.uint64))
        begin += len(block)
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total == 0xFFFFFFFF
