"""Loops that measure the background in meshes as SExtractor does: a clipped histogram's mode."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]
BAD = -1e30
"""Level of a mesh of which less than half of the pixels can be used."""
LEVELS = 4096
"""Most steps of a histogram."""
STEP = math.sqrt(2.0 / math.pi) * 5.0 / 4.0
"""Steps a pixel: four pixels in each step within five standard deviations."""


@njit(cache=True, nogil=True)
def mesh_row(pixels: Array, variance: Array, bad: float, stride: int, width: int, level: Array, sigma: Array) -> None:
    """Fill `level` and `sigma`, (columns,) float32, from one row of meshes.

    Parameters
    ----------
    pixels : (height, nx) float32; NaN, infinite and below -1e30 are left out
    variance : (height, nx) float32, or (0, 0): pixels from `bad` on are left out
    stride : only every so many rows take part in the first guess
    width : of a mesh; the last one may be narrower
    """
    height, nx = pixels.shape
    histogram = np.zeros(LEVELS, np.int64)
    for column in range(level.size):
        x0, x1 = column * width, min((column + 1) * width, nx)
        mean, spread, count = _guess(pixels, variance, bad, stride, x0, x1)
        if count < int((x1 - x0) * ((height + stride - 1) // stride) * 0.5):
            level[column] = sigma[column] = BAD
            continue
        levels = min(int(STEP * count + 1.0), LEVELS)
        scale = np.float32(2.0 * 5.0 * spread / levels) if spread > 0.0 else np.float32(1.0)
        zero = np.float32(mean - 5.0 * spread)
        shift = np.float32(0.499999 - zero / scale)
        histogram[:levels] = 0
        for j in range(height):
            for i in range(x0, x1):
                value = pixels[j, i]
                if variance.size and not variance[j, i] < bad:
                    continue
                place = value / scale + shift
                if 0.0 < place < levels:  # also leaves out NaN
                    at = int(place)
                    if at > 0:
                        histogram[at] += 1
        level[column], sigma[column] = _mode(histogram, levels, mean, scale, zero)


@njit(cache=True, nogil=True)
def _guess(pixels: Array, variance: Array, bad: float, stride: int, x0: int, x1: int) -> tuple[float, float, int]:
    """Mean and deviation of what lies within two deviations of the mean of all, and how many pixels these are."""
    low, high = -math.inf, math.inf
    mean, spread, all_of_them = 0.0, 0.0, 0
    for turn in range(2):
        total, square, count = 0.0, 0.0, 0
        for j in range(0, pixels.shape[0], stride):
            for i in range(x0, x1):
                value = pixels[j, i]
                if value > BAD and value < 1e30 and low <= value <= high:
                    if variance.size and not variance[j, i] < bad:
                        continue
                    total += value
                    square += float(value) * value
                    count += 1
        if count == 0:
            return 0.0, 0.0, 0
        mean = total / count
        spread = square / count - mean * mean
        spread = math.sqrt(spread) if spread > 0.0 else 0.0
        if turn == 0:
            all_of_them = count
            low, high = float(np.float32(mean - 2.0 * spread)), float(np.float32(mean + 2.0 * spread))
            if all_of_them < int((x1 - x0) * ((pixels.shape[0] + stride - 1) // stride) * 0.5):
                return 0.0, 0.0, 0
    return mean, spread, count


@njit(cache=True, nogil=True)
def _mode(histogram: Array, levels: int, mean: float, scale: float, zero: float) -> tuple[float, float]:
    """Mode and deviation of a histogram, clipped at three deviations from the median until they stay."""
    last = levels - 1
    low, high = 0, last
    middle, sigma, before = mean, 10.0 * last, 1.0
    average = mean
    for _ in range(100):
        if not (sigma >= 0.1 and abs(sigma / before - 1.0) > 1e-4):
            break
        before = sigma
        left, right, below, above = low, high, 0, 0
        total, first, second = 0.0, 0.0, 0.0
        for at in range(low, high + 1):
            if below < above:
                below += histogram[left]
                left += 1
            else:
                above += histogram[right]
                right -= 1
            number = float(histogram[at])
            total += number
            first += number * at
            second += number * at * at
        if right >= 0:
            most = max(histogram[min(left, last)], histogram[right])
            middle = right + 0.5 + ((above - below) / (2.0 * most) if most > 0 else 0.0)
        else:
            middle = 0.0
        average, sigma = first, second
        if total > 0.0:
            average = first / total
            sigma = second / total - average * average
        sigma = math.sqrt(sigma) if sigma > 0.0 else 0.0
        bound = middle - 3.0 * sigma
        low = int(bound + 0.5) if bound > 0.0 else 0
        bound = middle + 3.0 * sigma
        high = (int(bound + 0.5) if bound > 0.0 else int(bound)) if bound < last else last
    if sigma <= 0.0:
        return zero + average * scale, 0.0
    place = 2.5 * middle - 1.5 * average if abs((average - middle) / sigma) < 0.3 else middle
    return zero + place * scale, sigma * scale
