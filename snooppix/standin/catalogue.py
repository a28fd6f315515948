"""The stand-in's catalogue: what lies in its directory, and what the faults make of it."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Final

from snooppix.protocol.tables import STEPS, News, Row, Tables
from snooppix.standin.faults import Faults
from snooppix.standin.inventory import Inventory, StoredFile
from snooppix.standin.kinds import ClockSkew, Hidden, Listed, Withdrawn
from snooppix.standin.observations import describe, observation_identity, place

BATCH: Final = 1000
"""Observations that are described at once: a whole archive of them would fill the memory."""


class Catalogue(Tables):
    """The tables, kept in step with the inventory and with what the faults make of it."""

    def __init__(
        self, inventory: Inventory, faults: Faults, *, steps: int = STEPS, now: Callable[[], str] = str
    ) -> None:
        super().__init__(steps=steps)
        self._now = now
        self._together: dict[str, set[str]] = defaultdict(set)
        """Names of the files that each observation has, or had."""
        self._stale: set[str] = set()
        """Observations whose rows are not those of their files."""
        self._inventory = inventory
        self._faults = faults

    def refresh(self, *, each: bool = True) -> None:
        """Look at the directory again, and with `each` at every file; blocks."""
        with self._lock:
            self._inventory.refresh(each=each)

    def described(self, file: StoredFile) -> Row | None:
        """Return the plane that a file belongs to, with its observation's columns; None for a file apart."""
        found = describe([file])
        return {**found["Observation"][0], **found["Plane"][0]} if found["Plane"] else None

    def _look_again(self) -> Hashable:
        self._inventory.refresh(each=False)
        return self._inventory.version, self._faults.version, self._hidden()

    def _batches(self, visible_at: str | None) -> Iterator[Mapping[str, Sequence[Row]]]:
        self._regroup()
        if visible_at is None:
            self._stale.clear()
        names = sorted(self._together)
        for start in range(0, len(names), BATCH):
            yield self._described(names[start : start + BATCH], visible_at)

    def _news(self, before: Hashable, now: Hashable) -> News | None:
        self._regroup()
        if not isinstance(before, tuple) or not isinstance(now, tuple) or before[1:] != now[1:]:
            return None  # other faults, or other planes are hidden
        stale, self._stale = sorted(self._stale), set()
        return News([observation_identity(name) for name in stale], self._described(stale, None))

    def _regroup(self) -> None:
        """Take note of which observations have other files than they had."""
        for name in self._inventory.take_changed():
            observation = place(name).observation
            self._together[observation].add(name)
            self._stale.add(observation)

    def _described(self, observations: Sequence[str], visible_at: str | None) -> dict[str, list[Row]]:
        found = (self._inventory.named(name) for each in observations for name in sorted(self._together[each]))
        files = [file for file in found if file is not None and not self._faults.peek(Withdrawn, file.name)]
        rows = describe(files, lag=self._lag)
        self._alter(rows["Artifact"])
        if visible_at is not None:
            for name in ("Observation", "Plane"):
                rows[name] = [row for row in rows[name] if row["metaRelease"] and row["metaRelease"] <= visible_at]
        if hidden := self._hidden():
            planes = {row["planeID"] for row in rows["Artifact"] if row["uri"].rsplit("/", 1)[-1] in hidden}
            rows["Plane"] = [row for row in rows["Plane"] if row["planeID"] not in planes]
            seen = {row["obsID"] for row in rows["Plane"]}
            rows["Observation"] = [row for row in rows["Observation"] if row["obsID"] in seen]
        return rows

    def _hidden(self) -> frozenset[str]:
        """Names of files whose planes are not to be seen now."""
        if not self._faults.expects(Hidden):
            return frozenset()
        now, found = self._now(), set()
        for file in self._inventory.files:
            fault = self._faults.peek(Hidden, file.name)
            if fault and (not fault.until or now < fault.until.replace(" ", "T")):
                found.add(file.name)
        return frozenset(found)

    def _lag(self, file: StoredFile) -> float:
        fault = self._faults.peek(Listed, file.name)
        skew = self._faults.peek(ClockSkew, file.name)
        return (fault.lag if fault else 0.0) - (skew.seconds if skew else 0.0)

    def _alter(self, artifacts: list[Row]) -> None:
        for row in artifacts:
            fault = self._faults.peek(Listed, row["uri"].rsplit("/", 1)[-1])
            if fault is None:
                continue
            row["uri"] = fault.uri or row["uri"]
            row["contentLength"] = fault.length if fault.length >= 0 else row["contentLength"]
            row["contentChecksum"] = fault.checksum or row["contentChecksum"]
