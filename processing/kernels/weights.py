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
def _leasts(line: Array, leasts: Array) -> None:
    """Fill in the smallest of each block of numbers that are not negative, looked at as int32: of the same order."""
    for block in range(leasts.size):
        piece = line[block * BLOCK : (block + 1) * BLOCK]
        least: np.int32 = piece[0]
        for i in range(piece.size):
            least = min(least, piece[i])
        leasts[block] = least


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
def bounds(variance: Array, kernel: Array, first: int, relative: float, filtered: Array, bound: Array) -> None:
    """Fill `bound` (rows, nx) float32 with `relative` times the root of the filtered variance.

    `filtered` (rows, nx) are pixels filtered as the variances are. Where one is below what the least variance around
    its block allows, the bound is infinite: few pixels need more than that. The arithmetic is that of
    `convolve.convolve` and, from there on, double.
    """
    height, nx = variance.shape
    rows = filtered.shape[0]
    tall, wide = kernel.shape
    up, aside = tall // 2, wide // 2
    blocks = (nx - 1) // BLOCK + 1
    reach = (aside - 1) // BLOCK + 1  # blocks aside that the filter reaches into
    inside, corner = _lowest(kernel)
    least, around = np.empty((height, blocks), np.float32), np.empty(blocks, np.float32)
    bottoms, some = np.empty(blocks, np.float32), np.empty(blocks, np.int32)
    for y in range(max(first - up, 0), min(first + rows + up, height)):
        _leasts(variance[y].view(np.int32), around.view(np.int32))
        for block in range(blocks):
            lowest = around[block]
            for other in range(max(block - reach, 0), min(block + reach + 1, blocks)):
                lowest = min(lowest, around[other])
            least[y, block] = lowest
    bound[:] = np.float32(np.inf)
    for j in range(rows):
        low, high = max(first + j - up, 0), min(first + j + up + 1, height)
        bottoms[:] = np.float32(np.inf)
        for y in range(low, high):
            _lower(least[y], bottoms)
        _roots(bottoms, max(relative, 0.0) ** 2 * (inside if high - low == tall else corner))
        for block in range(min(reach + 1, blocks)):  # at the sides, where the filter is cut
            for side in (block, blocks - 1 - block):
                bottoms[side] *= np.float32(math.sqrt(min(corner / inside, 1.0))) if inside > 0.0 else np.float32(0.0)
        _above(filtered[j], bottoms, some)
        for block in range(blocks):
            if some[block]:
                sides = (block * BLOCK, min((block + 1) * BLOCK, nx))
                _exactly(variance, kernel, first + j, relative, sides, filtered[j], bottoms[block], bound[j])


@njit(cache=True, nogil=True)
def _lower(line: Array, least: Array) -> None:
    for i in range(least.size):
        least[i] = min(least[i], line[i])


@njit(cache=True, nogil=True)
def _roots(least: Array, factor: float) -> None:
    """Turn variances into what no bound is below."""
    for i in range(least.size):
        least[i] = np.float32(math.sqrt(max(factor * least[i], 0.0)) * _SURE)


@njit(cache=True, nogil=True)
def _above(line: Array, bottoms: Array, some: Array) -> None:
    """Tell of each block whether a pixel of it is above its number; of no number, that some may be."""
    one, zero = np.int32(1), np.int32(0)
    for block in range(bottoms.size):
        piece, bottom = line[block * BLOCK : (block + 1) * BLOCK], bottoms[block]
        found = zero if bottom > 0.0 else one
        for i in range(piece.size):
            found = np.int32(found + (one if piece[i] > bottom else zero))
        some[block] = found


@njit(cache=True, nogil=True)
def _exactly(
    variance: Array, kernel: Array, y: int, relative: float, sides: tuple[int, int], line: Array, bottom: np.float32,
    bound: Array,
) -> None:  # fmt: skip
    """Fill in the bounds of a row's pixels between two columns where they may be above them."""
    height, nx = variance.shape
    tall, wide = kernel.shape
    for x in range(sides[0], sides[1]):
        if bottom > 0.0 and not line[x] > bottom:
            continue
        noise = np.float32(0.0)
        for row in range(max(tall // 2 - y, 0), min(height - y + tall // 2, tall)):
            for column in range(max(wide // 2 - x, 0), min(nx - x + wide // 2, wide)):
                noise += kernel[row, column] * variance[y + row - tall // 2, x + column - wide // 2]
        bound[x] = np.float32(relative * math.sqrt(np.float64(noise)))
