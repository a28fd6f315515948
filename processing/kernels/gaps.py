"""Pixels without weight filled from their neighbours, as SExtractor 2.25 does before it detects and measures."""

from collections.abc import Callable
from typing import Any

import numpy as np

from processing.compiler import njit

Array = Any


@njit(cache=True, nogil=True)
def fill(values: Array, variance: Array, bad: float, across: int, down: int, pixels: bool) -> int:
    """Fill what is bad from the left, or else from above, in place.

    Parameters
    ----------
    values, variance : (rows, nx) float32; the variances of filled pixels are those of the pixel that fills them
    bad : variance from which a pixel is bad
    across : pixels in a row that one to their left fills
    down : rows that a pixel fills below it; what was filled from the left counts as its pixel's successor
    pixels : whether values are filled, or variances only

    Returns
    -------
    number of bad pixels
    """
    rows, nx = values.shape
    above = np.zeros(nx, np.float32)
    above_variance = np.zeros(nx, np.float32)
    left_below = np.zeros(nx, np.int64)
    count = 0
    for y in range(rows):
        left_right = 0
        left, left_variance = np.float32(0.0), np.float32(0.0)
        for x in range(nx):
            if variance[y, x] < bad:
                left, left_variance = values[y, x], variance[y, x]
                left_right, left_below[x] = across, down
                above[x], above_variance[x] = left, left_variance
                continue
            count += 1
            if left_right > 0:
                left_right -= 1
                above[x], above_variance[x] = left, left_variance
                filler, filler_variance = left, left_variance
            elif left_below[x] > 0:
                left_below[x] -= 1
                filler, filler_variance = above[x], above_variance[x]
            else:
                continue
            variance[y, x] = filler_variance
            if pixels:
                values[y, x] = filler
    return count


def _fill() -> None:
    plane = np.zeros((2, 3), np.float32)
    fill(plane, plane.copy(), np.float32(1e30), 16, 16, True)


TASKS: tuple[Callable[[], None], ...] = (_fill,)
