"""Loops that deal out the pixels of a blend which none of its branches owns, by the C library's random numbers."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels import lutz, shapes

Array = NDArray[Any]
LONG, SHORT = 31, 3
"""Distances at which earlier numbers of the sequence are added up to the next."""
LAST = 2147483647
"""Largest number that is drawn."""


@njit(cache=True, nogil=True)
def seeded() -> Array:
    """Return the state of a sequence that begins, (LONG + 1,) uint32: as rand() of glibc is in a program that starts.

    Its numbers are x[n] = x[n - 3] + x[n - 31] modulo 2**32, without their last bit; the first 31 are those of a
    congruential generator with factor 16807 from 1 on, and 310 are passed over.
    """
    state = np.zeros(LONG + 1, np.uint32)
    word = np.int64(1)
    for k in range(LONG):
        state[k] = word
        word = word * 16807 % LAST
    state[LONG] = SHORT
    for _ in range(10 * LONG):
        drawn(state)
    return state


@njit(cache=True, nogil=True)
def drawn(state: Array) -> int:
    """Return the next number of a sequence, from 0 to LAST; the last cell of its state is the place of the oldest."""
    oldest = np.int64(state[LONG])
    added = (np.int64(state[oldest]) + np.int64(state[(oldest + LONG - SHORT) % LONG])) & 0xFFFFFFFF
    state[oldest] = added
    state[LONG] = (oldest + 1) % LONG
    return int(added >> 1)


@njit(cache=True, nogil=True)
def deal(
    starts: Array, x: Array, y: Array, owner: Array, parts: Array, table: Array, threshold: float, state: Array
) -> None:
    """Deal pixels of blends that no object owns, in shares of the objects' Gaussians, blend by blend.

    A pixel of object j of its group gets 2 j as its owner where it is of its branch, 2 j + 1 where it is dealt to it.

    Parameters
    ----------
    starts, x, y, owner, parts, table : as `deblend.branches` leaves them
    state : of the random numbers; one is drawn for each such pixel, as the group lists them
    """
    most = 1
    for k in range(parts.size):
        most = max(most, parts[k])
    height, share = np.empty(most, np.float32), np.empty(most, np.float32)
    begin = 0
    for k in range(parts.size):
        if parts[k] > 1:
            part = slice(starts[k], starts[k + 1])
            _deal(x[part], y[part], owner[part], table[begin : begin + parts[k]], height, share, threshold, state)
        begin += parts[k]


@njit(cache=True, nogil=True)
def _deal(
    x: Array, y: Array, owner: Array, objects: Array, height: Array, share: Array, threshold: float, state: Array
) -> None:
    number = objects.shape[0]
    for j in range(number):
        o = objects[j]
        steep = o[shapes.NPIX] / (2.0 * math.pi * o[shapes.ABCOR] * o[shapes.A] * o[shapes.B])
        height[j] = threshold * math.exp(steep) if steep < 70.0 else 4.0 * o[shapes.PEAK]
        height[j] = min(height[j], np.float32(4.0 * o[shapes.PEAK]))
    listed = lutz.order(x, y)
    for at in range(x.size):
        k = listed[at]
        if owner[k] >= 0:
            owner[k] *= 2
            continue
        total, nearest, least = np.float32(0.0), 0, 1e31
        for j in range(number):
            o = objects[j]
            dx, dy = x[k] - o[shapes.X], y[k] - o[shapes.Y]
            far = 0.5 * (o[shapes.CXX] * dx * dx + o[shapes.CYY] * dy * dy + o[shapes.CXY] * dx * dy) / o[shapes.ABCOR]
            total = np.float32(total + (height[j] * math.exp(-far) if far < 70.0 else 0.0))
            share[j] = total
            if far < least:
                nearest, least = j, far
        owner[k] = 2 * nearest + 1
        if total > 1e-31:
            bound = np.float32(total * np.float32(drawn(state))) / np.float32(LAST)
            for j in range(number):
                if share[j] >= bound:
                    owner[k] = 2 * j + 1
                    break
