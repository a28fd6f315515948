"""Masks become polygons that cover the same pixels, and no others."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from processing.kernels.outlines import outlines
from processing.regions.outlines import MOST_CORNERS, polygons_of
from processing.regions.scanline import Drawing, Ring

compiled = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="slow without the compiler")
MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def filled(polygons: list[NDArray[np.float64]], shape: tuple[int, int], kind: type = np.float64) -> NDArray[np.bool_]:
    return Drawing([Ring(corners.astype(kind), number) for number, corners in enumerate(polygons)], shape).whole()


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_reading_back_gives_the_same_mask(mask: NDArray[np.bool_]) -> None:
    polygons = polygons_of(mask)
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)
    # The original takes numbers of single precision.
    np.testing.assert_array_equal(filled(polygons, mask.shape, np.float32), mask)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_outlines_run_along_every_edge_once_with_the_area_at_their_right(mask: NDArray[np.bool_]) -> None:
    xs, ys, begins, hosts = outlines(mask)
    wide = np.pad(mask, 1).astype(int)
    expected = {(x, y) for y, x in np.argwhere(np.diff(wide[1:-1], axis=1) == 1)}
    falling = {(x, y) for y, x in np.argwhere(np.diff(wide[1:-1], axis=1) == -1)}
    for begin, end in pairwise(begins.tolist()):
        ring = [(int(x), int(y)) for x, y in zip(xs[begin:end], ys[begin:end], strict=True)]
        for (x, y), (next_x, next_y) in zip(ring, [*ring[1:], ring[0]], strict=True):
            assert (x == next_x) != (y == next_y)
            for row in range(y, next_y):
                expected.remove((x, row))
            for row in range(next_y, y):
                falling.remove((x, row))
    assert not expected
    assert not falling
    assert (hosts < 0).sum() == len(areas_of(mask))


def areas_of(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """Areas connected across edges, the slow way."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        area, waiting = set(), [left.pop()]
        while waiting:
            y, x = waiting.pop()
            area.add((y, x))
            near = {(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)} & left
            left -= near
            waiting += near
        found.append(area)
    return found


@compiled
def test_a_trail_and_a_ring_have_few_corners() -> None:
    y, x = np.mgrid[:600, :500]
    trail = abs(y - 0.37 * x - 100.3) < 5
    polygons = polygons_of(trail)
    np.testing.assert_array_equal(filled(polygons, trail.shape), trail)
    # Its outline has 360 steps on either side.
    assert sum(map(len, polygons)) < 40

    ring = (np.hypot(x - 250, y - 300) < 200) & (np.hypot(x - 250, y - 300) > 120)
    polygons = polygons_of(ring)
    np.testing.assert_array_equal(filled(polygons, ring.shape), ring)
    # Its outlines have 1280 steps.
    assert sum(map(len, polygons)) < 300


def test_no_line_runs_far_beyond_its_area() -> None:
    mask = np.zeros((12, 300), np.bool_)
    for row in range(12):
        mask[row, 20 * row : 20 * row + 60] = True
    for corners in polygons_of(mask):
        assert corners[:, 0].min() > -3
        assert corners[:, 0].max() < 20 * 11 + 60 + 3


def test_columns_keep_to_their_pixels_by_the_rule_of_centres_too() -> None:
    mask = np.zeros((40, 30), np.bool_)
    mask[5:, 12:15] = True
    [corners] = polygons_of(mask)
    assert sorted(map(tuple, corners.tolist())) == [(11.75, 4.5), (11.75, 39.5), (14.75, 4.5), (14.75, 39.5)]


@compiled
def test_no_polygon_is_longer_than_the_original_reads() -> None:
    mask = np.random.default_rng(5).random((80, 90)) < 0.65
    polygons = polygons_of(mask)
    assert max(map(len, polygons)) <= MOST_CORNERS
    np.testing.assert_array_equal(filled(polygons, mask.shape), mask)


@compiled
def test_the_same_without_the_compiler() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", __file__],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
