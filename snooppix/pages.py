"""Rows of the listing by the ten thousand: read as `snooppix.listing` reads them, in a fifth of the time.

Nearly every row is of a processed frame whose address, digest and stamps are
written as always. Those are told by one pattern; every other row is read with
all its doubts. A test holds the two ways against each other; bench_listing.py.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from dbclient.schema import FrameKind
from dbclient.stores.sightings import Sighting
from snooppix.archive import Batch
from snooppix.listing import COLUMNS, candidate, day, moment, number, told
from snooppix.names import Names
from snooppix.selection import Rule, keeps
from terapix.collector import paused

_USUAL_ADDRESS: Final = r"[a-z]{1,20}:[A-Za-z0-9_-]{1,40}/(\d{1,9}%s)\.fits(?:\.fz|\.gz)?"
_USUAL_DIGEST: Final = re.compile(r"md5:[0-9a-f]{32}")
_AT: Final = {name: place for place, name in enumerate(COLUMNS)}
_URI, _PRODUCT, _MODIFIED = _AT["a.uri"], _AT["p.productID"], _AT["o.maxLastModified"]
_LENGTH, _DIGEST, _RELEASE = _AT["a.contentLength"], _AT["a.contentChecksum"], _AT["p.dataRelease"]
_PROCESSED, _VERSION, _RUN = _AT["p.provenance_lastExecuted"], _AT["p.provenance_version"], _AT["o.proposal_id"]
_FILTER, _TARGET = _AT["p.energy_bandpassName"], _AT["o.target_name"]
_EXPOSED, _BEGUN = _AT["p.time_exposure"], _AT["p.time_bounds_lower"]
_LONGEST_LENGTH: Final = 11
"""Digits of a length in bytes."""
_MOST_DATES: Final = 10_000
"""Dates of release kept in memory: frames of a run share one."""


class PageReader:
    """Reads rows of one archive's listing."""

    def __init__(self, names: Names, unsaid: Sequence[Rule]) -> None:
        self.names = names
        self.unsaid = unsaid
        """Rules that the query could not tell the archive."""
        usual = not names.pattern and names.products and not names.published
        pattern = re.compile(_USUAL_ADDRESS % re.escape(names.suffix)) if usual else None
        self._usual: Callable[[str], re.Match[str] | None] = pattern.fullmatch if pattern else lambda _: None
        self._dates: dict[str, datetime | None] = {}

    def read(self, rows: Sequence[Sequence[str]]) -> Batch:
        """Read what rows say."""
        with paused():
            return self._read(rows)

    def _read(self, rows: Sequence[Sequence[str]]) -> Batch:
        found: list[Sighting] = []
        refused: list[str] = []
        for row in rows:
            known = self._usual(row[_URI])
            if known is not None and known[1] == row[_PRODUCT]:
                seen: Sighting | str | None = self._frame(row)
            else:
                seen = told(row, self.names)
            if isinstance(seen, str):
                refused.append(seen)
            elif seen is not None and (not self.unsaid or keeps(self.unsaid, candidate(row, self.names))):
                found.append(seen)
        reached = moment(rows[-1][_MODIFIED]) if rows else None
        return Batch(tuple(found), reached, len(rows) - len(found), tuple(refused))

    def _frame(self, row: Sequence[str]) -> Sighting | str | None:
        digest, length, begun = row[_DIGEST], row[_LENGTH], day(row[_BEGUN])
        if begun is None or not (_USUAL_DIGEST.fullmatch(digest) and length.isascii() and length.isdigit()):
            return told(row, self.names)
        if len(length) > _LONGEST_LENGTH:
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
