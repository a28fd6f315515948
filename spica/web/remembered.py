"""What is slow to look up is not looked up at every news: pages that are live must not weigh on the night."""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

SLOW: Final = 0.1
"""Seconds from which on something counts as slow; what is faster is always looked up."""
SPARED: Final = 20.0
"""Times its own duration that something slow is spared: it takes a twentieth of a processor at most."""
TRIALS: Final = 3
"""Durations of which the shortest counts: a moment of haste elsewhere makes nothing slow."""


@dataclass(slots=True)
class _Held:
    value: Any
    until: float
    took: deque[float] = field(default_factory=lambda: deque(maxlen=TRIALS))


class Remembered:
    """Values by name, each kept the longer the longer it took."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: dict[str, _Held] = {}

    async def of(self, name: str, look: Callable[[], Awaitable[T]]) -> T:
        """Give the value of this name, looked up now or, if that is slow, a little earlier."""
        held = self._held.setdefault(name, _Held(None, float("-inf")))
        begin = self._clock()
        if begin < held.until:
            value: T = held.value
            return value
        value = await look()
        end = self._clock()
        held.took.append(end - begin)
        slow = len(held.took) == TRIALS and min(held.took) >= SLOW
        held.value, held.until = (value, end + SPARED * min(held.took)) if slow else (None, float("-inf"))
        return value
