"""What SNOOPPIX asks of an archive: the port behind which each kind of archive lives."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dbclient.stores.frames import Sighting


@dataclass(frozen=True, slots=True)
class Batch:
    """One page of a listing."""

    sightings: tuple[Sighting, ...]
    """What is listed and may be ours."""
    reached: datetime | None
    """Stamp of the page's last row: everything before it was listed; none for an empty page."""
    passed_over: int = 0
    """Rows that are not ours: raw frames, previews, names that no file should have."""
    refused: tuple[str, ...] = ()
    """Of these, why those are not taken that claim to be ours: a sentence each."""


class Archive(Protocol):
    """An archive that lists files, says where they are, and shows their headers."""

    @property
    def name(self) -> str:
        """Key of its bookmark: registry and collection."""
        ...

    def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        """List what was changed at `mark` or later, oldest first; everything if none.

        Raises
        ------
        ArchiveError
            If the archive is silent, refuses, or cannot be understood; pages given before that stand.
        """
        ...

    async def find(self, name: str) -> Sighting | None:
        """Look one file up by the name of its frame or calibration; none if the archive has no such file."""
        ...

    async def locate(self, uri: str) -> list[str]:
        """Return the addresses of a file, best first; empty if the archive lists it but stores it nowhere."""
        ...

    async def header(self, uri: str) -> str:
        """Return the headers of all its HDUs as text."""
        ...
