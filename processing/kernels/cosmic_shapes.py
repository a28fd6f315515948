"""Loops that look for the shapes of cosmic rays with filters that starlight does not pass; see also `cosmics`.

A filter is what is left of a shape once the light that comes nearest to it is taken away, light being any sum of
images of stars without a negative one. It then answers to no light with more than zero (Moreau 1962, C. R. Acad. Sci.
255, 238), and among those that do not, it is the one that answers to the shape with most of its own noise.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.cosmics import level_at, level_of, longer

Array = NDArray[Any]
SWEEPS = 60
"""Over all stars in turn, after which the light nearest to a shape is known well enough."""
CORE = 0.35
"""Of the highest of a shape, what belongs to it."""
LEAST = 0.1
"""Norm of what light leaves of a shape without which it is no shape of its own."""
SEEN, BOX = 2.0, 9.0
"""Noise of the sky: light of a pixel, and of the nine round it, without which no shape is looked for."""
STEEP = 1.25
"""And how many times brighter these are on average than the sixteen round them."""
_ZERO, _TINY, _UNKNOWN = np.float32(0.0), np.float32(1e-12), np.float32(np.nan)


@njit(cache=True, nogil=True)
def without_light(shapes: Array, light: Array) -> Array:
    """Take the nearest light away from shapes.

    Parameters
    ----------
    shapes : (n, pixels) float64, of norm 1
    light : (m, pixels) float64, of norm 1
        Images of stars.

    Returns
    -------
    filters : (n, pixels) float64, of norm 1; 0 where light explains the shape
    """
    filters = shapes.copy()
    share = np.empty(light.shape[0])
    for n in range(shapes.shape[0]):
        rest = filters[n]
        share[:] = 0.0
        for _ in range(SWEEPS):
            for m in range(light.shape[0]):
                answer = 0.0
                for i in range(rest.size):
                    answer += light[m, i] * rest[i]
                step = max(answer, -share[m])
                if step != 0.0:
                    share[m] += step
                    for i in range(rest.size):
                        rest[i] -= step * light[m, i]
        norm = 0.0
        for i in range(rest.size):
            norm += rest[i] * rest[i]
        for i in range(rest.size):
            rest[i] = rest[i] / math.sqrt(norm) if norm > LEAST * LEAST else 0.0
    return filters


@njit(cache=True, nogil=True)
def shaped_pixels(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    full: float, shapes: Array, filters: Array, least: float, part: float, whole: float, first: int, last: int,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Find the pixels of rows `first` to `last` round which charge has one of the shapes.

    Parameters
    ----------
    full : float
        ADU from which a pixel is saturated, so that nothing is known of it.
    shapes, filters : (n, size, size) float32, of norm 1
        `size` is odd.
    least : float
        Answer of the filter, in units of its noise, from which it counts,
    part : float
        and in that of the shape itself,
    whole : float
        which has at least this answer.

    Returns
    -------
    places : (m) int64
        In rising order.
    numbers : (m) int64
        Of the shape whose filter answers most.
    strength : (m) float32
        Its answer.
    """
    x0, x1, bottom, top = inside
    nx, width, size = pixels.shape[1], x1 - x0, shapes.shape[1]
    reach = size // 2
    rows = last - first + 2 * reach
    level, dark = np.empty((2, nx), np.float32)
    light = np.empty((rows, width), np.float32)
    for r in range(rows):
        y = first - reach + r
        if bottom <= y < top:
            level_of(sky, centres, y, level)
            level_of(variance, centres, y, dark)
            _in_noise(pixels[y, x0:x1], flags[y, x0:x1], banned, level[x0:x1], dark[x0:x1], full, light[r])
        else:
            light[r] = np.nan
    places, numbers, strength = np.empty(256, np.int64), np.empty(256, np.int64), np.empty(256, np.float32)
    count = 0
    for r in range(reach, rows - reach):
        y = first - reach + r
        level_of(variance, centres, y, dark)
        for x in range(reach, width - reach):
            if not light[r, x] > SEEN or not _narrow(light, r, x):
                continue
            photons = np.float32(1.0) / (gain[x0 + x] * math.sqrt(dark[x0 + x]))
            number, best = _best(light, r - reach, x - reach, photons, shapes, filters, least, part, whole)
            if number >= 0:
                if count == places.size:
                    places, numbers, strength = longer(places), longer(numbers), longer(strength)
                places[count] = y * nx + x0 + x
                numbers[count] = number
                strength[count] = best
                count += 1
    return places[:count], numbers[:count], strength[:count]


@njit(cache=True, nogil=True)
def _in_noise(
    pixels: Array, flags: Array, banned: int, sky: Array, variance: Array, full: float, result: Array
) -> None:  # fmt: skip
    """Give the light of a row above the sky, in units of the sky's noise; NaN where it, or the noise, is not known."""
    most = np.float32(full)
    for x in range(pixels.size):
        light = (pixels[x] - sky[x]) / math.sqrt(max(variance[x], _TINY))
        known = not flags[x] & banned and pixels[x] < most and variance[x] > _TINY
        result[x] = light if known else _UNKNOWN


