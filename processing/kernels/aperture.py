"""Loops that add up pixels within circles."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.circle import share as share_of
from processing.kernels.circle import span, spans_of
from processing.kernels.pixel import all_count, counted

Array = NDArray[Any]
OVER = 5
"""Parts of a pixel's side at the edge of an aperture."""
CUT = 16
"""Flag: an aperture reaches beyond the image."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _whole(line: Array, noises: Array, noise: float) -> tuple[float, float, float]:
    """Sums of values, of variances, and of products of both where the former are positive, of whole pixels."""
    total, spread, more = 0.0, 0.0, 0.0
    if noises.size:
        for i in range(line.size):
            value, var = np.float64(line[i]), np.float64(noises[i])
            total += value
            spread += var
            more += max(value, 0.0) * var
        return total, spread, more
    for i in range(line.size):
        value = np.float64(line[i])
        total += value
        more += max(value, 0.0)
    return total, noise * line.size, more * noise


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
    height: int,
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
    values, labels, variance : (ny, nx) from row `first` of an image of `height` rows on
    by_weight : the gain follows the variance of each pixel
    centres : (n, 2) float64, (x, y) in the image
    sky : (n,) float32, levels that are taken off the objects' light; (0,): nothing is
    """
    spans = spans_of(OVER)
    shot = 1.0 / (gain * noise) if by_weight and gain > 0.0 and noise > 0.0 else 0.0
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        for n in range(diameters.size):
            radius = 0.5 * diameters[n]
            x0, x1 = int(cx - radius + 0.499999), int(cx + radius + 1.499999)
            y0, y1 = int(cy - radius + 0.499999), int(cy + radius + 1.499999)
            if cx - radius + 0.499999 < 0 or x1 > values.shape[1] or cy - radius + 0.499999 < 0 or y1 > height:
                flags[k] |= CUT
                x0, x1 = max(x0, 0), min(x1, values.shape[1])
            total, spread, area = 0.0, 0.0, 0.0
            for y in range(max(y0, first), min(y1, first + values.shape[0])):
                light, var, share = _row(
                    values, labels, variance, np.float32(bad), noise, shot, mask, first, k + 1, (cx, cy), radius,
                    (x0, x1), y, spans,
                )  # fmt: skip
                total += light
                spread += var
                area += share
            total -= area * (sky[k] if sky.size else 0.0)
            if not by_weight and gain > 0.0 and total > 0.0:
                spread += total / gain
            flux[k, n] = total
            error[k, n] = spread**0.5


@njit(cache=True, nogil=True)
def _row(
    values: Array, labels: Array, variance: Array, bad: np.float32, noise: float, shot: float, mask: int, first: int,
    mine: int, centre: tuple[float, float], radius: float, sides: tuple[int, int], y: int, spans: Array,
) -> tuple[float, float, float]:  # fmt: skip
    """Light, variance and area of a row of pixels within a circle: whole pixels, and shares of those at its rim.

    `shot`: share of a pixel's variance that comes with a count of light; a pixel beyond the rim adds it as well, as the
    original has it.
    """
    cx, dy = centre[0], y - centre[1]
    square = dy * dy
    inner, outer = max(radius - 0.75, 0.0) ** 2 - square, (radius + 0.75) ** 2 - square
    if outer < 0.0:
        return 0.0, 0.0, 0.0
    wide, narrow = math.sqrt(outer), math.sqrt(max(inner, 0.0))
    begin, end = max(math.ceil(cx - wide), sides[0]), min(math.floor(cx + wide) + 1, sides[1])
    if begin >= end:
        return 0.0, 0.0, 0.0
    left = right = end
    if inner >= 0.0:
        left = min(max(math.ceil(cx - narrow), begin), end)
        right = max(min(math.floor(cx + narrow) + 1, end), left)
    total, spread, area, fine = 0.0, 0.0, 0.0, False
    if left < right:
        line = values[y - first, left:right]
        noises = variance[y - first, left:right] if variance.size else line[:0]
        fine = all_count(line, labels[y - first, left:right], np.int32(mine), noises, bad)
        if fine:
            total, spread, more = _whole(line, noises, noise)
            spread += shot * more
            area += right - left
    span(dy, radius, begin - cx, OVER, spans)
    for x in range(begin, end):
        inside = left <= x < right
        if inside and fine:
            continue
        share = 1.0 if inside else share_of(x - begin, OVER, spans)
        value, var, _ = counted(values, labels, variance, bad, noise, mine, mask, (centre[1] - first, cx), y - first, x)
        area += share
        total += share * value
        spread += share * var + shot * max(value, 0.0) * var
    return total, spread, area
