"""What the headers of a file on an FTP server say of it, read without the pixels between."""

import zlib
from dataclasses import dataclass
from typing import Any, Final, Self

from snooppix.ftp.session import Session
from snooppix.headers import BLOCK, CARD, LONGEST_HEADER, Headers
from snooppix.metadata import observed_at, texts
from snooppix.selection import Candidate, Columns

FIRST: Final = 10 * BLOCK
"""Bytes read at once of a header; MegaCam's primary header takes 7 blocks."""
LEVEL: Final = 2
"""Calibration level of what is called as processed frames are."""
KEYWORDS: Final = Columns(
    run="RUNID",
    camera_run="CRUNID",
    investigator="PI_NAME",
    filter="FILTER",
    observed="MJD-OBS",
    ra="RA_DEG",
    dec="DEC_DEG",
    level="the name",
)
"""Where a file tells what the rules of the selection ask for."""


@dataclass(frozen=True, slots=True)
class Description:
    """What is kept of a first header: the few words that are looked at, since a directory may have 100,000 files."""

    candidate: Candidate
    """As the rules of the selection look at it."""
    columns: dict[str, Any]
    """As the listing of another archive would tell it."""

    @classmethod
    def of(cls, name: str, header: Headers) -> Self:
        """Read what is kept."""
        words, moment = texts(header), observed_at(header)
        candidate = Candidate(
            name,
            run=header.text(KEYWORDS.run),
            camera_run=header.text(KEYWORDS.camera_run),
            investigator=header.text(KEYWORDS.investigator),
            filter=header.text(KEYWORDS.filter),
            observed_at=moment,
            ra=header.number(KEYWORDS.ra),
            dec=header.number(KEYWORDS.dec),
            level=LEVEL,
        )
        columns = {
            **{column: words[column] for column in ("runid", "filter", "object")},
            "version": header.text("EL_SYS")[:20] or None,
            "exposure_time": header.number("EXPTIME"),
            "observed_at": moment,
        }
        return cls(candidate, columns)


async def header(session: Session, path: str, *, offset: int) -> str:
    """Read one header in whole blocks, from SIMPLE or XTENSION to END; empty if there is none."""
    raw = b""
    while len(raw) < LONGEST_HEADER:
        chunk = await session.begin_of(path, offset=offset + len(raw), size=FIRST)
        raw += chunk
        cards = zlib.decompressobj(31).decompress(raw, LONGEST_HEADER) if raw.startswith(b"\x1f\x8b") else raw
        if not cards.startswith(b"XTENSION=" if offset else b"SIMPLE  ="):
            return ""  # no FITS file, or a server that begins at the beginning whatever it is told
        for start in range(0, len(cards), CARD):
            if cards[start : start + 8] == b"END     ":
                return cards[: -(-(start + CARD) // BLOCK) * BLOCK].decode("latin-1")
        if len(chunk) < FIRST:
            return ""
    return ""
