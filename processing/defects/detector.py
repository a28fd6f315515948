"""Edges of the illuminated part, and CCDs or parts of them that show no sky."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from processing.defects.background import Background
from processing.defects.image import Amplifier, CcdImage, Flags
from processing.defects.settings import DeadSettings, EdgeSettings
from processing.flags import PixelFlag

STRIDE = 8
"""One row of so many is looked at."""
LEAST = 64
"""Pixels without which a block is not judged."""


def mark_edges(image: CcdImage, flags: Flags, settings: EdgeSettings) -> int:
    """Mark the rim of the illuminated part as EDGE, and return how many pixels that are."""
    if not settings.on or settings.width == 0:
        return 0
    inside, width, bit = image.inside, settings.width, int(PixelFlag.EDGE)
    part = flags[inside.y0 : inside.y1, inside.x0 : inside.x1]
    for rim in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        part[rim] |= bit
    core = max(inside.width - 2 * width, 0) * max(inside.height - 2 * width, 0)
    return inside.width * inside.height - core


def mark_dead(image: CcdImage, flags: Flags, background: Background, settings: DeadSettings) -> int:
    """Mark what shows no sky as DEAD, block by block of each amplifier.

    A block is dead if most of its pixels have one value, if its noise is far from what the amplifier's gain, its read
    noise and the sky make, or if its sky is dark where other amplifiers of the CCD see a bright one. Sky-subtracted
    frames are judged by their noise alone.

    Parameters
    ----------
    image : CcdImage
    flags : (ny, nx) int16, changed in place; pixels that are flagged already are not looked at
    background : Background
    settings : DeadSettings

    Returns
    -------
    count : int
        Pixels marked.
    """
    if not settings.on:
        return 0
    inside = image.inside
    edges = _blocks(inside.y0, inside.y1, settings.block)
    found = [[_Block.of(image, flags, amplifier, low, high) for low, high in edges] for amplifier in image.amplifiers]
    brightest = max(_middle([block.level for block in column]) for column in found)
    quiet = float(np.quantile(background.rms, 0.1))
    count = 0
    for amplifier, column in zip(image.amplifiers, found, strict=True):
        columns = slice(max(amplifier.x0, inside.x0), min(amplifier.x1, inside.x1))
        for (low, high), block in zip(edges, column, strict=True):
            if block.dead(amplifier, brightest, quiet, settings):
                flags[low:high, columns] |= int(PixelFlag.DEAD)
                count += (high - low) * (columns.stop - columns.start)
    return count


@dataclass(frozen=True, slots=True)
class _Block:
    """What some rows of an amplifier's columns show."""

    level: float
    """ADU, median; not a number where too few pixels can be used."""
    rms: float
    """ADU, half of what lies between the sixth lowest and the sixth highest part."""
    equal: float
    """Share of pixels that have the median's value."""

    @classmethod
    def of(cls, image: CcdImage, flags: Flags, amplifier: Amplifier, low: int, high: int) -> "_Block":
        columns = slice(max(amplifier.x0, image.inside.x0), min(amplifier.x1, image.inside.x1))
        pixels, marked = image.pixels[low:high:STRIDE, columns], flags[low:high:STRIDE, columns]
        values: NDArray[np.float32] = np.sort(pixels[(marked == 0) & np.isfinite(pixels)])
        if values.size < LEAST:
            return cls(math.nan, math.nan, 0.0)
        lower, middle, upper = values[[values.size // 6, values.size // 2, values.size * 5 // 6]].astype(float)
        equal = np.searchsorted(values, middle, "right") - np.searchsorted(values, middle, "left")
        return cls(middle, 0.5 * (upper - lower), float(equal) / values.size)

    def dead(self, amplifier: Amplifier, brightest: float, quiet: float, settings: DeadSettings) -> bool:
        if math.isnan(self.level):
            return False
        if self.equal >= settings.equal:
            return True
        read = amplifier.read_noise / amplifier.gain
        made = math.hypot(math.sqrt(max(self.level, 0.0) / amplifier.gain), read)
        if self.rms < settings.quiet * made or self.rms > settings.loud * max(made, quiet):
            return True
        return brightest > 20.0 * read and self.level < settings.dark * brightest


def _blocks(first: int, end: int, length: int) -> list[tuple[int, int]]:
    number = max(round((end - first) / length), 1)
    edges = [first + (end - first) * k // number for k in range(number + 1)]
    return list(pairwise(edges))


def _middle(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else 0.0
