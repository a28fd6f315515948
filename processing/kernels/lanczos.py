"""Images between their samples: Lanczos interpolation of four pixels on either side, normalised pixel by pixel."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
REACH = 4
"""Samples on either side of a place."""
TAPS = 2 * REACH
_NEAR = 1e-9
"""Samples: a place that is one."""


@njit(cache=True, nogil=True)
def taps(length: int, centre: float, step: float, first: int, starts: Array, weights: Array) -> None:
    """Fill in which samples each pixel is made of: pixel i lies at centre + (first + i) * step of the samples.

    Parameters
    ----------
    length : samples along the axis
    starts : (n,) int64, may lie before the samples; 0 where a pixel lies beyond them
    weights : (n, TAPS) float64, sum 1; 0 for samples that are not there
    """
    for i in range(starts.size):
        place = centre + (first + i) * step
        weights[i, :] = 0.0
        if not 0.0 <= place <= length - 1:
            starts[i] = 0
            continue
        below = int(place)
        share = place - below
        starts[i] = below - REACH + 1
        if share < _NEAR:
            weights[i, REACH - 1] = 1.0
            continue
        wave = math.sin(math.pi * share)
        total = 0.0
        for k in range(TAPS):
            at = below - REACH + 1 + k
            if 0 <= at < length:
                away = share + (REACH - 1 - k)
                sign = 1.0 if (REACH - 1 - k) % 2 == 0 else -1.0
                weights[i, k] = sign * wave * math.sin(math.pi * away / REACH) / (away * away)
                total += weights[i, k]
        for k in range(TAPS):
            weights[i, k] /= total


@njit(cache=True, nogil=True)
def aim(
    shape: tuple[int, int], place: tuple[float, float], step: float, size: tuple[int, int],
    across: tuple[Array, Array], down: tuple[Array, Array],
) -> None:  # fmt: skip
    """Fill `across` and `down` with the taps of `size` pixels, (ny, nx), about whose middle one an image lies.

    Parameters
    ----------
    shape : (h, w) of the image, whose middle sample lies at `place`, (x, y), pixels from the middle pixel
    step : samples from pixel to pixel
    """
    taps(shape[1], shape[1] // 2 - place[0] * step, step, -(size[1] // 2), across[0], across[1])
    taps(shape[0], shape[0] // 2 - place[1] * step, step, -(size[0] // 2), down[0], down[1])


@njit(cache=True, nogil=True)
def resample(
    image: Array, across: tuple[Array, Array], down: tuple[Array, Array], room: Array, ny: int, nx: int, made: Array
) -> None:
    """Fill `made` (ny, nx) of larger arrays with an image at the places of `across` and `down`; 0 beyond it.

    Parameters
    ----------
    image : (h, w) float64
    across, down : starts and weights of `taps` along x and y
    room : (h, nx) at least
    """
    height, width = image.shape
    starts, weights = across
    for j in range(height):
        for i in range(nx):
            total, low = 0.0, starts[i]
            for k in range(max(0, -low), min(TAPS, width - low)):
                total += weights[i, k] * image[j, low + k]
            room[j, i] = total
    starts, weights = down
    for j in range(ny):
        low = starts[j]
        for i in range(nx):
            made[j, i] = 0.0
        for k in range(TAPS):
            if 0 <= low + k < height and weights[j, k] != 0.0:
                weight = weights[j, k]
                for i in range(nx):
                    made[j, i] += weight * room[low + k, i]


@njit(cache=True, nogil=True)
def buffers(n: int) -> tuple[Array, Array]:
    """Room for the taps of `n` pixels."""
    return np.zeros(n, np.int64), np.zeros((n, TAPS), np.float64)
