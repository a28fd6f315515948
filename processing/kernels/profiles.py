"""Loops over the Fourier transforms of galaxies."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def fill_form(radius: float, ratio: float, angle: float, form: Array) -> None:
    """Coefficients of xx, xy and yy of the square of the frequency in the frame of an ellipse."""
    c, s = math.cos(angle), math.sin(angle)
    square, flat = radius * radius, ratio * ratio
    form[0] = square * (c * c + flat * s * s)
    form[1] = square * 2.0 * c * s * (1.0 - flat)
    form[2] = square * (s * s + flat * c * c)


@njit(cache=True, nogil=True)
def looked_up(square: float, table: Array, low: float, step: float) -> float:
    """Transform of a profile at the square of a frequency."""
    if square <= 0.0:
        return 1.0
    at = (math.log(square) - low) / step
    if at <= 0.0:
        return 1.0
    k = int(at)
    if k >= table.size - 1:
        return 0.0
    value: float = table[k] + (at - k) * (table[k + 1] - table[k])
    return value


@njit(cache=True, nogil=True)
def fill_light(
    bulge: float, bulge_form: Array, disc: float, disc_form: Array, y: float, table: Array, low: float, step: float,
    light: Array,
) -> None:  # fmt: skip
    """Fill `light` with the transform of bulge and disc along a row of frequencies."""
    if disc != 0.0:
        for i in range(light.size):
            x = float(i)
            square = 1.0 + (disc_form[0] * x + disc_form[1] * y) * x + disc_form[2] * y * y
            light[i] = disc / (square * math.sqrt(square))
    else:
        light[:] = 0.0
    if bulge != 0.0:
        for i in range(light.size):
            x = float(i)
            square = (bulge_form[0] * x + bulge_form[1] * y) * x + bulge_form[2] * y * y
            light[i] += bulge * looked_up(square, table, low, step)


@njit(cache=True, nogil=True)
def seen_through(transfers: Array, weights: Array, j: int, i: int) -> np.complex64:
    """Transfer function of a mixture of components."""
    seen = np.complex64(0.0)
    for k in range(weights.size):
        if weights[k] != 0.0:
            seen += weights[k] * transfers[k, j, i]
    return seen


@njit(cache=True, nogil=True)
def fill_spectra(
    galaxies: Array, tables: Array, low: float, step: float, transfers: Array, mixture: Array, spectra: Array
) -> None:
    """Fill `spectra` (count, n, n // 2 + 1) with the transforms of galaxies seen through the PSF.

    `galaxies` (count, 11): x and y of the centre in samples from the first of the stamp, flux, then for the bulge its
    share, effective radius, axis ratio, angle (radians), row in `tables`, and for the disc scale length, axis ratio,
    angle; lengths in samples. `tables` (profiles, m) hold transforms of profiles of effective radius 1 against
    the logarithm of the square of the frequency (radians), from `low` in steps of `step`.
    `transfers` (k, n, n // 2 + 1) are those of the components of the PSF, `mixture` (count, k) their weights.
    """
    height, width = spectra.shape[1], spectra.shape[2]
    turn_x, turn_y = np.empty(width, np.complex64), np.empty(height, np.complex64)
    bulge_form, disc_form, light = np.empty(3), np.empty(3), np.empty(width)
    unit = 2.0 * math.pi / height
    for g in range(spectra.shape[0]):
        one = galaxies[g]
        for i in range(width):
            turn = unit * i * one[0]
            turn_x[i] = complex(math.cos(turn), -math.sin(turn))
        for j in range(height):
            turn = unit * (j if j <= height // 2 else j - height) * one[1]
            turn_y[j] = complex(math.cos(turn), -math.sin(turn))
        bulge, disc = one[2] * one[3], one[2] * (1.0 - one[3])
        fill_form(unit * one[4], one[5], one[6], bulge_form)
        fill_form(unit * one[8], one[9], one[10], disc_form)
        table = tables[int(one[7])]
        for j in range(height):
            y = float(j if j <= height // 2 else j - height)
            fill_light(bulge, bulge_form, disc, disc_form, y, table, low, step, light)
            if transfers.shape[0] == 1:
                for i in range(width):
                    spectra[g, j, i] = np.float32(light[i]) * turn_x[i] * turn_y[j] * transfers[0, j, i]
            else:
                for i in range(width):
                    seen = seen_through(transfers, mixture[g], j, i)
                    spectra[g, j, i] = np.float32(light[i]) * turn_x[i] * turn_y[j] * seen
