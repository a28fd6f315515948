"""Bad columns, bad pixels and hot columns of each CCD: always the same ones, most of them known to the mask."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.effects import Defects
from terapix.instruments import Ccd, Instrument


class Flaw(StrEnum):
    """What is wrong with some pixels."""

    BLIND = "blind"  #: overscan, sees no light
    DEAD = "dead"  #: low response
    HOT = "hot"  #: sheds charge


@dataclass(frozen=True, slots=True)
class Defect:
    """A rectangle of bad pixels, half-open, from 0, in the frame as read out."""

    x0: int
    x1: int
    y0: int
    y1: int
    flaw: Flaw = Flaw.DEAD
    masked: bool = True
    """Whether the mask knows it."""

    @property
    def section(self) -> str:
        """As the header of a mask has it."""
        return f"[{self.x0 + 1}:{self.y0 + 1},{self.x1}:{self.y1}]"


def defects(instrument: Instrument, ccd: Ccd, settings: Defects) -> tuple[Defect, ...]:
    """Give the flaws of a CCD, always the same ones.

    A bad column begins somewhere and goes on to the far end, as read out: its charge can not pass.
    """
    if not settings.on:
        return ()
    random = np.random.default_rng([2003, ccd.index])
    x0, x1, y0, y1 = instrument.datasec
    found = []
    for _ in range(int(random.poisson(settings.columns)) + 1):
        column = int(random.integers(x0 + 4, x1 - 4))
        first = 0 if random.random() < 0.4 else int(random.integers(y0, y1 - min(200, (y1 - y0) // 4)))
        found.append(Defect(column, column + 1 + int(random.random() < 0.25), first, y1))
    patch_x, patch_y = int(random.integers(x0 + 50, x1 - 100)), int(random.integers(y0 + 50, y1 - 100))
    found.append(Defect(patch_x, patch_x + 24, patch_y, patch_y + 18))
    for _ in range(int(random.poisson(settings.pixels))):
        x, y = int(random.integers(x0, x1 - 1)), int(random.integers(y0, y1 - 1))
        found.append(Defect(x, x + 1, y, y + 1))
    for _ in range(int(random.poisson(settings.hot_columns))):
        column, first = int(random.integers(x0, x1)), int(random.integers(y0, y1 - 50))
        known = bool(random.random() >= settings.unmasked)
        found.append(Defect(column, column + 1, first, y1, Flaw.HOT, known))
    return tuple(found)


def blind_parts(instrument: Instrument) -> tuple[Defect, ...]:
    """The overscan: columns to the left and right, rows on top."""
    x0, x1, y0, y1 = instrument.datasec
    parts = (
        Defect(0, x0, 0, instrument.height, Flaw.BLIND),
        Defect(x1, instrument.width, 0, instrument.height, Flaw.BLIND),
        Defect(x0, x1, y1, instrument.height, Flaw.BLIND),
        Defect(x0, x1, 0, y0, Flaw.BLIND),
    )
    return tuple(part for part in parts if part.x0 < part.x1 and part.y0 < part.y1)


def masked_parts(instrument: Instrument, ccd: Ccd, settings: Defects) -> tuple[Defect, ...]:
    """What the mask of a CCD shows: the overscan and the flaws that were known when it was made."""
    return blind_parts(instrument) + tuple(bad for bad in defects(instrument, ccd, settings) if bad.masked)


def mask_of(instrument: Instrument, ccd: Ccd, settings: Defects) -> NDArray[np.int16]:
    """Mask of a CCD.

    Returns
    -------
    mask : (height, width) int16; 1 where the pixel is good, 0 where it is bad or sees no light
    """
    mask = np.ones((instrument.height, instrument.width), np.int16)
    for part in masked_parts(instrument, ccd, settings):
        mask[part.y0 : part.y1, part.x0 : part.x1] = 0
    return mask
