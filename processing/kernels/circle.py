"""Shares of pixels that lie within a circle, counted on a grid of their parts as the original counts them.

A processor takes many pixels at once where loops are as long as it likes: rows have room for `LANES`, and more of them.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
Ends = tuple[Array, Array, Array, Array]
"""Heights of rows of parts above the middle of the first row of pixels, the first part of each within a circle, that
behind the last, and by how much both moved."""
LANES = 32
"""Pixels of which rows have room for a multiple."""
TOGETHER = 6
"""Rows of parts that are looked at together: of so many each row of pixels has room for a multiple."""
_NOWHERE = 1e30
"""Pixels: height of rows of parts that are none."""


@njit(cache=True, nogil=True)
def padded(number: int, lanes: int) -> int:
    """Return the least multiple of `lanes` that is not less."""
    return -(-number // lanes) * lanes


@njit(cache=True, nogil=True)
def ends_of(rows: int, over: int) -> Ends:
    """Return room for the ends of `rows` rows of pixels in `over` parts."""
    places, part = padded(over, TOGETHER), 1.0 / over
    number = padded(rows * places, LANES)
    heights = np.full(number, _NOWHERE)
    for y in range(rows):
        for j in range(over):
            heights[y * places + j] = y + 0.5 * (part - 1.0) + j * part
    return heights, np.zeros(number, np.float32), np.zeros(number, np.float32), np.zeros(number, np.float32)


@njit(cache=True, nogil=True)
def find_ends(ends: Ends, over: int, radius: float, right: float, down: float, rows: int) -> None:
    """Fill in where a circle lies in each row of parts of `rows` rows of pixels.

    Parts count from the left side of the pixels whose middle is `right` pixels from the circle's, the rows of pixels
    from the one that is `down` from it; a part lies within where its own middle does.
    """
    heights, begin, end, moved = ends
    across = right + 0.5 * (1.0 / over - 1.0)
    for k in range(padded(rows * padded(over, TOGETHER), LANES)):
        height = down + heights[k]
        half = math.sqrt(max(radius * radius - height * height, 0.0))
        first = np.float32(math.floor((-half - across) * over) + 1.0)
        last = max(np.float32(math.ceil((half - across) * over)), first)
        moved[k] = abs(first - begin[k]) + abs(last - end[k])
        begin[k], end[k] = first, last


@njit(cache=True, nogil=True)
def stayed(ends: Ends, over: int, row: int) -> bool:
    """Tell whether the ends in a row of pixels are those that were found the time before."""
    places, off = padded(over, TOGETHER), np.float32(0.0)
    for k in range(row * places, row * places + over):
        off += ends[3][k]
    return bool(off == np.float32(0.0))


@njit(cache=True, nogil=True)
def count(ends: Ends, over: int, row: int, counts: Array) -> None:
    """Fill `counts` float32 with how many of its `over` ** 2 parts each pixel of a row has within the circle."""
    most, places = np.float32(over), padded(over, TOGETHER)
    for place in range(row * places, (row + 1) * places, TOGETHER):
        begin, end = ends[1][place : place + TOGETHER], ends[2][place : place + TOGETHER]
        a, b, c, d, e, f = begin[0], begin[1], begin[2], begin[3], begin[4], begin[5]
        u, v, w, x, y, z = end[0], end[1], end[2], end[3], end[4], end[5]
        first, none = place == row * places, np.float32(0.0)
        for i in range(counts.size):
            left = np.float32(i) * most
            inside = _from(u, left, most) + _from(v, left, most) + _from(w, left, most)
            inside += _from(x, left, most) + _from(y, left, most) + _from(z, left, most)
            before = _from(a, left, most) + _from(b, left, most) + _from(c, left, most)
            before += _from(d, left, most) + _from(e, left, most) + _from(f, left, most)
            counts[i] = (none if first else counts[i]) + inside - before


@njit(cache=True, nogil=True)
def _from(end: np.float32, left: np.float32, most: np.float32) -> np.float32:
    """Parts of a pixel that lie before an end."""
    return max(min(end - left, most), np.float32(0.0))
