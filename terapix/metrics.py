"""Figures for Prometheus: names begin with terapix_, labels are few and of few values."""

from typing import TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from terapix import __version__

T = TypeVar("T", Counter, Gauge, Histogram)

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of `Metrics.text`."""


class Metrics:
    """The figures of one process, in a registry of their own.

    Beside what is counted through it: ``terapix_build_info{version}`` and the
    process's memory, processor time and open files, ``terapix_process_…``,
    which are looked up when somebody asks and cost nothing before.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}
        ProcessCollector(namespace="terapix", registry=self.registry)
        self.gauge("terapix_build_info", "Version of this installation", "version").labels(__version__).set(1)

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """Give the counter of this name, made at its first use; its name ends in _total."""
        return self._one(Counter, name, meaning, labels)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Give the gauge of this name, made at its first use."""
        return self._one(Gauge, name, meaning, labels)

    def histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        """Give the histogram of this name, made at its first use."""
        return self._one(Histogram, name, meaning, labels)

    def text(self) -> bytes:
        """Give all figures in Prometheus' text format."""
        return generate_latest(self.registry)

    def _one(self, kind: type[T], name: str, meaning: str, labels: tuple[str, ...]) -> T:
        if not name.startswith("terapix_"):
            raise ValueError(f"{name}: figures are named terapix_…")
        if name not in self._made:
            self._made[name] = kind(name, meaning, labels, registry=self.registry)
        found = self._made[name]
        if not isinstance(found, kind):
            raise TypeError(f"{name} is a {type(found).__name__} already")
        return found
