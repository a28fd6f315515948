"""Loops of the search for trails: bins of a CCD, sums along all lines of a mosaic, and strips along one line."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def bin_residuals(
    pixels: Array,
    flags: Array,
    left_out: int,
    sharp: Array,
    corners: Array,
    step: int,
    smooth: Array,
    rms: float,
    values: Array,
    counts: Array,
) -> None:
    """Fill `values` (rows, columns of bins of `step` pixels) with the mean light of a pixel above a smooth sky.

    In units of `rms`. The sky is ``smooth`` = constant, u, v, u u, u v, v v with u and v from -1 to 1 over the part
    within the corners. Pixels with a bit of `left_out` or without a number do not count; `counts` is how many do.
    """  # fmt: skip
    width, height = corners[1] - corners[0], corners[3] - corners[2]
    rows, columns = values.shape
    sums, numbers = np.empty(columns), np.empty(columns, np.int64)
    for row in range(rows):
        sums[:] = 0.0
        numbers[:] = 0
        for j in range(row * step, (row + 1) * step):
            piece = j * sharp.shape[0] // height
            for column in range(columns):
                i0 = corners[0] + column * step
                for i in range(i0, i0 + step):
                    value = pixels[corners[2] + j, i]
                    usable = flags[corners[2] + j, i] & left_out == 0 and not sharp[piece, i - corners[0]]
                    if usable and math.isfinite(value):
                        sums[column] += value
                        numbers[column] += 1
        for column in range(columns):
            counts[row, column] = numbers[column]
            if numbers[column] == 0:
                values[row, column] = 0.0
                continue
            u = 2.0 * (column + 0.5) * step / width - 1.0
            v = 2.0 * (row + 0.5) * step / height - 1.0
            sky = smooth[0] + smooth[1] * u + smooth[2] * v + smooth[3] * u * u + smooth[4] * u * v + smooth[5] * v * v
            values[row, column] = (sums[column] / numbers[column] - sky) / rms


@njit(cache=True, nogil=True)
def raise_above(values: Array, valid: Array, half: int, clip: float, out: Array) -> None:
    """Fill `out` with `values` less their mean within `half` bins to each side, both clipped; 0 where not `valid`."""
    rows, columns = values.shape
    sums = np.zeros((rows + 1, columns + 1))
    numbers = np.zeros((rows + 1, columns + 1))
    for j in range(rows):
        line, number = 0.0, 0.0
        for i in range(columns):
            if valid[j, i]:
                line += min(max(values[j, i], -clip), clip)
                number += 1.0
            sums[j + 1, i + 1] = sums[j, i + 1] + line
            numbers[j + 1, i + 1] = numbers[j, i + 1] + number
    for j in range(rows):
        low, high = max(j - half, 0), min(j + half + 1, rows)
        for i in range(columns):
            out[j, i] = 0.0
            if not valid[j, i]:
                continue
            left, right = max(i - half, 0), min(i + half + 1, columns)
            total = sums[high, right] - sums[low, right] - sums[high, left] + sums[low, left]
            number = numbers[high, right] - numbers[low, right] - numbers[high, left] + numbers[low, left]
            out[j, i] = min(max(values[j, i] - total / number, -clip), clip)


@njit(cache=True, nogil=True)
def lay(
    values: Array, counts: Array, first: Array, sense: Array, step: float, cell: float, sums: Array, ns: Array
) -> None:
    """Add the bins of a CCD to the cells of the mosaic that their middles lie in.

    `first` is the place of pixel 0, 0 of the illuminated part on the mosaic, `sense` 1 or -1 for each axis.
    """
    rows, columns = values.shape
    for j in range(rows):
        y = first[1] + sense[1] * (j + 0.5) * step
        row = math.floor(y / cell)
        if row < 0 or row >= sums.shape[0]:
            continue
        for i in range(columns):
            if not counts[j, i] > 0.0:
                continue
            column = math.floor((first[0] + sense[0] * (i + 0.5) * step) / cell)
            if 0 <= column < sums.shape[1]:
                sums[row, column] += values[j, i]
                ns[row, column] += 1.0


@njit(cache=True, nogil=True)
def sum_lines(block: Array, out: Array, room: Array) -> None:
    """Sum `block` (n columns, rows) along all lines that cross its columns and rise by 0 to n - 1 rows.

    ``out[s, r]`` is the sum from row ``r - n`` in the first column to row ``r - n + s`` in the last, by the fast
    transform of Goetz & Druckmueller (1996, Pattern Recognition 29, 711) and Brady (1998, SIAM J. Comput. 27, 107);
    `n` is a power of two, `out` and `room` are (n, rows + n).
    """
    n, rows = block.shape
    length = rows + n
    source, target = room, out
    steps = 0
    while (1 << steps) < n:
        steps += 1
    if steps % 2 == 0:
        source, target = out, room
    for c in range(n):
        source[c, :n] = 0.0
        source[c, n:] = block[c]
    half = 1
    while half < n:
        for first in range(0, n, 2 * half):
            for s in range(2 * half):
                shift = (s + 1) // 2
                left, right, sink = source[first + s // 2], source[first + half + s // 2], target[first + s]
                for r in range(length - shift):
                    sink[r] = left[r] + right[r + shift]
                for r in range(length - shift, length):
                    sink[r] = left[r]
        source, target = target, source
        half *= 2


@njit(cache=True, nogil=True)
def peaks(sums: Array, numbers: Array, scale: float, least: float, fewest: float, cell: int, found: Array) -> int:
    """List the greatest score, sum / (scale sqrt(number)), of each square of `cell` x `cell` lines above `least`.

    Rows of `found` are score, s, r; lines with less than `fewest` bins do not count. Returns how many there are.
    """
    count = 0
    for s0 in range(0, sums.shape[0], cell):
        for r0 in range(0, sums.shape[1], cell):
            best, at_s, at_r = least, -1, -1
            for s in range(s0, min(s0 + cell, sums.shape[0])):
                for r in range(r0, min(r0 + cell, sums.shape[1])):
                    if numbers[s, r] < fewest:
                        continue
                    score = sums[s, r] / (scale * math.sqrt(numbers[s, r]))
                    if score > best:
                        best, at_s, at_r = score, s, r
            if at_s >= 0:
                if count < found.shape[0]:
                    found[count, 0], found[count, 1], found[count, 2] = best, at_s, at_r
                count += 1
    return count


@njit(cache=True, nogil=True)
def add_strip(
    values: Array,
    counts: Array,
    first: Array,
    sense: Array,
    step: float,
    line: Array,
    start: float,
    along: float,
    across: float,
    sums: Array,
    numbers: Array,
) -> None:
    """Add the bins of a CCD to a strip along a line of the mosaic: sums and numbers by distance along and across.

    `line` is a point of the line and its direction. Row k of the strip holds distances from ``start + k along`` on,
    column m those from ``(m - columns / 2) across`` on. `first` and `sense` are as in `lay`.
    """  # fmt: skip
    rows, columns = values.shape
    length, wide = sums.shape
    half = 0.5 * wide * across
    dx, dy = line[2], line[3]
    for j in range(rows):
        y = first[1] + sense[1] * (j + 0.5) * step - line[1]
        low, high = 0, columns
        if abs(dy) > 1e-6:  # columns in which the strip can lie
            middle = (line[0] + y * dx / dy - first[0]) * sense[0] / step
            reach = half / abs(dy) / step + 1.0
            low, high = max(low, int(middle - reach)), min(high, int(middle + reach) + 2)
        elif abs(y) > half:
            continue
        for i in range(low, high):
            if not counts[j, i] > 0.0:
                continue
            x = first[0] + sense[0] * (i + 0.5) * step - line[0]
            m = math.floor((y * dx - x * dy + half) / across)
            if m < 0 or m >= wide:
                continue
            k = math.floor((x * dx + y * dy - start) / along)
            if 0 <= k < length:
                sums[k, m] += values[j, i]
                numbers[k, m] += 1.0


@njit(cache=True, nogil=True)
def mark_band(flags: Array, corners: Array, ends: Array, half: float, bit: int) -> int:
    """Mark the band of `half` pixels to each side of a line from (x0, y0) to (x1, y1), within the corners.

    Returns how many pixels are new.
    """
    dx, dy = ends[2] - ends[0], ends[3] - ends[1]
    length = math.hypot(dx, dy)
    if length == 0.0:
        return 0
    dx, dy = dx / length, dy / length
    j0 = max(math.floor(min(ends[1], ends[3]) - half), corners[2])
    j1 = min(math.ceil(max(ends[1], ends[3]) + half), corners[3] - 1)
    i0 = max(math.floor(min(ends[0], ends[2]) - half), corners[0])
    i1 = min(math.ceil(max(ends[0], ends[2]) + half), corners[1] - 1)
    count = 0
    for j in range(j0, j1 + 1):
        low, high = i0, i1
        if abs(dy) > 1e-9:
            middle = ends[0] + (j - ends[1]) * dx / dy
            reach = half / abs(dy) + 1.0
            low, high = max(low, math.floor(middle - reach)), min(high, math.ceil(middle + reach))
        for i in range(low, high + 1):
            along = (i - ends[0]) * dx + (j - ends[1]) * dy
            across = (j - ends[1]) * dx - (i - ends[0]) * dy
            if 0.0 <= along <= length and abs(across) <= half and not flags[j, i] & bit:
                flags[j, i] |= bit
                count += 1
    return count
