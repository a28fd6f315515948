"""Rests: a move whose link broke is left alone for a while, longer each time; its room and its bytes stay."""

from typing import Final

from terapix.clock import Clock
from terapix.retry import Backoff

LINK: Final = Backoff(first=1.0, factor=2.0, ceiling=60.0, attempts=1_000_000)
"""A move whose link broke goes on after this; as long as its node answers it keeps its room."""


class Resting:
    """Remembers how often in a row the link of each move broke, and until when it rests."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[int, tuple[int, float]] = {}

    def __contains__(self, transfer: int) -> bool:
        _, until = self._held.get(transfer, (0, 0.0))
        return until > self._clock.monotonic()

    def add(self, transfer: int) -> None:
        """Let a move rest whose link has just broken."""
        failures = self._held.get(transfer, (0, 0.0))[0] + 1
        self._held[transfer] = (failures, self._clock.monotonic() + LINK.delay(failures))

    def forget(self, transfer: int) -> None:
        """Take note that a move went well."""
        self._held.pop(transfer, None)
