"""Sums over all frames, kept while nothing happens: pages that are open are drawn anew at each sign of life."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")

LONGEST: Final = 5.0
"""Seconds after which a sum is made anew in any case; what changes without an event is seen so much later at most."""


@dataclass(frozen=True, slots=True)
class _Kept:
    version: Hashable
    at: float
    value: Any


class Kept:
    """What was summed last, by name."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    async def get(self, what: str, version: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """Give a sum as it was made for this version, or make it.

        Parameters
        ----------
        what : name of the sum
        version : another one whenever the sum may be: the newest event, and the hour if time counts
        make : makes it
        """
        now, held = asyncio.get_running_loop().time(), self._kept.get(what)
        if held is None or held.version != version or now - held.at > LONGEST:
            held = self._kept[what] = _Kept(version, now, await make())
        value: T = held.value
        return value

    def forget(self) -> None:
        """Keep nothing."""
        self._kept.clear()
