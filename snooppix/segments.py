"""One large file over several connections, as far as each makes it faster.

It begins with one connection. While much is left, a further one takes the
second half of what the busiest still has before it; it stays if the bytes of
all together come clearly faster, else it ends at its next block and no other is
tried. Each brings whole blocks, so that a killed download loses a block a
connection at most.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from terapix.blocks import BLOCK
from terapix.claims import Claim, next_claim
from terapix.clock import Clock
from terapix.part import Part


@dataclass(frozen=True, slots=True)
class Growth:
    """When a further connection is tried, and when it pays."""

    most: int = 1
    """Connections at the same time."""
    period: float = 1.0
    """Seconds over which rates are compared."""
    gain: float = 1.2
    """By how much all together must come faster with one connection more."""
    worth: int = 32 * 1024**2
    """Bytes that must be left to one connection for another to take half of them."""


RETRIES: Final = 0.05
"""Share of a period: a rate is not measured over less."""


class Segments:
    """The connections over which one file comes."""

    def __init__(self, part: Part, *, growth: Growth, clock: Clock, may_open: Callable[[], bool]) -> None:
        self.part = part
        self.growth = growth
        self.clock = clock
        self.may_open = may_open
        self.claims: list[Claim] = []
        self.wanted = 1
        self.refused = False
        """A further connection was not given what it asked for: it is left at that for this file."""
        self.received = 0
        """Bytes over all connections."""
        self._extra: set[asyncio.Task[None]] = set()

    def claim(self, begin: int, end: int) -> Claim:
        """Say that one connection brings these bytes."""
        claim = Claim(begin, begin, end)
        self.claims.append(claim)
        return claim

    def drop(self, claim: Claim) -> None:
        """Say that a connection has ended; what it did not bring is missing again.

        If it brought nothing the first connection, whose answer goes on to there, just goes on.
        """
        self.claims = [other for other in self.claims if other is not claim]
        first = self.claims[0] if self.claims else None
        if claim.at == claim.begin and first is not None and first.end == claim.begin and first.left > 0:
            first.end = claim.end

    def clear(self) -> None:
        """Say that no connection is left."""
        self.claims, self.wanted = [], 1

    def take(self) -> Claim | None:
        """Claim a stretch for a further connection; none if there is none that pays."""
        claim = next_claim(self.part.gaps(), self.claims, worth=self.growth.worth)
        if claim is not None:
            self.claims.append(claim)
        return claim

    @contextlib.asynccontextmanager
    async def growing(self, bring: Callable[[Claim], Awaitable[None]]) -> AsyncIterator[None]:
        """Add connections while the body goes on; at its end all have ended, whatever became of them."""
        if self.growth.most < 2 or self.refused:
            yield
            return
        grows = asyncio.create_task(self._grow(bring), name="segments")
        try:
            yield
            grows.cancel()
            while self._extra:
                await asyncio.wait(self._extra)
        finally:
            tasks = [grows, *self._extra]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _grow(self, bring: Callable[[Claim], Awaitable[None]]) -> None:
        rate = await self._rate()
        while self.wanted < self.growth.most and self.may_open() and not self.refused:
            claim = self.take()
            if claim is None:
                return
            self.wanted += 1
            task = asyncio.create_task(self._bring(bring, claim))
            self._extra.add(task)
            task.add_done_callback(self._extra.discard)
            faster = await self._rate()
            if faster < self.growth.gain * rate or self.wanted <= 1:
                self.wanted = max(1, self.wanted - 1)
                if claim.at > claim.begin:
                    claim.end = min(claim.end, claim.at // BLOCK * BLOCK + BLOCK)
                else:
                    task.cancel()
                return
            rate = faster

    async def _rate(self) -> float:
        """Measure the rate of all connections over one period."""
        before, begin = self.received, self.clock.monotonic()
        await self.clock.sleep(self.growth.period)
        return (self.received - before) / max(self.clock.monotonic() - begin, self.growth.period * RETRIES)

    async def _bring(self, bring: Callable[[Claim], Awaitable[None]], claim: Claim) -> None:
        """Bring stretches one after the other, until there are none left or one connection less is wanted."""
        following: Claim | None = claim
        while following is not None:
            try:
                await bring(following)
                whole = following.left == 0
            finally:
                self.drop(following)
            if not whole:  # a server that does not give ranges, or cuts: the first connection goes on alone
                self.wanted, self.refused = 1, True
                return
            following = self.take() if len(self.claims) < self.wanted else None
