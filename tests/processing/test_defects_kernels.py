"""Kernels of the finders of defects against plain twins, compiled and not."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from processing.kernels import background, bleed, bright, columns, trails

CORNERS = np.array([3, 37, 2, 30])
SHAPE = (32, 40)


@pytest.fixture
def chance():
    return np.random.default_rng(11)


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="this is the run without the compiler")
def test_they_agree_with_their_twins_without_the_compiler_too():
    here = Path(__file__)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(here)],
        cwd=here.parents[2],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


# --- sky ---


def clipped_by_hand(values):
    """Median and standard deviation after clipping at 3 of them about the median."""
    values = values.astype(float)
    while True:
        median, sigma = np.median(values), values.std()
        kept = values[np.abs(values - median) <= 3.0 * sigma]
        if kept.size == values.size:
            break
        values = kept
    mean = values.mean()
    level = 2.5 * median - 1.5 * mean if abs(mean - median) < 0.3 * sigma else median
    return level, sigma


@pytest.mark.parametrize("sources", [0.0, 0.05, 0.2])
def test_clipping_by_a_histogram_is_clipping(chance, sources):
    values = chance.normal(500.0, 10.0, 3000).astype(np.float32)
    values[chance.random(3000) < sources] += 300.0
    level, rms = background.clipped(values, np.empty((2, background.BINS)))
    expected = clipped_by_hand(values)

    # steps of the histogram are 0.012 of the noise; a value more or less at the limit changes both by as much
    assert level == pytest.approx(expected[0], abs=0.5)
    assert rms == pytest.approx(expected[1], rel=0.03)


def test_meshes_are_measured_one_by_one(chance):
    pixels = chance.normal(100.0, 5.0, SHAPE).astype(np.float32)
    flags = (chance.random(SHAPE) < 0.1).astype(np.int16)
    pixels[4, 5] = np.nan
    edges_x, edges_y = np.array([3, 20, 37]), np.array([2, 16, 30])
    flags[2:16, 20:37] = 1
    level, rms = np.empty((2, 2, 2))
    background.measure(pixels, flags, edges_x, edges_y, 2, 0.1, level, rms)

    for row in range(2):
        for column in range(2):
            part = np.s_[edges_y[row] : edges_y[row + 1] : 2, edges_x[column] : edges_x[column + 1]]
            values = pixels[part][(flags[part] == 0) & np.isfinite(pixels[part])]
            if values.size < 16:
                assert np.isnan(level[row, column])
                continue
            expected = background.clipped(values, np.empty((2, background.BINS)))
            assert (level[row, column], rms[row, column]) == expected


def test_a_plane_is_drawn_exactly():
    knots = 3.0 + 2.0 * np.arange(4)[:, np.newaxis] - 0.5 * np.arange(5)
    drawn = np.empty(SHAPE, np.float32)
    background.draw(knots, 3.5, 8.0, 3.5, 8.0, drawn)
    j, i = np.indices(SHAPE)

    assert drawn == pytest.approx(3.0 + 2.0 * (j - 3.5) / 8.0 - 0.5 * (i - 3.5) / 8.0, abs=1e-5)


# --- saturation ---


def test_pixels_that_touch_have_one_number(chance):
    full = chance.random(SHAPE) < 0.3
    rows, columns_ = np.nonzero(full)
    labels = np.empty(rows.size, np.int64)
    count = bleed.label(rows, columns_, labels)
    pairs = {}
    for a in range(rows.size):
        for b in range(rows.size):
            if max(abs(rows[a] - rows[b]), abs(columns_[a] - columns_[b])) <= 1:
                assert labels[a] == labels[b]
        pairs.setdefault(labels[a], a)
    ndimage = pytest.importorskip("scipy.ndimage")

    assert count == len(pairs) == ndimage.label(full, np.ones((3, 3)))[1]


def test_full_pixels_and_those_without_a_number_are_listed(chance):
    pixels = chance.normal(0.0, 1.0, SHAPE).astype(np.float32)
    pixels[10, 10] = np.nan
    inside = np.zeros(SHAPE, bool)
    inside[2:30, 3:37] = True
    expected = np.nonzero(inside & ~(pixels < 1.0))
    tops = pixels[2:30, 3:37].max(axis=1)
    rows, columns_ = np.empty((2, 1000), np.int64)
    count = bleed.full_pixels(pixels, tops, 1.0, CORNERS, rows, columns_)

    assert count == expected[0].size
    assert (rows[:count] == expected[0]).all()
    assert (columns_[:count] == expected[1]).all()
    assert bleed.full_pixels(pixels, tops, 1.0, CORNERS, rows[:3], columns_[:3]) == count


def test_plateaus_are_runs_of_even_pixels(chance):
    pixels = np.full(SHAPE, 10.0, np.float32)
    pixels[5:15, 8] = 1000.0
    pixels[5:9, 12] = 1000.0  # too short
    pixels[5:25, 20] = np.geomspace(500.0, 5e5, 20)  # not even
    found = np.empty(100, np.float32)

    assert bleed.plateaus(pixels, pixels[2:30, 3:37].max(axis=1), CORNERS, 100.0, 0.05, 8, found) == 10
    assert (found[:10] == 1000.0).all()


def test_a_core_lies_where_its_component_is_widest():
    j, i = np.indices((60, 40))
    full = (np.hypot(i - 20, j - 25) <= 5.2) | ((i == 20) & (j > 5) & (j < 55))
    rows, columns_ = np.nonzero(full)
    centres = np.empty((1, 4))
    bleed.cores(rows, columns_, np.zeros(rows.size, np.int64), centres)

    assert centres[0].tolist() == [20.0, 25.0, 5.5, full.sum()]


# --- columns ---


def test_means_of_columns_are_those_of_clipped_pixels(chance):
    pixels = chance.normal(100.0, 5.0, SHAPE).astype(np.float32)
    flags = (chance.random(SHAPE) < 0.2).astype(np.int16)
    edges = np.array([2, 15, 30])
    level, rms = np.full((2, 34), 100.0), np.full((2, 34), 5.0)
    means, counts = np.empty((2, 2, 34))
    columns.column_means(pixels, flags, CORNERS, edges, level, rms, 1.5, means, counts)

    for piece in range(2):
        part = np.s_[edges[piece] : edges[piece + 1], 3:37]
        good = flags[part] == 0
        clipped = np.clip((pixels[part].astype(float) - 100.0) / 5.0, -1.5, 1.5)
        assert (counts[piece] == good.sum(axis=0)).all()
        assert means[piece] == pytest.approx(np.where(good, clipped, 0).sum(axis=0) / np.maximum(good.sum(axis=0), 1))


def test_lonely_pixels_stand_out_from_their_four_neighbours():
    pixels = np.zeros(SHAPE, np.float32)
    pixels[10, 10], pixels[20, 20:22], pixels[15, 30] = 50.0, 50.0, -50.0
    found = np.empty((2, 10), np.int32)
    count = columns.lonely(pixels, np.zeros(SHAPE, np.int16), CORNERS, 0.0, 1.0, 8.0, 0.25, found[0], found[1])

    assert found[:, :count].T.tolist() == [[10, 10], [15, 30]]


# --- stars ---


@pytest.mark.parametrize("place", [(20.0, 15.0), (-3.3, 8.2), (50.0, 50.0)])
def test_rings_and_bars_are_what_geometry_says(place):
    j, i = np.indices(SHAPE)
    inside = (i >= 3) & (i < 37) & (j >= 2) & (j < 30)
    away = (i - place[0]) ** 2 + (j - place[1]) ** 2
    ring, bar = np.zeros((2, *SHAPE), np.int16)
    count = bright.mark_ring(ring, CORNERS, *place, 9.5, 4.0, 256)
    angle = 0.7
    bright.mark_bar(bar, CORNERS, *place, np.cos(angle), np.sin(angle), 2.0, 25.0, 3.0, 512)
    along = (i - place[0]) * np.cos(angle) + (j - place[1]) * np.sin(angle)
    off = (i - place[0]) * np.sin(angle) - (j - place[1]) * np.cos(angle)

    assert ((ring > 0) == (inside & (away <= 9.5**2) & (away >= 16.0))).all()
    assert count == np.count_nonzero(ring)
    assert ((bar > 0) == (inside & (along >= 2) & (along <= 25) & (np.abs(off) <= 3.0))).all()


# --- trails ---


def test_bins_hold_the_mean_above_a_smooth_sky(chance):
    pixels = chance.normal(100.0, 5.0, SHAPE).astype(np.float32)
    flags = (chance.random(SHAPE) < 0.2).astype(np.int16)
    sharp = np.zeros((2, 34), np.bool_)
    sharp[0, 5] = True
    surface = np.array([100.0, 1.0, -2.0, 0.5, 0.3, 0.2])
    values, counts = np.empty((3, 4), np.float32), np.empty((3, 4), np.uint8)
    trails.bin_residuals(pixels, flags, 1, sharp, CORNERS, 8, surface, 5.0, values, counts)

    for row in range(3):
        for column in range(4):
            part = np.s_[2 + 8 * row : 10 + 8 * row, 3 + 8 * column : 11 + 8 * column]
            good = flags[part] == 0
            pieces = (np.arange(8 * row, 8 * row + 8) * 2) // 28
            good &= ~sharp[pieces][:, 8 * column : 8 * column + 8]
            u, v = 2.0 * (column + 0.5) * 8 / 34 - 1.0, 2.0 * (row + 0.5) * 8 / 28 - 1.0
            sky = surface @ [1.0, u, v, u * u, u * v, v * v]
            assert counts[row, column] == good.sum()
            assert values[row, column] == pytest.approx((pixels[part][good].mean() - sky) / 5.0, abs=1e-4)


def test_light_is_raised_above_its_surroundings(chance):
    values = chance.normal(0.0, 2.0, (12, 14)).astype(np.float32)
    valid = chance.random((12, 14)) > 0.2
    out = np.empty_like(values)
    trails.raise_above(values, valid, 3, 4.0, out)
    clipped = np.clip(values.astype(float), -4.0, 4.0)

    for j in range(12):
        for i in range(14):
            part = np.s_[max(j - 3, 0) : j + 4, max(i - 3, 0) : i + 4]
            expected = np.clip(values[j, i] - clipped[part][valid[part]].mean(), -4.0, 4.0) if valid[j, i] else 0.0
            assert out[j, i] == pytest.approx(expected, abs=1e-5)


def lines_by_hand(n):
    """Rows that a line of each rise takes in each column, by halving it again and again."""
    if n == 1:
        return [[0]]
    half = lines_by_hand(n // 2)
    return [half[s // 2] + [(s + 1) // 2 + row for row in half[s // 2]] for s in range(n)]


@pytest.mark.parametrize("n", [2, 8, 16])
def test_sums_along_lines_are_sums(chance, n):
    block = chance.normal(0.0, 1.0, (n, 20)).astype(np.float32)
    out, room = np.empty((2, n, 20 + n), np.float32)
    trails.sum_lines(block, out, room)

    for s, line in enumerate(lines_by_hand(n)):
        assert (line[0], line[-1]) == (0, s)
        for r in range(20 + n):
            rows = [r - n + row for row in line]
            expected = sum(block[c, row] for c, row in enumerate(rows) if 0 <= row < 20)
            assert out[s, r] == pytest.approx(expected, abs=1e-4)


def test_peaks_are_the_best_of_each_square(chance):
    sums = chance.normal(0.0, 3.0, (16, 24)).astype(np.float32)
    numbers = chance.integers(1, 20, (16, 24)).astype(np.float32)
    found = np.empty((50, 3))
    count = trails.peaks(sums, numbers, 1.0, 1.0, 5.0, 8, found)
    scores = np.where(numbers >= 5, sums / np.sqrt(numbers), -np.inf)
    best = scores.reshape(2, 8, 3, 8).max(axis=(1, 3)).ravel()

    assert count == (best > 1.0).sum()
    assert found[:count, 0] == pytest.approx(best[best > 1.0], rel=1e-6)
    assert all(scores[int(s), int(r)] == pytest.approx(score, rel=1e-6) for score, s, r in found[:count])


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.5707963, 2.5])
@pytest.mark.parametrize("sense", [1.0, -1.0])
def test_strips_and_cells_gather_what_lies_there(chance, angle, sense):
    values = chance.normal(0.0, 1.0, (10, 12)).astype(np.float32)
    counts = (chance.random((10, 12)) > 0.2).astype(np.float32)
    first, senses = np.array([40.0, 30.0]), np.array([sense, sense])
    line = np.array([45.0, 33.0, np.cos(angle), np.sin(angle)])
    sums, numbers = np.zeros((2, 6, 8))
    trails.add_strip(values, counts, first, senses, 4.0, line, -30.0, 10.0, 2.0, sums, numbers)
    cells, cell_numbers = np.zeros((2, 9, 10), np.float32)
    trails.lay(values, counts, first, senses, 4.0, 8.0, cells, cell_numbers)
    expected, expected_numbers = np.zeros((2, 6, 8))
    expected_cells = np.zeros((9, 10))
    for j in range(10):
        for i in range(12):
            x, y = first + sense * 4.0 * np.array([i + 0.5, j + 0.5])
            along = (x - 45.0) * line[2] + (y - 33.0) * line[3]
            across = (y - 33.0) * line[2] - (x - 45.0) * line[3]
            k, m = int(np.floor((along + 30.0) / 10.0)), int(np.floor(across / 2.0)) + 4
            if counts[j, i] > 0 and 0 <= k < 6 and 0 <= m < 8:
                expected[k, m] += values[j, i]
                expected_numbers[k, m] += 1
            row, column = int(np.floor(y / 8.0)), int(np.floor(x / 8.0))
            if counts[j, i] > 0 and 0 <= row < 9 and 0 <= column < 10:
                expected_cells[row, column] += values[j, i]

    assert (numbers == expected_numbers).all()
    assert sums == pytest.approx(expected, abs=1e-5)
    assert cells == pytest.approx(expected_cells, abs=1e-5)


def test_a_band_is_as_wide_as_told():
    flags = np.zeros(SHAPE, np.int16)
    count = trails.mark_band(flags, CORNERS, np.array([5.0, 4.0, 33.0, 25.0]), 2.5, 64)
    j, i = np.indices(SHAPE)
    length = np.hypot(28.0, 21.0)
    along = ((i - 5.0) * 28.0 + (j - 4.0) * 21.0) / length
    across = ((j - 4.0) * 28.0 - (i - 5.0) * 21.0) / length
    inside = (i >= 3) & (i < 37) & (j >= 2) & (j < 30)

    assert ((flags > 0) == (inside & (along >= 0) & (along <= length) & (np.abs(across) <= 2.5))).all()
    assert count == np.count_nonzero(flags)
