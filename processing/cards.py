"""Header cards: what an HDU needs round its pixels, and the checksums over it."""

import math
import re
import struct
import warnings
from collections.abc import Collection, Iterable, Mapping
from typing import Any

RECORD = 2880
"""Bytes of a FITS record."""
CARD = 80
"""Bytes of a header card."""
LONGEST_HEADER = 2000 * RECORD
"""Bytes; 72,000 cards. Real headers have a few hundred."""

_STRUCTURE = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "EXTEND", "PCOUNT", "GCOUNT", "GROUPS",
    "BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM", "EXTNAME", "END", "TFIELDS", "THEAP",
    "ZIMAGE", "ZSIMPLE", "ZTENSION", "ZEXTEND", "ZBITPIX", "ZNAXIS", "ZPCOUNT", "ZGCOUNT", "ZCMPTYPE", "ZQUANTIZ",
    "ZDITHER0", "ZSCALE", "ZZERO", "ZBLANK", "ZMASKCMP",
)  # fmt: skip
_STRUCTURE_PREFIXES = ("ZNAXIS", "ZTILE", "ZNAME", "ZVAL", "TTYPE", "TFORM", "TUNIT", "TDIM", "TZERO", "TSCAL", "TNULL")

HeaderLike = Mapping[str, Any] | str | None
"""An astropy Header; keyword to value or to (value, comment); or card images, one behind the other."""
Entry = tuple[str, Any] | tuple[str, Any, str]


_SUMMED_BY_HAND = 1 << 14
"""Bytes: more are summed by numpy, whose start takes as long as a hundred megabytes."""
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_QUOTED = re.compile(r"\s*'((?:[^']|'')*)'")


def is_structural(keyword: str) -> bool:
    """Tell whether a keyword describes how the pixels are stored, and so belongs to one file only."""
    if keyword in _STRUCTURE:
        return True
    return keyword.startswith(_STRUCTURE_PREFIXES) and keyword[-1:].isdigit()


def descriptive(header: HeaderLike, without: Collection[str] = ()) -> str:
    """Card images of `header` without the keywords of storage and those of `without`; END is left out too."""
    if header is None:
        return ""
    if isinstance(header, str):
        images = (header[place : place + CARD] for place in range(0, len(header), CARD))
        kept = (image.ljust(CARD) for image in images if not _left_out(image[:8].rstrip(), without))
        return _UNPRINTABLE.sub(" ", "".join(kept))
    cards = getattr(header, "cards", None)
    if cards is None:
        pairs = [(key, *value) if isinstance(value, tuple) else (key, value) for key, value in header.items()]
        return text_of([pair for pair in pairs if not _left_out(pair[0], without)])
    return "".join(_checked(card) for card in cards if not _left_out(card.keyword, without))


def _left_out(keyword: str, without: Collection[str]) -> bool:
    return is_structural(keyword) or keyword in without


def text_of(entries: Iterable[Entry]) -> str:
    """Card images of `entries`, one behind the other."""
    return "".join(_image(*entry) for entry in entries)


def _image(keyword: str, value: Any, comment: str = "") -> str:
    if keyword in {"HISTORY", "COMMENT"}:
        return f"{keyword:<8}{value}"[:CARD].ljust(CARD)
    if isinstance(value, str):
        quoted = "'" + value.replace("'", "''").ljust(8) + "'"
        written = f"{quoted:<20}"
    elif isinstance(value, bool):
        written = f"{'T' if value else 'F':>20}"
    elif isinstance(value, int):
        written = f"{value:>20}"
    elif isinstance(value, float) and math.isfinite(value):
        written = f"{value!r:>20}".upper()
    else:
        return _by_astropy(keyword, value, comment)
    if len(keyword) > 8 or len(written) > CARD - 10 or not keyword.isupper():
        return _by_astropy(keyword, value, comment)
    image = f"{keyword:<8}= {written}"
    return (image + (f" / {comment}" if comment else ""))[:CARD].ljust(CARD)


