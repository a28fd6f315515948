"""Polygons that cover a mask: its areas' outlines, with as few corners as lose no pixel."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from processing.kernels.outlines import outlines, straighten, upright
from processing.regions.scanline import Drawing, Ring

MOST_CORNERS = 200
"""Of a polygon; larger areas are cut. WeightWatcher takes lines of 4096 characters."""

Corners = NDArray[np.float64]
Steps = NDArray[np.int32]
"""(2, n) x, y of corners of pixels, counted from the image's lower left one."""


def polygons_of(mask: NDArray[np.bool_]) -> list[Corners]:
    """Return (n, 2) corners x, y, in pixels from 0, of polygons that cover `mask` together.

    Notes
    -----
    `Drawing` by its rule makes the same mask of them, to the pixel, and so does WeightWatcher
    (tests/reference/test_regions.py). A hole is reached by a cut that is run through twice.
    """
    found: list[Corners] = []
    for first, last in _runs(np.any(mask, axis=1)):  # no area crosses an empty row, and most rows are empty
        columns = np.flatnonzero(mask[first:last].any(axis=0))
        x0, x1 = int(columns[0]), int(columns[-1]) + 1
        found += _polygons(np.ascontiguousarray(mask[first:last, x0:x1], np.bool_), x0, first)
    return found


def _runs(filled: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last (half-open) of each run of true values."""
    edges = np.flatnonzero(np.diff(filled.astype(np.int8), prepend=0, append=0))
    return [(int(first), int(last)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _polygons(mask: NDArray[np.bool_], x0: int, y0: int) -> Iterator[Corners]:
    for steps in _areas(*outlines(mask)):
        corners = _straight(steps)
        if len(corners) <= MOST_CORNERS:
            yield corners + np.array([x0, y0])
            continue
        low, high = steps.min(axis=1), steps.max(axis=1)
        shape = (int(high[1] - low[1]), int(high[0] - low[0]))
        area = Drawing([Ring(corners - low, 0)], shape).whole()
        for part, right, up in _halves(area):
            yield from _polygons(part, x0 + int(low[0]) + right, y0 + int(low[1]) + up)


def _halves(area: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], int, int]]:
    ny, nx = area.shape
    if ny >= nx:
        return [(area[: ny // 2], 0, 0), (area[ny // 2 :], 0, ny // 2)]
    return [(np.ascontiguousarray(area[:, : nx // 2]), 0, 0), (np.ascontiguousarray(area[:, nx // 2 :]), nx // 2, 0)]


def _straight(steps: Steps) -> Corners:
    edges = int(np.abs(np.diff(steps[1], append=steps[1, 0])).sum())
    columns, rows, rises = np.empty(edges, np.int32), np.empty(edges, np.int32), np.empty(edges, np.bool_)
    upright(steps[0], steps[1], columns, rows, rises)
    out_x, out_y = np.empty(2 * edges), np.empty(2 * edges)
    count = straighten(columns, rows, rises, out_x, out_y)
    return np.stack([out_x[:count], out_y[:count]], axis=1)


def _areas(
    xs: NDArray[np.int32], ys: NDArray[np.int32], begins: NDArray[np.int64], hosts: NDArray[np.int64]
) -> Iterator[Steps]:
    """Outline of each area, with those of its holes where they are reached."""
    corners = np.stack([xs, ys])
    guests: dict[int, list[int]] = defaultdict(list)
    for ring in np.flatnonzero(hosts >= 0).tolist():
        guests[int(hosts[ring])].append(ring)
    forks = np.array(sorted(guests), np.int64)
    for ring in np.flatnonzero(hosts < 0).tolist():
        begin, end = int(begins[ring]), int(begins[ring + 1])
        if np.searchsorted(forks, begin) == np.searchsorted(forks, end):
            yield corners[:, begin:end]
        else:
            yield _with_holes(ring, corners, begins, guests, forks)


def _with_holes(
    ring: int, corners: Steps, begins: NDArray[np.int64], guests: dict[int, list[int]], forks: NDArray[np.int64]
) -> Steps:
    """Run through an area's outline; where a hole lies right of it, over there, round the hole, and back."""
    pieces: list[Steps] = []
    waiting: list[tuple[int, int] | Steps] = [(int(begins[ring]), int(begins[ring + 1]))]
    while waiting:
        piece = waiting.pop()
        if not isinstance(piece, tuple):
            pieces.append(piece)
            continue
        begin, end = piece
        place = np.searchsorted(forks, begin)
        fork = int(forks[place]) if place < len(forks) and forks[place] < end else end
        pieces.append(corners[:, begin : min(fork + 1, end)])
        if fork == end:
            continue
        waiting.append((fork + 1, end))
        # The edge behind the corner goes upwards and meets the lowest hole, the first of them, first.
        for hole in sorted(guests[fork], reverse=True):
            first = int(begins[hole])
            way = np.array([[corners[0, fork]], [corners[1, first]]], corners.dtype)
            waiting += [way, corners[:, first : first + 1], (first, int(begins[hole + 1])), way]
    return np.concatenate(pieces, axis=1)
