"""Loops that measure level and noise of the sky in meshes, and that draw them smoothly over a CCD."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
BINS = 1024
"""Steps of a mesh's histogram."""
FIRST = 256
"""Pixels of a mesh from which the range of its histogram is guessed."""
HALF = 6.0
"""Half of that range, in guessed standard deviations."""
KAPPA = 3.0
"""Standard deviations from the median at which pixels are clipped."""
CROWDED = 0.3
"""Standard deviations between mean and median from which the median is taken for the level (SExtractor)."""


@njit(cache=True, nogil=True)
def clipped(values: Array, room: Array) -> tuple[float, float]:
    """Level and standard deviation of `values` without their outliers, by a histogram.

    The level is the mode, 2.5 median - 1.5 mean, where mean and median of what is left after clipping lie near to each
    other, else the median (Bertin & Arnouts 1996, A&AS 117, 393). `room` (2, BINS) float64 is overwritten.
    """
    step = max(values.size // FIRST, 1)
    few = np.sort(values[::step])
    middle, low, high = few[few.size // 2], few[few.size // 6], few[(few.size * 5) // 6]
    spread = 0.5 * (high - low)
    if spread <= 0.0:
        spread = max(0.5 * float(few[-1] - few[0]), 1e-6 * abs(middle) + 1e-30)
    start, scale = middle - HALF * spread, BINS / (2.0 * HALF * spread)
    counts, sums = room[0], room[1]
    counts[:] = 0.0
    sums[:] = 0.0
    for value in values:
        at = (value - start) * scale
        if 0.0 <= at < BINS:
            counts[int(at)] += 1.0
            sums[int(at)] += value - middle
    first, last = 0, BINS
    median, mean, sigma = 0.0, 0.0, spread
    for _ in range(10):
        number, total, square = 0.0, 0.0, 0.0
        for at in range(first, last):
            number += counts[at]
            total += sums[at]
            if counts[at] > 0.0:
                square += sums[at] * sums[at] / counts[at]
        if number < 2.0:
            break
        mean = total / number
        sigma = math.sqrt(max(square / number - mean * mean, 0.0))
        half, at, below = 0.5 * number, first, 0.0
        while at < last - 1 and below + counts[at] < half:
            below += counts[at]
            at += 1
        within = (half - below) / counts[at] if counts[at] > 0.0 else 0.5
        median = start + (at + within) / scale - middle
        lower = max(int((median - KAPPA * sigma + middle - start) * scale), first)
        upper = min(math.ceil((median + KAPPA * sigma + middle - start) * scale), last)
        if lower == first and upper == last:
            break
        first, last = lower, upper
    level = 2.5 * median - 1.5 * mean if abs(mean - median) < CROWDED * sigma else median
    return middle + level, sigma


@njit(cache=True, nogil=True)
def measure(
    pixels: Array, flags: Array, edges_x: Array, edges_y: Array, stride: int, least: float, level: Array, rms: Array
) -> None:
    """Fill `level` and `rms` (rows, columns of meshes) from every `stride`-th row of `pixels` where `flags` is 0.

    `edges_x`, `edges_y` are the first pixels of the meshes and the end of the last; a mesh of which less than the share
    `least` of the pixels can be used becomes NaN.
    """
    rows, columns = level.shape
    room = np.empty((2, BINS))
    longest = 0
    for k in range(columns):
        longest = max(longest, edges_x[k + 1] - edges_x[k])
    tallest = 0
    for k in range(rows):
        tallest = max(tallest, edges_y[k + 1] - edges_y[k])
    values = np.empty(longest * (tallest // stride + 1), np.float32)
    for row in range(rows):
        for column in range(columns):
            count, seen = 0, 0
            for j in range(edges_y[row], edges_y[row + 1], stride):
                for i in range(edges_x[column], edges_x[column + 1]):
                    seen += 1
                    value = pixels[j, i]
                    if flags[j, i] == 0 and math.isfinite(value):
                        values[count] = value
                        count += 1
            if count < max(least * seen, 16.0):
                level[row, column] = math.nan
                rms[row, column] = math.nan
            else:
                level[row, column], rms[row, column] = clipped(values[:count], room)


@njit(cache=True, nogil=True)
def draw(knots: Array, first_y: float, step_y: float, first_x: float, step_x: float, drawn: Array) -> None:
    """Fill `drawn` with the cubic surface of Catmull and Rom through `knots`, whose slope has no jumps.

    Knot k lies at pixel ``first + step k``; beyond the outermost knots the surface goes straight on.
    """
    rows, columns = knots.shape
    height, width = drawn.shape
    at = np.empty((4, width), np.int64)
    share = np.empty((4, width))
    for i in range(width):
        _taps((i - first_x) / step_x, columns, at[:, i], share[:, i])
    at_y, share_y = np.empty(4, np.int64), np.empty(4)
    line = np.empty(columns)
    for j in range(height):
        _taps((j - first_y) / step_y, rows, at_y, share_y)
        for k in range(columns):
            line[k] = 0.0
            for tap in range(4):
                line[k] += share_y[tap] * knots[at_y[tap], k]
        for i in range(width):
            drawn[j, i] = (
                share[0, i] * line[at[0, i]]
                + share[1, i] * line[at[1, i]]
                + share[2, i] * line[at[2, i]]
                + share[3, i] * line[at[3, i]]
            )


@njit(cache=True, nogil=True)
def _taps(place: float, knots: int, at: Array, share: Array) -> None:
    """Fill in the four knots that a place lies between and their shares."""
    left = min(max(math.floor(place), 0), max(knots - 2, 0))
    t = place - left if knots > 1 else 0.0
    for tap in range(4):
        at[tap] = min(max(left + tap - 1, 0), knots - 1)
    if t < 0.0 or t > 1.0:  # half a mesh beyond the outermost knots: straight on
        share[0], share[1], share[2], share[3] = 0.0, 1.0 - t, t, 0.0
        return
    share[0] = ((-0.5 * t + 1.0) * t - 0.5) * t
    share[1] = (1.5 * t - 2.5) * t * t + 1.0
    share[2] = ((-1.5 * t + 2.0) * t + 0.5) * t
    share[3] = (0.5 * t - 0.5) * t * t
    if left == 0:  # the knot beyond the first lies straight on
        share[1], share[2], share[0] = share[1] + 2.0 * share[0], share[2] - share[0], 0.0
    if left + 2 > knots - 1:
        share[2], share[1], share[3] = share[2] + 2.0 * share[3], share[1] - share[3], 0.0
