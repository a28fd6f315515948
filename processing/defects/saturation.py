"""Cores of saturated stars, and the trails of charge that they leave along their columns."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.defects.background import Background
from processing.defects.image import CcdImage, Flags
from processing.defects.settings import SaturationSettings
from processing.flags import PixelFlag
from processing.kernels import bleed

_ROOM = 1 << 18
"""Saturated pixels for which room is taken at first."""
EVEN = 0.05
"""Share by which neighbours on a plateau differ at most: the grain of a flat field, and the noise of full wells."""
PLATEAU = 8
"""Pixels of a column that are even: a star of 1.5 arcsec that is not full falls by half over as many."""
FEWEST = 40
"""Pixels on plateaus without which the header's level is believed."""
LONG = 100
"""Saturated pixels of a core whose charge, if it is full to the edge of the CCD, may have run on into the register."""
SPILT = 3.0
"""Excess over the sky at which such charge ends, in units of the limit for trails: there is no column beside it."""
DEEPEST = 32
"""Rows that it fills at most."""
SIDE = 3
"""Columns to either side of a trail's own with which it is not compared."""


@dataclass(frozen=True, slots=True)
class Cores:
    """Saturated cores of a CCD; arrays over them."""

    x: NDArray[np.float64]
    """Column of the middle, from 0."""
    y: NDArray[np.float64]
    """Row of the middle, from 0."""
    radius: NDArray[np.float64]
    """Pixels."""
    pixels: NDArray[np.int64]
    """Saturated pixels, those of the trail too."""


def saturation_level(image: CcdImage, background: Background, settings: SaturationSettings) -> float:
    """ADU from which pixels of a CCD are saturated.

    That is the header's level, or a lower one where columns show plateaus of even pixels that no star has: after
    flat-fielding, wells that are full read what they hold divided by the response.
    """
    if settings.plateau >= 1.0:
        return image.saturation
    sky, corners = background.typical_level, _corners(image)
    inside = image.pixels[corners[2] : corners[3], corners[0] : corners[1]]
    top = image.saturation if math.isfinite(image.saturation) else float(np.nanmax(inside, initial=sky))
    floor = sky + settings.plateau * (top - sky)
    if not math.isfinite(floor) or floor < sky + 200.0 * background.typical_rms:
        return image.saturation
    found = np.empty(_ROOM, np.float32)
    count = min(bleed.plateaus(image.pixels, _tops(image), corners, floor, EVEN, PLATEAU, found), found.size)
    if count < FEWEST:
        return image.saturation
    return min(image.saturation, float(np.quantile(found[:count], 0.02)))


def find_cores(image: CcdImage, level: float) -> tuple[Cores, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Find the saturated cores, and rows, columns and numbers of core of all saturated pixels."""
    corners = _corners(image)
    rows, columns = np.empty(_ROOM, np.int64), np.empty(_ROOM, np.int64)
    tops = _tops(image)
    count = bleed.full_pixels(image.pixels, tops, level, corners, rows, columns)
    if count > rows.size:
        rows, columns = np.empty(count, np.int64), np.empty(count, np.int64)
        bleed.full_pixels(image.pixels, tops, level, corners, rows, columns)
    rows, columns = rows[:count], columns[:count]
    labels = np.empty(count, np.int64)
    centres = np.empty((bleed.label(rows, columns, labels), 4))
    bleed.cores(rows, columns, labels, centres)
    return Cores(centres[:, 0], centres[:, 1], centres[:, 2], centres[:, 3].astype(np.int64)), rows, columns, labels


def mark_saturated(image: CcdImage, flags: Flags, background: Background, settings: SaturationSettings) -> int:
    """Mark saturated cores with their margin as SATURATED, and the charge along their columns as BLEED.

    Full pixels of a trail have both bits. Pixels that are no number count as saturated.

    Parameters
    ----------
    image : CcdImage
    flags : (ny, nx) int16, changed in place
    background : Background
    settings : SaturationSettings

    Returns
    -------
    count : int
        Pixels of the illuminated part that are SATURATED or BLEED now.
    """
    if not settings.on:
        return 0
    corners = _corners(image)
    found, rows, columns, labels = find_cores(image, saturation_level(image, background, settings))
    saturated, trail = int(PixelFlag.SATURATED), int(PixelFlag.BLEED)
    bleed.mark_core(flags, rows, columns, corners, settings.margin, saturated)
    if settings.trails and rows.size:
        _mark_trails(image, flags, background, settings, found, rows, columns, labels)
    part = flags[corners[2] : corners[3], corners[0] : corners[1]]
    return int(np.count_nonzero(part & (saturated | trail)))


def _mark_trails(
    image: CcdImage, flags: Flags, background: Background, settings: SaturationSettings, found: Cores,
    rows: NDArray[np.int64], columns: NDArray[np.int64], labels: NDArray[np.int64],
) -> None:  # fmt: skip
    saturated, trail, corners = int(PixelFlag.SATURATED), int(PixelFlag.BLEED), _corners(image)
    beyond = np.abs(rows - found.y[labels]) > 1.3 * found.radius[labels] + 1.5
    flags[rows[beyond], columns[beyond]] |= trail
    order = np.lexsort((rows, columns, labels))
    own, column, row = labels[order], columns[order], rows[order]
    first = np.flatnonzero(np.r_[True, (own[1:] != own[:-1]) | (column[1:] != column[:-1])])
    last = np.r_[first[1:], own.size] - 1
    level, rms = background.typical_level, background.typical_rms
    for low, high in zip(first, last, strict=True):
        core = own[low]
        if high - low + 1 < PLATEAU and found.pixels[core] < PLATEAU:
            continue
        centre = np.array([found.x[core], found.y[core], found.radius[core]])
        for end, up in ((low, -1), (high, 1)):
            bleed.follow(
                image.pixels, flags, corners, column[end], row[end], up, centre, level, rms,
                settings.limit, settings.window, SIDE, saturated, trail,
            )  # fmt: skip
    for edge, inward in ((corners[2], 1), (corners[3] - 1, -1)):
        for place in np.flatnonzero((rows == edge) & (found.pixels[labels] >= LONG)):
            bleed.spill(
                image.pixels, flags, corners, columns[place], edge, inward, level, SPILT * settings.limit * rms,
                settings.window, DEEPEST, trail,
            )  # fmt: skip


def _tops(image: CcdImage) -> NDArray[np.float32]:
    """Largest pixel of each row of the illuminated part; no number where it has a pixel that is none."""
    inside = image.inside
    tops: NDArray[np.float32] = image.pixels[inside.y0 : inside.y1, inside.x0 : inside.x1].max(axis=1)
    return tops


def _corners(image: CcdImage) -> NDArray[np.int64]:
    inside = image.inside
    return np.array([inside.x0, inside.x1, inside.y0, inside.y1])
