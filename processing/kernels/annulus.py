"""Loops that gather the sky in a rectangular annulus around an object, and estimate its level as a mesh's is."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.meshes import BIG, measure_strip
from processing.kernels.pixel import NONE

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def skies(
    values: Array, labels: Array, mask: int, first: int, rows: Array, boxes: Array, height: int, thick: int, sky: Array
) -> None:
    """Fill rows `rows` of `sky` (n,) float32 with levels above the background; 0 where the annulus is cut.

    Parameters
    ----------
    values, labels : (ny, nx) from row `first` of an image of `height` rows on, less its background
    boxes : (rows, 6) int64: x_min, x_max, y_min, y_max of each object, all inside, and the last pixel (x, y) of its
        blend: what belongs to objects counts from below and behind it on, in the order of the rows
    thick : pixels of the annulus, which lies around the box and a quarter of its size to each side
    """
    ny, nx = values.shape
    nothing = np.empty((0, 0), np.float32)
    level, sigma = np.empty((2, 1), np.float32), np.empty((2, 1), np.float32)
    for place in range(rows.size):
        k = rows[place]
        sky[k] = 0.0
        x0, x1 = _widened(boxes[place, 0], boxes[place, 1], nx)
        y0, y1 = _widened(boxes[place, 2], boxes[place, 3], height)
        left, right, low, high = x0 - thick, x1 + thick, y0 - thick, y1 + thick
        if left < 0 or right >= nx or low < 0 or high >= height:
            continue
        found = np.empty((1, (right - left) * (high - low) - (x1 - x0) * (y1 - y0)), np.float32)
        number = 0
        for y in range(max(low, first), min(high, first + ny)):
            if mask != NONE and y <= boxes[place, 5] + 1:
                bare = nx if y <= boxes[place, 5] else boxes[place, 4] + 1
            else:
                bare = 0
            for x in range(left, right):
                if x0 <= x < x1 and y0 <= y < y1:
                    continue
                value = values[y - first, x]
                if value > -BIG and (x >= bare or labels[y - first, x] == 0):
                    found[0, number] = value
                    number += 1
        if number:
            measure_strip(found[:, :number], nothing, BIG, 1, number, level, sigma)
            sky[k] = level[0, 0]


@njit(cache=True, nogil=True)
def _widened(low: int, high: int, size: int) -> tuple[int, int]:
    """First pixel and end of a box along one axis, a quarter of its width wider on each side."""
    wide = high - low + 1
    more = wide // 4 if wide < size // 2 else (size - wide) // 4
    return low - more, high + 1 + more
