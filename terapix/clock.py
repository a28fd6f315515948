"""Clocks are arguments: the system's in service, a set one in tests."""

import asyncio
import bisect
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What tells the time and waits."""

    def now(self) -> datetime:
        """Give the present moment in UTC."""

    def monotonic(self) -> float:
        """Give seconds since some fixed moment; never runs back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The clock of this host."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SetClock:
    """A clock that stands until it is advanced; sleepers wake in order of their hour.

    A sleeper runs when the loop next gives it a turn: a test that advances the
    clock lets the loop turn once (``await asyncio.sleep(0)``) before it looks.
    """

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError(f"{start!r} has no time zone")
        self._start = start.astimezone(UTC)
        self._elapsed = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        place = (self._elapsed + seconds, next(self._order), asyncio.Event())
        bisect.insort(self._sleepers, place)
        try:
            await place[2].wait()
        finally:
            if place in self._sleepers:
                self._sleepers.remove(place)

    @property
    def sleepers(self) -> int:
        """How many wait."""
        return len(self._sleepers)

    def advance(self, seconds: float) -> None:
        """Let time pass; whoever slept until then may go on."""
        if seconds < 0:
            raise ValueError(f"{seconds} seconds: time does not run back")
        self._elapsed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._elapsed:
            self._sleepers.pop(0)[2].set()
