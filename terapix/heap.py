"""Memory that was freed goes back to the system: a daemon runs for months on a host that it shares.

glibc keeps freed memory in an arena for each of many threads, full of holes. A daemon that holds no more than an
hour ago then looks larger every day: 309 MB after 20,000 frames, 341 MB after 100,000 in benchmarks/soak.py, where
what it held between 8,000 and 23,000 frames was 195 to 201 MB in no order. Two arenas are enough for work that mostly
waits, and once a minute the holes are given back.
"""

import ctypes
from typing import Any, Final

from terapix.clock import Clock

ARENAS: Final = 2
EVERY: Final = 60.0
"""Seconds between two times that holes are given back, which takes some milliseconds."""
_M_ARENA_MAX: Final = -8
"""Of mallopt(3)."""


class Heap:
    """The allocator of this process; where it is not glibc's, nothing is done."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next = clock.monotonic() + EVERY
        libc: Any = ctypes.CDLL(None)
        self._trim = getattr(libc, "malloc_trim", None)
        limit = getattr(libc, "mallopt", None)
        if self._trim is not None and limit is not None:
            limit(_M_ARENA_MAX, ARENAS)

    def pass_(self) -> None:
        """Give holes back where a minute has gone by."""
        if self._clock.monotonic() >= self._next:
            self._next = self._clock.monotonic() + EVERY
            self.give_back()

    def give_back(self) -> None:
        """Give what is free back to the system now."""
        if self._trim is not None:
            self._trim(ctypes.c_size_t(0))
