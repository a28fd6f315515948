"""Loops that measure position and shape under a Gaussian window that follows the object."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.aperture import CUT
from processing.kernels.circle import chords
from processing.kernels.circle import share as share_of
from processing.kernels.pixel import counted

Array = NDArray[Any]
Box = tuple[int, int, int, int]
(X, Y, X2, Y2, XY, EX2, EY2, EXY, FLUX, ERROR, TURNS) = range(11)
"""Columns of what is found."""
FIELDS = 11
TURNS_MOST = 16
STOP = 1e-4
"""Pixels: a mean distance from the centre below which the position stands."""
REACH = 4.0
"""Standard deviations of the window."""
SLACK = 2.0
"""Pixels by which a window may move before what lies under it is gathered again."""
PIXEL = 0.0833
"""Variance of a place within its pixel, as the original rounds it."""
OVER = 11
"""Parts of a pixel's side at the edge of the window."""
FAR = 1.0
"""Pixels: a window is no longer on its object if it went farther than that along both axes."""
CROSSED, NEGATIVE, LOST, AWAY = 1, 2, 4, 8
"""Flags: moments that are no ellipse's, negative ones, no light under the window, the window left the object. With any
of them, position and shape are the isophotal ones."""


@njit(cache=True, nogil=True)
def windowed(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    gain: float,
    by_weight: bool,
    mask: int,
    first: int,
    rows: Array,
    centres: Array,
    half: Array,
    isophotal: Array,
    held: Array,
    found: Array,
    windowed_flags: Array,
    flags: Array,
) -> None:
    """Fill `found` (rows, FIELDS) float64 for the objects `rows`, and their cells of `windowed_flags` (n,) int16.

    The shape is that under the window's last place but one, from which the last position follows.

    Parameters
    ----------
    values, labels, variance : (ny, nx) from row `first` of the image on
    half : (n,) float32, half-light radii from which the window's width follows
    isophotal : (rows, 6) float64: moments x2, y2, xy and their errors, for objects that have none under the window
    held : (n, 2) int32, first row and end of what is looked at for each
    flags : (n,) int16, to which CUT is added
    """
    light, spread = np.empty((0, 0)), np.empty((0, 0))
    for place in range(rows.size):
        k, told = rows[place], found[place]
        told[:] = 0.0
        x, y = centres[k, 0], centres[k, 1]
        sigma = half[k] * 2.0 / 2.35
        reach = REACH * sigma
        side = 2 * int(reach + SLACK) + 4
        if light.shape[0] < side:
            light, spread = np.empty((side, side)), np.empty((side, side))
        bounds, mirror, others = (0, 0, 0, 0), (0.0, 0.0), 0
        turns, dx, dy, inside = 0, 0.0, 0.0, True
        last_x, last_y = x, y
        while turns < TURNS_MOST:
            last_x, last_y = x, y
            inside = inside and _within(x, y, reach, values.shape[1], held[k])
            box = _box(x, y, reach, values.shape, first, held[k])
            moved = mirror != (np.floor(2.0 * x + 0.49999), np.floor(2.0 * (y - first) + 0.49999))
            if turns == 0 or not _holds(bounds, box) or (others > 0 and moved):
                bounds = _box(x, y, reach + SLACK, values.shape, first, held[k])
                mirror = (np.floor(2.0 * x + 0.49999), np.floor(2.0 * (y - first) + 0.49999))
                others = _cut(
                    values, labels, variance, bad, noise, mask, first, k + 1, x, y, bounds, light, spread
                )  # fmt: skip
            total, sx, sy = _centre(light, bounds, box, x, y, sigma)
            turns += 1
            if not total > 0.0:
                break
            dx, dy = sx / total, sy / total
            x += 2.0 * dx
            y += 2.0 * dy
            if dx * dx + dy * dy < STOP * STOP:
                break
        else:
            turns += 1
        told[TURNS] = turns
        flags[k] |= 0 if inside else CUT
        _moments(light, spread, bounds, box, last_x, last_y, sigma, gain, noise if by_weight else 0.0, told)
        told[X2] -= dx * dx
        told[Y2] -= dy * dy
        told[XY] -= dx * dy
        flag = LOST if not told[FLUX] > 0.0 else 0
        flag |= NEGATIVE if told[X2] < 0.0 or told[Y2] < 0.0 else 0
        flag |= CROSSED if told[X2] * told[Y2] - told[XY] * told[XY] < 0.0 else 0
        flag |= AWAY if abs(x - centres[k, 0]) > FAR and abs(y - centres[k, 1]) > FAR else 0
        if flag:
            x, y = centres[k, 0], centres[k, 1]
            told[X2 : EX2 + 3] = isophotal[place]
        told[X], told[Y] = x, y
        windowed_flags[k] = flag


@njit(cache=True, nogil=True)
def _within(cx: float, cy: float, reach: float, width: int, held: Array) -> bool:
    """Tell whether all of a window is in the image."""
    x0, x1 = int(cx - reach + 0.499999), int(cx + reach + 1.499999)
    y0, y1 = int(cy - reach + 0.499999), int(cy + reach + 1.499999)
    return x0 >= 0 and x1 <= width and held[0] <= y0 and y1 <= held[1]


@njit(cache=True, nogil=True)
def _box(cx: float, cy: float, reach: float, shape: tuple[int, int], first: int, held: Array) -> Box:
    """Pixels that a window can touch, of those that are there: from x0 to before x1, from y0 to before y1."""
    x0, x1 = max(int(cx - reach + 0.499999), 0), min(int(cx + reach + 1.499999), shape[1])
    y0, y1 = max(int(cy - reach + 0.499999), held[0]), min(int(cy + reach + 1.499999), held[1])
    return x0, x1, max(y0, first), min(y1, first + shape[0])


