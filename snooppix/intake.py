"""What comes over one connection: looked at, counted against its claim, and gathered into blocks for the part."""

import asyncio
from typing import Final

from snooppix.carrier import Wanted
from snooppix.errors import NotFits, Unreachable
from snooppix.segments import Segments
from snooppix.writer import Writer
from terapix.blocks import BLOCK
from terapix.claims import Claim

LINGER: Final = 0.5
"""Seconds after which a smaller block is written too: over a slow line 4 MiB are much to lose, and to wait for."""

HEAD: Final = 4096
"""Bytes that are kept as evidence of what came in place of a file."""


class Intake:
    """Takes the bytes of one claim."""

    def __init__(self, wanted: Wanted, writer: Writer, claim: Claim, segments: Segments, *, host: str) -> None:
        self.wanted = wanted
        self.writer = writer
        self.claim = claim
        self.segments = segments
        self.host = host
        """For messages."""
        self._refused = False
        self._time = asyncio.get_running_loop().time
        self._chunks: list[bytes] = []
        self._size = 0
        self._given = self._time()

    async def take(self, chunk: bytes) -> None:
        """Take what came; what lies beyond the claim is left.

        Raises
        ------
        NotFits
            If a FITS file is wanted, and these first bytes do not begin one; they are not kept.
        Unreachable
            If that is more than the whole file has.
        OSError
            As the disk fails.
        """
        claim, bound = self.claim, self.writer.part.bound
        if claim.at == 0 and self.wanted.fits and no_fits(chunk):
            self._refused = True
            raise NotFits(self.wanted.name, self.host, "what comes does not begin as a FITS file", head=chunk[:HEAD])
        if bound is not None and 0 <= bound.total < claim.at + len(chunk):
            raise Unreachable(self.wanted.name, self.host, f"more than the {bound.total} bytes announced came")
        self._add(chunk)
        if self._size >= BLOCK or self._time() - self._given >= LINGER:
            await self._put()

    def keep(self, rest: bytes) -> None:
        """Take what had come before a cut, as far as it is of use."""
        if (
            rest
            and self.claim.left
            and not self._refused
            and (self.claim.at or not self.wanted.fits or not no_fits(rest))
        ):
            self._add(rest)

    def _add(self, chunk: bytes) -> None:
        if self.claim.left >= 0:
            chunk = chunk[: self.claim.left]
        self.claim.at += len(chunk)
        self.segments.received += len(chunk)
        self._chunks.append(chunk)
        self._size += len(chunk)

    async def end(self) -> None:
        """Have everything written that was taken."""
        if self._chunks:
            await self._put()
        await self.writer.settle()

    async def _put(self) -> None:
        chunks, self._chunks = self._chunks, []
        self._size, self._given = 0, self._time()
        await self.writer.put(chunks)


def no_fits(begin: bytes) -> bool:
    """Tell whether bytes do not begin a FITS file."""
    return not begin.startswith(b"SIMPLE  ="[: len(begin)])
