"""Loops that take away detections which the wings of a brighter neighbour explain (CLEAN)."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processing.kernels import shapes

Array = NDArray[Any]
ZONE = 10.0
"""Neighbours are looked for within so many times both semi-axes."""
CELL = 64
"""Pixels of a cell of the grid in which they are looked for."""


@njit(cache=True, nogil=True)
def swallowed(  # noqa: C901, PLR0912  one sweep whose chains and victims hang together
    table: Array, power: float, nx: int, ny: int
) -> Array:
    """Return for each object, (n,) int64, the one whose wings explain it, or -1.

    Objects come in the order of their detection; each is compared with those that came before it and still stand.
    `table` is not changed but for FLAGS, which the swallowing object takes over.
    """
    number = table.shape[0]
    into = np.full(number, -1, np.int64)
    columns, rows = nx // CELL + 1, ny // CELL + 1
    reach = ZONE * table[:, shapes.A]
    heads = np.full(columns * rows, -1, np.int64)  # chain of entries of each cell
    room = 4 * number + 16
    entry, following = np.empty(room, np.int64), np.empty(room, np.int64)
    used = 0
    seen = np.full(number, -1, np.int64)
    victims = np.empty(number, np.int64)
    for k in range(number):
        new = table[k]
        x0, x1, y0, y1 = _cells(new, reach[k], columns, rows)
        height, slope = _wings(new, power)
        count, gone = 0, False
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                at = heads[row * columns + column]
                while at >= 0:
                    other = entry[at]
                    at = following[at]
                    if seen[other] == k or into[other] >= 0 or gone:
                        continue
                    seen[other] = k
                    old = table[other]
                    dx, dy = new[shapes.X] - old[shapes.X], new[shapes.Y] - old[shapes.Y]
                    if dx * dx + dy * dy >= (reach[k] + reach[other]) ** 2:
                        continue
                    if old[shapes.FLUX] < new[shapes.FLUX]:
                        if _explains(new, height, slope, power, dx, dy, old[shapes.MTHRESH]):
                            victims[count] = other
                            count += 1
                    else:
                        theirs, their_slope = _wings(old, power)
                        if _explains(old, theirs, their_slope, power, dx, dy, new[shapes.MTHRESH]):
                            into[k] = other
                            _take_over(table, other, k)
                            gone = True
        if gone:
            continue
        for j in range(count):
            into[victims[j]] = k
            _take_over(table, k, victims[j])
        for row in range(y0, y1 + 1):
            for column in range(x0, x1 + 1):
                if used == room:
                    entry, following = _twice(entry), _twice(following)
                    room *= 2
                entry[used], following[used] = k, heads[row * columns + column]
                heads[row * columns + column] = used
                used += 1
    for k in range(number):  # what was swallowed by one that was swallowed later
        while into[k] >= 0 and into[into[k]] >= 0:
            into[k] = into[into[k]]
    return into


@njit(cache=True, nogil=True)
def _cells(told: Array, reach: float, columns: int, rows: int) -> tuple[int, int, int, int]:
    x, y = told[shapes.X], told[shapes.Y]
    return (
        min(max(int((x - reach) / CELL), 0), columns - 1),
        min(max(int((x + reach) / CELL), 0), columns - 1),
        min(max(int((y - reach) / CELL), 0), rows - 1),
        min(max(int((y + reach) / CELL), 0), rows - 1),
    )


@njit(cache=True, nogil=True)
def _wings(told: Array, power: float) -> tuple[float, float]:
    """Height and slope of the Moffat profile with an object's flux, area and threshold."""
    area = math.pi * told[shapes.A] * told[shapes.B]
    height = told[shapes.FLUX] / (2.0 * area * told[shapes.ABCOR])
    return height, ((height / told[shapes.DETECTION]) ** (1.0 / power) - 1.0) * area / told[shapes.NPIX]


@njit(cache=True, nogil=True)
def _explains(told: Array, height: float, slope: float, power: float, dx: float, dy: float, least: float) -> bool:
    far = told[shapes.CXX] * dx * dx + told[shapes.CYY] * dy * dy + told[shapes.CXY] * dx * dy
    value = 1.0 + slope * far
    if not value > 1.0:
        return False
    return (height * value**-power if value < 1e10 else 0.0) > least


@njit(cache=True, nogil=True)
def _take_over(table: Array, winner: int, loser: int) -> None:
    flags = int(table[winner, shapes.FLAGS]) | (int(table[loser, shapes.FLAGS]) & ~3)
    table[winner, shapes.FLAGS] = flags
    table[winner, shapes.FLUX] += table[loser, shapes.FLUX]
    table[winner, shapes.NPIX] += table[loser, shapes.NPIX]


@njit(cache=True, nogil=True)
def _twice(old: Array) -> Array:
    new = np.empty(2 * old.size, np.int64)
    new[: old.size] = old
    return new
