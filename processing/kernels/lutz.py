"""The order in which the one-pass labelling of Lutz (1980, Computer Journal 23, 262) lists the pixels of a group."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def order(x: Array, y: Array) -> Array:  # noqa: C901, PLR0912  one walk over the runs
    """Return the places, (n,) int32, of a connected group's pixels in the order of their list.

    `x`, `y` are (n,) int32, row by row. A row goes to the end of the list of what it continues. Where a run of pixels
    has begun before it meets what stood above it, its list comes first and that of the row above is put behind, unless
    another part of the latter was met further left: then it is the run's list that is put behind.
    """
    number = x.size
    lead = np.empty(number, np.int32)  # of runs
    head, tail = np.full(number, -1, np.int32), np.full(number, -1, np.int32)  # of the lists of leading runs
    following = np.full(number, -1, np.int32)
    begin, end = np.empty(number, np.int32), np.empty(number, np.int32)  # places of a run's pixels
    leftmost, seen = np.zeros(number, np.bool_), np.full(number, -1, np.int32)
    runs, above, here, at = 0, 0, 0, 0
    while at < number:
        row = y[at]
        while at < number and y[at] == row:
            begin[runs], lead[runs] = at, runs
            at += 1
            while at < number and y[at] == row and x[at] == x[at - 1] + 1:
                at += 1
            end[runs] = at
            runs += 1
        near = above
        for run in range(here, runs):
            first, last = x[begin[run]], x[end[run] - 1]
            current, done = -1, begin[run]
            while near < here and x[end[near] - 1] < first - 1:
                near += 1
            other = near
            while other < here and x[begin[other]] <= last + 1:
                top = _root(lead, other)
                if current < 0:
                    if x[begin[other]] <= first:
                        current = top
                        other += 1
                        continue
                    current = run
                stop = begin[run] + x[begin[other]] - first
                _append(current, done, stop, head, tail, following)
                done = stop
                if top != current:
                    winner, loser = (current, top) if leftmost[other] else (top, current)
                    if head[winner] < 0:
                        head[winner] = head[loser]
                    elif head[loser] >= 0:
                        following[tail[winner]] = head[loser]
                    tail[winner] = tail[loser] if tail[loser] >= 0 else tail[winner]
                    lead[loser] = winner
                    current = winner
                other += 1
            current = run if current < 0 else current
            _append(current, done, end[run], head, tail, following)
            lead[run] = current
        for run in range(here, runs):
            top = _root(lead, run)
            leftmost[run] = seen[top] != row
            seen[top] = row
        above, here = here, runs
    listed = np.empty(number, np.int32)
    place = head[_root(lead, 0)]
    for k in range(number):
        if place < 0:  # not connected: as they came
            return np.arange(number).astype(np.int32)
        listed[k] = place
        place = following[place]
    return listed


@njit(cache=True, nogil=True)
def _append(current: int, first: int, stop: int, head: Array, tail: Array, following: Array) -> None:
    for place in range(first, stop):
        if head[current] < 0:
            head[current] = place
        else:
            following[tail[current]] = place
        tail[current] = place


@njit(cache=True, nogil=True)
def _root(lead: Array, k: int) -> int:
    while lead[k] != k:
        lead[k] = lead[lead[k]]
        k = lead[k]
    return k
