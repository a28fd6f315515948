"""Loops that draw a background between its meshes: natural cubic splines in single precision, as SExtractor's."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def bend(knots: Array, line: Array) -> None:
    """Fill `line` (n,) float32 with bends of the surface at `knots` (n,) float32.

    These are a sixth of the second derivatives of a natural spline but for one thing, in which the original is
    followed: on the way back each is divided by six again, so that slopes have small jumps at the knots.
    """
    last = knots.size - 1
    line[:] = 0.0
    if last < 1:
        return
    room = np.zeros(knots.size, np.float32)
    for k in range(1, last):
        turn = np.float32(-1.0 / (line[k - 1] + np.float32(4.0)))
        line[k] = turn
        step = knots[k + 1] + knots[k - 1] - np.float32(2.0) * knots[k]
        room[k] = turn * (room[k - 1] - np.float32(6.0) * step)
    line[last] = 0.0
    for k in range(last - 1, 0, -1):
        line[k] = (line[k] * line[k + 1] + room[k]) / np.float32(6.0)


@njit(cache=True, nogil=True)
def draw_rows(knots: Array, bends: Array, first: int, width: int, height: int, drawn: Array) -> None:
    """Fill `drawn` (rows, nx) float32 with the surface through `knots` (ny, nx) from row `first` of the image on.

    `bends` are those along y, a column each; meshes are `width` by `height` pixels. Beyond the outermost knots the
    outermost piece goes on.
    """
    line, curve = np.empty(knots.shape[1], np.float32), np.empty(knots.shape[1], np.float32)
    for j in range(drawn.shape[0]):
        _bend_line(knots, bends, first + j, height, line, curve)
        _draw_line(line, curve, width, drawn[j])


@njit(cache=True, nogil=True)
def take_rows(knots: Array, bends: Array, first: int, width: int, height: int, values: Array) -> None:
    """Take that surface off `values` (rows, nx) float32 in place."""
    line, curve = np.empty(knots.shape[1], np.float32), np.empty(knots.shape[1], np.float32)
    drawn = np.empty(values.shape[1], np.float32)
    for j in range(values.shape[0]):
        _bend_line(knots, bends, first + j, height, line, curve)
        _draw_line(line, curve, width, drawn)
        row = values[j]
        for i in range(drawn.size):
            row[i] -= drawn[i]


@njit(cache=True, nogil=True)
def _bend_line(knots: Array, bends: Array, y: int, height: int, line: Array, curve: Array) -> None:
    """Fill `line` with the surface in row `y` at the knots' columns, and `curve` with the bends along it.

    Between the knots of a single row the surface is straight, as the original's.
    """
    rows, columns = knots.shape
    if rows > 1:
        dy = np.float32(np.float32(y) / np.float32(height) - np.float32(0.5))
        at = min(max(int(dy), 0), rows - 2)
        dy = np.float32(dy - at)
        dy1 = np.float32(1.0) - dy
        cy, cy1 = dy * dy * dy - dy, dy1 * dy1 * dy1 - dy1
        for k in range(columns):
            line[k] = dy1 * knots[at, k] + dy * knots[at + 1, k] + cy1 * bends[at, k] + cy * bends[at + 1, k]
    else:
        line[:] = knots[0]
        curve[:] = 0.0
        return
    bend(line, curve)


@njit(cache=True, nogil=True)
def _draw_line(line: Array, curve: Array, width: int, drawn: Array) -> None:
    columns, nx = line.size, drawn.size
    if columns < 2:
        drawn[:] = line[0]
        return
    one = np.float32(1.0)
    step = np.float32(1.0) / np.float32(width)
    half = width // 2
    onset = np.float32(((width + 1) % 2) * step / np.float32(2.0))
    for k in range(columns - 1):
        begin = 0 if k == 0 else k * width + half
        end = nx if k == columns - 2 else min((k + 1) * width + half, nx)
        start = (step - one) / np.float32(2.0) if k == 0 else onset
        low, high, bent_low, bent_high = line[k], line[k + 1], curve[k], curve[k + 1]
        for i in range(begin, end):
            dx = start + np.float32(i - begin) * step
            dx1 = one - dx
            drawn[i] = dx1 * (low + (dx1 * dx1 - one) * bent_low) + dx * (high + (dx * dx - one) * bent_high)
