"""FITS headers as they lie in a file: cards, not values; nothing in a damaged file may stop the stand-in."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

BLOCK = 2880
"""Bytes; FITS files consist of blocks of this size."""
CARD = 80
"""Bytes of one header card."""
LONGEST = 2000
"""Blocks of one header, at most; longer ones are damaged or hostile (a MegaCam header has 13)."""

Value = str | int | float | bool | None
"""What a card may hold; None if it can not be read."""
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")


def headers(path: Path, *, first_only: bool = False) -> Iterator[list[str]]:
    """Yield the cards of each HDU of a FITS file, `END` included; stop without noise where the file is damaged."""
    with path.open("rb") as file:
        while cards := header(file):
            yield cards
            if first_only:
                return
            size = data_size(cards)
            if size is None:
                return
            file.seek(size, 1)


def header(file: BinaryIO) -> list[str]:
    """Read the cards of the header that begins here, `END` included; none where there is no whole one."""
    cards: list[str] = []
    for _ in range(LONGEST):
        block = file.read(BLOCK)
        if len(block) < BLOCK or not (cards or block.startswith((b"SIMPLE  =", b"XTENSION="))):
            return []
        text = block.decode("ascii", errors="replace")
        for start in range(0, BLOCK, CARD):
            card = text[start : start + CARD]
            cards.append(card)
            if card.rstrip() == "END":
                return cards
    return []


def data_size(cards: Sequence[str]) -> int | None:
    """Bytes of the data behind a header, padded to whole blocks; None if the header makes no sense."""
    sizes = [value(cards, "BITPIX"), value(cards, "NAXIS")]
    bitpix, naxis = (size if type(size) is int else -1 for size in sizes)
    if bitpix not in {8, 16, 32, 64, -32, -64} or not 0 <= naxis <= 999:
        return None
    pixels = int(naxis > 0)
    for axis in range(1, naxis + 1):
        length = value(cards, f"NAXIS{axis}")
        if type(length) is not int or length < 0:
            return None
        pixels *= length
    extra, groups = value(cards, "PCOUNT"), value(cards, "GCOUNT")
    pixels += extra if type(extra) is int and extra > 0 else 0
    pixels *= groups if type(groups) is int and groups > 0 else 1
    return -(-pixels * abs(bitpix) // 8 // BLOCK) * BLOCK


def value(cards: Sequence[str], keyword: str) -> Value:
    """Value of a keyword's first card; None if there is none or it can not be read."""
    start = f"{keyword:8}="
    for card in cards:
        if card.startswith(start):
            return _read(card[9:])
    return None


def values(cards: Iterable[str]) -> dict[str, Value]:
    """Value of each keyword of a header; the first card counts where one comes twice."""
    found: dict[str, Value] = {}
    for card in cards:
        if card[8:9] == "=" and (keyword := card[:8].rstrip()) not in found:
            found[keyword] = _read(card[9:])
    return found


def _read(text: str) -> Value:
    if found := _TEXT.match(text):
        return found[1].replace("''", "'").rstrip()
    word = text.split("/", 1)[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    for number in (int, float):
        try:
            return number(word.replace("D", "E"))
        except ValueError:
            continue
    return None
