"""Shares of pixels that lie within a circle, counted on a grid as the original counts them."""

import math

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[np.float64]


@njit(cache=True, nogil=True)
def chords(dy: float, radius: float, over: int, half: Array) -> None:
    """Fill in half the chords of a circle at the middles of the `over` parts of a row of pixels at `dy`."""
    part = 1.0 / over
    start = dy + 0.5 * (part - 1.0)
    for j in range(over):
        v = start + j * part
        half[j] = math.sqrt(max(radius * radius - v * v, 0.0))


@njit(cache=True, nogil=True)
def share(dx: float, over: int, half: Array) -> float:
    """Return the share of a pixel at `dx` of whose `over` by `over` parts the middles lie within the chords.

    `half` may be longer than its `over` chords, with zeros, so that a processor takes several at once.
    """
    part = 1.0 / over
    return float(_inside(dx + 0.5 * (part - 1.0), over, half) * part * part)


@njit(cache=True, nogil=True)
def _inside(left: float, over: int, half: Array) -> int:
    """Return how many parts of a pixel of which the first is at `left` are within the chords."""
    inside, none, last = np.int32(0), np.int32(0), np.int32(over - 1)
    for j in range(half.size):
        low, high = (-half[j] - left) * over, (half[j] - left) * over
        first, end = np.int32(low), np.int32(high)
        first += np.int32(1) - np.int32(low < first)
        end -= np.int32(1) - np.int32(high > end)
        inside += max(min(end, last) - max(first, none) + np.int32(1), none)
    return int(inside)
