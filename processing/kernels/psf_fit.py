"""Loops that fit the PSF to sources, and tell their light from it.

The fit is that of the original: weighted linear least squares of the PSF and its two gradients, from which the
position is moved until it stops.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.lanczos import aim, buffers, resample
from processing.kernels.pixel import good

Array = NDArray[Any]
FIELDS = 10
FLUX, ERROR, X, Y, EX2, EY2, EXY, CHI2, TURNS, FITTED = range(FIELDS)
TURNS_MOST = 20
STILL = 1e-6
"""Squared step, pixel**2, at which a position has stopped."""
PARAMETERS = 3
WIDTH_PARTS = 16
"""Of a sample's side, where the PSF's width is told."""


@njit(cache=True, nogil=True)
def local(images: Array, basis: Array, made: Array) -> None:
    """Fill `made` (h, w) float64 with the PSF whose terms (n, h, w) count `basis` (n,)."""
    made[:] = 0.0
    for n in range(basis.size):
        factor = basis[n]
        for j in range(made.shape[0]):
            for i in range(made.shape[1]):
                made[j, i] += factor * images[n, j, i]


@njit(cache=True, nogil=True)
def weigh(
    values: Array, labels: Array, variance: Array, bad: float, noise: float, gain: float, by_weight: bool, mine: int,
    mask: int, bright: float, y0: int, x0: int, ny: int, nx: int, inverse: Array,
) -> int:  # fmt: skip
    """Fill `inverse` (ny, nx) with 1 / variance of the pixels from (y0, x0) on, and return how many count.

    0 for pixels of others, without a weight or a variance, saturated (at or above `bright`), or beyond the image.
    """
    number = 0
    for j in range(ny):
        for i in range(nx):
            y, x = y0 + j, x0 + i
            inverse[j, i] = 0.0
            if not (0 <= y < values.shape[0] and 0 <= x < values.shape[1]):
                continue
            value = values[y, x]
            if value < bright and good(values, labels, variance, bad, mine, mask, y, x):
                spread = variance[y, x] if variance.size else noise
                if gain > 0.0 and value > 0.0:
                    spread += value / gain * (spread / noise if by_weight and noise > 0.0 else 1.0)
                if spread > 0.0:
                    inverse[j, i] = 1.0 / spread
                    number += 1
    return number


@njit(cache=True, nogil=True)
def rectangle(bounds: Array, fwhm: float) -> tuple[int, int, int, int]:
    """Return the middle, x and y, the width and the height of what is fitted: an isophote and a PSF around it."""
    nx = max(int(bounds[2] - bounds[0] + 1 + fwhm), int(2.0 * fwhm), 3)
    ny = max(int(bounds[3] - bounds[1] + 1 + fwhm), int(2.0 * fwhm), 3)
    return (bounds[0] + bounds[2] + 1) // 2, (bounds[1] + bounds[3] + 1) // 2, nx, ny


@njit(cache=True, nogil=True)
def solve(sums: Array, right: Array, answer: Array, inverse: Array) -> bool:
    """Solve three normal equations; `inverse` (3, 3) is that of `sums`. False where they say nothing."""
    a, b, c = sums[0, 0], sums[0, 1], sums[0, 2]
    d, e, f = sums[1, 1], sums[1, 2], sums[2, 2]
    inverse[0, 0] = d * f - e * e
    inverse[0, 1] = inverse[1, 0] = c * e - b * f
    inverse[0, 2] = inverse[2, 0] = b * e - c * d
    inverse[1, 1] = a * f - c * c
    inverse[1, 2] = inverse[2, 1] = b * c - a * e
    inverse[2, 2] = a * d - b * b
    determinant = a * inverse[0, 0] + b * inverse[0, 1] + c * inverse[0, 2]
    if not determinant > 1e-12 * a * d * f:
        return False
    for j in range(PARAMETERS):
        for i in range(PARAMETERS):
            inverse[j, i] /= determinant
    for j in range(PARAMETERS):
        answer[j] = inverse[j, 0] * right[0] + inverse[j, 1] * right[1] + inverse[j, 2] * right[2]
    return True


@njit(cache=True, nogil=True)
def _equations(values: Array, inverse: Array, psf: Array, y0: int, x0: int, sums: Array, right: Array) -> None:
    """Add up the normal equations of the PSF and its gradients.

    As in the original the outermost pixels know nothing of the PSF itself, and of its gradients those along the border.
    """
    ny, nx = psf.shape
    sums[:] = 0.0
    right[:] = 0.0
    for j in range(ny):
        upright = 0 < j < ny - 1
        for i in range(nx):
            weight = inverse[j, i]
            if weight == 0.0:
                continue
            value, level = values[y0 + j, x0 + i], 0 < i < nx - 1
            here = psf[j, i] if upright and level else 0.0
            dx = 0.5 * (psf[j, i + 1] - psf[j, i - 1]) if level else 0.0
            dy = 0.5 * (psf[j + 1, i] - psf[j - 1, i]) if upright else 0.0
            sums[0, 0] += weight * here * here
            sums[0, 1] += weight * here * dx
            sums[0, 2] += weight * here * dy
            sums[1, 1] += weight * dx * dx
            sums[1, 2] += weight * dx * dy
            sums[2, 2] += weight * dy * dy
            right[0] += weight * here * value
            right[1] += weight * dx * value
            right[2] += weight * dy * value


@njit(cache=True, nogil=True)
def _settled(
    values: Array, weight: Array, psf: Array, step: float, origin: tuple[int, int], begin: tuple[float, float],
    here: Array, inverse: Array,
) -> tuple[bool, int, float, float, float]:  # fmt: skip
    """Move the PSF until it stops; whether it did so within the rectangle, turns, flux, and its place from the middle.

    Parameters
    ----------
    weight : (ny, nx) of the pixels of the rectangle that begins at `origin`, (y, x)
    step : samples of the PSF a pixel
    begin : (x, y) from the middle of the rectangle
    here, inverse : filled with the PSF of the last turn, (ny, nx), and with the inverse of its equations
    """
    ny, nx = weight.shape
    across, down = buffers(nx), buffers(ny)
    room = np.empty((psf.shape[0], nx))
    sums, right, answer = np.empty((PARAMETERS, PARAMETERS)), np.empty(PARAMETERS), np.empty(PARAMETERS)
    (dx, dy), flux = begin, 0.0
    for turn in range(TURNS_MOST):
        aim(psf.shape, (dx, dy), step, (ny, nx), across, down)
        resample(psf, across, down, room, ny, nx, here)
        _equations(values, weight, here, origin[0], origin[1], sums, right)
        if not solve(sums, right, answer, inverse):
            return False, turn + 1, 0.0, dx, dy
        flux = answer[0]
        if not flux > 0.0:
            return False, turn + 1, 0.0, dx, dy
        x_step, y_step = -answer[1] / flux, -answer[2] / flux
        dx += x_step
        dy += y_step
        if not dx * dx + dy * dy <= 0.5 * nx * ny:
            return False, turn + 1, flux, dx, dy
        if x_step * x_step + y_step * y_step <= STILL:
            return True, turn + 1, flux, dx, dy
    return True, TURNS_MOST, flux, dx, dy


@njit(cache=True, nogil=True)
def points(
    values: Array, labels: Array, variance: Array, bad: float, noise: float, gain: float, by_weight: bool, mask: int,
    first: int, rows: Array, centres: Array, bounds: Array, bright: Array, images: Array, basis: Array, step: float,
    fwhm: float, told: Array,
) -> None:  # fmt: skip
    """Fill `told` (rows, FIELDS) with the fits of the PSF to the sources `rows`.

    Parameters
    ----------
    values, labels, variance : (ny, nx) from row `first` of the image on
    centres : (n, 2) float64, (x, y) in the image: where the fits begin
    bounds : (rows, 4) int64: x and y of the first and the last pixel of each isophote
    bright : (rows,) level above the background at which a pixel is saturated
    images : (terms, h, w) float64, `step` image pixels apart
    basis : (rows, terms) what each term counts at each source
    fwhm : pixels that the fitted rectangle is wider than the isophote
    """
    psf: Array = np.empty(images.shape[1:])
    inverse = np.empty((PARAMETERS, PARAMETERS))
    pixel_step = 1.0 / step
    for n in range(rows.size):
        k = rows[n]
        x_mid, y_mid, nx, ny = rectangle(bounds[n], fwhm)
        x0, y0 = x_mid - nx // 2, y_mid - ny // 2 - first
        told[n, :] = 0.0
        told[n, X], told[n, Y] = centres[k, 0], centres[k, 1]
        weight = np.empty((ny, nx))
        number = weigh(
            values, labels, variance, bad, noise, gain, by_weight, k + 1, mask, bright[n], y0, x0, ny, nx, weight
        )
        if number <= PARAMETERS:
            continue
        local(images, basis[n], psf)
        here = np.empty((ny, nx))
        fitted, turns, flux, dx, dy = _settled(
            values, weight, psf, pixel_step, (y0, x0), (centres[k, 0] - x_mid, centres[k, 1] - y_mid), here, inverse
        )
        told[n, TURNS] = turns
        i, j = int(dx + 0.4999) + nx // 2, int(dy + 0.4999) + ny // 2
        if not fitted or not (0 <= i < nx and 0 <= j < ny) or weight[j, i] == 0.0:
            continue
        told[n, FITTED] = 1.0
        told[n, FLUX], told[n, ERROR] = flux, math.sqrt(inverse[0, 0])
        told[n, X], told[n, Y] = x_mid + dx, y_mid + dy
        told[n, EX2], told[n, EY2] = inverse[1, 1] / (flux * flux), inverse[2, 2] / (flux * flux)
        told[n, EXY] = inverse[1, 2] / (flux * flux)
        total = 0.0
        for j in range(ny):
            for i in range(nx):
                if weight[j, i] > 0.0:
                    total += weight[j, i] * (values[y0 + j, x0 + i] - flux * here[j, i]) ** 2
        told[n, CHI2] = total / (number - PARAMETERS)


@njit(cache=True, nogil=True)
def spreads(
    values: Array, labels: Array, variance: Array, bad: float, noise: float, gain: float, by_weight: bool, mask: int,
    first: int, rows: Array, places: Array, bright: Array, images: Array, wider: Array, basis: Array, step: float,
    spread: Array, error: Array,
) -> None:  # fmt: skip
    """Fill rows `rows` of `spread` and `error` (n,): how much more of a slightly wider PSF there is in each source.

    Parameters
    ----------
    places : (rows, 2) float64, (x, y) in the image, of the fitted PSF
    images, wider : (terms, h, w) float64: the PSF, and the PSF convolved with a small disc
    """
    psf: Array = np.empty(images.shape[1:])
    disc: Array = np.empty(images.shape[1:])
    half_y, half_x = int(step * (psf.shape[0] // 2)) + 1, int(step * (psf.shape[1] // 2)) + 1
    ny, nx = 2 * half_y + 1, 2 * half_x + 1
    across, down = buffers(nx), buffers(ny)
    room, weight = np.empty((psf.shape[0], nx)), np.empty((ny, nx))
    thin, thick = np.empty((ny, nx)), np.empty((ny, nx))
    pixel_step = 1.0 / step
    for n in range(rows.size):
        k = rows[n]
        x_mid, y_mid = math.floor(places[n, 0] + 0.5), math.floor(places[n, 1] + 0.5)
        x0, y0 = x_mid - half_x, y_mid - half_y - first
        weigh(values, labels, variance, bad, noise, gain, by_weight, k + 1, mask, bright[n], y0, x0, ny, nx, weight)
        local(images, basis[n], psf)
        local(wider, basis[n], disc)
        dx, dy = places[n, 0] - x_mid, places[n, 1] - y_mid
        aim(psf.shape, (dx, dy), pixel_step, (ny, nx), across, down)
        resample(psf, across, down, room, ny, nx, thin)
        resample(disc, across, down, room, ny, nx, thick)
        p, q, pp, pq = 0.0, 0.0, 0.0, 0.0
        p_var, q_var, pq_var = 0.0, 0.0, 0.0
        for j in range(ny):
            for i in range(nx):
                if weight[j, i] > 0.0:
                    value, var = values[y0 + j, x0 + i], 1.0 / weight[j, i]
                    one, two = thin[j, i], thick[j, i]
                    p += one * value
                    q += two * value
                    pp += one * one
                    pq += one * two
                    p_var += one * one * var
                    q_var += two * two * var
                    pq_var += one * two * var
        spread[k], error[k] = 1.0, 1.0
        if p > 0.0:
            spread[k] = q / p - pq / pp
            error[k] = math.sqrt(max(p * p * q_var + q * q * p_var - 2.0 * p * q * pq_var, 0.0)) / (p * p)


@njit(cache=True, nogil=True)
def paint(values: Array, first: int, places: Array, fluxes: Array, images: Array, basis: Array, step: float) -> None:
    """Add PSFs to `values` (ny, nx), rows from `first` of the image on.

    Parameters
    ----------
    places : (n, 2) float64, (x, y) in the image
    fluxes : (n,) float64
    images, basis, step : as for `points`, the basis of each PSF
    """
    psf: Array = np.empty(images.shape[1:])
    half_y, half_x = int(step * (psf.shape[0] // 2)) + 1, int(step * (psf.shape[1] // 2)) + 1
    ny, nx = 2 * half_y + 1, 2 * half_x + 1
    across, down = buffers(nx), buffers(ny)
    room, here = np.empty((psf.shape[0], nx)), np.empty((ny, nx))
    pixel_step = 1.0 / step
    for n in range(fluxes.size):
        x_mid, y_mid = math.floor(places[n, 0] + 0.5), math.floor(places[n, 1] + 0.5)
        x0, y0 = x_mid - half_x, y_mid - half_y - first
        if not fluxes[n] > 0.0 or y0 >= values.shape[0] or y0 + ny <= 0:
            continue
        local(images, basis[n], psf)
        dx, dy = places[n, 0] - x_mid, places[n, 1] - y_mid
        aim(psf.shape, (dx, dy), pixel_step, (ny, nx), across, down)
        resample(psf, across, down, room, ny, nx, here)
        for j in range(max(0, -y0), min(ny, values.shape[0] - y0)):
            for i in range(max(0, -x0), min(nx, values.shape[1] - x0)):
                values[y0 + j, x0 + i] += fluxes[n] * here[j, i]


@njit(cache=True, nogil=True)
def widths(images: Array, basis: Array, step: float, width: Array) -> None:
    """Fill `width` (rows,) with the FWHM of the PSF at each source, pixels: of the circle as large as its upper half.

    0 where the PSF has no light. Each sample is parted into WIDTH_PARTS times as many, bilinear between samples.
    """
    psf: Array = np.empty(images.shape[1:])
    part = 1.0 / WIDTH_PARTS
    for n in range(basis.shape[0]):
        width[n] = 0.0
        local(images, basis[n], psf)
        half, number = 0.5 * psf.max(), 0
        if not half > 0.0:
            continue
        for j in range(psf.shape[0] - 1):
            for i in range(psf.shape[1] - 1):
                a, b, c, d = psf[j, i], psf[j, i + 1], psf[j + 1, i], psf[j + 1, i + 1]
                if max(a, b, c, d) < half:
                    continue
                for v in range(WIDTH_PARTS):
                    down = (v + 0.5) * part
                    for u in range(WIDTH_PARTS):
                        along = (u + 0.5) * part
                        upper, lower = a + (b - a) * along, c + (d - c) * along
                        if upper + (lower - upper) * down >= half:
                            number += 1
        width[n] = 2.0 * step * math.sqrt(number / math.pi) * part


def _compiled() -> None:
    """Call the loops as the measures do."""
    side = 7
    values, labels, none = (
        np.zeros((side, side), np.float32),
        np.zeros((side, side), np.int32),
        np.empty((0, 0), np.float32),
    )
    rows, centres = np.zeros(1, np.int64), np.full((1, 2), 3.0)
    bounds, bright = np.full((1, 4), 3, np.int64), np.ones(1)
    images, basis, single = np.ones((1, 3, 3)), np.ones((1, 1)), np.empty(1, np.float32)
    told = np.empty((1, FIELDS))
    shared = (values, labels, none, 1.0, 1.0, 1.0, False, 2, 0, rows)
    points(*shared, centres, bounds, bright, images, basis, 1.0, 3.0, told)
    spreads(*shared, centres, bright, images, images, basis, 1.0, single, single.copy())
    widths(images, basis, 1.0, np.empty(1))
    paint(values, 0, centres, bright, images, basis, 1.0)


TASKS: tuple[Callable[[], None], ...] = (_compiled,)
"""What compiles these loops beforehand."""
