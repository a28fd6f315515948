"""What a pixel in an aperture counts for: itself, its mirror image through the object's centre, or nothing."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
NONE, BLANK, CORRECT = 0, 1, 2
"""MASK_TYPE."""
LEAST = -1e30
"""Values that are not above that are none."""


@njit(cache=True, nogil=True)
def good(values: Array, labels: Array, variance: Array, bad: float, mine: int, mask: int, y: int, x: int) -> bool:
    """Say whether a pixel belongs to no other object and has a weight."""
    if mask != NONE and labels[y, x] != 0 and labels[y, x] != mine:
        return False
    if variance.size and not variance[y, x] < bad:
        return False
    return bool(values[y, x] > LEAST)


@njit(cache=True, nogil=True)
def counted(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    mine: int,
    mask: int,
    centre: tuple[float, float],
    first: int,
    y: int,
    x: int,
) -> tuple[float, float, bool]:
    """Value and variance that a pixel counts for, and whether they are its own.

    Parameters
    ----------
    values, labels, variance : (ny, nx); `variance` is (0, 0) where `noise` holds everywhere
    centre : (y, x) of the object in the image
    first : row of the image that is the first of these arrays
    y, x : the pixel's place in them
    """
    if good(values, labels, variance, bad, mine, mask, y, x):
        return values[y, x], (variance[y, x] if variance.size else noise), True
    spared = 0.0 if variance.size else noise
    if mask == CORRECT:
        y2, x2 = int(2.0 * centre[0] + 0.49999 - (first + y)) - first, int(2.0 * centre[1] + 0.49999 - x)
        if 0 <= y2 < values.shape[0] and 0 <= x2 < values.shape[1]:
            if labels[y2, x2] != 0 and labels[y2, x2] != mine:
                return 0.0, spared, False
            if values[y2, x2] > LEAST:
                if not variance.size:
                    return values[y2, x2], noise, False
                if variance[y2, x2] < bad:
                    return values[y2, x2], variance[y2, x2], False
    return 0.0, spared, False


@njit(cache=True, nogil=True)
def in_buffer(first: int, number: int, held: Array) -> tuple[int, int]:
    """Return which of `number` rows, from row `first` of an image on, are among those that are held for an object."""
    low = min(max(held[0] - first, 0), number)
    return low, max(min(held[1] - first, number), low)


@njit(cache=True, nogil=True)
def all_count(line: Array, own: Array, mine: np.int32, noises: Array, bad: np.float32) -> bool:
    """Tell whether all pixels of a row are an object's, or nobody's, and have a weight; `noises` may be empty."""
    odd, one, none, least = np.int32(0), np.int32(1), np.int32(0), np.float32(LEAST)
    for i in range(line.size):
        odd += none if ((own[i] == none) | (own[i] == mine)) & (line[i] > least) else one
    for i in range(noises.size):
        odd += none if noises[i] < bad else one
    return bool(odd == none)
