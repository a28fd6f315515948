"""Walking a file that may be broken: every HDU that can be told apart, and what is wrong with it."""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from processing.cards import CARD, LONGEST_HEADER, RECORD, CardValues, padding
from processing.missfits.findings import Finding, Gravity
from processing.missfits.hdus import Hdu, Stretch
from processing.missfits.mending import mended_cards

FETCH_AGAIN = "the file is damaged: fetch it again"
_BITPIX = (8, 16, 32, 64, -32, -64)
_MOST_AXES = 999
_CARDLIKE = re.compile(rb"[A-Z0-9_-]{1,8} *(?:=|$)|(?:COMMENT|HISTORY|CONTINUE|HIERARCH)| {8}")


@dataclass(frozen=True, slots=True)
class Scanned:
    """What was found in a file."""

    path: Path
    hdus: tuple[Hdu, ...]
    findings: tuple[Finding, ...]


class _Stop(Exception):
    """Nothing behind this place can be told."""


def scan(path: Path, *, mend: bool = True) -> Scanned:
    """Walk a file; never raises for what is in it.

    Parameters
    ----------
    mend : repair headers where that needs no guess
    """
    findings: list[Finding] = []
    hdus: list[Hdu] = []
    with path.open("rb") as stream, contextlib.suppress(_Stop):
        hdus.extend(_hdus(stream, path, findings, mend=mend))
    return Scanned(path, tuple(hdus), tuple(findings))


def _hdus(stream: BinaryIO, path: Path, findings: list[Finding], *, mend: bool) -> Iterator[Hdu]:
    total = os.fstat(stream.fileno()).st_size

    def tell(number: int | None, kind: str, found: str, remedy: str, gravity: Gravity, *, mended: bool = False) -> None:
        findings.append(Finding(path, number, None, kind, found, remedy, gravity, mended))

    if total == 0:
        tell(None, "empty", "no byte is in it", "fetch it again", Gravity.ERROR)
        raise _Stop
    offset, number = 0, 0
    while offset < total:
        stream.seek(offset)
        head = stream.read(9)
        if not head.startswith(b"SIMPLE  =" if number == 0 else b"XTENSION="):
            if number == 0:
                tell(0, "no FITS", f"the file begins with {head!r}", "SIMPLE was expected", Gravity.ERROR)
                raise _Stop
            remedy = "they belong to no HDU and are left out" if mend else "they belong to no HDU"
            tell(None, "bytes behind the end", f"{total - offset} bytes", remedy, Gravity.WARNING, mended=mend)
            return
        raw, ended = _header(stream, offset, total)
        length = len(raw)
        cards, troubles, kept = mended_cards(raw, path, number, ended=ended, mend=mend)
        findings += troubles
        offset += length
        size = _extent("".join(cards), path, number, findings)
        there = min(size, max(0, total - offset))
        if there < size:
            found = f"{there} of {size} bytes of pixels are there"
            tell(number, "truncated", found, FETCH_AGAIN, Gravity.ERROR)
        elif total - offset - size < padding(size):
            found = f"the last record lacks {padding(size) - (total - offset - size)} bytes of filling"
            remedy = "it is filled" if mend else "readers may refuse it"
            tell(number, "short filling", found, remedy, Gravity.WARNING, mended=mend)
        stretch = (Stretch(path, offset, there),) if there else ()
        yield Hdu(path, number, cards, stretch, raw if kept else b"")
        offset += size + padding(size)
        number += 1


def _header(stream: BinaryIO, offset: int, total: int) -> tuple[bytes, bool]:
    """Return the records of the header at `offset`, and whether an END is in them."""
    stream.seek(offset)
    pieces: list[bytes] = []
    shifted = False
    while len(pieces) * RECORD < LONGEST_HEADER and offset + len(pieces) * RECORD < total:
        record = stream.read(RECORD)
        cards = [record[place : place + CARD] for place in range(0, len(record), CARD)]
        if pieces and (record.startswith(b"XTENSION=") or not _is_text(record)):
            break
        pieces.append(record)
        if any(card.rstrip() == b"END" for card in cards):
            return b"".join(pieces), True
        shifted = shifted or any(not _CARDLIKE.match(card) for card in cards)
        if shifted and re.search(rb"[ ']END *$", record):
            return b"".join(pieces), True
    return b"".join(pieces), False


def _is_text(record: bytes) -> bool:
    """Whether a record may belong to a header: nearly all of it can be printed."""
    odd = sum(not 32 <= byte < 127 for byte in record)
    return odd * 20 < len(record)


def _extent(cards: str, path: Path, number: int, findings: list[Finding]) -> int:
    """Bytes of data that a header promises; _Stop where it cannot be told."""
    values = CardValues(cards)

    def whole(keyword: str, default: int | None, low: int, high: int) -> int:
        text = values.plain(keyword)
        if not text and default is not None:
            return default
        if re.fullmatch(r"[+-]?\d{1,15}", text) and low <= int(text) <= high:
            return int(text)
        remedy = f"a whole number from {low} to {high} was expected; what lies behind cannot be found"
        found = f"{keyword} = {text or 'nothing'}"
        findings.append(Finding(path, number, _place(cards, keyword), f"bad {keyword}", found, remedy, Gravity.ERROR))
        raise _Stop

    bitpix = whole("BITPIX", None, -64, 64)
    if bitpix not in _BITPIX:
        remedy = "8, 16, 32, 64, -32 or -64 was expected; what lies behind cannot be found"
        place = _place(cards, "BITPIX")
        findings.append(Finding(path, number, place, "bad BITPIX", f"BITPIX = {bitpix}", remedy, Gravity.ERROR))
        raise _Stop
    axes = [whole(f"NAXIS{axis}", None, 0, 2**40) for axis in range(1, 1 + whole("NAXIS", None, 0, _MOST_AXES))]
    pixels = 1 if axes else 0
    for length in axes:
        pixels *= length
    return abs(bitpix) // 8 * whole("GCOUNT", 1, 1, 2**31) * (whole("PCOUNT", 0, 0, 2**48) + pixels)


def _place(cards: str, keyword: str) -> int | None:
    for place in range(0, len(cards), CARD):
        if cards[place : place + 8].rstrip() == keyword:
            return place // CARD + 1
    return None
