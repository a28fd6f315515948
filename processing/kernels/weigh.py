"""Weight and flag of each pixel.

The rule is WeightWatcher's: each map of the list may null the weight and set a
flag, only the first one gives its value. NaN is looked at here, where the
stage wants it to be bad; `watch`, the tool, lets it pass as the peer does.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processing.flags import BITS, PixelFlag
from processing.kernels.rice import BLOCK, decode_row, encode_row, quantise_row

Array = NDArray[Any]
_BAD = int(PixelFlag.BAD)
_OVERSCAN = int(PixelFlag.OVERSCAN)
_SATURATED = int(PixelFlag.SATURATED)
_LOW = int(PixelFlag.LOW_RESPONSE)
_HIGH = int(PixelFlag.HIGH_RESPONSE)


@njit(cache=True, nogil=True)
def weigh(flat: Array, mask: Array, inside: Array, bounds: Array, weight: Array, flags: Array) -> None:
    """Fill `weight` and `flags` from `flat` (NaN is bad) and `mask` (0 is bad); `inside` is x0, x1, y0, y1."""
    low, high = bounds[0], bounds[1]
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    for y in range(flat.shape[0]):
        outside = y < y0 or y >= y1
        for x in range(flat.shape[1]):
            value = flat[y, x]
            flag = 0
            if value > high:
                flag |= _HIGH
            elif not value >= low:
                flag |= _LOW
            if mask[y, x] == 0:
                flag |= _BAD
            if outside or x < x0 or x >= x1:
                flag |= _OVERSCAN
            flags[y, x] = flag
            weight[y, x] = value if flag == 0 else np.float32(0.0)


@njit(cache=True, nogil=True)
def count_flags(flags: Array, inside: Array, side: int, bins: Array) -> None:
    """Count pixels of each bit of `flags` in squares of `side` pixels of the part `inside`: bins[bit, row, column]."""
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    for y in range(y0, y1):
        row = (y - y0) // side
        for x in range(x0, x1):
            flag = int(flags[y, x])
            if flag:
                column = (x - x0) // side
                for bit in range(BITS):
                    bins[bit, row, column] += (flag >> bit) & 1


@njit(cache=True, nogil=True)
def bin_weights(weight: Array, steps: float, inside: Array, side: int, sums: Array) -> int:
    """Sum weights, in whole steps as they are stored, in squares of the part `inside`; return how many are not 0."""
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    quantised = np.empty(weight.shape[1], np.int32)
    count = 0
    for y in range(weight.shape[0]):
        quantise_row(weight[y], steps, quantised)
        for x in range(weight.shape[1]):
            count += quantised[x] != 0
        if y0 <= y < y1:
            for column in range(sums.shape[1]):
                begin = x0 + column * side
                for x in range(begin, min(begin + side, x1)):
                    sums[(y - y0) // side, column] += quantised[x]
    return count


@njit(cache=True, nogil=True)
def rows_at(pixels: Array, level: float, marked: Array) -> int:
    """Mark rows of `pixels` that have a value at or above `level`, or no number; return how many."""
    count = 0
    for y in range(pixels.shape[0]):
        below = 0
        for x in range(pixels.shape[1]):
            below += pixels[y, x] < level
        marked[y] = below != pixels.shape[1]
        count += marked[y]
    return count


@njit(cache=True, nogil=True)
def saturate(  # noqa: C901, PLR0912  one tight loop
    pixels: Array,
    level: float,
    marked: Array,
    inside: Array,
    side: int,
    zeros_of: Array,
    weight: tuple[Array, Array, Array, Array],
    flags: tuple[Array, Array, Array, Array],
    weight_bins: Array,
    flag_bins: Array,
    counts: Array,
) -> int:
    """Null weights and set flags of saturated pixels in Rice code, row by row.

    `weight` and `flags` are each: code, ends of its rows, and room for the new code
    and its ends; rows that are not `marked` are copied. `counts` are pixels with
    weight and pixels without any flag. Returns the first bad row, or -1.
    """
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    width = pixels.shape[1]
    differences = np.empty(BLOCK, np.int64)
    weights = np.empty(width, np.int32)
    bits = np.empty(width, np.int8)
    weight_at, flag_at = 0, 0
    weight_from, flag_from = 0, 0
    for y in range(pixels.shape[0]):
        weight_to, flag_to = weight[1][y], flags[1][y]
        if not marked[y]:
            for k in range(weight_from, weight_to):
                weight[2][weight_at] = weight[0][k]
                weight_at += 1
            for k in range(flag_from, flag_to):
                flags[2][flag_at] = flags[0][k]
                flag_at += 1
        else:
            if not decode_row(weight[0], weight_from, weight_to, 32, zeros_of, weights):
                return y
            if not decode_row(flags[0], flag_from, flag_to, 8, zeros_of, bits):
                return y
            row = (y - y0) // side
            for x in range(width):
                if pixels[y, x] < level:
                    continue
                within = y0 <= y < y1 and x0 <= x < x1
                column = (x - x0) // side
                if weights[x] != 0:
                    counts[0] -= 1
                    if within:
                        weight_bins[row, column] -= weights[x]
                    weights[x] = 0
                if bits[x] == 0:
                    counts[1] -= 1
                if within and not bits[x] & _SATURATED:
                    for bit in range(BITS):
                        flag_bins[bit, row, column] += (_SATURATED >> bit) & 1
                bits[x] |= _SATURATED
            weight_at = encode_row(weights, 32, differences, weight[2], weight_at)
            flag_at = encode_row(bits, 8, differences, flags[2], flag_at)
        weight[3][y], flags[3][y] = weight_at, flag_at
        weight_from, flag_from = weight_to, flag_to
    return -1
