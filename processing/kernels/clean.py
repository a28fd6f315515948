"""Loops that take away detections which the wings of a brighter neighbour explain (CLEAN)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels import shapes

Array = NDArray[Any]
ZONE = 10.0
"""Neighbours are looked for within so many times both semi-axes."""
AROUND, APART = 2.0, 4.49999
"""Margin of an object in the buffer: so many times its height, and so many rows more."""
BELOW, LAST_BELOW = 2, 1
"""Rows above the buffer's first one to which an object's margin may come down before it is measured; and when the
buffer has come to the image's end."""
CELL = 64
"""Pixels of a cell of the grid in which they are looked for."""


@njit(cache=True, nogil=True)
def swept(  # noqa: C901, PLR0912  one sweep whose chains, victims and leavers hang together
    table: Array, power: float, nx: int, ny: int, held_rows: int, ahead: int, most: int, margin: int,
    unblanked: int,
) -> tuple[Array, Array, Array, Array]:  # fmt: skip
    """Sweep over the objects in the order of their detection, as the original does while it reads the image.

    Each is compared with those that came before it and still stand in the list. An object leaves the list, to be
    measured, when the buffer's first row comes to it, or when the list is full.

    Parameters
    ----------
    table : FLUX, NPIX, FLAGS and bounds are taken over by an object from what it swallows
    power : of the wings (CLEAN_PARAM); 0: nothing is swallowed
    held_rows : rows that the buffer holds
    ahead : rows at its end that are not yet looked at for objects
    most : objects in the list
    margin : rows at either side of a barycentre that have to be in the buffer
    unblanked : last rows of a group that are not yet blanked when it is complete: those above a filter's middle

    Returns
    -------
    into : (n,) int64, the object that swallowed each, or -1
    order : (n - swallowed,) int64, objects in the order of their measurement
    since : (n - swallowed,) int32, first row of the buffer when each of them was measured: nothing is before the
        buffer is full, and it stands still when its end has come to the image's
    back : (n,) int32, row before which an object's pixels were given back to the image when it was swallowed. The
        original has not yet blanked the last rows of a newcomer then, does so later, and so hides them for good.
    """
    number = table.shape[0]
    into = np.full(number, -1, np.int64)
    order, measured = np.empty(number, np.int64), 0
    back, since = np.zeros(number, np.int32), np.zeros(number, np.int32)
    held, place, size = np.empty(number, np.int64), np.full(number, -1, np.int64), 0
    top, bottom = np.empty(number, np.int64), np.empty(number, np.int64)
    columns, rows = nx // CELL + 1, ny // CELL + 1
    reach = ZONE * table[:, shapes.A]
    heads = np.full(columns * rows, -1, np.int64)  # chain of entries of each cell
    room = 4 * number + 16
    entry, following = np.empty(room, np.int64), np.empty(room, np.int64)
    used, last_row, swept_row = 0, 0, -1
    seen = np.full(number, -1, np.int64)
    victims = np.empty(number, np.int64)
    soonest = ny
    delay, last = max(held_rows - ahead, 0), ny - held_rows
    begin, most_below = (delay, last + LAST_BELOW) if last > 0 else (ny - 1, BELOW)
    for k in range(number + 1):
        if k in (0, number) or table[k, shapes.PARENT] != table[k - 1, shapes.PARENT]:
            last_row = ny
            if k < number:
                last_row, j = 0, k
                while j < number and table[j, shapes.PARENT] == table[k, shapes.PARENT]:
                    last_row = max(last_row, int(table[j, shapes.Y_MAX]) + 1)
                    j += 1
            for row in range(max(swept_row, begin), last_row):
                below = min(row - delay + BELOW, most_below)
                if soonest > below:
                    continue
                soonest = ny
                for j in range(size - 1, -1, -1):
                    other = held[j]
                    if top[other] <= below:
                        order[measured], since[measured] = other, min(row - delay, last)
                        measured += 1
                        size = _remove(held, place, j, size)
                    else:
                        soonest = min(soonest, top[other])
            swept_row = last_row
        if k == number:
            break
        if size > 0 and size >= most:
            lowest = 0
            for j in range(1, size):
                if bottom[held[j]] < bottom[held[lowest]]:
                    lowest = j
            order[measured], since[measured] = held[lowest], min(max(last_row - delay, 0), last)
            measured += 1
            size = _remove(held, place, lowest, size)
        new = table[k]
        x0, x1, y0, y1 = _cells(new, reach[k], columns, rows)
        if power > 0.0:
            height, slope = _wings(new, power)
            count, eater = 0, -1
            for row in range(y0, y1 + 1):
                for column in range(x0, x1 + 1):
                    at = heads[row * columns + column]
                    while at >= 0:
                        other = entry[at]
                        at = following[at]
                        if seen[other] == k or place[other] < 0:
                            continue
                        seen[other] = k
                        old = table[other]
                        dx, dy = new[shapes.X] - old[shapes.X], new[shapes.Y] - old[shapes.Y]
                        if dx * dx + dy * dy > (reach[k] + reach[other]) ** 2:
                            continue
                        if old[shapes.FLUX] < new[shapes.FLUX]:
                            if _explains(new, height, slope, power, dx, dy, old[shapes.MTHRESH]):
                                victims[count] = place[other]
                                count += 1
                        elif eater < 0 or place[other] < place[eater]:
                            theirs, their_slope = _wings(old, power)
                            if _explains(old, theirs, their_slope, power, dx, dy, new[shapes.MTHRESH]):
                                eater = other
            if eater >= 0:
                into[k], back[k] = eater, last_row - unblanked
                _take_over(table, eater, k)
                continue
            victims[:count].sort()
            for j in range(count - 1, -1, -1):
                loser = held[victims[j]]
                into[loser], back[loser] = k, last_row - unblanked
                _take_over(table, k, loser)
                size = _remove(held, place, victims[j], size)
            for row in range(y0, y1 + 1):
                for column in range(x0, x1 + 1):
                    if used == room:
                        entry, following = _twice(entry), _twice(following)
                        room *= 2
                    entry[used], following[used] = k, heads[row * columns + column]
                    heads[row * columns + column] = used
                    used += 1
        held[size], place[k] = k, size
        size += 1
        around = int((new[shapes.Y_MAX] - new[shapes.Y_MIN]) * AROUND + APART)
        middle = int(new[shapes.Y] + 0.49999)
        top[k] = max(min(int(new[shapes.Y_MIN]) - around, middle - margin), 0)
        bottom[k] = min(max(int(new[shapes.Y_MAX]) + around, middle + margin), ny)
        soonest = min(soonest, top[k])
    while size > 0:
        order[measured], since[measured] = held[0], last
        measured += 1
        size = _remove(held, place, 0, size)
    for k in range(number):  # what was swallowed by one that was swallowed later
        while into[k] >= 0 and into[into[k]] >= 0:
            into[k] = into[into[k]]
    return into, order[:measured].copy(), since[:measured].copy(), back


