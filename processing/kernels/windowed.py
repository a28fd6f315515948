"""Loops that measure position and shape under a Gaussian window that follows the object."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.aperture import CUT
from processing.kernels.circle import LANES, Ends, count, ends_of, find_ends, padded, stayed
from processing.kernels.pixel import LEAST, all_count, counted, in_buffer

Array = NDArray[Any]
Box = tuple[int, int, int, int]
Room = tuple[Array, Array, Array, Ends]
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
(LIGHT, NOISE, PARTS, UNDER, WINDOW, RIGHT, DOWN) = range(7)
"""Planes of what is held of the pixels under a window: values, variances, parts within the reach, values times these,
weights, places in their row and column."""
PLANES = 7
(ACROSS, SUM, FALL) = range(3)
"""Lines along the rows of the planes: heights of the Gaussian, and light added up along columns, once by its height and
once by its moment."""
LINES = 3
FRESH = 16
"""Pixels after which the height of a Gaussian is counted anew, not from that of the pixel before."""
FAR = 1.0
"""Pixels: a window that went farther than that along both axes, and out of the ellipse, is no longer on its object."""
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
    shapes: Array,
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
    shapes : (n, 5) float64: cxx, cyy, cxy, a, b
    half : (n,) float32, half-light radii from which the window's width follows
    isophotal : (rows, 6) float64: moments x2, y2, xy and their errors, for objects that have none under the window
    held : (n, 2) int32, first row and end of what is looked at for each
    flags : (n,) int16, to which CUT is added
    """
    room = _room(0)
    for place in range(rows.size):
        k, told = rows[place], found[place]
        told[:] = 0.0
        x, y = centres[k, 0], centres[k, 1]
        low, high = in_buffer(first, values.shape[0], held[k])
        near, own, noises, begin = values[low:high], labels[low:high], variance[low:high], first + low
        sigma = half[k] * 2.0 / 2.35
        reach = REACH * sigma
        side = 2 * int(reach + SLACK) + 4
        if room[0].shape[1] < side:
            room = _room(side)
        planes = room[0]
        bounds, mirror, others = (0, 0, 0, 0), (0.0, 0.0), 0
        turns, dx, dy, inside = 0, 0.0, 0.0, True
        last_x, last_y = x, y
        while turns < TURNS_MOST:
            last_x, last_y = x, y
            inside = inside and _within(x, y, reach, values.shape[1], held[k])
            box = _box(x, y, reach, near.shape, begin)
            moved = mirror != _mirror(x, y)
            anew = turns == 0 or not _holds(bounds, box) or (others > 0 and moved)
            if anew:
                bounds = _box(x, y, reach + SLACK, near.shape, begin)
                mirror = _mirror(x, y)
                others = _cut(near, own, noises, bad, noise, mask, begin, k + 1, x, y, bounds, planes)
            _cover(room, bounds, x, y, reach, anew)
            total, sx, sy = _centre(room, bounds, x, y, sigma)
            turns += 1
            if not total > 0.0:
                dx, dy = sx, sy  # the original takes the squares of these off the moments: flags follow
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
        _window(room, bounds, last_y, sigma)
        _moments(planes, bounds, last_x, last_y, gain, noise if by_weight else 0.0, told)
        told[X2] -= dx * dx
        told[Y2] -= dy * dy
        told[XY] -= dx * dy
        flag = LOST if not told[FLUX] > 0.0 else 0
        flag |= NEGATIVE if told[X2] < 0.0 or told[Y2] < 0.0 else 0
        flag |= CROSSED if told[X2] * told[Y2] - told[XY] * told[XY] < 0.0 else 0
        flag |= AWAY if _away(x - centres[k, 0], y - centres[k, 1], shapes[k]) else 0
        if flag:
            x, y = centres[k, 0], centres[k, 1]
            told[X2 : EX2 + 3] = isophotal[place]
        told[X], told[Y] = x, y
        windowed_flags[k] = flag


@njit(cache=True, nogil=True)
def _away(dx: float, dy: float, shape: Array) -> bool:
    """Tell whether a window has left its object."""
    outside = shape[0] * dx * dx + shape[1] * dy * dy + shape[2] * dx * dy > 1.0
    return bool(outside and abs(dx) > FAR and abs(dy) > FAR)


