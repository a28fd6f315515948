"""HDUs as cards and places of bytes: what is read, arranged anew and written without the pixels being looked at."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, Self

from processing.cards import CARD, CardValues, padding, text_of
from processing.errors import Truncated

CHUNK = 1 << 19
"""Bytes of pixels held at once: they stay in a core's cache until they are summed and written."""
MANDATORY = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|END")
"""Keywords that no edit may touch: they tell where the pixels are."""
_TEXT = re.compile(r"\s*'(?:[^']|'')*'")
_AS_SIMPLE = "SIMPLE  =                    T / "
_AS_EXTENSION = "XTENSION= 'IMAGE   '           / "
_USUAL = (
    "PCOUNT  =                    0 / required keyword; must = 0",
    "GCOUNT  =                    1 / required keyword; must = 1",
)


class Data(Protocol):
    """Bytes of pixels, wherever they come from."""

    @property
    def size(self) -> int:
        """How many there are."""

    def chunks(self) -> Iterator[bytes]:
        """Give them, piece by piece."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Bytes of a file."""

    path: Path
    start: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Read it, piece by piece; Truncated where the file became shorter."""
        for view in self.views():
            yield bytes(view)

    def views(self) -> Iterator[memoryview]:
        """Read it, piece by piece, each into the room of the one before; Truncated as above."""
        left = self.size
        room = memoryview(bytearray(min(CHUNK, left)))
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(self.start)
            while left:
                read = stream.readinto(room[: min(CHUNK, left)])
                if not read:
                    raise Truncated(self.path, f"ends {left} bytes too early", remedy="fetch it again")
                left -= read
                yield room[:read]


@dataclass(frozen=True, slots=True)
class Hdu:
    """A header and where its data lie."""

    path: Path
    number: int
    """Of the HDU in its file."""
    cards: tuple[str, ...] = field(repr=False)
    """80 characters each, blank ones included, END left out."""
    data: tuple[Data, ...]
    """One behind the other; without padding."""
    raw: bytes = field(default=b"", repr=False)
    """Header as it lies in the file, where it is to be written byte by byte; empty once a card changed."""
    resized: bool = False
    """The data are not those that its DATASUM is of: a plane of a cube, changed pixels."""

    @property
    def size(self) -> int:
        """Bytes of data without padding."""
        return sum(stretch.size for stretch in self.data)

    @property
    def values(self) -> CardValues:
        """Values of the keywords."""
        return CardValues("".join(self.cards))

    @property
    def is_empty(self) -> bool:
        """Whether it has no data."""
        return self.size == 0

    def chunks(self) -> Iterator[bytes]:
        """Data, piece by piece, without padding."""
        for stretch in self.data:
            yield from stretch.chunks()

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The same, each piece good until the next one comes."""
        for data in self.data:
            yield from data.views() if isinstance(data, Stretch) else data.chunks()

    def with_cards(self, cards: Iterable[str]) -> Self:
        """Return it with other cards; itself where they are the same."""
        made = tuple(cards)
        return self if made == self.cards else replace(self, cards=made, raw=b"")

    def header(self) -> bytes:
        """Header as it is written: the very bytes that were read, unless a card changed."""
        if self.raw:
            return self.raw
        text = "".join(self.cards) + "END".ljust(CARD)
        return (text + " " * padding(len(text))).encode("latin-1")


def keyword(card: str) -> str:
    """Keyword of a card; empty for blank ones."""
    return card[:8].rstrip()


def card_of(name: str, value: object, comment: str = "") -> str:
    """Return one card."""
    return text_of([(name, value, comment)])


def comment_of(card: str) -> str:
    """Comment of a card, behind the slash."""
    value = card[10:]
    text = _TEXT.match(value)
    behind = value[text.end() :].lstrip() if text else ""
    comment = behind[1:] if behind.startswith("/") else value.partition("/")[2]
    return comment.removeprefix(" ").rstrip()


def as_simple(hdu: Hdu) -> Hdu:
    """Make an image extension a primary HDU; the comment of its first card is kept, so that the way back is exact."""
    if keyword(hdu.cards[0]) == "SIMPLE":
        return hdu
    first = (_AS_SIMPLE + comment_of(hdu.cards[0]))[:CARD].ljust(CARD)
    rest = [card for card in hdu.cards[1:] if card.rstrip() not in _USUAL]
    return hdu.with_cards([first.rstrip(" /").ljust(CARD) if not comment_of(hdu.cards[0]) else first, *rest])


def as_extension(hdu: Hdu) -> Hdu:
    """Make a primary HDU an image extension: PCOUNT and GCOUNT are added, EXTEND is dropped."""
    if keyword(hdu.cards[0]) == "XTENSION":
        return hdu
    comment = comment_of(hdu.cards[0])
    first = (_AS_EXTENSION + comment)[:CARD].rstrip(" /").ljust(CARD)
    cards = [first, *(card for card in hdu.cards[1:] if keyword(card) != "EXTEND")]
    present = {keyword(card) for card in cards}
    behind = 1 + max(place for place, card in enumerate(cards) if _is_axis(keyword(card)))
    cards[behind:behind] = [card.ljust(CARD) for card in _USUAL if keyword(card) not in present]
    return hdu.with_cards(cards)


def _is_axis(name: str) -> bool:
    return name.startswith("NAXIS") and (name == "NAXIS" or name[5:].isdecimal())


def bare_primary(path: Path) -> Hdu:
    """Primary HDU for extensions that have none."""
    cards = [
        card_of("SIMPLE", True, "This is a FITS file"),
        card_of("BITPIX", 8),
        card_of("NAXIS", 0),
        card_of("EXTEND", True, "This file may contain FITS extensions"),
    ]
    return Hdu(path, 0, tuple(cards), ())