@njit(cache=True, nogil=True)
def _narrow(light: Array, y: int, x: int) -> bool:
    """Tell whether the nine pixels round one are bright, and brighter than the sixteen round these."""
    box = _ZERO
    for row in range(y - 1, y + 2):
        for column in range(x - 1, x + 2):
            box += light[row, column]
    if not box > BOX:
        return False
    ring = -box
    for row in range(y - 2, y + 3):
        for column in range(x - 2, x + 3):
            ring += light[row, column]
    return bool(16.0 * box > 9.0 * STEEP * ring)


@njit(cache=True, nogil=True)
def _best(
    light: Array, y: int, x: int, photons: float, shapes: Array, filters: Array, least: float, part: float, whole: float
) -> tuple[int, float]:
    """Give the number of the shape whose filter answers most and by how much; -1 where none does enough.

    The window begins at `y`, `x`; light adds `photons` times itself to the squared noise.
    """
    size = shapes.shape[1]
    number, best = -1, 0.0
    for n in range(shapes.shape[0]):
        answer = _ZERO
        for i in range(size):
            for j in range(size):
                answer += filters[n, i, j] * light[y + i, x + j]
        if not answer > max(least, best):
            continue
        charge, spread, wide = _ZERO, _ZERO, _ZERO
        for i in range(size):
            for j in range(size):
                shape, known = shapes[n, i, j], light[y + i, x + j]
                noise = np.float32(1.0) + max(known, _ZERO) * photons
                charge += shape * known
                spread += filters[n, i, j] * filters[n, i, j] * noise
                wide += shape * shape * noise
        strength, total = float(answer) / math.sqrt(spread), float(charge) / math.sqrt(wide)
        if strength > max(least, part * total, best) and total > whole:
            number, best = n, strength
    return number, best


@njit(cache=True, nogil=True)
def _answer(weights: Array, light: Array, noise: Array) -> float:
    """Give the answer of a filter in units of its noise; 0 where something is not known."""
    answer, spread = 0.0, 0.0
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            answer += weights[i, j] * light[i, j]
            spread += weights[i, j] ** 2 * noise[i, j]
    return answer / math.sqrt(spread) if answer > 0.0 else 0.0


@njit(cache=True, nogil=True)
def greatest_answer(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, gain: Array,
    full: float, filters: Array, y: int, x: int,
) -> float:  # fmt: skip
    """Give the greatest answer of the filters, in units of its noise, at the 9 pixels round one; 0 where none is."""
    size = filters.shape[1]
    reach = size // 2
    x0, x1, y0, y1 = inside
    wide = size + 2
    light, noise = np.full((wide, wide), np.nan), np.empty((wide, wide))
    for i in range(wide):
        for j in range(wide):
            row, column = y - reach - 1 + i, x - reach - 1 + j
            if not (y0 <= row < y1 and x0 <= column < x1) or flags[row, column] & banned or pixels[row, column] >= full:
                continue
            dark = max(level_at(variance, centres, row, column), float(_TINY))
            high = pixels[row, column] - level_at(sky, centres, row, column)
            light[i, j] = high / math.sqrt(dark)
            noise[i, j] = 1.0 + max(high, 0.0) / (gain[column] * dark)
    greatest = 0.0
    for n in range(filters.shape[0]):
        for down in range(3):
            for right in range(3):
                greatest = max(greatest, _answer(filters[n], light[down:, right:], noise[down:, right:]))
    return float(greatest)


@njit(cache=True, nogil=True)
def shape_members(
    pixels: Array, flags: Array, banned: int, inside: Array, sky: Array, variance: Array, centres: Array, shape: Array,
    place: int, state: Array, mark: int,
) -> Array:  # fmt: skip
    """Find the pixels round a place where a shape is CORE times its highest at least, and the light above its noise.

    `state` becomes `mark` there; the places of those that had another come back.
    """
    nx, size = pixels.shape[1], shape.shape[0]
    x0, x1, y0, y1 = inside
    reach = size // 2
    y, x = place // nx, place % nx
    enough = CORE * shape.max()
    found = np.empty(size * size, np.int64)
    count = 0
    for row in range(max(y - reach, y0), min(y + reach + 1, y1)):
        for column in range(max(x - reach, x0), min(x + reach + 1, x1)):
            if shape[row - y + reach, column - x + reach] < enough or state[row, column] == mark:
                continue
            high = pixels[row, column] - level_at(sky, centres, row, column)
            if flags[row, column] & banned or not high > math.sqrt(level_at(variance, centres, row, column)):
                continue
            state[row, column] = mark
            found[count] = row * nx + column
            count += 1
    return found[:count]


def _warm() -> None:
    """Compile as `processing.defects.cosmics` calls."""
    pixels, flags, rows = np.ones((6, 8), np.float32), np.zeros((6, 8), np.int16), np.ones((1, 8), np.float32)
    pixels[2:4, 3:5] = 99.0
    shapes = without_light(np.full((1, 9), 1.0 / 3.0), np.full((1, 9), 0.1)).reshape(1, 3, 3).astype(np.float32)
    ccd = (pixels, flags, 1, np.array([0, 8, 0, 6]), rows, rows, np.array([2.5]))
    shaped_pixels(*ccd, rows[0], 999.0, shapes, shapes, 1.0, 0.2, 1.0, 0, 6)


TASKS = (_warm,)
"""What compiles the kernels of this module."""
