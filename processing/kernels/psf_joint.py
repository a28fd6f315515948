"""Loops that fit several PSFs together to a source: one, then one more as long as there is light for it.

A PSF more begins at the brightest pixel of what the others leave, smoothed as for detection, at some distance from
all of them. How places move, and what ends it, is as in the original.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.lanczos import aim, buffers, resample
from processing.kernels.psf_fit import (
    CHI2,
    ERROR,
    EX2,
    EXY,
    EY2,
    FIELDS,
    FITTED,
    FLUX,
    PARAMETERS,
    STILL,
    TURNS,
    TURNS_MOST,
    X,
    Y,
    local,
    rectangle,
    weigh,
)

Array = NDArray[Any]
FAINT = 12.0
"""Errors of its flux that a PSF beside the first one has to have."""
WEAK = 0.1
"""Of the first one's flux below which another is none."""


@njit(cache=True, nogil=True)
def _root(sums: Array, n: int) -> bool:
    """Put Cholesky's triangle on and below the diagonal of `sums` (n, n) of a larger array; False where it has none."""
    for j in range(n):
        square = sums[j, j]
        least = 1e-14 * square
        for k in range(j):
            square -= sums[j, k] * sums[j, k]
        if not square > least:
            return False
        root = math.sqrt(square)
        sums[j, j] = root
        for i in range(j + 1, n):
            value = sums[i, j]
            for k in range(j):
                value -= sums[i, k] * sums[j, k]
            sums[i, j] = value / root
    return True


@njit(cache=True, nogil=True)
def invert(sums: Array, n: int, inverse: Array) -> bool:
    """Fill `inverse` (n, n) of larger arrays with that of a symmetric matrix; False where it says nothing.

    Of `sums` what is on and below the diagonal counts; it is overwritten.
    """
    if not _root(sums, n):
        return False
    # column j of the triangle's inverse becomes row j above the diagonal
    for j in range(n):
        inverse[j, j] = 1.0 / sums[j, j]
        for i in range(j + 1, n):
            value = 0.0
            for k in range(j, i):
                value -= sums[i, k] * inverse[j, k]
            inverse[j, i] = value / sums[i, i]
    for j in range(n):
        for i in range(j, n):
            value = 0.0
            for k in range(i, n):
                value += inverse[j, k] * inverse[i, k]
            sums[i, j] = value
    for j in range(n):
        for i in range(j, n):
            inverse[j, i] = inverse[i, j] = sums[i, j]
    return True


@njit(cache=True, nogil=True)
def _columns(psf: Array, made: Array) -> None:
    """Fill `made` (3, ny, nx) with a PSF and its gradients along x and y; borders that tell no gradient are 0."""
    ny, nx = psf.shape
    made[:] = 0.0
    for j in range(ny):
        for i in range(nx):
            level, upright = 0 < i < nx - 1, 0 < j < ny - 1
            if level and upright:
                made[0, j, i] = psf[j, i]
            if level:
                made[1, j, i] = 0.5 * (psf[j, i + 1] - psf[j, i - 1])
            if upright:
                made[2, j, i] = 0.5 * (psf[j + 1, i] - psf[j - 1, i])


@njit(cache=True, nogil=True)
def _equations(data: Array, weight: Array, columns: Array, n: int, sums: Array, right: Array) -> None:
    """Add up the normal equations of the first `n` columns (n, ny, nx), on and below the diagonal."""
    ny, nx = weight.shape
    for a in range(n):
        right[a] = 0.0
        for b in range(a + 1):
            sums[a, b] = 0.0
    for j in range(ny):
        for i in range(nx):
            if weight[j, i] == 0.0:
                continue
            for a in range(n):
                weighted = weight[j, i] * columns[a, j, i]
                right[a] += weighted * data[j, i]
                for b in range(a + 1):
                    sums[a, b] += weighted * columns[b, j, i]


