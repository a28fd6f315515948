"""Rows of the listing by the ten thousand: read as `snooppix.listing` reads them, in a tenth of the time.

Nearly every row is of a processed frame whose address, digest and stamps are
written as always. Of a large page those are told by columns, of a small one by
a pattern; every other row is read with all its doubts. A test holds the ways
against each other; bench_listing.py.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, overload

import numpy as np

from dbclient.schema import FrameKind
from dbclient.stores.sightings import Sighting
from dbclient.stores.slab import Slab
from snooppix.archive import Batch
from snooppix.block import Block
from snooppix.listing import COLUMNS, candidate, day, moment, number, told
from snooppix.names import Names
from snooppix.selection import Rule, keeps
from snooppix.sheet import LONGEST_LENGTH, USUAL_ADDRESS, Sheet, sheet_of
from terapix.collector import paused

MANY: Final = 500
"""Rows from which on a page is read by columns."""
_USUAL_DIGEST: Final = re.compile(r"md5:[0-9a-f]{32}")
_AT: Final = {name: place for place, name in enumerate(COLUMNS)}
_URI, _PRODUCT, _MODIFIED = _AT["a.uri"], _AT["p.productID"], _AT["o.maxLastModified"]
_LENGTH, _DIGEST, _RELEASE = _AT["a.contentLength"], _AT["a.contentChecksum"], _AT["p.dataRelease"]
_PROCESSED, _VERSION, _RUN = _AT["p.provenance_lastExecuted"], _AT["p.provenance_version"], _AT["o.proposal_id"]
_FILTER, _TARGET = _AT["p.energy_bandpassName"], _AT["o.target_name"]
_EXPOSED, _BEGUN = _AT["p.time_exposure"], _AT["p.time_bounds_lower"]
_MOST_DATES: Final = 10_000
"""Dates of release kept in memory: frames of a run share one."""


class Listed(Sequence[Sighting]):
    """Sightings that are read when somebody asks for one of them."""

    def __init__(self, count: int, read: Callable[[], list[Sighting]]) -> None:
        self._count = count
        self._read = read
        self._found: list[Sighting] | None = None

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, at: int) -> Sighting: ...

    @overload
    def __getitem__(self, at: slice) -> list[Sighting]: ...

    def __getitem__(self, at: int | slice) -> Sighting | list[Sighting]:
        if self._found is None:
            self._found = self._read()
        return self._found[at]


class PageReader:
    """Reads rows of one archive's listing."""

    def __init__(self, names: Names, unsaid: Sequence[Rule]) -> None:
        self.names = names
        self.unsaid = unsaid
        """Rules that the query could not tell the archive."""
        usual = not names.pattern and names.products and not names.published
        pattern = re.compile(USUAL_ADDRESS % re.escape(names.suffix), re.ASCII) if usual else None
        self._usual = pattern.fullmatch if pattern else None
        self._dates: dict[str, datetime | None] = {}

    def read(self, rows: Sequence[Sequence[str]]) -> Batch:
        """Read what rows say."""
        if self._usual is not None and not self.unsaid and isinstance(rows, Block) and len(rows) >= MANY:
            sheet = sheet_of(rows, names=self.names)
            if sheet is not None:
                return self._by_columns(rows, sheet)
        found, refused = self._one_by_one(rows)
        return Batch(tuple(found), _reached(rows), len(rows) - len(found), tuple(refused))

    def _by_columns(self, rows: Block, sheet: Sheet) -> Batch:
        """Read the usual rows by columns, and the others one by one."""
        usual = sheet.usual
        others = np.flatnonzero(~usual).tolist()
        found, refused = self._one_by_one([rows[at] for at in others])
        if sheet.has(seen.name for seen in found):
            found, refused = self._one_by_one(rows)  # of a name that comes twice, the last row counts
            return Batch(tuple(found), _reached(rows), len(rows) - len(found), tuple(refused))
        places = np.flatnonzero(usual)

        def read(lines: Iterable[int]) -> list[Sighting]:
            return self._one_by_one([rows[int(places[at])] for at in lines])[0]

        slab = Slab.of(sheet.columns, places=sheet.places, read=read)
        listed = Listed(slab.count + len(found), lambda: self._one_by_one(rows)[0])
        return Batch(listed, _reached(rows), len(rows) - len(listed), tuple(refused), slab, tuple(found))

    def _one_by_one(self, rows: Sequence[Sequence[str]]) -> tuple[list[Sighting], list[str]]:
        """Give what rows list, and why some are refused."""
        found: list[Sighting] = []
        refused: list[str] = []
        with paused():
            for row in rows:
                known = self._usual(row[_URI]) if self._usual is not None else None
                if known is not None and known[1] == row[_PRODUCT]:
                    seen: Sighting | str | None = self._frame(row)
                else:
                    seen = told(row, self.names)
                if isinstance(seen, str):
                    refused.append(seen)
                elif seen is not None and (not self.unsaid or keeps(self.unsaid, candidate(row, self.names))):
                    found.append(seen)
        return found, refused

    def _frame(self, row: Sequence[str]) -> Sighting | str | None:
        digest, length, begun = row[_DIGEST], row[_LENGTH], day(row[_BEGUN])
        if begun is None or not (_USUAL_DIGEST.fullmatch(digest) and length.isascii() and length.isdigit()):
            return told(row, self.names)
        if len(length) > LONGEST_LENGTH:
            return told(row, self.names)
        return Sighting(
            row[_PRODUCT],
            row[_URI],
            FrameKind.OBJECT,
            int(length),
            digest,
            _moment(row[_MODIFIED]),
            self._date(row[_RELEASE]),
            row[_RUN][:20] or None,
            row[_FILTER][:40] or None,
            row[_TARGET][:80] or None,
            number(row[_EXPOSED]),
            begun,
            _moment(row[_PROCESSED]),
            row[_VERSION][:20] or None,
        )

    def _date(self, text: str) -> datetime | None:
        if text not in self._dates:
            if len(self._dates) >= _MOST_DATES:
                self._dates.clear()
            self._dates[text] = moment(text)
        return self._dates[text]


def _moment(text: str) -> datetime | None:
    """Read a time of the archive, which nearly always names no zone."""
    try:
        found = datetime.fromisoformat(text + "+00:00")
    except ValueError:
        return moment(text)
    return moment(text) if found.tzinfo is None else found  # behind a bare day it is read as a time of day


def _reached(rows: Sequence[Sequence[str]]) -> datetime | None:
    return moment(rows[-1][_MODIFIED]) if len(rows) else None
