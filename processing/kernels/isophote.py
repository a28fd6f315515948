"""Loops that sum what lies within the isophote of a detection."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
(FLUX, VARIANCE, PEAK, AREA, EX2, EY2, EXY, LOW, FWHM) = range(9)
"""Columns of sums; the areas above eight levels follow behind them."""
LEVELS = 9
FIELDS = LEVELS + 8
WIDEST = 13.0
"""Of the Gaussian that fits the profile, square of its scale over the product of the semi-axes."""
SINGLE = 0.08333
"""Variance of a place within a pixel, in pixels**2, as the original has it: a twelfth, cut off."""


@njit(cache=True, nogil=True)
def isophote(
    values: Array,
    variance: Array,
    bad: float,
    noise: float,
    seen_noise: float,
    gain: float,
    by_weight: bool,
    first: int,
    rows: Array,
    starts: Array,
    own: Array,
    x: Array,
    y: Array,
    filtered: Array,
    centres: Array,
    singular: Array,
    axes: Array,
    full: Array,
    thresholds: Array,
    factor: float,
    sky: Array,
    sums: Array,
) -> None:
    """Fill `sums` (rows, FIELDS) float64, a row for each of the objects `rows`.

    Parameters
    ----------
    values : (ny, nx) measurement image less its background, from row `first` of the image on
    variance : the same shape, or (0, 0) where `noise` holds everywhere
    seen_noise : of the detection image; errors of positions follow from it alone, with weights too, as the original's
    by_weight : the gain follows the variance of each pixel
    starts, x, y, filtered : the pixels of all objects
    own : (rows,) how many of each, from the first, are not from swallowed ones
    centres : (rows, 2) float64, (x, y)
    axes : (rows,) float64, product of the semi-axes
    full : (rows,) float64, values from which a pixel is saturated: the profile goes without them
    thresholds : (rows,) float64, of the analysis
    factor : 0, or the threshold of each pixel in its own standard deviations, for the area
    sky : (rows,) float64, levels that are taken off the objects' light, but not for its areas
    """
    for k in range(rows.size):
        told = sums[k]
        told[:] = 0.0
        threshold = thresholds[k]
        begin, end = starts[rows[k]], starts[rows[k] + 1]
        mine = begin + own[k]
        peak, brightest = -1e30, -1e30
        total, flux = 0.0, 0.0
        for at in range(begin, end):
            j, i = y[at] - first, x[at]
            value = float(values[j, i])
            var = float(variance[j, i]) if variance.size else noise
            told[FLUX] += value
            brightest = max(brightest, value)
            if var < bad or not variance.size:
                told[VARIANCE] += var
                if by_weight and gain > 0.0 and value > 0.0:
                    told[VARIANCE] += value / gain * var / noise
            else:
                told[LOW] += 1
            if at >= mine:
                continue
            peak = max(peak, value)
            told[AREA] += value > (factor * math.sqrt(var) if factor > 0.0 else threshold)
            spread = seen_noise
            if gain > 0.0 and filtered[at] > 0.0:
                spread += filtered[at] / gain
            dx, dy = x[at] - centres[k, 0], y[at] - centres[k, 1]
            total += spread
            flux += filtered[at]
            told[EX2] += spread * dx * dx
            told[EY2] += spread * dy * dy
            told[EXY] += spread * dx * dy
        told[PEAK] = peak - sky[k]
        told[FLUX] -= (end - begin) * sky[k]
        if not by_weight and gain > 0.0 and told[FLUX] > 0.0:
            told[VARIANCE] += told[FLUX] / gain
        square = flux * flux
        told[EX2], told[EY2], told[EXY] = told[EX2] / square, told[EY2] / square, told[EXY] / square
        if singular[k] and told[EX2] * told[EY2] - told[EXY] * told[EXY] < (total / square) ** 2:
            told[EX2] += SINGLE * total / square
            told[EY2] += SINGLE * total / square
        _levels(values, first, x, y, begin, mine, threshold - sky[k], centres[k], axes[k], full[k], sky[k], told)
        told[PEAK] = brightest - sky[k]


@njit(cache=True, nogil=True)
def least(
    variance: Array, first: int, rows: Array, starts: Array, own: Array, x: Array, y: Array, found: Array
) -> None:
    """Fill `found` (rows,) float32 with the least variance of the pixels of each object; see `isophote`."""
    for k in range(rows.size):
        begin = starts[rows[k]]
        lowest = np.float32(np.inf)
        for at in range(begin, begin + own[k]):
            lowest = min(lowest, variance[y[at] - first, x[at]])
        found[k] = lowest


@njit(cache=True, nogil=True)
def _levels(
    values: Array,
    first: int,
    x: Array,
    y: Array,
    begin: int,
    end: int,
    threshold: float,
    centre: Array,
    axes: float,
    full: float,
    sky: float,
    told: Array,
) -> None:
    """Areas above eight levels between threshold and peak, and the FWHM of the Gaussian that fits the profile.

    All levels are 0 where one of both is not positive.
    """
    peak = told[PEAK]
    ratio = peak / threshold if threshold > 0.0 else 0.0
    low = max(peak / 5.0, threshold)
    number, s, sx, sy, sxx, sxy = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for at in range(begin, end):
        value = float(values[y[at] - first, x[at]])
        if ratio > 1.0:
            for level in range(8):
                told[LEVELS + level] += value > threshold * ratio ** (level / 8.0)
        elif peak <= 0.0 or threshold <= 0.0:
            for level in range(8):
                told[LEVELS + level] += value > 0.0
        elif value > threshold:
            told[LEVELS] += 1
        value -= sky
        if low < value < full:
            dx, dy = x[at] - centre[0], y[at] - centre[1]
            lg, weight, square = math.log(value), value * value, dx * dx + dy * dy
            s += weight
            sx += weight * square
            sxx += weight * square * square
            sy += weight * lg
            sxy += weight * lg * square
            number += 1
    told[FWHM] = 0.0
    if number < 2:
        return
    below = s * sxx - sx * sx
    slope = -(s * sxy - sx * sy) / below if below > 0.0 else 0.0
    slope = max(slope, 1.0 / (WIDEST * axes))
    width = 1.6651 / math.sqrt(slope)
    told[FWHM] = width - 1.0 / (4.0 * width)
