"""Loops over saturated cores and the charge that left them along the columns."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
STEEP = 1.2
"""Light beside a trail may be fainter than that of the star under the trail by so much: wings are steep."""


@njit(cache=True, nogil=True)
def full_pixels(pixels: Array, tops: Array, level: float, corners: Array, rows: Array, columns: Array) -> int:
    """List the pixels at or above `level`, or that are no number, within x0, x1, y0, y1, row by row.

    `tops` are the largest pixels of each row, or no number where one is none. Returns how many there are, which may be
    more than `rows` and `columns` have room for.
    """
    count = 0
    for j in range(corners[2], corners[3]):
        if tops[j - corners[2]] < level:
            continue
        for i in range(corners[0], corners[1]):
            if not pixels[j, i] < level:
                if count < rows.size:
                    rows[count], columns[count] = j, i
                count += 1
    return count


@njit(cache=True, nogil=True)
def plateaus(pixels: Array, tops: Array, corners: Array, floor: float, even: float, length: int, found: Array) -> int:
    """List values of pixels that stand in a vertical run of `length` or more, all above `floor` and even.

    A run is even as long as each pixel differs from the one below by less than the share `even`. A star that is not
    full has no such run. `tops` is as in `full_pixels`. Returns how many values there are, which may be more than
    `found` holds.
    """
    width = pixels.shape[1]
    run = np.zeros(width, np.int64)
    count = 0
    for j in range(corners[2], corners[3]):
        if tops[j - corners[2]] < floor:
            run[:] = 0
            continue
        for i in range(corners[0], corners[1]):
            value = pixels[j, i]
            if not value > floor:
                run[i] = 0
                continue
            before = pixels[j - 1, i] if j > corners[2] else value
            run[i] = run[i] + 1 if run[i] > 0 and abs(value - before) < even * value else 1
            if run[i] < length:
                continue
            for back in range(length if run[i] == length else 1):
                if count < found.size:
                    found[count] = pixels[j - back, i]
                count += 1
    return count


@njit(cache=True, nogil=True)
def label(rows: Array, columns: Array, labels: Array) -> int:
    """Number pixels, given row by row, so that those that touch, corners too, have the same number; return how many."""
    parent = np.arange(rows.size)
    above = 0
    for k in range(rows.size):
        if k > 0 and rows[k - 1] == rows[k] and columns[k - 1] == columns[k] - 1:
            _join(parent, k, k - 1)
        while above < k and (
            rows[above] < rows[k] - 1 or (rows[above] == rows[k] - 1 and columns[above] < columns[k] - 1)
        ):
            above += 1
        near = above
        while near < k and rows[near] == rows[k] - 1 and columns[near] <= columns[k] + 1:
            _join(parent, k, near)
            near += 1
    count = 0
    for k in range(rows.size):
        root = _root(parent, k)
        if root == k:
            labels[k] = count
            count += 1
        else:
            labels[k] = labels[root]
    return count


@njit(cache=True, nogil=True)
def _root(parent: Array, k: int) -> int:
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@njit(cache=True, nogil=True)
def _join(parent: Array, a: int, b: int) -> None:
    a, b = _root(parent, a), _root(parent, b)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@njit(cache=True, nogil=True)
def cores(rows: Array, columns: Array, labels: Array, centres: Array) -> None:
    """Fill `centres` (components, 4) with column, row and radius of each core, and its number of pixels.

    The core is as wide as the component's row with most pixels; its middle is that of the rows with at least 0.7 of
    that. What a column got from elsewhere makes a component longer, hardly wider.
    """
    number = centres.shape[0]
    widest = np.zeros(number, np.int64)
    centres[:] = 0.0
    for passage in range(2):
        k = 0
        seen = np.zeros(number, np.int64)
        tally = np.zeros(number)
        where = np.full(number, -1, np.int64)
        middle = np.zeros(number)
        while k < rows.size:
            end = k
            while end < rows.size and rows[end] == rows[k]:
                end += 1
            for at in range(k, end):
                own = labels[at]
                if where[own] != rows[at]:
                    _close(passage, own, where[own], seen, middle, widest, tally, centres)
                    where[own], seen[own], middle[own] = rows[at], 0, 0.0
                seen[own] += 1
                middle[own] += columns[at]
            k = end
        for own in range(number):
            _close(passage, own, where[own], seen, middle, widest, tally, centres)
            if passage == 1 and tally[own] > 0.0:
                centres[own, 0] /= tally[own]
                centres[own, 1] /= tally[own]
                centres[own, 2] = 0.5 * widest[own]
    for k in range(rows.size):
        centres[labels[k], 3] += 1.0


@njit(cache=True, nogil=True)
def _close(
    passage: int, own: int, row: int, seen: Array, middle: Array, widest: Array, tally: Array, centres: Array
) -> None:
    """Take one row of a component into account."""
    if row < 0:
        return
    if passage == 0:
        widest[own] = max(widest[own], seen[own])
    elif seen[own] >= 0.7 * widest[own]:
        weight = float(seen[own])
        centres[own, 0] += middle[own]
        centres[own, 1] += weight * row
        tally[own] += weight


@njit(cache=True, nogil=True)
def mark_core(flags: Array, rows: Array, columns: Array, corners: Array, margin: int, bit: int) -> None:
    """Mark all pixels within `margin` pixels of those listed, in a circle, within the corners."""
    for k in range(rows.size):
        for down in range(-margin, margin + 1):
            j = rows[k] + down
            if j < corners[2] or j >= corners[3]:
                continue
            for right in range(-margin, margin + 1):
                i = columns[k] + right
                if i >= corners[0] and i < corners[1] and down * down + right * right <= margin * margin + 1:
                    flags[j, i] |= bit


@njit(cache=True, nogil=True)
def follow(
    pixels: Array,
    flags: Array,
    corners: Array,
    column: int,
    row: int,
    up: int,
    centre: Array,
    level: float,
    rms: float,
    limit: float,
    window: int,
    side: int,
    full: int,
    bit: int,
) -> int:
    """Mark charge along `column` from the row behind `row` on, in the direction `up` (1 or -1), until it is gone.

    What counts is by how much a pixel exceeds those beside it, `side` columns and more away, and the light at the same
    distance from the core to the left and right, so that a star's wings and spikes are no charge. The trail ends
    where the mean of this over `window` pixels falls below `limit` times `rms`. Pixels with the bit `full` count as
    charge. Returns how many pixels were marked.
    """
    excess = np.zeros(window)
    total, count, last, j = 0.0, 0, row, row + up
    while corners[2] <= j < corners[3]:
        here = float(pixels[j, column])
        if flags[j, column] & full:
            value = 4.0 * limit * rms
        elif flags[j, column] & 1 or not math.isfinite(here):
            value = 2.0 * limit * rms
        else:
            beside = min(
                _mean_beside(pixels, flags, corners, column - side, -1, j, level),
                _mean_beside(pixels, flags, corners, column + side, 1, j, level),
            )
            turned = _turned(pixels, flags, corners, centre, abs(j - centre[1]), level)
            light = max(max(beside, turned) - level, 0.0)
            value = min(here - level - STEEP * light, 4.0 * limit * rms)
        slot = count % window
        total += value - excess[slot]
        excess[slot] = value
        count += 1
        if value >= limit * rms:
            last = j
        if total < limit * rms * min(count, window):
            break
        j += up
    marked = 0
    j = row + up
    while (last - j) * up >= 0:
        if not flags[j, column] & bit:
            flags[j, column] |= bit
            marked += 1
        j += up
    return marked


@njit(cache=True, nogil=True)
def spill(
    pixels: Array,
    flags: Array,
    corners: Array,
    column: int,
    row: int,
    inward: int,
    level: float,
    bound: float,
    window: int,
    depth: int,
    bit: int,
) -> int:
    """Mark charge that ran out of a column into the serial register, along the edge `row` and the rows behind it.

    In each row it is followed to both sides until the mean of `window` pixels falls below `bound` above `level`; rows
    are taken from the edge on in the direction `inward` until one has no charge, `depth` at most. Returns how many
    pixels were marked.
    """
    marked = 0
    for k in range(depth):
        j, fresh = row + inward * k, 0
        for sense in (-1, 1):
            excess = np.zeros(window)
            total, count, last, i = 0.0, 0, column, column + sense
            while corners[0] <= i < corners[1]:
                value = pixels[j, i] - level
                if flags[j, i] & 1 or not math.isfinite(value):
                    value = bound
                value = min(value, 4.0 * bound)
                total += value - excess[count % window]
                excess[count % window] = value
                count += 1
                if total < bound * min(count, window):
                    break
                if value >= bound:
                    last = i
                i += sense
            i = column
            while (last - i) * sense > 0:
                i += sense
                if not flags[j, i] & bit:
                    flags[j, i] |= bit
                    fresh += 1
        marked += fresh
        if fresh == 0:
            break
    return marked


@njit(cache=True, nogil=True)
def _mean_beside(pixels: Array, flags: Array, corners: Array, column: int, step: int, row: int, level: float) -> float:
    """Mean of five pixels of a row that begin at `column`; `level` where none can be used."""
    total, number = 0.0, 0
    for k in range(5):
        i = column + k * step
        if corners[0] <= i < corners[1] and flags[row, i] == 0 and math.isfinite(pixels[row, i]):
            total += pixels[row, i]
            number += 1
    return total / number if number > 0 else level


@njit(cache=True, nogil=True)
def _turned(pixels: Array, flags: Array, corners: Array, centre: Array, distance: float, level: float) -> float:
    """Fainter one of the means of 3 x 3 pixels to the left and right of a core, at `distance` from its middle."""
    faintest, found = math.inf, False
    for sense in (-1.0, 1.0):
        middle, total, number = round(centre[0] + sense * distance), 0.0, 0
        for j in range(round(centre[1]) - 1, round(centre[1]) + 2):
            for i in range(middle - 1, middle + 2):
                if corners[0] <= i < corners[1] and corners[2] <= j < corners[3] and flags[j, i] == 0:
                    total += pixels[j, i]
                    number += 1
        if number > 0:
            faintest, found = min(faintest, total / number), True
    return faintest if found else level
