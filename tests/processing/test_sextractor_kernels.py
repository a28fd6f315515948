"""Kernels of backgrounds, stored words and weights beside plain twins, to the last bit."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.kernels import meshes, stored, weights


def walked(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Mean, median and standard deviation as the original finds them: a walk from both ends of the histogram."""
    levels = counts.size
    low, high, last = 0, levels - 1, levels - 1
    sigma, before, mean, median = 10.0 * last, 1.0, 0.0, 0.0
    for _ in range(meshes.ITERATIONS):
        if not (sigma >= 0.1 and abs(sigma / before - 1.0) > 1e-4):
            break
        before = sigma
        below, above, at, back = 0, 0, low, high
        for _ in range(low, high + 1):
            if below < above:
                below, at = below + int(counts[at]), at + 1
            else:
                above, back = above + int(counts[back]), back - 1
        median = 0.0
        if back >= 0:
            most = max(int(counts[back]), int(counts[at]) if at < levels else 0)
            median = back + 0.5 + ((above - below) / (2.0 * most) if most > 0 else 0.0)
        bins, some = np.arange(low, high + 1), counts[low : high + 1]
        total = float(some.sum())
        mean, sigma = float((some * bins).sum()), float((some * bins * bins).sum())
        if total > 0.0:
            mean /= total
            sigma = sigma / total - mean * mean
        sigma = np.sqrt(sigma) if sigma > 0.0 else 0.0
        bound = median - 3.0 * sigma
        low = int(bound + 0.5) if bound > 0.0 else 0
        bound = median + 3.0 * sigma
        high = (int(bound + 0.5) if bound > 0.0 else int(bound)) if bound < last else last
    return mean, median, sigma


def histograms(draw: np.random.Generator, levels: int) -> list[NDArray[Any]]:
    """Even, sparse, empty, narrow and skewed ones, of stars that are no noise."""
    narrow = draw.normal(levels / 2, levels / 10 + 0.1, 4000), draw.exponential(levels / 5 + 0.1, 4000)
    sparse = np.zeros(levels, np.int64)
    sparse[draw.integers(0, levels, 3)] = draw.integers(0, 9, 3)
    drawn = [np.histogram(values, bins=levels, range=(0, levels))[0] for values in narrow]
    return [draw.poisson(1.5, levels), sparse, np.zeros(levels, np.int64), *drawn]


@pytest.mark.parametrize("levels", [1, 2, 3, 7, 60, 63, 64, 65, 127, 333, 4032, 4096])
def test_halving_finds_what_the_walk_finds(levels: int) -> None:
    draw = np.random.default_rng(levels)
    for drawn in histograms(draw, levels):
        part = draw.binomial(drawn, 0.5)
        counts, sums = (
            np.zeros((2, meshes.LEVELS + 1), np.int32),
            np.full((3, meshes.LEVELS // meshes.PIECE + 1), np.nan),
        )
        counts[:, :levels] = part, drawn - part
        counts[:, meshes.OUTSIDE] = 7  # what lies outside is not counted
        meshes.add_up(counts, levels, sums)
        assert meshes.guess(counts[0], sums, levels) == walked(drawn)


def test_a_mesh_is_the_same_in_one_piece_and_in_several() -> None:
    """Whole numbers add up exactly in any order; of 256 x 200 pixels only a part is held at once."""
    pixels = np.random.default_rng(8).poisson(900.0, (200, 512)).astype(np.float32)
    wide, parts = np.empty((2, 2, 2), np.float32), np.empty((2, 2, 2), np.float32)
    variance = pixels / np.float32(4.0)
    meshes.measure_strip(pixels, variance, meshes.BIG, 1, 256, wide[0], wide[1])
    for half in range(2):
        own = np.ascontiguousarray(pixels[:, 256 * half : 256 * half + 256])
        noise = np.ascontiguousarray(variance[:, 256 * half : 256 * half + 256])
        meshes.measure_strip(own, noise, meshes.BIG, 1, 256, parts[0, :, half:], parts[1, :, half:])
    assert np.array_equal(wide, parts)
    assert np.abs(wide[0, 0] - 900.0).max() < 4 * 2.5 * 30 / 226  # a mode scatters about 2.5 times as much as a mean
    assert np.allclose(4.0 * wide[0, 1], wide[0, 0], atol=1e-3)


@pytest.mark.parametrize(("scale", "zero"), [(1.0, 0.0), (1.0, 32768.0), (0.5, -3.0)])
def test_whole_numbers_become_pixels(scale: float, zero: float) -> None:
    words = np.array([[0, 1, -1, 255, 256, -32768, 32767, 12345]], ">i2")
    pixels = np.empty(words.shape, np.float32)
    stored.whole(words.view("<u2"), np.float32(scale), np.float32(zero), pixels)
    assert np.array_equal(pixels, words.astype(np.float32) * np.float32(scale) + np.float32(zero))


def test_floats_become_pixels_and_odd_ones_are_counted() -> None:
    words = np.array([[0.0, -0.0, 1.5, -3e38, 1e-42], [np.nan, np.inf, -np.inf, 7.0, 3.4e38]], ">f4")
    pixels = np.empty(words.shape, np.float32)
    assert stored.floating(words.view("<u4"), pixels.view("u4")) == 3
    assert pixels.tobytes() == words.astype("<f4").tobytes()


def test_variances_are_scaled_but_for_bad_ones() -> None:
    bad = np.float32(1e30)
    variance = np.array([[1.0, 4.0, bad, 2e30]], np.float32)
    weights.scale(variance, np.float32(2.0), bad)
    assert variance.tolist() == [[2.0, 8.0, bad, bad]]
