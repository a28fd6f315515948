"""Loops that turn weight maps into variances, and these into thresholds of pixels."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
WEIGHT, VARIANCE, RMS = 0, 1, 2
"""What a map holds."""
BLOCK = 64
"""Pixels of a row whose thresholds are looked at together."""
_SURE = 1.0 - 1e-3
"""By which a bound is lowered: roundings of single precision are far smaller."""


@njit(cache=True, nogil=True, error_model="numpy")
def variances(values: Array, kind: int, threshold: np.float32, bad: np.float32) -> None:
    """Turn `values` (rows, nx) float32 into variances in place; `bad` where a pixel does not count.

    A weight counts above the threshold, others from 0 on below it.
    """
    one = np.float32(1.0)
    for j in range(values.shape[0]):
        line = values[j]
        if kind == WEIGHT:
            for i in range(line.size):
                value = line[i]
                line[i] = one / value if value > threshold else bad
        elif kind == VARIANCE:
            for i in range(line.size):
                value = line[i]
                line[i] = value if (value < threshold) & (value >= 0) else bad
        else:
            for i in range(line.size):
                value = line[i]
                line[i] = value * value if (value < threshold) & (value >= 0) else bad


@njit(cache=True, nogil=True)
def scale(variance: Array, factor: np.float32, bad: np.float32) -> None:
    """Multiply what is below `bad` in place; the rest becomes `bad`."""
    for j in range(variance.shape[0]):
        line = variance[j]
        for i in range(line.size):
            line[i] = line[i] * factor if line[i] < bad else bad


@njit(cache=True, nogil=True)
def _least(line: Array) -> np.int32:
    """Return the smallest of numbers that are not negative, all looked at as int32: they have the same order."""
    least: np.int32 = line[0]
    for i in range(line.size):
        least = min(least, line[i])
    return least


@njit(cache=True, nogil=True)
def _some_above(line: Array, bound: np.float32) -> bool:
    one, zero = np.int32(1), np.int32(0)
    some = zero
    for i in range(line.size):
        some = np.int32(some + (one if line[i] > bound else zero))
    return bool(some > zero)


@njit(cache=True, nogil=True)
def _lowest(kernel: Array) -> tuple[float, float]:
    """Share of the least variance that the filtered one has at least: inside of the image, and at its corners."""
    inside, corner = 0.0, math.inf
    tall, wide = kernel.shape
    for j in range(tall):
        for i in range(wide):
            if kernel[j, i] < 0.0:
                return 0.0, 0.0
            inside += kernel[j, i]
    for down in range(2):
        for right in range(2):
            total = 0.0
            for j in range(tall // 2 + 1):
                for i in range(wide // 2 + 1):
                    total += kernel[j + down * (tall // 2), i + right * (wide // 2)]
            corner = min(corner, total)
    return inside, corner


@njit(cache=True, nogil=True)
def bounds(  # noqa: C901  blocks of rows, and pixels of the few that matter
    variance: Array, kernel: Array, first: int, relative: float, filtered: Array, bound: Array
) -> None:
    """Fill `bound` (rows, nx) float32 with `relative` times the root of the filtered variance.

    `filtered` (rows, nx) are pixels filtered as the variances are. In blocks of pixels that are all below what the
    least variance around the block allows, the bound is infinite: few blocks need more than that. The arithmetic is
    that of `convolve.convolve` and, from there on, double.
    """
    height, nx = variance.shape
    rows = filtered.shape[0]
    tall, wide = kernel.shape
    up, aside = tall // 2, wide // 2
    blocks = (nx - 1) // BLOCK + 1
    reach = (aside - 1) // BLOCK + 1  # blocks aside that the filter reaches into
    inside, corner = _lowest(kernel)
    least = np.empty((height, blocks), np.float32)
    words = least.view(np.int32)
    begin, end = max(first - up, 0), min(first + rows + up, height)
    for y in range(begin, end):
        line = variance[y].view(np.int32)
        for block in range(blocks):
            words[y, block] = _least(line[block * BLOCK : min((block + 1) * BLOCK, nx)])
    bound[:] = np.float32(np.inf)
    for j in range(rows):
        low, high = max(first + j - up, 0), min(first + j + up + 1, height)
        for block in range(blocks):
            x0, x1 = block * BLOCK, min((block + 1) * BLOCK, nx)
            share = inside if high - low == tall and x0 >= aside and x1 + aside <= nx else corner
            lowest = np.float32(np.inf)
            for y in range(low, high):
                for other in range(max(block - reach, 0), min(block + reach + 1, blocks)):
                    lowest = min(lowest, least[y, other])
            bottom = np.float32(relative * math.sqrt(max(share * lowest, 0.0)) * _SURE)
            if share > 0.0 and not _some_above(filtered[j, x0:x1], bottom):
                continue
            for i in range(x0, x1):
                noise = np.float32(0.0)
                for row in range(tall):
                    y = first + j + row - up
                    if y < 0 or y >= height:
                        continue
                    for column in range(wide):
                        x = i + column - aside
                        if 0 <= x < nx:
                            noise += kernel[row, column] * variance[y, x]
                bound[j, i] = np.float32(relative * math.sqrt(np.float64(noise)))
