"""Loops that estimate level and standard deviation of the sky in the meshes of a strip, as SExtractor does."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
BIG = np.float32(1e30)
"""Beyond which a pixel, or a variance, means nothing; a mesh without a value has -BIG."""
LEVELS = 4096
"""Most bins of a histogram."""
STEP = math.sqrt(2.0 / math.pi) * 5.0 / 4.0
"""Bins a pixel, so that they hold about four pixels around the peak of a Gaussian."""
HALF = 5.0
"""Half the width of a histogram, in standard deviations."""
LEAST = np.float32(0.5)
"""Share of the pixels of a mesh that has to be good."""
ITERATIONS = 100


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _sums(pixels: Array, weights: Array, x0: int, x1: int, low: Array, high: Array, sums: Array) -> None:
    """Fill in number, sum and sum of squares of good pixels between two cuts, and the same of their variances.

    Squares are of double precision: mini-maps are then those of the original to the last bit.
    """
    good, total, square = 0, 0.0, 0.0
    if weights.size == 0:
        for j in range(pixels.shape[0]):
            line = pixels[j, x0:x1]
            for value in line:
                use = (value >= low[0]) & (value <= high[0])
                kept = value if use else np.float32(0.0)
                good += 1 if use else 0
                wide = np.float64(kept)
                total += wide
                square += wide * wide
        sums[0, 0], sums[0, 1], sums[0, 2] = good, total, square
        return
    count, weight, heavy = 0, 0.0, 0.0
    for j in range(pixels.shape[0]):
        for i in range(x0, x1):
            value, other = pixels[j, i], weights[j, i]
            use = (value >= low[0]) & (value <= high[0]) & (other < high[2])
            kept = value if use else np.float32(0.0)
            good += 1 if use else 0
            wide = np.float64(kept)
            total += wide
            square += wide * wide
            use &= (other >= low[1]) & (other <= high[1])
            kept = other if use else np.float32(0.0)
            count += 1 if use else 0
            wide = np.float64(kept)
            weight += wide
            heavy += wide * wide
    sums[0, 0], sums[0, 1], sums[0, 2] = good, total, square
    sums[1, 0], sums[1, 1], sums[1, 2] = count, weight, heavy


@njit(cache=True, nogil=True)
def _spread(sums: Array) -> tuple[float, float]:
    if sums[0] <= 0.0:
        return 0.0, 0.0
    mean = sums[1] / sums[0]
    return mean, math.sqrt(max(sums[2] / sums[0] - mean * mean, 0.0))


@njit(cache=True, nogil=True)
def guess(counts: Array, levels: int) -> tuple[float, float, float]:
    """Mean, median and standard deviation, in bins, of a histogram clipped at three of the latter until they stay."""
    low, high, last = 0, levels - 1, levels - 1
    sigma, before, mean, median = 10.0 * last, 1.0, 0.0, 0.0
    left = ITERATIONS
    while left > 0 and sigma >= 0.1 and abs(sigma / before - 1.0) > 1e-4:
        left -= 1
        before = sigma
        total, mean, sigma = 0.0, 0.0, 0.0
        below, above, at, back = 0, 0, low, high
        for i in range(low, high + 1):
            if below < above:
                below += counts[at]
                at += 1
            else:
                above += counts[back]
                back -= 1
            count = float(counts[i])
            total += count
            mean += count * i
            sigma += count * i * i
        median = 0.0
        if back >= 0:
            most = counts[back]
            if at < levels:
                most = max(most, counts[at])
            median = back + 0.5 + (float(above) - float(below)) / (2.0 * most) if most > 0 else back + 0.5
        if total > 0.0:
            mean /= total
            sigma = sigma / total - mean * mean
        sigma = math.sqrt(sigma) if sigma > 0.0 else 0.0
        bound = median - 3.0 * sigma
        low = int(bound + 0.5) if bound > 0.0 else 0
        bound = median + 3.0 * sigma
        high = (int(bound + 0.5) if bound > 0.0 else int(bound)) if bound < last else last
    return mean, median, sigma


@njit(cache=True, nogil=True)
def _histogram(
    pixels: Array, x0: int, x1: int, scale: np.float32, shift: np.float32, levels: int, counts: Array
) -> None:
    counts[:levels] = 0
    top, bottom = np.float32(levels), np.float32(1.0)
    for j in range(pixels.shape[0]):
        line = pixels[j, x0:x1]
        for value in line:
            at = value / scale + shift
            if at >= bottom and at < top:
                counts[int(at)] += 1


@njit(cache=True, nogil=True)
def _histograms(
    pixels: Array, weights: Array, x0: int, x1: int, bins: Array, levels: Array, limit: np.float32, counts: Array
) -> None:
    """Both histograms: a variance counts where its pixel does. `bins` hold scale and shift of each, (2, 2)."""
    counts[:] = 0
    one = np.float32(1.0)
    for j in range(pixels.shape[0]):
        for i in range(x0, x1):
            at = pixels[j, i] / bins[0, 0] + bins[0, 1]
            if at >= one and at < levels[0] and weights[j, i] < limit:
                counts[0, int(at)] += 1
                at = weights[j, i] / bins[1, 0] + bins[1, 1]
                if at >= one and at < levels[1]:
                    counts[1, int(at)] += 1


@njit(cache=True, nogil=True)
def measure_strip(
    pixels: Array, weights: Array, limit: np.float32, sample: int, width: int, level: Array, sigma: Array
) -> None:
    """Fill `level` and `sigma`, (2, meshes) float32, from a strip of rows one mesh high.

    Row 0 is of `pixels`, row 1 of `weights` (variances, empty without; at or above `limit` a pixel is not used). A
    mesh with too few good pixels becomes -1e30. Every `sample`-th row, from the middle of the
    first few on, gives the range of the histograms.
    """
    rows = pixels.shape[0] // sample
    some, heavy = pixels[sample // 2 :: sample][:rows], weights[sample // 2 :: sample][:rows]
    counts, levels = np.zeros((2, LEVELS), np.int32), np.empty(2, np.int64)
    bins, zeros = np.empty((2, 2), np.float32), np.empty(2, np.float32)
    sums = np.zeros((2, 3))
    low, high = np.empty(2, np.float32), np.empty(3, np.float32)
    kinds = 1 if weights.size == 0 else 2
    for mesh in range(level.shape[1]):
        x0 = mesh * width
        x1 = min(x0 + width, pixels.shape[1])
        low[:], high[:] = -BIG, BIG
        high[2] = limit
        _sums(some, heavy, x0, x1, low, high, sums)
        if np.float32(sums[0, 0]) < np.float32((x1 - x0) * some.shape[0]) * LEAST:
            level[:, mesh] = -BIG
            sigma[:, mesh] = -BIG
            continue
        for kind in range(kinds):
            mean, spread = _spread(sums[kind])
            low[kind], high[kind] = np.float32(mean - 2.0 * spread), np.float32(mean + 2.0 * spread)
        _sums(some, heavy, x0, x1, low, high, sums)
        for kind in range(kinds):
            mean, spread = _spread(sums[kind])
            levels[kind] = min(int(STEP * sums[kind, 0] + 1.0), LEVELS)
            bins[kind, 0] = np.float32(2.0 * HALF * spread / levels[kind]) if spread > 0.0 else np.float32(1.0)
            zeros[kind] = np.float32(mean - HALF * spread)
            bins[kind, 1] = np.float32(0.499999 - zeros[kind] / bins[kind, 0])
        if kinds == 1:
            _histogram(pixels, x0, x1, bins[0, 0], bins[0, 1], levels[0], counts[0])
        else:
            _histograms(pixels, weights, x0, x1, bins, levels, limit, counts)
        for kind in range(kinds):
            zero, scale = np.float64(zeros[kind]), np.float64(bins[kind, 0])
            middle, median, spread = guess(counts[kind], levels[kind])
            at = middle
            if spread > 0.0:
                at = 2.5 * median - 1.5 * middle if abs((middle - median) / spread) < 0.3 else median
            level[kind, mesh] = np.float32(zero + at * scale)
            sigma[kind, mesh] = np.float32(spread * scale)
