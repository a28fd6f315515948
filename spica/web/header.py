"""Header cards of a FITS file, read by astropy in a thread."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from astropy.io import fits

from terapix.errors import TerapixError

MOST = 5000
"""Cards shown; no header of ours comes near."""


class Unreadable(TerapixError):
    """The file's header cannot be read."""

    def __init__(self, path: Path, extension: int | None, problem: Exception) -> None:
        part = "primary header" if extension is None else f"header of extension {extension}"
        super().__init__(f"{path.name}: its {part} cannot be read: {problem}")
        self.path = path
        self.extension = extension


@dataclass(frozen=True, slots=True)
class Card:
    """One line of a header."""

    keyword: str
    value: str
    comment: str

    @property
    def text(self) -> str:
        return f"{self.keyword} {self.value} {self.comment}"


async def read(path: Path, extension: int | None) -> list[Card]:
    """Read the cards of the primary header, or of an extension counted from 1.

    Raises
    ------
    Unreadable
    """
    return await asyncio.to_thread(_read, path, extension)


def _read(path: Path, extension: int | None) -> list[Card]:
    try:
        held = fits.Header.fromfile(str(path)) if extension is None else fits.getheader(str(path), extension)
        cards = [_card(card) for card in held.cards[:MOST]]
    except (OSError, ValueError, IndexError, KeyError, fits.VerifyError) as problem:
        raise Unreadable(path, extension, problem) from problem
    return cards


def _card(card: fits.Card) -> Card:
    try:
        value = card.value
        shown = "T" if value is True else "F" if value is False else "" if card.keyword == "END" else str(value)
        return Card(card.keyword, shown, card.comment)
    except (ValueError, fits.VerifyError):
        return Card(card.keyword, card.image[10:].strip(), "")
