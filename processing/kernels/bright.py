"""Loops that mark what bright stars shed light on."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def mark_ring(flags: Array, corners: Array, x: float, y: float, outer: float, inner: float, bit: int) -> int:
    """Mark pixels from `inner` to `outer` pixels from a point, within x0, x1, y0, y1; return how many are new."""
    count = 0
    first, last = max(math.ceil(y - outer), corners[2]), min(math.floor(y + outer), corners[3] - 1)
    for j in range(first, last + 1):
        half = math.sqrt(max(outer * outer - (j - y) ** 2, 0.0))
        hole = inner * inner - (j - y) ** 2
        for i in range(max(math.ceil(x - half), corners[0]), min(math.floor(x + half), corners[1] - 1) + 1):
            if (i - x) ** 2 >= hole and not flags[j, i] & bit:
                flags[j, i] |= bit
                count += 1
    return count


@njit(cache=True, nogil=True)
def mark_bar(
    flags: Array,
    corners: Array,
    x: float,
    y: float,
    across: float,
    along: float,
    near: float,
    far: float,
    half: float,
    bit: int,
) -> int:
    """Mark a bar from `near` to `far` pixels from a point, along (across, along), `half` pixels to each side.

    Returns how many pixels are new.
    """  # fmt: skip
    xs = (x + near * across, x + far * across)
    ys = (y + near * along, y + far * along)
    i0 = max(math.floor(min(xs[0], xs[1]) - half), corners[0])
    i1 = min(math.ceil(max(xs[0], xs[1]) + half), corners[1] - 1)
    j0 = max(math.floor(min(ys[0], ys[1]) - half), corners[2])
    j1 = min(math.ceil(max(ys[0], ys[1]) + half), corners[3] - 1)
    count = 0
    for j in range(j0, j1 + 1):
        low, high = i0, i1
        if abs(along) > 1e-9:  # columns between which the bar can lie in this row
            middle = x + (j - y) * across / along
            reach = half / abs(along) + 1.0
            low, high = max(low, math.floor(middle - reach)), min(high, math.ceil(middle + reach))
        for i in range(low, high + 1):
            on = (i - x) * across + (j - y) * along
            off = (i - x) * along - (j - y) * across
            if near <= on <= far and abs(off) <= half and not flags[j, i] & bit:
                flags[j, i] |= bit
                count += 1
    return count


@njit(cache=True, nogil=True)
def near_part(x: Array, y: Array, reach: Array, corners: Array) -> Array:
    """Tell which circles of radius `reach` touch the part of the image within the corners."""
    touches = np.zeros(x.size, np.bool_)
    for k in range(x.size):
        away_x = max(corners[0] - x[k], 0.0, x[k] - corners[1])
        away_y = max(corners[2] - y[k], 0.0, y[k] - corners[3])
        touches[k] = away_x * away_x + away_y * away_y <= reach[k] * reach[k]
    return touches
