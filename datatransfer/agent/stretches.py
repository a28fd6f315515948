"""How one file is shared among connections: each has a stretch, and another is added while that makes it faster."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from terapix.blocks import BLOCK
from terapix.part import Part

PERIOD: Final = 1.0
"""Seconds over which rates are compared."""
GAIN: Final = 1.2
"""By how much all together must come faster with one connection more."""
WORTH: Final = 32 << 20
"""Bytes that must be left to one connection for another to take half of them."""


@dataclass(slots=True, eq=False)
class Stretch:
    """What one connection brings."""

    begin: int
    at: int
    """Next byte to come."""
    end: int
    """Another connection may take its second half over."""


class Stretches:
    """The stretches of one file; asked by several threads."""

    def __init__(self, part: Part, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.received = 0
        """Bytes over all connections."""
        self.keeps = True
        """Whether a further connection pays: when one did not, none goes on but the first."""
        self._part = part
        self._most = most
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[Stretch] = []
        self._connections = 1
        self._looked = (clock(), 0)
        self._rate = 0.0

    def take(self) -> Stretch | None:
        """Take what nobody brings, or else half of what the busiest has before it."""
        with self._lock:
            for begin, end in self._part.gaps():
                free = _free(begin, end, self._held)
                if free is not None:
                    return self._hold(*free)
            busiest = max(self._held, key=lambda stretch: stretch.end - stretch.at, default=None)
            if busiest is None or busiest.end - busiest.at < WORTH:
                return None
            middle = -(-(busiest.at + busiest.end) // (2 * BLOCK)) * BLOCK
            end, busiest.end = busiest.end, middle
            return self._hold(middle, end)

    def drop(self, stretch: Stretch) -> None:
        """Say that a connection has ended with its stretch."""
        with self._lock:
            self._held.remove(stretch)

    def grown(self) -> Stretch | None:
        """Give a stretch for a further connection, when it is time to try one and the last one paid."""
        now, (then, before) = self._clock(), self._looked
        if not self.keeps or self._connections >= self._most or now - then < PERIOD:
            return None
        rate = (self.received - before) / (now - then)
        self._looked = (now, self.received)
        if self._connections > 1 and rate < GAIN * self._rate:
            self.keeps = False
            return None
        self._rate = rate
        new = self.take()
        self._connections += new is not None
        return new

    def _hold(self, begin: int, end: int) -> Stretch:
        stretch = Stretch(begin, begin, end)
        self._held.append(stretch)
        return stretch


def _free(begin: int, end: int, held: list[Stretch]) -> tuple[int, int] | None:
    """Give the first piece of a gap that no stretch covers."""
    for stretch in sorted(held, key=lambda item: item.begin):
        if stretch.end <= begin or stretch.begin >= end:
            continue
        if begin < stretch.begin:
            return begin, stretch.begin
        begin = stretch.end
    return (begin, end) if begin < end else None
