"""The stand-in's catalogue: what lies in its directory, and what the faults make of it."""

from collections.abc import Hashable, Mapping, Sequence

from snooppix.protocol.tables import STEPS, Row, Tables
from snooppix.standin.faults import Faults, Listed
from snooppix.standin.inventory import Inventory, StoredFile
from snooppix.standin.observations import describe


class Catalogue(Tables):
    """The tables, kept in step with the inventory and with what the faults make of it."""

    def __init__(self, inventory: Inventory, faults: Faults, *, steps: int = STEPS) -> None:
        super().__init__(steps=steps)
        self._inventory = inventory
        self._faults = faults

    def refresh(self) -> None:
        """Look at the directory again; blocks."""
        with self._lock:
            self._inventory.refresh()

    def described(self, file: StoredFile) -> Row | None:
        """Return the plane that a file belongs to, with its observation's columns; None for a file apart."""
        found = describe([file])
        return {**found["Observation"][0], **found["Plane"][0]} if found["Plane"] else None

    def _look_again(self) -> Hashable:
        self._inventory.refresh()
        return self._inventory.version, self._faults.version

    def _rows(self, visible_at: str | None) -> Mapping[str, Sequence[Row]]:
        rows = describe(self._inventory.files, lag=self._lag)
        self._alter(rows["Artifact"])
        if visible_at is not None:
            for name in ("Observation", "Plane"):
                rows[name] = [row for row in rows[name] if row["metaRelease"] and row["metaRelease"] <= visible_at]
        return rows

    def _lag(self, file: StoredFile) -> float:
        fault = self._faults.peek(Listed, file.name)
        return fault.lag if fault else 0.0

    def _alter(self, artifacts: list[Row]) -> None:
        for row in artifacts:
            fault = self._faults.peek(Listed, row["uri"].rsplit("/", 1)[-1])
            if fault is None:
                continue
            row["uri"] = fault.uri or row["uri"]
            row["contentLength"] = fault.length if fault.length >= 0 else row["contentLength"]
            row["contentChecksum"] = fault.checksum or row["contentChecksum"]
