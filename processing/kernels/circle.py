"""Shares of pixels that lie within a circle, counted on a grid as the original counts them."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
LANES = 4
"""Of which places for spans are a multiple, so that a processor takes several at once."""


@njit(cache=True, nogil=True)
def spans_of(over: int) -> Array:
    """Return room for the spans of `over` parts of a row, (2, n) int32."""
    return np.zeros((2, -(-over // LANES) * LANES), np.int32)


@njit(cache=True, nogil=True)
def span(dy: float, radius: float, left: float, over: int, spans: Array) -> None:
    """Fill in where a circle lies in the `over` parts of a row of pixels at `dy`: the first part and that behind it.

    Parts of columns count from the left side of the pixel whose middle is at `left`; one lies within where its own
    middle does.
    """
    begin, end = spans[0], spans[1]
    part = 1.0 / over
    down, across = dy + 0.5 * (part - 1.0), left + 0.5 * (part - 1.0)
    for j in range(begin.size):
        v = down + j * part
        half = math.sqrt(max(radius * radius - v * v, 0.0))
        low, high = (-half - across) * over, (half - across) * over
        first, last = np.int32(low), np.int32(high)
        begin[j] = first + np.int32(1) - np.int32(low < first)
        end[j] = last + np.int32(high > last) if j < over else begin[j]


@njit(cache=True, nogil=True)
def share(place: int, over: int, spans: Array) -> float:
    """Return the share of a pixel within the spans; `place`: how many pixels it is from the first."""
    begin, end = spans[0], spans[1]
    base, none, most = np.int32(place * over), np.int32(0), np.int32(over)
    inside = np.int32(0)
    for j in range(begin.size):
        inside += max(min(end[j] - base, most) - max(begin[j] - base, none), none)
    part = 1.0 / over
    return float(inside * part * part)
