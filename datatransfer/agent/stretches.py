"""How one file is shared among connections: each has a stretch, and another is added while that makes it faster."""

import threading
import time
from collections.abc import Callable
from typing import Final

from terapix.claims import Claim, next_claim
from terapix.part import Part

PERIOD: Final = 1.0
"""Seconds over which rates are compared."""
GAIN: Final = 1.2
"""By how much all together must come faster with one connection more."""
WORTH: Final = 32 << 20
"""Bytes that must be left to one connection for another to take half of them."""


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
        self._held: list[Claim] = []
        self._connections = 1
        self._looked = (clock(), 0)
        self._rate = 0.0

    def take(self) -> Claim | None:
        """Claim a stretch; none if there is none that pays."""
        with self._lock:
            claim = next_claim(self._part.gaps(), self._held, worth=WORTH)
            if claim is not None:
                self._held.append(claim)
            return claim

    def drop(self, claim: Claim) -> None:
        """Say that a connection has ended with its stretch."""
        with self._lock:
            self._held.remove(claim)

    def grown(self) -> Claim | None:
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
