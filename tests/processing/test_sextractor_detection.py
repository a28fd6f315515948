"""Background and detection of SExtractor, step by step against independent computations."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from processing.kernels import convolve, label, lutz, meshes, splines
from processing.sextractor.background import measure
from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.images import ArrayRows
from processing.sextractor.records import Detections, Pixels
from processing.sextractor.settings import Settings

NONE = np.empty((0, 0), np.float32)


def stars(seed: int = 5) -> Pixels:
    """Stars on noise of 1 about 0, some of them in pairs."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :200]
    pixels = draw.normal(0.0, 1.0, y.shape)
    for _ in range(60):
        at = draw.uniform(0, (200, 300))
        for _ in range(2):
            pixels += 10 ** draw.uniform(1, 3) * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / 2.5)
            at = at + draw.uniform(4.0, 7.0, 2)
    return pixels.astype(np.float32)


def found_in(pixels: Pixels, settings: Settings) -> Detections:
    return detect(lambda first, end: (pixels[first:end], None), pixels.shape, Thresholds(1.5, 1.5), settings)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 3), (3, 5), (7, 7), (1, 9)])
@pytest.mark.parametrize("width", [1, 4, 61])
def test_a_filter_is_a_correlation_that_ends_at_the_edges(shape: tuple[int, int], width: int) -> None:
    draw = np.random.default_rng(1)
    pixels, kernel = draw.normal(size=(20, width)).astype(np.float32), draw.normal(size=shape).astype(np.float32)
    filtered = np.empty((9, width), np.float32)
    convolve.convolve(pixels, kernel, 4, filtered)
    wanted = ndimage.correlate(pixels.astype(float), kernel.astype(float), mode="constant")[4:13]
    assert np.allclose(filtered, wanted, atol=1e-5)  # sums of up to 49 products in single precision


def test_groups_are_those_of_pixels_that_touch() -> None:
    above = np.random.default_rng(2).random((60, 50)) < 0.35
    pixels = above.astype(np.float32)
    row, left, length, value, bound = label.runs_above(pixels, NONE, 0.5, 100)
    assert value.size == above.sum()
    assert bound.size == 0
    group, _, _ = label.join(row, left, length, 4, 0)
    ours = np.zeros(above.shape, int)
    for number, j, i, n in zip(group, row - 100, left, length, strict=True):
        ours[j, i : i + n] = number + 1
    theirs, count = ndimage.label(above, np.ones((3, 3)))
    kept = [k for k in range(1, count + 1) if (theirs == k).sum() >= 4]
    assert len(kept) == group.max() + 1
    last = [np.flatnonzero(theirs == k)[-1] for k in kept]
    for number, k in enumerate(np.array(kept)[np.argsort(last)]):  # in the order of their last pixels
        assert np.array_equal(ours == number + 1, theirs == k)


def test_a_threshold_of_each_pixel_is_kept() -> None:
    pixels, bounds = np.array([[1, 5, 5, 1]], np.float32), np.array([[2, 4, 6, 0.5]], np.float32)
    row, left, length, value, bound = label.runs_above(pixels, bounds, 0.0, 0)
    assert (row.tolist(), left.tolist(), length.tolist()) == ([0, 0], [1, 3], [1, 1])
    assert (value.tolist(), bound.tolist()) == ([5, 1], [4, 0.5])


