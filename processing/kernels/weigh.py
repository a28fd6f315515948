"""Weight and flag of each pixel.

The rule is WeightWatcher's: each map of the list may null the weight and set a
flag, only the first one gives its value. NaN is bad,
here as there.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.flags import PixelFlag
from processing.kernels.rice import BLOCK, decode_row, encode_row, quantise_row

Array = NDArray[Any]
_BAD = int(PixelFlag.BAD)
_OVERSCAN = int(PixelFlag.OVERSCAN)
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
def count_flags(flags: Array, inside: Array, side: int, bins: Array) -> int:
    """Count pixels of each bit of `flags` in squares of `side` pixels of the part `inside`: bins[bit, row, column].

    Returns how many pixels, inside or not, have no flag.
    """
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    flagged = 0
    for y in range(flags.shape[0]):
        row = (y - y0) // side
        within = y0 <= y < y1
        for x in range(flags.shape[1]):
            flag = int(flags[y, x])
            if flag == 0:
                continue
            flagged += 1
            if within and x0 <= x < x1:
                column = (x - x0) // side
                bit = 0
                while flag > 0:
                    bins[bit, row, column] += flag & 1
                    flag >>= 1
                    bit += 1
    return flags.size - flagged


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
def null_weights(
    flags: Array,
    nulls: int,
    inside: Array,
    side: int,
    zeros_of: Array,
    code: tuple[Array, Array, Array, Array],
    bins: Array,
) -> tuple[int, int]:
    """Null weights, in Rice code, where `flags` have a bit of `nulls`; rows without such a pixel are copied.

    `code` is: code of the weights, ends of its rows, and room for the new code and its ends. What is nulled is taken
    out of the sums `bins` of squares of `side` pixels of the part `inside`. Returns the first row that cannot be
    decoded, or -1; and how many weights were nulled.
    """
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    differences = np.empty(BLOCK, np.int64)
    weights = np.empty(flags.shape[1], np.int32)
    nulled, at, begin = 0, 0, 0
    for y in range(flags.shape[0]):
        end = code[1][y]
        touched = 0
        for x in range(flags.shape[1]):
            touched |= flags[y, x]
        if touched & nulls == 0:
            for k in range(begin, end):
                code[2][at] = code[0][k]
                at += 1
        else:
            if not decode_row(code[0], begin, end, 32, zeros_of, weights):
                return y, nulled
            row = (y - y0) // side
            for x in range(flags.shape[1]):
                if flags[y, x] & nulls and weights[x] != 0:
                    if y0 <= y < y1 and x0 <= x < x1:
                        bins[row, (x - x0) // side] -= weights[x]
                    weights[x] = 0
                    nulled += 1
            at = encode_row(weights, 32, differences, code[2], at)
        code[3][y] = at
        begin = end
    return -1, nulled
