"""Pace: bytes a second over all that a host fetches, and over each link of it."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

BURST: Final = 0.25
"""Seconds of a rate that may come at once after a pause."""
SLICE: Final = 1.0
"""Seconds after which who waits looks whether the rate is another one meanwhile."""


class Bucket:
    """Bytes that may still come over a link, or over all."""

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate
        """Bytes a second; 0: no limit. It may be changed at any time."""
        self._lock = threading.Lock()
        self._debt = 0.0
        """Bytes that came and are not paid for yet."""
        self._at = 0.0

    def draw(self, count: int, *, now: float) -> float:
        """Take bytes; give the seconds until they are paid for at the present rate."""
        with self._lock:
            rate = self.rate
            if not rate:
                self._debt = 0.0
                return 0.0
            self._debt = max(-BURST * rate, self._debt - (now - self._at) * rate) + count
            self._at = now
            return max(0.0, self._debt / rate)


class Pace:
    """What must be kept to by one file: the host's own rate, and that of its link."""

    def __init__(self, *buckets: Bucket, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = buckets
        self._clock = clock

    def draw(self, count: int, stop: threading.Event) -> None:
        """Wait until so many bytes keep to every rate, or until told to stop; a rate that is raised is felt at once."""
        wait = max((bucket.draw(count, now=self._clock()) for bucket in self._buckets), default=0.0)
        while wait > 0 and not stop.wait(min(wait, SLICE)):
            wait = max((bucket.draw(0, now=self._clock()) for bucket in self._buckets), default=0.0)


class Paces:
    """The rates of one host."""

    def __init__(self, rate: int) -> None:
        self._all = Bucket(rate)
        self._links: dict[tuple[str, str], Bucket] = {}

    def of(self, link: tuple[str, str]) -> Pace:
        """Give the pace of what goes over a link: from a root, to a root."""
        return Pace(self._all, self._links.setdefault(link, Bucket()))

    def set(self, rates: Mapping[tuple[str, str], int]) -> None:
        """Set the rates of links; those that are not named have none."""
        for link, bucket in list(self._links.items()):
            bucket.rate = rates.get(link, 0)
        for link, rate in rates.items():
            self._links.setdefault(link, Bucket()).rate = rate
