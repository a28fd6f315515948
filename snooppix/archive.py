"""What SNOOPPIX asks of an archive: the port behind which each kind of archive lives."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from dbclient.stores.frames import Sighting
from dbclient.stores.slab import Slab


@dataclass(frozen=True, slots=True)
class Batch:
    """One page of a listing."""

    sightings: Sequence[Sighting]
    """What is listed and may be ours, in the order of the page."""
    reached: datetime | None
    """Stamp of the page's last row: everything before it was listed; none for an empty page."""
    passed_over: int = 0
    """Rows that are not ours: raw frames, previews, names that no file should have."""
    refused: tuple[str, ...] = ()
    """Of these, why those are not taken that claim to be ours: a sentence each."""
    slab: Slab | None = None
    """The usual ones of the sightings, by columns; none if they were read one by one."""
    others: Sequence[Sighting] = ()
    """Sightings beside those of the slab; none of its names is among them."""


class Archive(Protocol):
    """An archive that lists files, says where they are, and shows their headers."""

    @property
    def name(self) -> str:
        """Key of its bookmark: what is followed, and by which rules."""
        ...

    def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        """List what was changed at `mark` or later, oldest first; everything if none.

        Raises
        ------
        ArchiveError
            If the archive is silent, refuses, or cannot be understood; pages given before that stand.
        """
        ...

    def released(self, after: datetime, until: datetime) -> AsyncIterator[Batch]:
        """List what became visible or public by its date alone: description or pixels released in [after, until).

        Raises
        ------
        ArchiveError
            As `since` does.
        """
        ...

    def everything(self) -> AsyncIterator[Batch]:
        """List all that is selected, ordered by address, for a comparison with what is here.

        The order is that of the archive's database, most often a dictionary's (aa, AB, ac) and not that of bytes: who
        walks two lists side by side has to bring them into one order first.

        Raises
        ------
        ArchiveError
            As `since` does; a listing that ends with an error was not all.
        """
        ...

    async def has(self, uris: Sequence[str]) -> set[str]:
        """Tell which of these files the archive still has, selected or not, and whoever may read about them.

        A file that `everything` does not list any more may only be hidden from us, as when a credential has run out.
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
