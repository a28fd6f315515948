"""Loops that measure position and shape under a Gaussian window that follows the object."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.aperture import CUT
from processing.kernels.circle import share as share_of
from processing.kernels.circle import span, spans_of
from processing.kernels.pixel import LEAST, all_count, counted

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
LANES = 8
"""Pixels that a processor takes at once: of so many parts are the rows that windows are held in."""
(LIGHT, NOISE, WINDOW, RIGHT, DOWN, ACROSS) = range(6)
"""Planes of what is held of the pixels under a window: values, variances, weights, places in their row and column."""
PLANES = 6
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
    room, spans = _room(0), spans_of(OVER)
    for place in range(rows.size):
        k, told = rows[place], found[place]
        told[:] = 0.0
        x, y = centres[k, 0], centres[k, 1]
        sigma = half[k] * 2.0 / 2.35
        reach = REACH * sigma
        side = 2 * int(reach + SLACK) + 4
        if room.shape[1] < side:
            room = _room(side)
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
                    values, labels, variance, bad, noise, mask, first, k + 1, x, y, bounds, room
                )  # fmt: skip
            _window(room, bounds, box, x, y, sigma, spans)
            total, sx, sy = _centre(room, bounds, x, y)
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
        _moments(room, bounds, last_x, last_y, gain, noise if by_weight else 0.0, told)
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
def _within(cx: float, cy: float, reach: float, width: int, held: Array) -> bool:
    """Tell whether all of a window is in the image."""
    x0, x1 = int(cx - reach + 0.499999), int(cx + reach + 1.499999)
    y0, y1 = int(cy - reach + 0.499999), int(cy + reach + 1.499999)
    return x0 >= 0 and x1 <= width and held[0] <= y0 and y1 <= held[1]


@njit(cache=True, nogil=True)
def _box(cx: float, cy: float, reach: float, shape: tuple[int, int], first: int, held: Array) -> Box:
    """Pixels that a window can touch, of those that are there: from x0 to before x1, from y0 to before y1.

    Of a window that was thrown out of the image they are none: the end is the beginning, and never before it.
    """
    x0, y0 = max(int(cx - reach + 0.499999), 0), max(int(cy - reach + 0.499999), held[0], first)
    x1, y1 = min(int(cx + reach + 1.499999), shape[1]), min(int(cy + reach + 1.499999), held[1], first + shape[0])
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
    room: Array,
) -> int:
    """Fill LIGHT and NOISE with what the pixels of a box count for; tell how many are not the object's own."""
    x0, x1, y0, y1 = bounds
    others = 0
    for y in range(y0 - first, y1 - first):
        line, own = values[y, x0:x1], labels[y, x0:x1]
        noises = variance[y, x0:x1] if variance.size else line[:0]
        light, spread = room[LIGHT, y + first - y0], room[NOISE, y + first - y0]
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
                    values, labels, variance, bad, noise, mine, mask, (cy - first, cx), y, x0 + i
                )
                others += 1
    return others


@njit(cache=True, nogil=True)
def _window(room: Array, bounds: Box, box: Box, cx: float, cy: float, sigma: float, spans: Array) -> None:
    """Fill WINDOW for the pixels of `bounds`: 0 outside of `box`, a Gaussian within the reach."""
    reach = REACH * sigma
    inner, outer = max(reach - 0.75, 0.0) ** 2, (reach + 0.75) ** 2
    scale = -0.5 / (sigma * sigma)
    window, x0, y0 = room[WINDOW], bounds[0], bounds[2]
    window[: bounds[3] - y0] = 0.0
    across = room[ACROSS, 0]
    for x in range(box[0], box[1]):
        across[x - x0] = math.exp(scale * (x - cx) ** 2)
    for y in range(box[2], box[3]):
        dy = y - cy
        square = dy * dy
        down = math.exp(scale * square)
        wide, narrow = math.sqrt(max(outer - square, 0.0)), math.sqrt(max(inner - square, 0.0))
        begin = min(max(math.ceil(cx - wide), box[0]), box[1])
        end = max(min(math.floor(cx + wide) + 1, box[1]), begin)
        line, heights = window[y - y0, begin - x0 : end - x0], across[begin - x0 : end - x0]
        for i in range(line.size):
            line[i] = down * heights[i]
        span(dy, reach, begin - cx, OVER, spans)
        left = min(max(math.floor(cx - narrow) + 1 - begin, 0), line.size)
        right = max(min(math.ceil(cx + narrow) - begin, line.size), left)
        for i in range(left):
            line[i] *= share_of(i, OVER, spans)
        for i in range(right, line.size):
            line[i] *= share_of(i, OVER, spans)


@njit(cache=True, nogil=True)
def _room(side: int) -> Array:
    """Return planes for the pixels under windows of up to `side` by `side`; rows end in places that are not used."""
    room = np.zeros((PLANES, side, -(-side // LANES) * LANES))
    for place in range(side):
        room[DOWN, place, :] = place
        room[RIGHT, place, :] = np.arange(room.shape[2])
    return room


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz", "contract"})
def _first(window: Array, light: Array, right: Array, down: Array, number: int) -> tuple[float, float, float]:
    """Light under a window, and its first moments about the first pixel."""
    total, sx, sy = 0.0, 0.0, 0.0
    for i in range(number):
        weight = window[i] * light[i]
        total += weight
        sx += weight * right[i]
        sy += weight * down[i]
    return total, sx, sy


@njit(cache=True, nogil=True)
def _centre(room: Array, bounds: Box, cx: float, cy: float) -> tuple[float, float, float]:
    """Light under the window and its first moments about its centre."""
    flat = room.reshape(PLANES, -1)
    number = (bounds[3] - bounds[2]) * room.shape[2]
    total, sx, sy = _first(flat[WINDOW], flat[LIGHT], flat[RIGHT], flat[DOWN], number)
    return total, sx - (cx - bounds[0]) * total, sy - (cy - bounds[2]) * total


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
def _moments(room: Array, bounds: Box, cx: float, cy: float, gain: float, noise: float, told: Array) -> None:
    """Second moments under the window, errors of the position, and the light.

    Parameters
    ----------
    noise : variance from which the gain follows that of each pixel; 0: the gain is the same everywhere
    """
    sums = np.empty(8)
    number = (bounds[3] - bounds[2]) * room.shape[2]
    shot = 1.0 / gain if gain > 0.0 else 0.0
    _second(room.reshape(PLANES, -1), number, cx - bounds[0], cy - bounds[2], shot, noise, sums)
    total, sxx, syy, sxy, spread_all = sums[0], sums[1], sums[2], sums[3], sums[4]
    ex, ey, exy = sums[5] + PIXEL * spread_all, sums[6] + PIXEL * spread_all, sums[7]
    told[FLUX] = total
    told[ERROR] = math.sqrt(spread_all)
    if total != 0.0:
        square = total * total
        told[X2], told[Y2], told[XY] = sxx / total, syy / total, sxy / total
        told[EX2], told[EY2], told[EXY] = 4.0 * ex / square, 4.0 * ey / square, 4.0 * exy / square