@pytest.mark.parametrize(
    ("drawn", "listed"),
    [
        ("##/.#/.#", [0, 1, 2, 3]),
        (".#/##", [1, 0, 2]),  # a run that begins left of what it continues comes first
        ("#.#/#.#/###", [0, 2, 4, 5, 1, 3, 6]),  # a run goes on left; what it meets further right is put behind
        ("####/#..#/##.#/...#", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_pixels_are_listed_as_in_one_pass(drawn: str, listed: list[int]) -> None:
    y, x = np.nonzero(np.array([[c == "#" for c in line.ljust(4, ".")] for line in drawn.split("/")]))
    assert lutz.order(x.astype(np.int32), y.astype(np.int32)).tolist() == listed


def test_a_mesh_tells_level_and_noise_without_its_stars() -> None:
    draw = np.random.default_rng(3)
    pixels = draw.normal(500.0, 10.0, (64, 128)).astype(np.float32)
    pixels[10:20, 5:15] += 4000.0
    pixels[:33, 64:] = np.nan
    level, sigma = np.empty((2, 2, 2), np.float32)
    meshes.measure_strip(pixels, NONE, meshes.BIG, 1, 64, level, sigma)
    assert abs(level[0, 0] - 500.0) < 4 * 2.5 * 10 / 64  # a mode scatters about 2.5 times as much as a mean
    assert abs(sigma[0, 0] - 10.0) < 0.6
    assert level[0, 1] == -meshes.BIG  # more than half of it is no number
    variance = np.full(pixels.shape, 4.0, np.float32)
    variance[10:20, 5:15] = meshes.BIG
    meshes.measure_strip(pixels, variance, meshes.BIG, 1, 64, level, sigma)
    assert level[1, 0] == pytest.approx(4.0)


def surface(knots: Pixels, first: int, shape: tuple[int, int]) -> Pixels:
    """Rows of the surface through knots of meshes of 16 x 20 pixels."""
    bends = np.empty_like(knots)
    for column in range(knots.shape[1]):
        line = np.empty(knots.shape[0], np.float32)
        splines.bend(np.ascontiguousarray(knots[:, column]), line)
        bends[:, column] = line
    drawn, left = np.empty(shape, np.float32), np.ones(shape, np.float32)
    splines.draw_rows(knots, bends, first, 16, 20, drawn)
    splines.take_rows(knots, bends, first, 16, 20, left)
    assert np.array_equal(left, np.float32(1.0) - drawn)
    return drawn


def test_the_surface_goes_smoothly_through_the_meshes() -> None:
    y, x = np.mgrid[:6, :5]
    plane = surface((3.0 * x - 2.0 * y).astype(np.float32), 0, (120, 80))
    wanted = 3.0 * ((np.arange(80) + 0.5) / 16.0 - 0.5) - 2.0 * (np.arange(120)[:, None] / 20.0 - 0.5)
    assert np.abs(plane - wanted).max() < 1e-5  # single precision of numbers about 10
    knots = np.random.default_rng(4).normal(size=(6, 5)).astype(np.float32)
    drawn = surface(knots, 0, (120, 80))
    middles = drawn[10::20, 7:80:16], drawn[10::20, 8:80:16]  # a mesh's middle lies between two columns
    assert np.abs(0.5 * (middles[0] + middles[1]) - knots).max() < 0.05  # the surface bends within a pixel
    assert np.array_equal(surface(knots, 37, (50, 80)), drawn[37:87])
    assert (
        np.abs(np.diff(drawn, axis=1)).max() < 0.6
    )  # no jump: knots differ by up to 4 over 16 pixels, slopes by twice that


def test_threads_and_bands_change_no_bit() -> None:
    pixels = stars() + np.float32(100.0)
    one, three = measure(ArrayRows(pixels)), measure(ArrayRows(pixels), threads=3)
    assert np.array_equal(one.level, three.level)
    assert np.array_equal(one.sigma, three.sigma)
    whole, parted = (found_in(stars(), Settings(clean=False, threads=threads)) for threads in (1, 3))
    assert np.array_equal(whole.objects, parted.objects)
    banded = found_in(stars(), Settings(clean=False, memory_bufsize=80))
    assert np.array_equal(np.sort(whole.objects["x"]), np.sort(banded.objects["x"]))


def test_pairs_are_parted_and_every_pixel_is_dealt_once() -> None:
    settings = Settings(clean=False)
    found, merged = found_in(stars(), settings), found_in(stars(), replace(settings, deblend_mincont=1.0))
    assert len(found.objects) > len(merged.objects)
    assert set(zip(found.x, found.y, strict=True)) == set(zip(merged.x, merged.y, strict=True))
    assert found.x.size == merged.x.size
    blends = found.objects["flags"] & 2 > 0
    assert 20 < blends.sum() < len(blends)
    _, counts = np.unique(found.objects["parent"][blends], return_counts=True)
    assert counts.min() > 1


def test_wings_lose_their_specks_to_them() -> None:
    y, x = np.mgrid[:300, :200]
    wings = 3e4 / (1.0 + ((x - 100.0) ** 2 + (y - 150.0) ** 2) / 9.0) ** 1.7
    pixels = stars() + wings.astype(np.float32)
    kept, cleaned = found_in(pixels, Settings(clean=False)), found_in(pixels, Settings())
    assert len(cleaned.objects) < len(kept.objects)
    assert sum_of(cleaned) == pytest.approx(sum_of(kept))
    assert cleaned.x.size == kept.x.size
    assert (np.diff(cleaned.starts) >= cleaned.objects["own"]).all()


def sum_of(found: Detections) -> float:
    fluxes: NDArray[np.float64] = found.objects["flux"]
    return float(fluxes.sum())


def test_an_empty_image_has_no_objects() -> None:
    found = found_in(np.zeros((40, 50), np.float32), Settings())
    assert len(found.objects) == 0
    assert found.starts.tolist() == [0]
