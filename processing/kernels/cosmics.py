"""Loops that look for cosmic rays: what is sharper than the image of a star.

All take the pixels (ny, nx) float32 of a CCD with their flags, of which those in `banned` rule a pixel out; `inside`,
the part that saw the sky: x0, x1, y0, y1, half-open; the `sky` and the `variance` of its noise, (rows, nx) float32,
along the rows `centres`, between which they are interpolated; and the `gain` (nx) float32 in electrons an ADU, from
which the noise of brighter light follows. Places of pixels are y * nx + x.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
SAMPLE = 1200
"""Pixels of a tile, about, that tell its sky."""
FEWEST = 25
"""Good pixels without which a tile tells nothing."""
_ZERO, _FAR = np.float32(0.0), np.float32(np.inf)


@njit(cache=True, nogil=True)
def tile_levels(pixels: Array, flags: Array, banned: int, x_edges: Array, y_edges: Array, levels: Array) -> None:
    """Measure sky and noise in tiles.

    `levels` (rows of tiles, tiles, 2) becomes the median of a sample of their good pixels, and by how much it lies
    above the 16th percentile; NaN where there are too few.
    """
    sample = np.empty(4 * SAMPLE, np.float32)
    for ty in range(y_edges.size - 1):
        for tx in range(x_edges.size - 1):
            width, height = x_edges[tx + 1] - x_edges[tx], y_edges[ty + 1] - y_edges[ty]
            step = max(1, int(math.sqrt(width * height / SAMPLE)))
            count = 0
            for y in range(y_edges[ty], y_edges[ty + 1], step):
                for x in range(x_edges[tx] + (y // step) % step, x_edges[tx + 1], step):
                    value = pixels[y, x]
                    if not flags[y, x] & banned and math.isfinite(value) and count < sample.size:
                        sample[count] = value
                        count += 1
            if count < FEWEST:
                levels[ty, tx, 0] = np.nan
                levels[ty, tx, 1] = np.nan
                continue
            part = np.sort(sample[:count])
            levels[ty, tx, 0] = part[count // 2]
            levels[ty, tx, 1] = part[count // 2] - part[int(0.1587 * count)]


@njit(cache=True, nogil=True)
def _between(centres: Array, y: int) -> tuple[int, int, float]:
    """Give the two rows of levels between which row `y` lies, and the share of the second."""
    last = centres.size - 1
    k = 0
    while k < last and y > centres[k + 1]:
        k += 1
    if k == last or y <= centres[0]:
        return k, k, 0.0
    return k, k + 1, (y - centres[k]) / (centres[k + 1] - centres[k])


@njit(cache=True, nogil=True)
def level_of(rows: Array, centres: Array, y: int, result: Array) -> None:
    lower, upper, part = _between(centres, y)
    share = np.float32(part)
    for x in range(result.size):
        result[x] = rows[lower, x] + share * (rows[upper, x] - rows[lower, x])


@njit(cache=True, nogil=True)
def level_at(rows: Array, centres: Array, y: int, x: int) -> float:
    lower, upper, part = _between(centres, y)
    return float(rows[lower, x] + np.float32(part) * (rows[upper, x] - rows[lower, x]))


@njit(cache=True, nogil=True)
def longer(array: Array) -> Array:
    """Give an array twice as long that begins with this one."""
    twice = np.empty((2 * array.shape[0], *array.shape[1:]), array.dtype)
    twice[: array.shape[0]] = array
    return twice


@njit(cache=True, nogil=True)
def _stands_out(pixels: Array, flags: Array, banned: int, y: int, x: int, level: float) -> bool:
    """Tell whether a pixel is the brightest of the 25 round it, which are all good and above `level`."""
    for row in range(y - 2, y + 3):
        for column in range(x - 2, x + 3):
            if flags[row, column] & banned or not level < pixels[row, column] <= pixels[y, x]:
                return False
    return True


@njit(cache=True, nogil=True)
def bright_maxima(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array,
    least: float, most: float, first: int, last: int,
) -> Array:  # fmt: skip
    """Tell how sharp the brightest pixels of stars, and of whatever else, are.

    Returns
    -------
    found : (n, 4) float32
        For each pixel of rows `first` to `last` that stands out of those round it, by `least` times the noise at
        least, and is below `most` ADU: product of its neighbours along the row, along the column and on both
        diagonals, over its own square, all above the sky.
    """
    nx = pixels.shape[1]
    row_sky, row_variance = np.empty(nx, np.float32), np.empty(nx, np.float32)
    found = np.empty((64, 4), np.float32)
    count = 0
    for y in range(max(first, inside[2] + 2), min(last, inside[3] - 2)):
        level_of(sky, centres, y, row_sky)
        level_of(variance, centres, y, row_variance)
        for x in range(inside[0] + 2, inside[1] - 2):
            level = row_sky[x]
            high = pixels[y, x] - level
            if not (high > 0 and high * high > least * least * row_variance[x] and pixels[y, x] < most):
                continue
            if not _stands_out(pixels, flags, banned, y, x, level):
                continue
            if count == found.shape[0]:
                found = longer(found)
            for k in range(4):
                dy, dx = (0, 1, 1, 1)[k], (1, 0, 1, -1)[k]
                product = (pixels[y + dy, x + dx] - level) * (pixels[y - dy, x - dx] - level)
                found[count, k] = product / (high * high)
            count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def _upper(
    pixels: Array, flags: Array, banned: int, full: float, sky: Array, variance: Array, gain: Array, spare: float,
    result: Array,
) -> None:  # fmt: skip
    """Give the light above the sky that the pixels of a row have at most; infinite where nothing is known."""
    room, most = np.float32(spare), np.float32(full)
    for x in range(pixels.size):
        high = max(pixels[x] - sky[x], _ZERO)
        light = high + room * math.sqrt(variance[x] + high / gain[x])
        known = not flags[x] & banned and pixels[x] < most
        result[x + 1] = light if known else _FAR


@njit(cache=True, nogil=True)
def _excess(
    pixels: Array, sky: Array, variance: Array, gain: Array, bounds: Array, below: Array, here: Array, above: Array,
    result: Array,
) -> None:  # fmt: skip
    """Give by how much of its noise each pixel of a row is brighter than its neighbours let light be."""
    along, down, fall, rise = bounds[0], bounds[1], bounds[2], bounds[3]
    for x in range(pixels.size):
        high = max(pixels[x] - sky[x], _ZERO)
        straight = min(along * here[x] * here[x + 2], down * below[x + 1] * above[x + 1])
        product = min(straight, fall * below[x] * above[x + 2])
        product = min(product, rise * below[x + 2] * above[x])
        sharp = (high - math.sqrt(product)) / math.sqrt(variance[x] + high / gain[x])
        result[x] = sharp if here[x + 1] < _FAR else _ZERO


@njit(cache=True, nogil=True)
def sharp_pixels(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    full: float, bounds: Array, least: float, spare: float, first: int, last: int,
) -> tuple[Array, Array]:  # fmt: skip
    """Find the pixels of rows `first` to `last` that are brighter than their neighbours let light be.

    Parameters
    ----------
    full : float
        ADU from which a pixel is saturated.
    bounds : (4) float32
        Most that the square of light can be over the product of the light on both sides: along the row, along the
        column, falling and rising diagonal.
    least : float
        Excess over that, in units of the pixel's noise, of the pixels that are found.
    spare : float
        Noise by which the pixels on both sides may be brighter than they look.

    Returns
    -------
    places : (n) int64
        In rising order.
    strength : (n) float32
        Their excess.
    """
    x0, x1, bottom, top = inside
    nx, width = pixels.shape[1], x1 - x0
    levels = np.empty((2, 2, nx), np.float32)
    below, here, above = np.full(width + 2, _FAR), np.full(width + 2, _FAR), np.full(width + 2, _FAR)
    excess = np.empty(width, np.float32)
    places, strength = np.empty(256, np.int64), np.empty(256, np.float32)
    count = 0
    for y in range(first - 1, last + 1):
        below, here, above = here, above, below
        level = levels[y % 2]
        if bottom <= y < top:
            level_of(sky, centres, y, level[0])
            level_of(variance, centres, y, level[1])
            _upper(
                pixels[y, x0:x1], flags[y, x0:x1], banned, full, level[0, x0:x1], level[1, x0:x1], gain[x0:x1], spare,
                above,
            )  # fmt: skip
        else:
            above[:] = _FAR
        if y <= first:
            continue
        level = levels[(y - 1) % 2]
        _excess(
            pixels[y - 1, x0:x1], level[0, x0:x1], level[1, x0:x1], gain[x0:x1], bounds, below, here, above, excess
        )  # fmt: skip
        for x in range(width):
            if excess[x] > least:
                if count == places.size:
                    places, strength = longer(places), longer(strength)
                places[count] = (y - 1) * nx + x0 + x
                strength[count] = excess[x]
                count += 1
    return places[:count], strength[:count]


def _warm() -> None:
    """Compile as `processing.defects.cosmics` calls."""
    pixels, flags, rows = np.ones((6, 8), np.float32), np.zeros((6, 8), np.int16), np.ones((1, 8), np.float32)
    tile_levels(pixels, flags, 1, np.array([0, 8]), np.array([0, 6]), np.empty((1, 1, 2), np.float32))
    level = (np.array([0, 8, 0, 6]), rows, rows, np.array([2.5]))
    bright_maxima(pixels, flags, 1, *level, 1.0, 9.0, 0, 6)
    sharp_pixels(pixels, flags, 1, *level, rows[0], 9.0, np.ones(4, np.float32), 1.0, 1.0, 0, 6)


TASKS = (_warm,)
"""What compiles the kernels of this module."""
