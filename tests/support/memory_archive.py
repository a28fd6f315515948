"""An archive in memory, for tests of what is made of listings."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from dbclient.schema import FrameKind
from dbclient.stores import Sighting
from snooppix.archive import Batch
from snooppix.errors import ArchiveSilent

NIGHT = datetime(2008, 3, 30, 6, tzinfo=UTC)


class MemoryArchive:
    """An archive that lists what it is told, in pages."""

    name = "memory CFHT"

    def __init__(self, page: int = 2) -> None:
        self.rows: list[Sighting] = []
        self.page = page
        self.marks: list[datetime | None] = []
        self.silent_after: int | None = None
        """Pages after which it falls silent."""
        self.hidden: set[str] = set()
        """Names whose description we may not see, though the file is there."""

    def offer(self, name: str, *, at: datetime = NIGHT, digest: str = "md5:" + "0" * 32, **facts: Any) -> None:
        """List a file, or another one under its name."""
        self.withdraw(name)
        kind = FrameKind.OBJECT if name.endswith("p") else FrameKind.FLAT
        uri = f"cadc:CFHT/{name}.fits.fz"
        self.rows.append(Sighting(name=name, kind=kind, uri=uri, digest=digest, modified=at, **facts))

    def withdraw(self, name: str) -> None:
        """List a file no more, and have it no more."""
        self.rows = [row for row in self.rows if row.name != name]

    async def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        self.marks.append(mark)
        listed = sorted(
            (row for row in self._shown() if mark is None or (row.modified and row.modified >= mark)),
            key=lambda row: (row.modified or NIGHT, row.uri),
        )
        for number, start in enumerate(range(0, len(listed), self.page)):
            if number == self.silent_after:
                raise ArchiveSilent("memory", "it fell silent")
            page = listed[start : start + self.page]
            yield Batch(tuple(page), page[-1].modified)

    async def released(self, after: datetime, until: datetime) -> AsyncIterator[Batch]:
        yield Batch(tuple(row for row in self._shown() if row.release and after <= row.release < until), None)

    async def everything(self) -> AsyncIterator[Batch]:
        listed = sorted(self._shown(), key=lambda row: row.uri)
        for number, start in enumerate(range(0, len(listed), self.page)):
            if number == self.silent_after:
                raise ArchiveSilent("memory", "it fell silent")
            yield Batch(tuple(listed[start : start + self.page]), None)

    def _shown(self) -> list[Sighting]:
        return [row for row in self.rows if row.name not in self.hidden]

    async def has(self, uris: Sequence[str]) -> set[str]:
        return {row.uri for row in self.rows} & set(uris)

    async def find(self, name: str) -> Sighting | None:
        return next((row for row in self.rows if row.name == name), None)

    async def locate(self, uri: str) -> list[str]:
        return [f"http://127.0.0.1/{uri}"]

    async def header(self, uri: str) -> str:
        return uri