@njit(cache=True, nogil=True)
def _holds(outer: Box, inner: Box) -> bool:
    """Tell whether all of one box lies in another."""
    return outer[0] <= inner[0] and inner[1] <= outer[1] and outer[2] <= inner[2] and inner[3] <= outer[3]


@njit(cache=True, nogil=True)
def _cut(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    mask: int,
    first: int,
    mine: int,
    cx: float,
    cy: float,
    bounds: Box,
    light: Array,
    spread: Array,
) -> int:
    """Fill `light` and `spread` with what the pixels of a box count for; tell how many are not the object's own."""
    x0, x1, y0, y1 = bounds
    others = 0
    for y in range(y0, y1):
        line, own = values[y - first], labels[y - first]
        for x in range(x0, x1):
            value = line[x]
            var = variance[y - first, x] if variance.size else noise
            if not (own[x] in (0, mine) and value > -1e30 and var < bad):
                value, var, _ = counted(
                    values, labels, variance, bad, noise, mine, mask, (cy - first, cx), y - first, x
                )
                others += 1
            light[y - y0, x - x0] = value
            spread[y - y0, x - x0] = var
    return others


@njit(cache=True, nogil=True)
def _profile(begin: int, end: int, centre: float, scale: float) -> Array:
    """Values of the window along one axis."""
    made = np.empty(max(end - begin, 0))
    for k in range(begin, end):
        made[k - begin] = math.exp(scale * (k - centre) ** 2)
    return made


@njit(cache=True, nogil=True)
def _row(
    dy: float, down: float, across: Array, x0: int, x1: int, cx: float, reach: float, half: Array, made: Array
) -> tuple[int, int]:
    """Fill a row of the window where it is not empty; tell from where to where that is."""
    inner, outer = max(reach - 0.75, 0.0) ** 2, (reach + 0.75) ** 2
    square = dy * dy
    wide = math.sqrt(max(outer - square, 0.0))
    begin, end = max(int(cx - wide), x0), min(int(cx + wide) + 2, x1)
    while begin < end and (begin - cx) * (begin - cx) + square > outer:
        begin += 1
    while begin < end and (end - 1 - cx) * (end - 1 - cx) + square > outer:
        end -= 1
    chords(dy, reach, OVER, half)
    for x in range(begin, end):
        dx = x - cx
        share = 1.0 if dx * dx + square < inner else share_of(dx, OVER, half)
        made[x - x0] = share * down * across[x - x0]
    return begin, end


@njit(cache=True, nogil=True)
def _centre(light: Array, bounds: Box, box: Box, cx: float, cy: float, sigma: float) -> tuple[float, float, float]:
    """Light under the window and its first moments about its centre."""
    reach = REACH * sigma
    scale = -0.5 / (sigma * sigma)
    x0, x1, y0, y1 = box
    total, sx, sy = 0.0, 0.0, 0.0
    across = _profile(x0, x1, cx, scale)
    window, half = np.empty_like(across), np.zeros(-(-OVER // 4) * 4)
    for y in range(y0, y1):
        dy = y - cy
        begin, end = _row(dy, math.exp(scale * dy * dy), across, x0, x1, cx, reach, half, window)
        line = light[y - bounds[2]]
        for x in range(begin, end):
            weight = window[x - x0] * line[x - bounds[0]]
            total += weight
            sx += weight * (x - cx)
            sy += weight * dy
    return total, sx, sy


@njit(cache=True, nogil=True)
def _moments(
    light: Array,
    spread: Array,
    bounds: Box,
    box: Box,
    cx: float,
    cy: float,
    sigma: float,
    gain: float,
    noise: float,
    told: Array,
) -> None:
    """Second moments under the window, errors of the position, and the light.

    Parameters
    ----------
    noise : variance from which the gain follows that of each pixel; 0: the gain is the same everywhere
    """
    reach = REACH * sigma
    scale = -0.5 / (sigma * sigma)
    x0, x1, y0, y1 = box
    total, sxx, syy, sxy = 0.0, 0.0, 0.0, 0.0
    ex, ey, exy, spread_all = 0.0, 0.0, 0.0, 0.0
    across = _profile(x0, x1, cx, scale)
    window, half = np.empty_like(across), np.zeros(-(-OVER // 4) * 4)
    for y in range(y0, y1):
        dy = y - cy
        begin, end = _row(dy, math.exp(scale * dy * dy), across, x0, x1, cx, reach, half, window)
        line, noises = light[y - bounds[2]], spread[y - bounds[2]]
        for x in range(begin, end):
            dx = x - cx
            weight, value, var = window[x - x0], line[x - bounds[0]], noises[x - bounds[0]]
            total += weight * value
            sxx += weight * value * dx * dx
            syy += weight * value * dy * dy
            sxy += weight * value * dx * dy
            more = var
            if gain > 0.0 and value > 0.0:
                more += value / gain * (var / noise if noise > 0.0 else 1.0)
            more *= weight * weight
            ex += more * (dx * dx + PIXEL)
            ey += more * (dy * dy + PIXEL)
            exy += more * dx * dy
            spread_all += more
    told[FLUX] = total
    told[ERROR] = math.sqrt(spread_all)
    if total != 0.0:
        square = total * total
        told[X2], told[Y2], told[XY] = sxx / total, syy / total, sxy / total
        told[EX2], told[EY2], told[EXY] = 4.0 * ex / square, 4.0 * ey / square, 4.0 * exy / square
