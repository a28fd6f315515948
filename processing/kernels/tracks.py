"""Loops that draw what crosses a CCD: cosmic rays in the silicon, satellites and aeroplanes in the sky."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def add_charge(image: Array, marks: Array, bit: int, least: float, x: float, y: float, charge: float) -> int:
    """Share `charge` among the four pixels round a point; mark those that get more than `least` with `bit`.

    Returns how many pixels were marked that were not before.
    """
    height, width = image.shape
    i, j = math.floor(x), math.floor(y)
    fresh = 0
    for down in range(2):
        for right in range(2):
            column, row = i + right, j + down
            if column < 0 or row < 0 or column >= width or row >= height:
                continue
            share = (1.0 - abs(x - column)) * (1.0 - abs(y - row))
            image[row, column] += charge * share
            if charge * share > least and not marks[row, column] & bit:
                marks[row, column] |= bit
                fresh += 1
    return fresh


@njit(cache=True, nogil=True)
def add_paths(
    image: Array, marks: Array, bit: int, least: float, ends: Array, x: Array, y: Array, charge: Array, counts: Array
) -> None:
    """Add paths of charged particles: points `ends[k-1]` to `ends[k]` of x, y, charge belong to path `k`.

    `counts[k]` becomes the number of pixels that path `k` marked.
    """
    first = 0
    for k in range(ends.size):
        counts[k] = 0
        for point in range(first, ends[k]):
            counts[k] += add_charge(image, marks, bit, least, x[point], y[point], charge[point])
        first = ends[k]


@njit(cache=True, nogil=True)
def add_trail(
    image: Array, marks: Array, bit: int, least: float, x: Array, y: Array, light: Array, width: float, reach: float
) -> int:
    """Add a trail along the polyline x, y: `light[k]` per pixel of length from point k to point k + 1.

    Across, it is a Moffat profile of exponent 5/2 and scale `width`, the integral along a line of a star of exponent 3,
    cut off at `reach` pixels. Pixels that get more than `least` are marked with `bit`.

    Returns
    -------
    count : int
        Pixels marked.
    """
    height, columns = image.shape
    marked = 0
    for k in range(x.size - 1):
        dx, dy = x[k + 1] - x[k], y[k + 1] - y[k]
        length = math.sqrt(dx * dx + dy * dy)
        if length == 0.0 or light[k] <= 0.0:
            continue
        dx, dy = dx / length, dy / length
        peak = light[k] * 0.75 / width
        i0 = max(math.floor(min(x[k], x[k + 1]) - reach), 0)
        i1 = min(math.ceil(max(x[k], x[k + 1]) + reach) + 1, columns)
        j0 = max(math.floor(min(y[k], y[k + 1]) - reach), 0)
        j1 = min(math.ceil(max(y[k], y[k + 1]) + reach) + 1, height)
        for j in range(j0, j1):
            for i in range(i0, i1):
                along = (i - x[k]) * dx + (j - y[k]) * dy
                if along < 0.0 or along >= length:
                    continue
                across = ((j - y[k]) * dx - (i - x[k]) * dy) / width
                if abs(across) * width > reach:
                    continue
                step = 1.0 + across * across
                value = peak / (step * step * math.sqrt(step))
                image[j, i] += value
                if value > least and not marks[j, i] & bit:
                    marks[j, i] |= bit
                    marked += 1
    return marked


@njit(cache=True, nogil=True)
def mark_full(charge: Array, well: float, bit: int, marks: Array) -> int:
    """Mark the pixels whose charge is at the `well` with `bit`, and count them."""
    height, width = charge.shape
    full = np.float32(0.9999 * well)
    count = 0
    for j in range(height):
        for i in range(width):
            if charge[j, i] >= full:
                marks[j, i] |= bit
                count += 1
    return count