@njit(cache=True, nogil=True)
def _mirror(x: float, y: float) -> tuple[float, float]:
    """Return what the places of mirror images hang on: they are others once one of these is another."""
    return np.floor(2.0 * x + 0.49999), np.floor(2.0 * y + 0.49999)


@njit(cache=True, nogil=True)
def _within(cx: float, cy: float, reach: float, width: int, held: Array) -> bool:
    """Tell whether all of a window is in the image."""
    x0, x1 = int(cx - reach + 0.499999), int(cx + reach + 1.499999)
    y0, y1 = int(cy - reach + 0.499999), int(cy + reach + 1.499999)
    return x0 >= 0 and x1 <= width and held[0] <= y0 and y1 <= held[1]


@njit(cache=True, nogil=True)
def _box(cx: float, cy: float, reach: float, shape: tuple[int, int], first: int) -> Box:
    """Pixels that a window can touch, of those that are there: from x0 to before x1, from y0 to before y1.

    Of a window that was thrown out of the image they are none: the end is the beginning, and never before it.
    """
    x0, y0 = max(int(cx - reach + 0.499999), 0), max(int(cy - reach + 0.499999), first)
    x1, y1 = min(int(cx + reach + 1.499999), shape[1]), min(int(cy + reach + 1.499999), first + shape[0])
    return x0, max(x0, x1), y0, max(y0, y1)


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
    planes: Array,
) -> int:
    """Fill LIGHT and NOISE with what the pixels of a box count for; tell how many are not the object's own."""
    x0, x1, y0, y1 = bounds
    others = 0
    for y in range(y0 - first, y1 - first):
        line, own = values[y, x0:x1], labels[y, x0:x1]
        noises = variance[y, x0:x1] if variance.size else line[:0]
        light, spread = planes[LIGHT, y + first - y0], planes[NOISE, y + first - y0]
        spread[: x1 - x0] = noise
        for i in range(line.size):
            light[i] = line[i]
        for i in range(noises.size):
            spread[i] = noises[i]
        if all_count(line, own, np.int32(mine), noises, np.float32(bad)):
            continue
        for i in range(line.size):
            if not (own[i] in (0, mine) and light[i] > LEAST and spread[i] < bad):
                light[i], spread[i], _ = counted(
                    values, labels, variance, bad, noise, mine, mask, (cy, cx), first, y, x0 + i
                )
                others += 1
    return others


@njit(cache=True, nogil=True)
def _room(side: int) -> Room:
    """Return planes and lines for the pixels under windows of up to `side` by `side`, and ends of their rows."""
    width = padded(side, LANES)
    planes, lines = np.zeros((PLANES, side, width)), np.zeros((LINES, width))
    for place in range(side):
        planes[DOWN, place, :] = place
        planes[RIGHT, place, :] = np.arange(width)
    return planes, lines, np.zeros(width, np.float32), ends_of(side, OVER)


@njit(cache=True, nogil=True)
def _cover(room: Room, bounds: Box, cx: float, cy: float, reach: float, anew: bool) -> None:
    """Fill PARTS and UNDER of the rows of a box in which other parts than before lie within the reach, or of all."""
    planes, _, counts, ends = room
    find_ends(ends, OVER, reach, bounds[0] - cx, bounds[2] - cy, bounds[3] - bounds[2])
    for y in range(bounds[3] - bounds[2]):
        if not anew and stayed(ends, OVER, y):
            continue
        count(ends, OVER, y, counts)
        parts, light, under = planes[PARTS, y], planes[LIGHT, y], planes[UNDER, y]
        for i in range(counts.size):
            parts[i] = counts[i]
            under[i] = counts[i] * light[i]


@njit(cache=True, nogil=True)
def _heights(line: Array, number: int, left: float, scale: float) -> None:
    """Fill `line` with exp(scale * x**2) at `number` pixels from x = `left` on, and with zeros behind them."""
    line[number:] = 0.0
    curve, height, ratio = math.exp(2.0 * scale), 0.0, 0.0
    for i in range(number):
        if i % FRESH == 0:
            x = left + i
            height, ratio = math.exp(scale * x * x), math.exp(scale * (2.0 * x + 1.0))
        line[i] = height
        height *= ratio
        ratio *= curve