def _by_astropy(keyword: str, value: Any, comment: str) -> str:
    """Card images of what the simple form cannot hold: long texts, long keywords, complex numbers."""
    from astropy.io.fits import Card  # noqa: PLC0415  seldom needed, and slow to import

    return _checked(Card(keyword, value, comment))


def _checked(card: Any) -> str:
    """Card image of an astropy card, mended where the standard asks for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(card.image)


class CardValues:
    """Values of a header's keywords, taken as they stand and never trusted."""

    def __init__(self, cards: str) -> None:
        self.raw: dict[str, str] = {}
        for place in range(0, len(cards), CARD):
            card = cards[place : place + CARD]
            if card[8:10] == "= ":
                self.raw.setdefault(card[:8].rstrip(), card[10:])

    def plain(self, keyword: str) -> str:
        """Text of a value that is no string; empty where there is none."""
        return self.raw.get(keyword, "").split("/")[0].strip()

    def text(self, keyword: str, default: str = "") -> str:
        """Value of a string."""
        found = _QUOTED.match(self.raw.get(keyword, ""))
        return found[1].replace("''", "'").rstrip() if found else default

    def number(self, keyword: str) -> float | None:
        """Value of a number; None where there is none, or another thing than a finite number."""
        try:
            value = float(self.plain(keyword).upper().replace("D", "E"))
        except ValueError:
            return None
        return value if math.isfinite(value) else None


def sum_of(data: bytes | bytearray | memoryview, start: int = 0) -> int:
    """FITS checksum (ones' complement sum of 32-bit words) of `data`, whose length is a multiple of four."""
    total = start
    if len(data) <= _SUMMED_BY_HAND:
        total += sum(struct.unpack(f">{len(data) // 4}I", data))
    else:
        import numpy as np  # noqa: PLC0415  slow to import, and most sums are of headers

        total += int(np.frombuffer(data, ">u4").sum(dtype=np.uint64))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def checksum_text(total: int) -> str:
    """ASCII form of the complement of a checksum (FITS standard 4.0, appendix J)."""
    complement = 0xFFFFFFFF - total
    letters = [[0] * 4 for _ in range(4)]
    for place in range(4):
        byte = (complement >> (24 - 8 * place)) & 0xFF
        quotient, rest = divmod(byte, 4)
        row = [quotient + rest + 48] + [quotient + 48] * 3
        while any(0x3A <= value <= 0x40 or 0x5B <= value <= 0x60 for value in row):
            for pair in (0, 2):
                first, second = row[pair], row[pair + 1]
                if 0x3A <= first <= 0x40 or 0x5B <= first <= 0x60 or 0x3A <= second <= 0x40 or 0x5B <= second <= 0x60:
                    row[pair] += 1
                    row[pair + 1] -= 1
        for column in range(4):
            letters[column][place] = row[column]
    plain = "".join(chr(letters[column][place]) for column in range(4) for place in range(4))
    return plain[-1] + plain[:-1]


def sealed(text: str, data: bytes | bytearray) -> bytes:
    """Return a whole HDU: the cards of `text`, CHECKSUM, DATASUM, END, padding, then `data`, padded already."""
    data_sum = sum_of(data)
    quoted = f"'{data_sum}'"
    tail = f"DATASUM = {quoted:<20} / sum of the 32-bit words of the data".ljust(CARD)

    def written(check: str) -> bytes:
        head = text + f"CHECKSUM= '{check}'   / sum of the whole HDU is -0".ljust(CARD) + tail + "END".ljust(CARD)
        return head.ljust(-(-len(head) // RECORD) * RECORD).encode("ascii", errors="replace")

    blank = written("0" * 16)
    return written(checksum_text(sum_of(blank, data_sum))) + data


def padding(length: int) -> int:
    """Bytes that fill the last record of `length` bytes."""
    return -length % RECORD
