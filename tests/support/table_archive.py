"""The archive in memory as one that answers with tables, so that its pages are read by columns."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from html import escape

from dbclient.stores import Sighting
from snooppix import pages
from snooppix.archive import Batch
from snooppix.block import Block
from snooppix.listing import COLUMNS, ELIXIR, stamp
from snooppix.pages import PageReader
from tests.support.memory_archive import NIGHT, MemoryArchive

MJD_0 = datetime(1858, 11, 17, tzinfo=UTC)


class TableArchive(MemoryArchive):
    """An archive whose pages are tables, however few rows they have."""

    async def since(self, mark: datetime | None) -> AsyncIterator[Batch]:
        async for batch in super().since(mark):
            yield read(batch.sightings)

    async def everything(self) -> AsyncIterator[Batch]:
        async for batch in super().everything():
            yield read(batch.sightings)


def read(sightings: Sequence[Sighting]) -> Batch:
    """Have a page of some sightings read by columns."""
    block = Block.of(table([cells(seen) for seen in sightings]), len(COLUMNS))
    assert block is not None
    many, pages.MANY = pages.MANY, 1
    try:
        return PageReader(ELIXIR, ()).read(block)
    finally:
        pages.MANY = many


def table(rows: Sequence[Sequence[str]]) -> bytes:
    """Write rows as they stand in a VOTable."""
    return "".join(f"<TR>{''.join(f'<TD>{escape(cell)}</TD>' for cell in row)}</TR>\n" for row in rows).encode().strip()


def cells(seen: Sighting) -> list[str]:
    """Write a sighting as a row; what it does not tell is told as an archive would."""
    begun = seen.observed_at or NIGHT
    told = {
        "o.proposal_id": seen.runid or "",
        "o.target_name": seen.object or "",
        "o.maxLastModified": stamp(seen.modified) if seen.modified else "",
        "p.productID": seen.name,
        "p.calibrationLevel": "2",
        "p.dataRelease": stamp(seen.release) if seen.release else "",
        "p.provenance_version": seen.version or "",
        "p.provenance_lastExecuted": stamp(seen.processed_at) if seen.processed_at else "",
        "p.energy_bandpassName": seen.filter or "",
        "p.time_bounds_lower": repr((begun - MJD_0).total_seconds() / 86_400),
        "p.time_exposure": "" if seen.exposure_time is None else repr(seen.exposure_time),
        "a.uri": seen.uri,
        "a.contentLength": str(1000 if seen.size is None else seen.size),
        "a.contentChecksum": seen.digest or "",
    }
    return [told.get(name, "") for name in COLUMNS]
