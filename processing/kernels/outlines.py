"""Outlines of the areas of a mask, along the edges of its pixels.

Areas are connected across edges, not across corners. An outline runs with the area
at its right: upwards along left edges, downwards along right ones. A corner is the
number of pixels left of it and below it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
_ANCHORS = (-0.25, 0.0, 0.25, -0.45, 0.45)
"""Pixels right of a first pixel where a line may begin. Upright ones take the first: WeightWatcher's rule, which rounds
to the nearest pixel, and that of centres inside then agree."""
_REACH = 0.48
"""Pixels within which WeightWatcher's rule rounds an edge to the same pixel, with a margin for decimals."""

_FLATTEST = 4.0
"""Pixels a row by which a line may lean. It ends half a row beyond its last pixel: a flatter one would end far outside
of its area, where another CCD's rows run otherwise."""


@njit(cache=True, nogil=True)
def count_corners(framed: Array) -> int:
    """Corners of all outlines of a bool mask with a frame of one pixel that is not in it."""
    count = 0
    for y in range(1, framed.shape[0]):
        for x in range(1, framed.shape[1]):
            low_left, low_right = framed[y - 1, x - 1], framed[y - 1, x]
            high_left, high_right = framed[y, x - 1], framed[y, x]
            odd = low_left ^ low_right ^ high_left ^ high_right
            crossed = (low_left == high_right) & (low_right == high_left) & (low_left != low_right)
            count += odd + 2 * crossed
    return count


@njit(cache=True, nogil=True)
def _turned(framed: Array, x: int, y: int, way: int) -> int:
    """Direction (0 up, 1 right, 2 down, 3 left) in which an outline goes on that comes to a corner by `way`."""
    left_y, right_y = y - (way in {2, 3}), y - (way in {1, 2})
    left_x, right_x = x - (way in {0, 3}), x - (way in {2, 3})
    if not framed[right_y + 1, right_x + 1]:
        return (way + 1) % 4
    if framed[left_y + 1, left_x + 1]:
        return (way + 3) % 4
    return way


@njit(cache=True, nogil=True)
def trace(  # noqa: C901, PLR0912  one tight loop
    framed: Array, owner: Array, xs: Array, ys: Array, begins: Array, hosts: Array
) -> int:
    """Follow all outlines of a bool mask with a frame of one pixel that is not in it; return their number.

    `owner` (ny, nx + 1), -1 at first, receives the corner from which each vertical edge was
    reached. `xs`, `ys` receive corners, `begins` where each outline begins among them. `hosts`
    receives, for the outline of a hole, the corner whose upward edge lies left of its first
    corner, with nothing but the area between them; -1 for that of an area. That edge
    belongs to an outline found before.
    """
    rings, corners = 0, 0
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            if framed[row + 1, column + 1] == framed[row + 1, column] or owner[row, column] >= 0:
                continue
            begins[rings], hosts[rings] = corners, -1
            x, y, way = column, row, 0
            if framed[row + 1, column]:
                way = _turned(framed, x, y, 2)
                left = column - 1
                while framed[row + 1, left]:
                    left -= 1
                hosts[rings] = owner[row, left]
            first = way
            while True:
                xs[corners], ys[corners] = x, y
                straight = way
                while straight == way:
                    if way == 0:
                        owner[y, x] = corners
                        y += 1
                    elif way == 1:
                        x += 1
                    elif way == 2:
                        y -= 1
                        owner[y, x] = corners
                    else:
                        x -= 1
                    straight = _turned(framed, x, y, way)
                    if x == column and y == row and straight == first:
                        break
                corners += 1
                way = straight
                if x == column and y == row and way == first:
                    break
            rings += 1
    begins[rings] = corners
    return rings


@njit(cache=True, nogil=True)
def upright(xs: Array, ys: Array, columns: Array, rows: Array, rises: Array) -> int:
    """Break the upright parts of a closed outline into edges of one pixel, in its order; return their number."""
    count = 0
    for corner in range(xs.size):
        after = (corner + 1) % xs.size
        up = ys[after] > ys[corner]
        for k in range(abs(ys[after] - ys[corner])):
            columns[count], rises[count] = xs[corner], up
            rows[count] = ys[corner] + k if up else ys[corner] - 1 - k
            count += 1
    return count


@njit(cache=True, nogil=True)
def _line(columns: Array, rows: Array, rises: Array, begin: int, anchor: float) -> tuple[int, float]:
    """How far a line goes on that crosses the first row at `anchor` beside the edge, and its slope."""
    step = 1 if rises[begin] else -1
    start, low, high = columns[begin] + anchor, -_FLATTEST, _FLATTEST
    end = begin + 1
    while end < rows.size and rises[end] == rises[begin] and rows[end] == rows[end - 1] + step:
        run = rows[end] - rows[begin]
        one, other = (columns[end] - _REACH - start) / run, (columns[end] + _REACH - start) / run
        lower, upper = max(low, min(one, other)), min(high, max(one, other))
        if lower > upper:
            break
        low, high = lower, upper
        end += 1
    return end, 0.0 if low <= 0.0 <= high else 0.5 * (low + high)


@njit(cache=True, nogil=True)
def straighten(columns: Array, rows: Array, rises: Array, out_x: Array, out_y: Array) -> int:
    """Replace upright edges by lines that cross each row at the same pixel; return how many corners they have.

    What is written are positions in pixels from 0, for the rule of `processing.regions.scanline`:
    ends of lines lie halfway between rows. `out_x`, `out_y` have room for two corners an edge.
    """
    count, begin = 0, 0
    while begin < rows.size:
        best, slope, best_anchor = begin, 0.0, 0.0
        for anchor in _ANCHORS:
            end, leaning = _line(columns, rows, rises, begin, anchor)
            if end > best:
                best, slope, best_anchor = end, leaning, anchor
        half = 0.5 if rises[begin] else -0.5
        x, y = columns[begin] + best_anchor, rows[begin]
        out_x[count], out_y[count] = x - slope * half, y - half
        out_x[count + 1], out_y[count + 1] = x + slope * (rows[best - 1] - y + half), rows[best - 1] + half
        count += 2
        begin = best
    return count


def outlines(mask: NDArray[np.bool_]) -> tuple[Array, Array, Array, Array]:
    """Return corners x and y, begins and hosts of all outlines of a bool mask, as `trace` tells them."""
    framed = np.pad(mask, 1)
    corners = count_corners(framed)
    owner = np.full((mask.shape[0], mask.shape[1] + 1), -1, np.int32)
    xs, ys = np.empty(corners, np.int32), np.empty(corners, np.int32)
    begins, hosts = np.empty(corners // 4 + 1, np.int64), np.empty(corners // 4 + 1, np.int64)
    rings = trace(framed, owner, xs, ys, begins, hosts)
    return xs, ys, begins[: rings + 1], hosts[:rings]


def _warm() -> None:
    """Compile as `processing.regions.outlines` calls."""
    mask = np.ones((2, 3), np.bool_)
    xs, ys, begins, _ = outlines(mask)
    steps = np.stack([xs, ys])[:, begins[0] : begins[1]]
    columns, rows, rises = np.empty(4, np.int32), np.empty(4, np.int32), np.empty(4, np.bool_)
    upright(steps[0], steps[1], columns, rows, rises)
    straighten(columns, rows, rises, np.empty(8), np.empty(8))


TASKS = (_warm,)
"""What compiles the kernels of this module."""
