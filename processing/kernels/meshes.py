"""Loops that estimate level and standard deviation of the sky in the meshes of a strip, as SExtractor does."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
BIG = np.float32(1e30)
"""Beyond which a pixel, or a variance, means nothing; a mesh without a value has -BIG."""
LEVELS = 4096
"""Most bins of a histogram."""
OUTSIDE = LEVELS
"""Where pixels are counted that are outside of a histogram."""
PIECE = 64
"""Bins whose sums are kept together."""
STEP = math.sqrt(2.0 / math.pi) * 5.0 / 4.0
"""Bins a pixel, so that they hold about four pixels around the peak of a Gaussian."""
HALF = 5.0
"""Half the width of a histogram, in standard deviations."""
LEAST = np.float32(0.5)
"""Share of the pixels of a mesh that has to be good."""
ITERATIONS = 100
ROOM = 1 << 14
"""Pixels of a mesh that are looked at together: they and what is counted of them stay near to the processor."""


@njit(cache=True, nogil=True)
def _copy(rows: Array, x0: int, x1: int, first: int, step: int, count: int, tile: Array) -> None:
    """Put `count` rows from `first` on, every `step`-th, behind each other."""
    at, wide = 0, x1 - x0
    for k in range(count):
        tile[at : at + wide] = rows[first + k * step, x0:x1]
        at += wide


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _add(tile: Array, number: int, low: float, high: float, sums: Array) -> None:
    """Add number, sum and sum of squares of the pixels between two cuts.

    All is of double precision: mini-maps are then those of the original to the last bit.
    """
    good, total, square = 0.0, 0.0, 0.0
    for i in range(number):
        value = np.float64(tile[i])
        use = (value >= low) & (value <= high)
        kept = value if use else 0.0
        good += 1.0 if use else 0.0
        total += kept
        square += kept * kept
    sums[0] += good
    sums[1] += total
    sums[2] += square


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _add_both(tile: Array, noise: Array, number: int, low: Array, high: Array, limit: float, sums: Array) -> None:
    """Add the same of pixels whose variances are below `limit`, and of their variances between cuts of their own."""
    low0, high0, low1, high1 = low[0], high[0], low[1], high[1]
    good, total, square, count, weight, heavy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(number):
        value, other = np.float64(tile[i]), np.float64(noise[i])
        use = (value >= low0) & (value <= high0) & (other < limit)
        kept = value if use else 0.0
        good += 1.0 if use else 0.0
        total += kept
        square += kept * kept
        use &= (other >= low1) & (other <= high1)
        kept = other if use else 0.0
        count += 1.0 if use else 0.0
        weight += kept
        heavy += kept * kept
    sums[0, 0] += good
    sums[0, 1] += total
    sums[0, 2] += square
    sums[1, 0] += count
    sums[1, 1] += weight
    sums[1, 2] += heavy


@njit(cache=True, nogil=True)
def _spread(sums: Array) -> tuple[float, float]:
    if sums[0] <= 0.0:
        return 0.0, 0.0
    mean = sums[1] / sums[0]
    return mean, math.sqrt(max(sums[2] / sums[0] - mean * mean, 0.0))


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def add_up(counts: Array, levels: int, sums: Array) -> None:
    """Fill `sums` (3, LEVELS // PIECE + 1): of pieces of PIECE bins before each, numbers, bins and bins squared.

    `counts` (2, LEVELS + 1) int32, 0 from `levels` on but for the last one, are added, in the first row. All numbers
    are whole ones below 2**53: that they are added in double precision, and in any order, changes none.
    """
    one, two = counts[0], counts[1]
    sums[:, 0] = 0.0
    for piece in range((levels - 1) // PIECE + 1):
        first = piece * PIECE
        mine, other = one[first : first + PIECE], two[first : first + PIECE]
        number, total, square = 0.0, 0.0, 0.0
        for i in range(PIECE):
            mine[i] += other[i]
            count, at = np.float64(mine[i]), np.float64(first + i)
            number += count
            total += count * at
            square += count * at * at
        sums[0, piece + 1] = sums[0, piece] + number
        sums[1, piece + 1] = sums[1, piece] + total
        sums[2, piece + 1] = sums[2, piece] + square


@njit(cache=True, nogil=True)
def _below(counts: Array, sums: Array, level: int) -> tuple[float, float, float]:
    """Number of pixels in the bins below a level, these times the bin, times its square."""
    piece = level // PIECE
    number, total, square = sums[0, piece], sums[1, piece], sums[2, piece]
    for at in range(piece * PIECE, level):
        count = np.float64(counts[at])
        number += count
        total += count * at
        square += count * at * at
    return number, total, square


@njit(cache=True, nogil=True)
def _meeting(counts: Array, sums: Array, low: int, end: int, base: float, whole: float) -> tuple[int, float]:
    """First bin from `low` on, or `end`, at which pixels below it, with and without it, make up all; those below."""
    piece, beyond = low // PIECE, end // PIECE
    while piece < beyond:  # the piece in which that is
        middle = (piece + beyond) >> 1
        last = (middle + 1) * PIECE - 1
        if 2.0 * (sums[0, middle + 1] - base) - counts[last] >= whole:
            beyond = middle
        else:
            piece = middle + 1
    at, below = piece * PIECE, sums[0, piece] - base
    while at < low or (at < end and 2.0 * below + counts[at] < whole):
        below += counts[at]
        at += 1
    return at, below


@njit(cache=True, nogil=True)
def guess(counts: Array, sums: Array, levels: int) -> tuple[float, float, float]:
    """Mean, median and standard deviation, in bins, of a histogram clipped at three of the latter until they stay.

    The original walks from both ends of the histogram at once, always on the side on which it has fewer pixels. The
    bin where it arrives is the first one at which the pixels below it, counted with it and without it, make up all;
    with sums of pieces at hand it is found by halving. `counts` (LEVELS + 1,) int32 and `sums` are those of `add_up`.
    """
    low, high, last = 0, levels - 1, levels - 1
    sigma, before, mean, median = 10.0 * last, 1.0, 0.0, 0.0
    left = ITERATIONS
    while left > 0 and sigma >= 0.1 and abs(sigma / before - 1.0) > 1e-4:
        left -= 1
        before = sigma
        end = max(high + 1, low)
        base, first, second = _below(counts, sums, low)
        whole, mean, sigma = _below(counts, sums, end)
        whole, mean, sigma = whole - base, mean - first, sigma - second
        at, below = _meeting(counts, sums, low, end, base, whole)
        back = high - (end - at)
        above = whole - below
        median = 0.0
        if back >= 0:
            most = np.float64(counts[back])
            if at < levels:
                most = max(most, np.float64(counts[at]))
            median = back + 0.5 + (above - below) / (2.0 * most) if most > 0 else back + 0.5
        if whole > 0:
            mean /= whole
            sigma = sigma / whole - mean * mean
        sigma = math.sqrt(sigma) if sigma > 0.0 else 0.0
        bound = median - 3.0 * sigma
        low = int(bound + 0.5) if bound > 0.0 else 0
        bound = median + 3.0 * sigma
        high = (int(bound + 0.5) if bound > 0.0 else int(bound)) if bound < last else last
    return mean, median, sigma


@njit(cache=True, nogil=True)
def _place(tile: Array, number: int, scale: np.float32, shift: np.float32, levels: int, places: Array) -> None:
    """Fill in the bin of each pixel, or `OUTSIDE`; bins are cut, not floored: the first one is twice as wide."""
    top, bottom, outside = np.float32(levels), np.float32(-1.0), np.float32(OUTSIDE)
    for i in range(number):
        at = tile[i] / scale + shift
        places[i] = np.uint32(np.int32(at if (at > bottom) & (at < top) else outside))


@njit(cache=True, nogil=True)
def _place_both(tile: Array, number: int, limit: np.float32, bins: Array, levels: Array, places: Array) -> None:
    """Fill in the bins of pixels and of their variances: `OUTSIDE` without weight, and where the pixel is."""
    values, noises, mine, others = tile[0], tile[1], places[0], places[1]
    scale, shift, spread, begin = bins[0, 0], bins[0, 1], bins[1, 0], bins[1, 1]
    top, high, bottom, outside = np.float32(levels[0]), np.float32(levels[1]), np.float32(-1.0), np.float32(OUTSIDE)
    for i in range(number):
        at, other = values[i] / scale + shift, noises[i] / spread + begin
        fine = (at > bottom) & (at < top) & (noises[i] < limit)
        mine[i] = np.uint32(np.int32(at if fine else outside))
        others[i] = np.uint32(np.int32(other if fine & (other > bottom) & (other < high) else outside))


@njit(cache=True, nogil=True)
def _count(places: Array, number: int, counts: Array) -> None:
    """Count pixels in bins, by turns in one of two rows: a bin is seldom wanted before it is written."""
    one, two = counts[0], counts[1]
    for i in range(0, number - 1, 2):
        one[places[i]] += 1
        two[places[i + 1]] += 1
    if number % 2:
        one[places[number - 1]] += 1


@njit(cache=True, nogil=True)
def _sums(
    pixels: Array, weights: Array, sides: tuple[int, int], limit: np.float32, sample: int, tile: Array, low: Array,
    high: Array, sums: Array,
) -> None:  # fmt: skip
    """Fill `sums` (2, 3) from every `sample`-th row of a mesh between two columns, first without cuts, then with.

    The cuts are left in `low` and `high`. A mesh with too few good pixels has a number of -1. Where `tile` has room
    for all rows, they are left there.
    """
    x0, x1 = sides
    some = pixels.shape[0] // sample
    together = tile.shape[1] // max(x1 - x0, 1)
    both = weights.size > 0
    low[:], high[:] = -BIG, BIG
    for turn in range(2):
        sums[:] = 0.0
        for first in range(0, some, together):
            lines, begin = min(together, some - first), sample // 2 + first * sample
            number = lines * (x1 - x0)
            if turn == 0 or some > together:
                _copy(pixels, x0, x1, begin, sample, lines, tile[0])
                if both:
                    _copy(weights, x0, x1, begin, sample, lines, tile[1])
            if both:
                _add_both(tile[0], tile[1], number, low, high, np.float64(limit), sums)
            else:
                _add(tile[0], number, low[0], high[0], sums[0])
        if turn == 0:
            if np.float32(sums[0, 0]) < np.float32((x1 - x0) * some) * LEAST:
                sums[0, 0] = -1.0
                return
            for kind in range(2 if both else 1):
                mean, spread = _spread(sums[kind])
                low[kind] = np.float64(np.float32(mean - 2.0 * spread))
                high[kind] = np.float64(np.float32(mean + 2.0 * spread))


@njit(cache=True, nogil=True)
def _histograms(
    pixels: Array, weights: Array, sides: tuple[int, int], limit: np.float32, there: bool, tile: Array, bins: Array,
    levels: Array, places: Array, counts: Array,
) -> None:  # fmt: skip
    """Fill both histograms: a variance counts where its pixel does. `bins` hold scale and shift of each, (2, 2).

    `there`: all rows are in `tile` if it has room for them.
    """
    x0, x1 = sides
    rows = pixels.shape[0]
    together = tile.shape[1] // max(x1 - x0, 1)
    kinds = 2 if weights.size else 1
    counts[:] = 0
    for first in range(0, rows, together):
        lines = min(together, rows - first)
        number = lines * (x1 - x0)
        if not there or rows > together:
            _copy(pixels, x0, x1, first, 1, lines, tile[0])
            if kinds == 2:
                _copy(weights, x0, x1, first, 1, lines, tile[1])
        if kinds == 2:
            _place_both(tile, number, limit, bins, levels, places)
        else:
            _place(tile[0], number, bins[0, 0], bins[0, 1], levels[0], places[0])
        for kind in range(kinds):
            _count(places[kind], number, counts[kind])


@njit(cache=True, nogil=True)
def measure_strip(
    pixels: Array, weights: Array, limit: np.float32, sample: int, width: int, level: Array, sigma: Array
) -> None:
    """Fill `level` and `sigma`, (2, meshes) float32, from a strip of rows one mesh high.

    Row 0 is of `pixels`, row 1 of `weights` (variances, empty without; at or above `limit` a pixel is not used). A
    mesh with too few good pixels becomes -1e30. Every `sample`-th row, from the middle of the
    first few on, gives the range of the histograms.
    """
    tile = np.empty((2, min(max(ROOM // width, 1), pixels.shape[0]) * width), np.float32)
    places = np.empty(tile.shape, np.uint32)
    counts, levels = np.zeros((2, 2, LEVELS + 1), np.int32), np.empty(2, np.int64)
    below = np.empty((3, LEVELS // PIECE + 1))
    bins, zeros = np.empty((2, 2), np.float32), np.empty(2, np.float32)
    sums = np.zeros((2, 3))
    low, high = np.empty(2), np.empty(2)
    for mesh in range(level.shape[1]):
        sides = mesh * width, min((mesh + 1) * width, pixels.shape[1])
        _sums(pixels, weights, sides, limit, sample, tile, low, high, sums)
        if sums[0, 0] < 0.0:
            level[:, mesh] = -BIG
            sigma[:, mesh] = -BIG
            continue
        for kind in range(2 if weights.size else 1):
            mean, spread = _spread(sums[kind])
            levels[kind] = min(int(STEP * sums[kind, 0] + 1.0), LEVELS)
            bins[kind, 0] = np.float32(2.0 * HALF * spread / levels[kind]) if spread > 0.0 else np.float32(1.0)
            zeros[kind] = np.float32(mean - HALF * spread)
            bins[kind, 1] = np.float32(0.499999 - zeros[kind] / bins[kind, 0])
        _histograms(pixels, weights, sides, limit, sample == 1, tile, bins, levels, places, counts)
        for kind in range(2 if weights.size else 1):
            add_up(counts[kind], levels[kind], below)
            zero, scale = np.float64(zeros[kind]), np.float64(bins[kind, 0])
            middle, median, spread = guess(counts[kind, 0], below, levels[kind])
            at = middle
            if spread > 0.0:
                at = 2.5 * median - 1.5 * middle if abs((middle - median) / spread) < 0.3 else median
            level[kind, mesh] = np.float32(zero + at * scale)
            sigma[kind, mesh] = np.float32(spread * scale)
