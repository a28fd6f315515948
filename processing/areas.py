"""Sections of an image as FITS headers write them: ``[33:2080,1:4612]``."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

_SECTION = re.compile(r"\[\s*(\d{1,7})\s*:\s*(\d{1,7})\s*,\s*(\d{1,7})\s*:\s*(\d{1,7})\s*\]")


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of pixels, half-open, counted from 0."""

    x0: int
    x1: int
    y0: int
    y1: int
    flipped_x: bool = False
    """Columns run backwards, as in ``[4160:2113,…]``."""
    flipped_y: bool = False

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a section; None for ``[0:0,0:0]``, by which headers say that there is none, and for anything else."""
        found = _SECTION.fullmatch(text.strip())
        if not found:
            return None
        left, right, low, high = (int(number) for number in found.groups())
        if 0 in {left, right, low, high}:
            return None
        return cls(min(left, right) - 1, max(left, right), min(low, high) - 1, max(low, high), left > right, low > high)

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    def within(self, shape: tuple[int, ...]) -> bool:
        """Tell whether an image of `shape` (ny, nx) holds the whole area."""
        return self.x1 <= shape[1] and self.y1 <= shape[0]


def bounds_of(areas: Iterable[Area]) -> Area:
    """The smallest rectangle that holds them all."""
    held = list(areas)
    return Area(
        min(area.x0 for area in held), max(area.x1 for area in held),
        min(area.y0 for area in held), max(area.y1 for area in held),
    )  # fmt: skip
