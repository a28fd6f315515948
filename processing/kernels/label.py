"""Loops that find what stands above a threshold: runs of pixels in rows, joined to groups of touching runs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
STEP = 64
"""Pixels of a row that are looked at together: most pieces have nothing above the threshold."""


@njit(cache=True, nogil=True)
def runs_above(
    filtered: Array, bounds: Array, threshold: float, first: int
) -> tuple[Array, Array, Array, Array, Array]:
    """Find runs of pixels above a threshold.

    Parameters
    ----------
    filtered : (rows, nx) float32
    bounds : (rows, nx) float32, the threshold of each pixel, or (0, 0): `threshold` everywhere
    first : number of the first row

    Returns
    -------
    row, left, length : (n,) int32 of the runs, in the order of rows and columns
    value : (sum of lengths,) float32
    bound : the same, float32; empty without `bounds`
    """
    runs, pixels = _counts(filtered, bounds, np.float32(threshold))
    row, left, length = np.empty(runs, np.int32), np.empty(runs, np.int32), np.empty(runs, np.int32)
    value, bound = np.empty(pixels, np.float32), np.empty(pixels if bounds.size else 0, np.float32)
    _fill_runs(filtered, bounds, np.float32(threshold), first, row, left, length, value, bound)
    return row, left, length, value, bound


@njit(cache=True, nogil=True)
def _none_above(line: Array, bound: Array, threshold: np.float32) -> bool:
    """Say whether no pixel of a piece of a row is above its own threshold, or above the only one."""
    one, zero = np.int32(1), np.int32(0)
    some = zero  # a number of as many bits as a pixel: several are compared at once
    if bound.size:
        for i in range(line.size):
            some = np.int32(some + (one if line[i] > bound[i] else zero))
    else:
        for i in range(line.size):
            some = np.int32(some + (one if line[i] > threshold else zero))
    return bool(some == zero)


@njit(cache=True, nogil=True)
def _counts(filtered: Array, bounds: Array, threshold: np.float32) -> tuple[int, int]:
    """Runs, and pixels in them: counted first, as lists that grow keep the compiler from making fast loops."""
    runs, pixels = 0, 0
    none = bounds[:0].reshape(-1)
    for j in range(filtered.shape[0]):
        line = filtered[j]
        bound = bounds[j] if bounds.size else none
        before = False
        for begin in range(0, line.size, STEP):
            end = min(begin + STEP, line.size)
            if _none_above(line[begin:end], bound[begin:end], threshold):
                before = False
                continue
            for i in range(begin, end):
                above = line[i] > (bound[i] if bound.size else threshold)
                pixels += above
                runs += above and not before
                before = above
    return runs, pixels


@njit(cache=True, nogil=True)
def _fill_runs(
    filtered: Array, bounds: Array, threshold: np.float32, first: int, row: Array, left: Array, length: Array,
    value: Array, kept: Array,
) -> None:  # fmt: skip
    count, held = -1, 0
    none = bounds[:0].reshape(-1)
    for j in range(filtered.shape[0]):
        line = filtered[j]
        bound = bounds[j] if bounds.size else none
        before = False
        for begin in range(0, line.size, STEP):
            end = min(begin + STEP, line.size)
            if _none_above(line[begin:end], bound[begin:end], threshold):
                before = False
                continue
            for i in range(begin, end):
                above = line[i] > (bound[i] if bound.size else threshold)
                if above:
                    if not before:
                        count += 1
                        row[count], left[count], length[count] = first + j, i, 0
                    length[count] += 1
                    value[held] = line[i]
                    if bound.size:
                        kept[held] = bound[i]
                    held += 1
                before = above


@njit(cache=True, nogil=True)
def _root(parent: Array, k: int) -> int:
    while parent[k] != k:
        parent[k] = parent[parent[k]]
        k = parent[k]
    return k


@njit(cache=True, nogil=True)
def join(  # noqa: C901, PLR0912  one pass over runs, one over groups
    row: Array, left: Array, length: Array, least: int, most: int
) -> tuple[Array, Array, Array]:
    """Join runs that touch each other, also at corners, to groups of `least` to `most` pixels (0: any number).

    Returns
    -------
    group : (runs,) int32, -1 where a run belongs to none that is kept
    starts : (groups + 1,) int64, where the pixels of each begin; groups come in the order of their last pixels
    begins : (runs,) int64, where each run's pixels begin within all, in the order of groups
    """
    number = row.size
    parent = np.arange(number).astype(np.int32)
    above, here = 0, 0  # the first run of the row above that may still touch, the first run of this row
    while here < number:
        after = here
        while after < number and row[after] == row[here]:
            after += 1
        if above < here and row[above] == row[here] - 1:
            k = above
            for run in range(here, after):
                begin, end = left[run] - 1, left[run] + length[run]  # touched from column to column
                while k < here and left[k] + length[k] - 1 < begin:
                    k += 1
                other = k
                while other < here and left[other] <= end:
                    one, two = _root(parent, run), _root(parent, other)
                    if one != two:  # the earlier run leads
                        parent[max(one, two)] = min(one, two)
                    other += 1
        above, here = here, after
    pixels = np.zeros(number, np.int64)
    last = np.zeros(number, np.int64)
    for run in range(number):
        top = _root(parent, run)
        parent[run] = top
        pixels[top] += length[run]
        last[top] = run  # runs come in order, hence the last one
    group = np.full(number, -1, np.int32)
    kept = 0
    numbers = np.full(number, -1, np.int32)
    for run in range(number):
        top = parent[run]
        if last[top] == run and pixels[top] >= least and (most == 0 or pixels[top] <= most):
            numbers[top] = kept
            kept += 1
    starts = np.zeros(kept + 1, np.int64)
    for run in range(number):
        group[run] = numbers[parent[run]]
        if group[run] >= 0:
            starts[group[run] + 1] += length[run]
    for k in range(kept):
        starts[k + 1] += starts[k]
    begins, held = np.zeros(number, np.int64), starts.copy()
    for run in range(number):
        if group[run] >= 0:
            begins[run] = held[group[run]]
            held[group[run]] += length[run]
    return group, starts, begins


@njit(cache=True, nogil=True)
def lists(
    row: Array, left: Array, length: Array, value: Array, raw: Array, bound: Array, group: Array, begins: Array,
    x: Array, y: Array, kept: Array, kept_raw: Array, bounds: Array,
) -> None:  # fmt: skip
    """Fill in the pixels of all groups, each group's behind each other: `x`, `y` int32, the others float32.

    `bounds` stay as they are where there is no `bound`.
    """
    at = 0
    for run in range(row.size):
        if group[run] >= 0:
            to = begins[run]
            for i in range(length[run]):
                x[to + i], y[to + i], kept[to + i] = left[run] + i, row[run], value[at + i]
                kept_raw[to + i] = raw[at + i]
                if bound.size:
                    bounds[to + i] = bound[at + i]
        at += length[run]


@njit(cache=True, nogil=True)
def specks(row: Array, left: Array, length: Array, group: Array) -> Array:
    """Return (n, 2) int32 the pixels, x and y, of runs that are in no group."""
    count = 0
    for run in range(row.size):
        if group[run] < 0:
            count += length[run]
    found = np.empty((count, 2), np.int32)
    at = 0
    for run in range(row.size):
        if group[run] < 0:
            for i in range(length[run]):
                found[at, 0], found[at, 1] = left[run] + i, row[run]
                at += 1
    return found


@njit(cache=True, nogil=True)
def paint(
    labels: Array, first: int, starts: Array, own: Array, low: Array, high: Array, x: Array, y: Array, hidden: Array,
    specks: Array,
) -> None:  # fmt: skip
    """Fill in k + 1 where object k is, and -1 where a speck or something hidden is, in rows from `first` on.

    Parameters
    ----------
    labels : (rows, nx) int32 of zeros
    starts, x, y : the pixels of each object; its rows are `low` to `high`, (n,) int32
    own : (n,) int32, how many of each are its own; others are nobody's, and count for all but where `hidden`
    specks : (m, 2) int32, x and y
    """
    end = first + labels.shape[0]
    for k in range(specks.shape[0]):
        if first <= specks[k, 1] < end:
            labels[specks[k, 1] - first, specks[k, 0]] = -1
    for k in range(low.size):
        if high[k] < first or low[k] >= end:
            continue
        for at in range(starts[k], starts[k + 1]):
            if first <= y[at] < end and (at < starts[k] + own[k] or hidden[at]):
                labels[y[at] - first, x[at]] = k + 1 if at < starts[k] + own[k] else -1
