"""Loops that filter rows of an image with a small neural network, which looks at the pixels around each."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
OUTSIDE = np.float32(-1e30)
"""What the network sees beyond the edges, ADU."""
_STEEPEST = np.float32(15.0)
"""Sums from which a neuron is 0 or 1."""
_HIGHEST = np.float32(70.0)
"""Largest answer of a network, on its scale of logarithms."""


@njit(cache=True, nogil=True, error_model="numpy")
def look(
    pixels: Array, first: int, window: tuple[int, int], neurons: Array, weights: Array, linear: bool,
    sigma: np.float32, bounds: tuple[np.float32, np.float32], filtered: Array,
) -> None:  # fmt: skip
    """Fill `filtered` (rows, nx) float32 with the answers of a network to rows from `first` of `pixels` on.

    Parameters
    ----------
    window : height and width of what the network sees; of even lengths, one more lies before the pixel than behind it
    neurons : (layers,) int64, from height times width to 1
    weights : float32, of all neurons but those of the first layer: one a neuron of the layer before, one that is taken
        off
    linear : whether the last neuron answers with its sum, as it is
    sigma : noise of the background, ADU
    bounds : ADU; a pixel that is lower than the first, or higher than the second, stays as it is

    Notes
    -----
    Pixels go in as logarithms of 1 + their absolute value over the noise, with their sign. What comes out is turned
    back without it, as in SExtractor 2.25: no filtered pixel is below 0. Neurons add up in single precision.
    """
    rows, nx = filtered.shape
    seen = _seen(pixels, first, window, rows, sigma)
    most = neurons[1:].max()
    layer, before = np.empty((most, nx), np.float32), np.empty((most, nx), np.float32)
    for j in range(rows):
        at = 0
        for k in range(1, neurons.size):
            layer, before = before, layer
            plain = linear and k == neurons.size - 1
            for n in range(neurons[k]):
                shares = weights[at : at + neurons[k - 1] + 1]
                if k == 1:
                    _sum_window(seen, j, window[1], shares, layer[n])
                else:
                    _sum_layer(before, shares, layer[n])
                if not plain:
                    _answer(layer[n])
                at += shares.size
        for x in range(nx):
            pixel = pixels[first + j, x]
            left = pixel < bounds[0] or pixel > bounds[1]
            filtered[j, x] = pixel if left else _back(layer[0, x], sigma)


@njit(cache=True, nogil=True, error_model="numpy")
def _seen(pixels: Array, first: int, window: tuple[int, int], rows: int, sigma: np.float32) -> Array:
    """Logarithms of the rows that a network looks at, with what lies beyond the edges."""
    height, nx = pixels.shape
    tall, wide = window
    seen = np.empty((rows + tall - 1, nx + wide - 1), np.float32)
    seen[:] = _logarithm(OUTSIDE, sigma)
    for row in range(seen.shape[0]):
        y = first - tall // 2 + row
        if 0 <= y < height:
            for x in range(nx):
                seen[row, wide // 2 + x] = _logarithm(pixels[y, x], sigma)
    return seen


@njit(cache=True, nogil=True)
def _sum_window(seen: Array, j: int, wide: int, shares: Array, line: Array) -> None:
    """Sum what a neuron of the second layer gets for each pixel of row `j`."""
    line[:] = np.float32(0.0)
    for i in range(shares.size - 1):
        _add(seen[j + i // wide, i % wide : i % wide + line.size], shares[i], line)
    for x in range(line.size):
        line[x] -= shares[-1]


@njit(cache=True, nogil=True)
def _sum_layer(before: Array, shares: Array, line: Array) -> None:
    line[:] = np.float32(0.0)
    for i in range(shares.size - 1):
        _add(before[i], shares[i], line)
    for x in range(line.size):
        line[x] -= shares[-1]


@njit(cache=True, nogil=True)
def _add(source: Array, weight: np.float32, line: Array) -> None:
    for x in range(line.size):
        line[x] += weight * source[x]


@njit(cache=True, nogil=True, error_model="numpy")
def _logarithm(pixel: np.float32, sigma: np.float32) -> np.float32:
    one = np.float32(1.0)
    if pixel > 0.0:
        return np.float32(math.log(np.float64(one + pixel / sigma)))
    return np.float32(-math.log(np.float64(one - pixel / sigma)))


@njit(cache=True, nogil=True)
def _answer(line: Array) -> None:
    """Turn sums into what neurons answer: their sigmoids."""
    one = np.float32(1.0)
    for x in range(line.size):
        total = line[x]
        if total < _STEEPEST:
            grown = np.float32(math.exp(-np.float64(total)))
            line[x] = one / (one + grown) if total > -_STEEPEST else np.float32(0.0)
        else:
            line[x] = one


@njit(cache=True, nogil=True)
def _back(answer: np.float32, sigma: np.float32) -> np.float32:
    size = abs(answer)
    limited = _HIGHEST if size > _HIGHEST else size  # noqa: FURB136  what is no number stays so
    grown = math.exp(np.float64(limited))
    return np.float32(np.float64(sigma) * (grown - 1.0))


def _task() -> None:
    pixels, neurons = np.zeros((4, 4), np.float32), np.array([9, 1])
    one = np.float32(1.0)
    look(pixels, 0, (3, 3), neurons, np.zeros(10, np.float32), True, one, (-one, one), pixels.copy())


TASKS = (_task,)
