"""How many connections, and how many bytes a second, a host may be asked for at this hour."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Final

from terapix.clock import Clock
from terapix.hours import Limit, holds_at, strictest
from terapix.sections import LimitSection

BURST: Final = 0.25
"""Seconds of a rate that may come at once after a pause."""
LOOK: Final = 30.0
"""Seconds between two looks at the hour while a connection waits for its turn."""


def holds(section: LimitSection, host: str, at: datetime) -> bool:
    """Tell whether a section is about this host at this moment."""
    return fnmatchcase(host.lower(), section.host.lower()) and holds_at(section, at)


def limit_of(sections: Sequence[LimitSection], host: str, at: datetime) -> Limit:
    """Give the strictest of all limits that hold."""
    return strictest((section.connections, section.rate) for section in sections if holds(section, host, at))


class Bucket:
    """Bytes that may still come: it fills at a rate, and whoever overdraws it waits."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._free_at = clock.monotonic() - BURST
        """When everything drawn so far is paid for."""

    async def draw(self, count: int, rate: int) -> None:
        """Wait until so many bytes more keep to the rate."""
        now = self.clock.monotonic()
        self._free_at = max(self._free_at, now - BURST) + count / rate
        if self._free_at > now:
            await self.clock.sleep(self._free_at - now)


class Limits:
    """The limits of all hosts, and what is in use."""

    def __init__(self, sections: Sequence[LimitSection] = (), *, clock: Clock) -> None:
        self.sections = tuple(sections)
        self.clock = clock
        self.open: Counter[str] = Counter()
        """Connections by host."""
        self._buckets: dict[str, Bucket] = {}
        self._closed = asyncio.Event()

    def of(self, host: str) -> Limit:
        """Give what holds for a host now."""
        return limit_of(self.sections, host, self.clock.now()) if self.sections else Limit()

    def has_room(self, host: str) -> bool:
        """Tell whether one connection more may be opened."""
        most = self.of(host).connections
        return not most or self.open[host] < most

    @contextlib.asynccontextmanager
    async def connection(self, host: str) -> AsyncIterator[None]:
        """Wait for leave to open a connection, and hold it."""
        while not self.has_room(host):
            self._closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), LOOK)
        self.open[host] += 1
        try:
            yield
        finally:
            self.open[host] -= 1
            self._closed.set()

    def most_at_once(self, host: str) -> int:
        """Bytes that are to be read at once, so that they come evenly; -1: as many as are there."""
        rate = self.of(host).rate
        return max(1024, int(rate * BURST)) if rate else -1

    async def spend(self, host: str, count: int) -> None:
        """Tell of bytes that came, and wait until more may come."""
        rate = self.of(host).rate
        if rate:
            await self._buckets.setdefault(host, Bucket(self.clock)).draw(count, rate)
