"""Loops over the pupil of a telescope and over the image of a point source."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def is_open(x: float, y: float, radius2: float, hole2: float, half_arm: float, arms: Array) -> bool:
    """Tell whether light passes the pupil at x, y."""
    square = x * x + y * y
    if square < hole2 or square >= radius2:
        return False
    for k in range(arms.shape[0]):
        across = arms[k, 0] * x - arms[k, 1] * y
        if abs(across) < half_arm and arms[k, 1] * x + arms[k, 0] * y > 0.0:
            return False
    return True


@njit(cache=True, nogil=True)
def wave_front(x: float, y: float, phase: Array) -> float:
    """Phase in radians at x, y; `phase` holds the ten coefficients that `fill_pupil` names."""
    xx, yy = x * x, y * y
    square = xx + yy
    turn: float = (
        phase[0] * square
        + phase[1] * square * square
        + (phase[2] * x + phase[3] * y) * square
        + phase[4] * (xx - yy)
        + phase[5] * 2.0 * x * y
        + phase[6] * x * (xx - 3.0 * yy)
        + phase[7] * y * (3.0 * xx - yy)
        + phase[8] * (xx * xx + yy * yy - 6.0 * xx * yy)
        + phase[9] * 4.0 * x * y * (xx - yy)
    )
    return turn


@njit(cache=True, nogil=True)
def fill_pupil(
    radius2: float,
    hole2: float,
    half_arm: float,
    arms: Array,
    steps: int,
    offset: float,
    whole: bool,
    phase: Array,
    real: Array,
    imaginary: Array,
) -> None:
    """Fill `real` and `imaginary` (ny, nx) with the amplitude of the light in the pupil.

    Each pixel is sampled `steps` times along both axes, from `offset` on. `radius2` and `hole2` are squares of the
    radii of mirror and obstruction in pixels, `half_arm` half the width of an arm; `arms` (n, 2) holds sine and cosine
    of the directions of the arms. `phase` holds the ten coefficients of the wave front in radians, by powers of
    pixels: defocus, spherical, coma x and y, astigmatism 0 and 45, trefoil 0 and 30, quadratic 0 and 22.5.
    With `whole`, positions are cut to whole pixels as the original SkyMaker does.
    """
    height, width = real.shape
    step = 1.0 / steps
    middle = 0.0 if whole else 0.5 * (1.0 - step)
    for j in range(height):
        y = j - height // 2 + offset
        if whole:
            y = float(int(y))
        near_y = max(abs(y) - 1.0, 0.0)
        for i in range(width):
            x = i - width // 2 + offset
            if whole:
                x = float(int(x))
            near_x = max(abs(x) - 1.0, 0.0)
            seen = 0
            if near_x * near_x + near_y * near_y < radius2:
                for sub_j in range(steps):
                    for sub_i in range(steps):
                        if is_open(x + sub_i * step, y + sub_j * step, radius2, hole2, half_arm, arms):
                            seen += 1
            grey = seen * step * step
            turn = wave_front(x + middle, y + middle, phase) if seen else 0.0
            if turn == 0.0:
                real[j, i] = grey
                imaginary[j, i] = 0.0
            else:
                real[j, i] = grey * math.cos(turn)
                imaginary[j, i] = grey * math.sin(turn)


@njit(cache=True, nogil=True)
def taper(image: Array, inner: float, outer: float, sigma: float) -> None:
    """Let `image` (ny, nx) fall as a Gaussian of `sigma` pixels beyond the radius `inner`, and end at `outer`."""
    height, width = image.shape
    scale = 0.5 / (sigma * sigma)
    for j in range(height):
        y = j - height // 2
        for i in range(width):
            x = i - width // 2
            square = float(x * x + y * y)
            if square > outer * outer:
                image[j, i] = 0.0
            elif square > inner * inner:
                image[j, i] *= math.exp(-((math.sqrt(square) - inner) ** 2) * scale)


@njit(cache=True, nogil=True)
def box_sum(image: Array, side: int, summed: Array) -> None:
    """Sum `image` over squares of `side` pixels; `summed` is smaller by side - 1 along both axes."""
    height, width = summed.shape
    row = np.empty(image.shape[1], np.float64)
    for j in range(height):
        row[:] = 0.0
        for k in range(side):
            for i in range(row.size):
                row[i] += image[j + k, i]
        for i in range(width):
            total = 0.0
            for k in range(side):
                total += row[i + k]
            summed[j, i] = total
