"""Loops that add up pixels within circles."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.circle import LANES, padded
from processing.kernels.pixel import BLANK, LEAST, counted, good, in_buffer

Array = NDArray[Any]
OVER = 5
"""Parts of a pixel's side at the edge of an aperture."""
CUT = 16
"""Flag: an aperture reaches beyond the image."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _light(line: Array, own: Array, mine: np.int32, counts: Array) -> tuple[float, float, float]:
    """Light and parts of the pixels of a row that count for themselves, and the parts of others."""
    light, parts, others = 0.0, 0.0, 0.0
    for i in range(line.size):
        counted_in = ((own[i] == np.int32(0)) | (own[i] == mine)) & (line[i] > np.float32(LEAST))
        number = np.float64(counts[i])
        light += number * (np.float64(line[i]) if counted_in else 0.0)
        parts += number
        others += 0.0 if counted_in else number
    return light, parts, others


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _weighed(
    line: Array, own: Array, mine: np.int32, noises: Array, bad: np.float32, counts: Array, left: int, right: int
) -> tuple[float, float, float, float, float]:
    """Light, variance, products of both, parts, and the parts of others.

    Products are those of whole pixels from `left` to before `right`, where there is light.
    """
    light, spread, products, parts, others = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(line.size):
        counted_in = ((own[i] == np.int32(0)) | (own[i] == mine)) & (line[i] > np.float32(LEAST)) & (noises[i] < bad)
        value, noise = (np.float64(line[i]), np.float64(noises[i])) if counted_in else (0.0, 0.0)
        number, near = np.float64(counts[i]), 1.0 if (i >= left) & (i < right) else 0.0
        light += number * value
        spread += number * noise
        products += near * max(value, 0.0) * noise
        parts += number
        others += 0.0 if counted_in else number + near
    return light, spread, products, parts, others


@njit(cache=True, nogil=True)
def circles(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    gain: float,
    by_weight: bool,
    mask: int,
    first: int,
    held: Array,
    rows: Array,
    centres: Array,
    diameters: Array,
    sky: Array,
    flux: Array,
    error: Array,
    flags: Array,
) -> None:
    """Fill rows `rows` of `flux` and `error` (n, diameters) float32, and add CUT to `flags` (n,) int16.

    Parameters
    ----------
    values, labels, variance : (ny, nx) from row `first` of an image on
    held : (n, 2) int32, first row and end of what is looked at for each
    by_weight : the gain follows the variance of each pixel
    centres : (n, 2) float64, (x, y) in the image
    sky : (n,) float32, levels that are taken off the objects' light; (0,): nothing is
    """
    shot = 1.0 / (gain * noise) if by_weight and gain > 0.0 and noise > 0.0 else 0.0
    most = padded(int(np.max(diameters)) + 3 if diameters.size else 0, LANES)
    squares, counts = np.zeros((OVER, most), np.float32), np.zeros(most, np.float32)
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        low, high = in_buffer(first, values.shape[0], held[k])
        begin, end = first + low, first + high
        for n in range(diameters.size):
            radius = 0.5 * diameters[n]
            x0, x1 = int(cx - radius + 0.499999), int(cx + radius + 1.499999)
            y0, y1 = int(cy - radius + 0.499999), int(cy + radius + 1.499999)
            if x0 < 0 or x1 > values.shape[1] or y0 < held[k, 0] or y1 > held[k, 1]:
                flags[k] |= CUT
                x0, x1 = max(x0, 0), min(x1, values.shape[1])
            y0, y1 = max(y0, begin), min(y1, end)
            total, spread, area = 0.0, 0.0, 0.0
            if x0 < x1 and y0 < y1:
                total, spread, area = _circle(
                    values[low:high], labels[low:high], variance[low:high], np.float32(bad), noise, shot, mask, k + 1,
                    begin, (cx, cy - begin), radius, (x0, x1, y0 - begin, y1 - begin), squares, counts,
                )  # fmt: skip
            total -= area * (sky[k] if sky.size else 0.0)
            if not by_weight and gain > 0.0 and total > 0.0:
                spread += total / gain
            flux[k, n] = total
            error[k, n] = spread**0.5


@njit(cache=True, nogil=True)
def _circle(
    values: Array, labels: Array, variance: Array, bad: np.float32, noise: float, shot: float, mask: int, mine: int,
    first: int, centre: tuple[float, float], radius: float, box: tuple[int, int, int, int], squares: Array,
    counts: Array,
) -> tuple[float, float, float]:  # fmt: skip
    """Light, variance and area, pixels, within a circle; its centre counts from the first row of `values`.

    `first`: that row in the image. `shot`: share of a pixel's variance that comes with a count of light; a pixel at the
    rim adds all of it, and so does one beyond that, as the original has it.
    """
    x0, x1, y0, y1 = box
    width = padded(x1 - x0, LANES)
    begin = max(min(x0, values.shape[1] - width), 0)
    inside = counts[: min(width, values.shape[1] - begin)]
    light, spread, products, parts = 0.0, 0.0, 0.0, 0.0
    _square(begin, np.float32(centre[0]), squares[:, : inside.size])
    square = np.float32(radius) * np.float32(radius)
    for y in range(y0, y1):
        _count(squares, np.float32(y) - np.float32(centre[1]), square, inside)
        line, own = values[y, begin : begin + inside.size], labels[y, begin : begin + inside.size]
        left, right = (0, 0) if shot == 0.0 else _near(centre, radius, y, (x0, x1))
        left, right = left - begin, right - begin
        if variance.size:
            noises = variance[y, begin : begin + inside.size]
            sums = _weighed(line, own, np.int32(mine), noises, bad, inside, left, right)
            light, spread, products = light + sums[0], spread + sums[1], products + sums[2]
            area, others = sums[3], sums[4]
        else:
            more, area, others = _light(line, own, np.int32(mine), inside)
            light, spread = light + more, spread + area * noise
        parts += area
        if others == 0.0:
            continue
        for i in range(inside.size):
            near = left <= i < right
            if (near or inside[i] > 0) and not good(values, labels, variance, bad, mine, BLANK, y, begin + i):
                value, var, _ = counted(
                    values, labels, variance, bad, noise, mine, mask, (first + centre[1], centre[0]), first, y,
                    begin + i,
                )  # fmt: skip
                light += inside[i] * value
                spread += inside[i] * var if variance.size else 0.0
                products += max(value, 0.0) * var if near else 0.0
    whole = 1.0 / OVER**2
    return light * whole, spread * whole + shot * products, parts * whole


@njit(cache=True, nogil=True)
def _square(begin: int, middle: np.float32, squares: Array) -> None:
    """Fill `squares` (OVER, n) float32 with those of how far each part of pixels is from the middle, left to right.

    Parts are counted on in single precision, as the original does it: of a source that stands just on a pixel some are
    just on the circle.
    """
    step = np.float32(1.0 / OVER)
    for i in range(squares.shape[1]):
        across = np.float32(begin + i) - middle + np.float32(0.5) * (step - np.float32(1.0))
        for part in range(OVER):
            squares[part, i] = across * across
            across += step


@njit(cache=True, nogil=True)
def _count(squares: Array, dy: np.float32, most: np.float32, counts: Array) -> None:
    """Fill `counts` (n,) float32 with how many parts each pixel of a row has within the circle."""
    step, one, none = np.float32(1.0 / OVER), np.float32(1.0), np.float32(0.0)
    down = dy + np.float32(0.5) * (step - np.float32(1.0))
    counts[:] = none
    a, b, c, d, e = squares[0], squares[1], squares[2], squares[3], squares[4]
    for _ in range(OVER):
        square = down * down
        for i in range(counts.size):
            inside = (one if a[i] + square < most else none) + (one if b[i] + square < most else none)
            inside += (one if c[i] + square < most else none) + (one if d[i] + square < most else none)
            counts[i] += inside + (one if e[i] + square < most else none)
        down += step


@njit(cache=True, nogil=True)
def _near(centre: tuple[float, float], radius: float, y: int, sides: tuple[int, int]) -> tuple[int, int]:
    """First pixel of a row, and that behind the last, that may touch a circle."""
    square = (radius + 0.75) ** 2 - (y - centre[1]) ** 2
    if square < 0.0:
        return 0, 0
    wide = math.sqrt(square)
    begin = max(math.ceil(centre[0] - wide), sides[0])
    return begin, max(min(math.floor(centre[0] + wide) + 1, sides[1]), begin)