@njit(cache=True, nogil=True)
def _remove(held: Array, place: Array, at: int, size: int) -> int:
    """Take the object at a place out of the list; the last one comes there. Return the new size."""
    place[held[at]] = -1
    size -= 1
    if at < size:
        held[at] = held[size]
        place[held[at]] = at
    return size


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
    if told[shapes.DETECTION] == 0.0:  # above a variance of 0: wings of no width
        return height, math.inf if height > 0.0 else math.nan
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
    for low, high in ((shapes.X_MIN, shapes.X_MAX), (shapes.Y_MIN, shapes.Y_MAX)):
        table[winner, low] = min(table[winner, low], table[loser, low])
        table[winner, high] = max(table[winner, high], table[loser, high])


@njit(cache=True, nogil=True)
def _twice(old: Array) -> Array:
    new = np.empty(2 * old.size, np.int64)
    new[: old.size] = old
    return new


@njit(cache=True, nogil=True)
def gathered(
    sequence: Array, begun: Array, into: Array, back: Array, pixels: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array, Array, Array, Array]:
    """Put the pixels of objects behind each other, in a new order.

    Parameters
    ----------
    sequence : (n,) int64, objects
    begun : (n + 1,) int64, where the pixels of each begin
    into, back : (n,) int64, as `swept` returns them
    pixels : x, y int32, filtered and plain values float32

    Returns
    -------
    the same in the new order, and which are hidden: of a swallowed object, from row `back` on
    """
    x, y, filtered, plain = pixels
    new_x, new_y = np.empty(x.size, np.int32), np.empty(x.size, np.int32)
    new_filtered, new_plain = np.empty(x.size, np.float32), np.empty(x.size, np.float32)
    hidden = np.zeros(x.size, np.bool_)
    at = 0
    for k in sequence:
        begin, end = begun[k], begun[k + 1]
        to = at + end - begin
        new_x[at:to], new_y[at:to] = x[begin:end], y[begin:end]
        new_filtered[at:to], new_plain[at:to] = filtered[begin:end], plain[begin:end]
        if into[k] >= 0:
            hidden[at:to] = y[begin:end] >= back[k]
        at = to
    return new_x, new_y, new_filtered, new_plain, hidden