@njit(cache=True, nogil=True)
def _left_over(  # noqa: C901  one look at what is left, one for its highest place
    data: Array, weight: Array, psfs: Array, fluxes: Array, places: Array, m: int, filters: Array, apart: float,
    left: Array,
) -> tuple[float, float]:  # fmt: skip
    """Return where the next PSF begins, (x, y) from the middle.

    Parameters
    ----------
    data, weight : (ny, nx)
    psfs : (most, ny, nx); the first `m` of them are fitted already
    filters : (fy, fx) float32 that what is left is smoothed by; pixels that do not count are 0 in it
    apart : squared distance from all PSFs, pixel**2
    left : room, (ny, nx)
    """
    ny, nx = data.shape
    for j in range(ny):
        for i in range(nx):
            left[j, i] = 0.0
            if weight[j, i] > 0.0:
                left[j, i] = data[j, i]
                for k in range(m):
                    left[j, i] -= fluxes[k] * psfs[k, j, i]
    fy, fx = filters.shape
    highest, x, y = -np.inf, 0.0, 0.0
    for j in range(ny):
        for i in range(nx):
            away = True
            for k in range(m):
                across, down = i - nx // 2 - places[k, 0], j - ny // 2 - places[k, 1]
                away = away and across * across + down * down >= apart
            if not away:
                continue
            value = 0.0
            for v in range(max(0, fy // 2 - j), min(fy, ny - j + fy // 2)):
                for u in range(max(0, fx // 2 - i), min(fx, nx - i + fx // 2)):
                    value += filters[v, u] * left[j + v - fy // 2, i + u - fx // 2]
            if value > highest:
                highest, x, y = value, float(i - nx // 2), float(j - ny // 2)
    return x, y


@njit(cache=True, nogil=True)
def _settled(  # noqa: C901  each turn: draw, solve, move, look whether they meet
    data: Array, weight: Array, psf: Array, step: float, apart: float, m: int, places: Array, fluxes: Array,
    psfs: Array, columns: Array, sums: Array, inverse: Array,
) -> tuple[bool, int]:  # fmt: skip
    """Move `m` PSFs until all of them stop; False where two meet, one leaves the rectangle or has no light.

    Parameters
    ----------
    step : samples of the PSF a pixel
    apart : squared distance at which two of them are one, pixel**2
    places : (most, 2), (x, y) from the middle; where they begin, and then where they are
    fluxes, psfs, columns : (most,), (most, ny, nx), (3 most, ny, nx): filled in
    inverse : (3 most, 3 most) of the last equations
    """
    ny, nx = weight.shape
    across, down = buffers(nx), buffers(ny)
    room, n = np.empty((psf.shape[0], nx)), PARAMETERS * m
    right, answer = np.empty(n), np.empty(n)
    for turn in range(TURNS_MOST):
        for k in range(m):
            aim(psf.shape, (places[k, 0], places[k, 1]), step, (ny, nx), across, down)
            resample(psf, across, down, room, ny, nx, psfs[k])
            _columns(psfs[k], columns[PARAMETERS * k : PARAMETERS * (k + 1)])
        _equations(data, weight, columns, n, sums, right)
        if not invert(sums, n, inverse):
            return False, turn + 1
        still = True
        for a in range(n):
            answer[a] = 0.0
            for b in range(n):
                answer[a] += inverse[a, b] * right[b]
        for k in range(m):
            fluxes[k] = answer[PARAMETERS * k]
            if not fluxes[k] > 0.0:
                return False, turn + 1
            # several that pull at each other go half of the way only
            share = fluxes[k] * (1.0 if m == 1 else 2.0)
            x_step, y_step = -answer[PARAMETERS * k + 1] / share, -answer[PARAMETERS * k + 2] / share
            places[k, 0] += x_step
            places[k, 1] += y_step
            still = still and x_step * x_step + y_step * y_step <= STILL
        for k in range(m):
            if not places[k, 0] ** 2 + places[k, 1] ** 2 <= 0.5 * nx * ny:
                return False, turn + 1
            for other in range(k):
                if (places[k, 0] - places[other, 0]) ** 2 + (places[k, 1] - places[other, 1]) ** 2 < apart:
                    return False, turn + 1
        if still:
            return True, turn + 1
    return True, TURNS_MOST


@njit(cache=True, nogil=True)
def _write(told: Array, k: int, places: Array, fluxes: Array, inverse: Array, turns: int) -> None:
    """Fill in what was found of PSF `k`, its place from the middle of the rectangle."""
    told[k, FLUX] = fluxes[k]
    told[k, X], told[k, Y] = places[k, 0], places[k, 1]
    told[k, TURNS] = turns
    a = PARAMETERS * k
    told[k, ERROR] = math.sqrt(inverse[a, a])
    square = fluxes[k] * fluxes[k]
    if square > 0.0:
        told[k, EX2], told[k, EY2] = inverse[a + 1, a + 1] / square, inverse[a + 2, a + 2] / square
        told[k, EXY] = inverse[a + 1, a + 2] / square


@njit(cache=True, nogil=True)
def together(  # noqa: C901, PLR0912  rounds share the rectangle, its weights and all room
    values: Array, labels: Array, variance: Array, bad: float, noise: float, gain: float, by_weight: bool, mask: int,
    first: int, rows: Array, centres: Array, bounds: Array, bright: Array, images: Array, basis: Array, step: float,
    fwhm: float, filters: Array, told: Array, kept: Array,
) -> None:  # fmt: skip
    """Fill `told` (rows, most, FIELDS) with up to `most` PSFs fitted together to each of the sources `rows`.

    Parameters
    ----------
    values … fwhm : as for `psf_fit.points`
    filters : (fy, fx) float32, that of detection
    kept : (rows,) filled with the number of PSFs that are some; they come first in `told`
    """
    most = told.shape[1]
    psf: Array = np.empty(images.shape[1:])
    sums, inverse = np.empty((PARAMETERS * most, PARAMETERS * most)), np.empty((PARAMETERS * most, PARAMETERS * most))
    places, fluxes = np.empty((most, 2)), np.empty(most)
    apart = 0.5 * fwhm * fwhm
    for n in range(rows.size):
        k = rows[n]
        x_mid, y_mid, nx, ny = rectangle(bounds[n], fwhm)
        x0, y0 = x_mid - nx // 2, y_mid - ny // 2 - first
        told[n] = 0.0
        kept[n] = 0
        for m in range(most):
            told[n, m, X], told[n, m, Y] = centres[k, 0], centres[k, 1]
        weight, data = np.empty((ny, nx)), np.zeros((ny, nx))
        number = weigh(
            values, labels, variance, bad, noise, gain, by_weight, k + 1, mask, bright[n], y0, x0, ny, nx, weight
        )
        if number <= PARAMETERS:
            continue
        for j in range(ny):
            for i in range(nx):
                if 0 <= y0 + j < values.shape[0] and 0 <= x0 + i < values.shape[1]:
                    data[j, i] = values[y0 + j, x0 + i]
        local(images, basis[n], psf)
        psfs, columns, left = np.empty((most, ny, nx)), np.empty((PARAMETERS * most, ny, nx)), np.empty((ny, nx))
        found, enough, m, allowed = np.zeros((most, FIELDS)), 0, 0, most
        while m < allowed and number > PARAMETERS * (m + 1):
            if m == 0:
                places[0, 0], places[0, 1] = centres[k, 0] - x_mid, centres[k, 1] - y_mid
            else:
                places[m, 0], places[m, 1] = _left_over(data, weight, psfs, fluxes, places, m, filters, apart, left)
            m += 1
            good, turns = _settled(
                data, weight, psf, 1.0 / step, 0.25 * apart, m, places, fluxes, psfs, columns, sums, inverse
            )
            if not good:
                break
            enough = m
            for one in range(m):
                if one > 0 and fluxes[one] < FAINT * math.sqrt(inverse[PARAMETERS * one, PARAMETERS * one]):
                    fluxes[one] = 0.0
                    allowed -= 1
                    enough -= 1
                _write(found, one, places, fluxes, inverse, turns)
            chi2 = 0.0
            for j in range(ny):
                for i in range(nx):
                    rest = data[j, i]
                    for one in range(m):
                        rest -= found[one, FLUX] * psfs[one, j, i]
                    chi2 += weight[j, i] * rest * rest
            for one in range(m):
                found[one, CHI2] = chi2 / (number - PARAMETERS * m)
        for one in range(enough):
            i, j = int(found[one, X] + 0.4999) + nx // 2, int(found[one, Y] + 0.4999) + ny // 2
            if not (0 <= i < nx and 0 <= j < ny) or weight[j, i] == 0.0:
                continue
            if not found[one, FLUX] > 0.0 or found[one, FLUX] < WEAK * found[0, FLUX]:
                continue
            told[n, kept[n]] = found[one]
            told[n, kept[n], X] += x_mid
            told[n, kept[n], Y] += y_mid
            told[n, kept[n], FITTED] = 1.0
            kept[n] += 1


def _compiled() -> None:
    """Call the loops as the measures do."""
    side = 7
    values, labels = np.zeros((side, side), np.float32), np.zeros((side, side), np.int32)
    none, rows, centres = np.empty((0, 0), np.float32), np.zeros(1, np.int64), np.full((1, 2), 3.0)
    bounds, bright = np.full((1, 4), 3, np.int64), np.ones(1)
    images, basis, filters = np.ones((1, 3, 3)), np.ones((1, 1)), np.ones((1, 1), np.float32)
    shared = (values, labels, none, 1.0, 1.0, 1.0, False, 2, 0, rows)
    told, kept = np.empty((1, 2, FIELDS)), np.empty(1, np.int64)
    together(*shared, centres, bounds, bright, images, basis, 1.0, 3.0, filters, told, kept)


TASKS: tuple[Callable[[], None], ...] = (_compiled,)
"""What compiles these loops beforehand."""