@njit(cache=True, nogil=True)
def _centre(room: Room, bounds: Box, cx: float, cy: float, sigma: float) -> tuple[float, float, float]:
    """Light under the window and its first moments about its centre."""
    planes, lines, scale, rows = room[0], room[1], -0.5 / (sigma * sigma), bounds[3] - bounds[2]
    across, total, fall = lines[ACROSS], lines[SUM], lines[FALL]
    _heights(across, bounds[1] - bounds[0], bounds[0] - cx, scale)
    total[:] = 0.0
    fall[:] = 0.0
    curve, height, ratio = math.exp(2.0 * scale), 0.0, 0.0
    for y in range(rows):
        dy = bounds[2] + y - cy
        if y % FRESH == 0:
            height, ratio = math.exp(scale * dy * dy), math.exp(scale * (2.0 * dy + 1.0))
        under, moment = planes[UNDER, y], height * dy
        for i in range(total.size):
            total[i] += height * under[i]
            fall[i] += moment * under[i]
        height *= ratio
        ratio *= curve
    found: tuple[float, float, float] = _first(across, total, fall, cx - bounds[0])
    return found


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _first(across: Array, total: Array, fall: Array, middle: float) -> tuple[float, float, float]:
    """Sums of light, and of its moments along x and y, over columns."""
    light, sx, sy = 0.0, 0.0, 0.0
    for i in range(across.size):
        weight = across[i] * total[i]
        light += weight
        sx += weight * (i - middle)
        sy += across[i] * fall[i]
    whole = 1.0 / OVER**2
    return light * whole, sx * whole, sy * whole


@njit(cache=True, nogil=True)
def _window(room: Room, bounds: Box, cy: float, sigma: float) -> None:
    """Fill WINDOW: a Gaussian within the reach, by the share of each pixel; its heights along x are there."""
    planes, across, scale = room[0], room[1][ACROSS], -0.5 / (sigma * sigma)
    for y in range(bounds[3] - bounds[2]):
        dy = bounds[2] + y - cy
        down, window, parts = math.exp(scale * dy * dy) / OVER**2, planes[WINDOW, y], planes[PARTS, y]
        for i in range(window.size):
            window[i] = down * across[i] * parts[i]


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"}, error_model="numpy")
def _second(planes: Array, number: int, x: float, y: float, shot: float, noise: float, sums: Array) -> None:
    """Fill `sums` (8,): light, its second moments x2, y2, xy about a place, noise, and its second moments.

    `shot`: variance that a count of light brings where a pixel's own variance is `noise`, or everywhere if that is 0.
    """
    window, light, spread, right, down = planes[WINDOW], planes[LIGHT], planes[NOISE], planes[RIGHT], planes[DOWN]
    total, sxx, syy, sxy, every, exx, eyy, exy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    inverse = shot / noise if noise > 0.0 else 0.0
    even = 0.0 if noise > 0.0 else shot
    for i in range(number):
        dx, dy = right[i] - x, down[i] - y
        weight = window[i] * light[i]
        total += weight
        sxx += weight * dx * dx
        syy += weight * dy * dy
        sxy += weight * dx * dy
        more = (spread[i] + max(light[i], 0.0) * (even + inverse * spread[i])) * window[i] * window[i]
        every += more
        exx += more * dx * dx
        eyy += more * dy * dy
        exy += more * dx * dy
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7] = (
        total, sxx, syy, sxy, every, exx, eyy, exy
    )  # fmt: skip


@njit(cache=True, nogil=True)
def _moments(planes: Array, bounds: Box, cx: float, cy: float, gain: float, noise: float, told: Array) -> None:
    """Second moments under the window, errors of the position, and the light.

    Parameters
    ----------
    noise : variance from which the gain follows that of each pixel; 0: the gain is the same everywhere
    """
    sums = np.empty(8)
    number = (bounds[3] - bounds[2]) * planes.shape[2]
    shot = 1.0 / gain if gain > 0.0 else 0.0
    _second(planes.reshape(PLANES, -1), number, cx - bounds[0], cy - bounds[2], shot, noise, sums)
    total, sxx, syy, sxy, spread_all = sums[0], sums[1], sums[2], sums[3], sums[4]
    ex, ey, exy = sums[5] + PIXEL * spread_all, sums[6] + PIXEL * spread_all, sums[7]
    told[FLUX] = total
    told[ERROR] = math.sqrt(spread_all)
    if total != 0.0:
        square = total * total
        told[X2], told[Y2], told[XY] = sxx / total, syy / total, sxy / total
        told[EX2], told[EY2], told[EXY] = 4.0 * ex / square, 4.0 * ey / square, 4.0 * exy / square
