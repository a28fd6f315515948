"""Weights of SExtractor: variances, their scale, and pixels without weight."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.kernels import convolve, label, weights
from processing.kernels.gaps import fill
from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes
from processing.sextractor.exposure import of_array
from processing.sextractor.extract import extract, extract_all
from processing.sextractor.extraction import Warned
from processing.sextractor.images import ArrayRows
from processing.sextractor.settings import Settings
from processing.sextractor.weighting import BAD, Variances, plane

Pixels = NDArray[np.float32]
SETTINGS = Settings(columns=("X_IMAGE", "Y_IMAGE", "FLUX_AUTO"), weight_type=("MAP_WEIGHT", "MAP_WEIGHT"))
PLAIN = Settings(columns=SETTINGS.columns)


def plainly(values: Pixels, bad: NDArray[np.bool_], across: int, down: int) -> Pixels:
    """The rule, pixel by pixel: from the left, else from above; what came from the left goes on as the pixel above."""
    filled = values.copy()
    rows, nx = values.shape
    above, room = np.zeros(nx, np.float32), np.zeros(nx, int)
    for y in range(rows):
        for x in range(nx):
            if not bad[y, x]:
                above[x], room[x] = values[y, x], down
                continue
            good = np.nonzero(~bad[y, max(x - across, 0) : x])[0]
            if good.size:
                above[x] = filled[y, x] = values[y, max(x - across, 0) + good[-1]]
            elif room[x] > 0:
                filled[y, x] = above[x]
                room[x] -= 1
    return filled


def test_gaps_are_filled_by_the_rule() -> None:
    draw = np.random.default_rng(4)
    values = draw.normal(0.0, 1.0, (40, 60)).astype(np.float32)
    bad = draw.uniform(size=values.shape) < 0.1
    bad[5:25, 20:50] = bad[30, :] = bad[:, 3:5] = True
    variance = np.where(bad, BAD, np.float32(2.0)).astype(np.float32)
    filled, left = values.copy(), variance.copy()
    assert fill(filled, left, BAD, 16, 8, True) == bad.sum()
    assert np.array_equal(filled, plainly(values, bad, 16, 8))
    assert ((left == BAD) == (bad & (filled == values))).all()
    only = values.copy()
    fill(only, variance.copy(), BAD, 16, 8, False)
    assert np.array_equal(only, values)


@pytest.mark.parametrize(
    ("kind", "threshold", "expected", "bad"),
    [
        ("MAP_WEIGHT", None, [0.25, 2.0, BAD, BAD], BAD),
        ("MAP_WEIGHT", 0.625, [0.25, 2.0, BAD, BAD], 1.6),
        ("MAP_VAR", None, [4.0, 0.5, 0.0, BAD], BAD),
        ("MAP_VAR", 2.0, [4.0, 0.5, 0.0, BAD], 2.0),
        ("MAP_RMS", None, [16.0, 0.25, 0.0, BAD], BAD),
        ("MAP_RMS", 3.0, [16.0, 0.25, 0.0, BAD], 9.0),
    ],
)
def test_variances_of_maps(kind: str, threshold: float | None, expected: list[float], bad: float) -> None:
    rows = ArrayRows(np.array([[4.0, 0.5, 0.0, -1.0]], np.float32))
    made = Variances(rows, kind, threshold)
    assert np.allclose(made.read(0, 1)[0], expected)
    assert made.bad == np.float32(bad)


def field() -> Pixels:
    y, x = np.mgrid[:200, :220]
    pixels = np.random.default_rng(9).normal(100.0, 5.0, y.shape)
    for across, along in ((40, 50), (120, 90), (180, 160)):
        pixels += 500.0 * np.exp(-((x - across) ** 2 + (y - along) ** 2) / 8.0)
    return pixels.astype(np.float32)


def test_the_scale_brings_variances_to_the_noise_of_the_background() -> None:
    weight_map = ArrayRows(np.full((200, 220), 4.0, np.float32))
    found = plane(ArrayRows(field()), weight_map, SETTINGS, 1)
    # the map says 0.5 where the noise is 5, known to 1/sqrt(2 * 4096) a mesh
    assert found.scale == pytest.approx(10.0, rel=0.02)
    variance = found.strip(10, 20)[1]
    assert variance is not None
    assert np.allclose(variance, 0.25 * found.scale**2)


def test_equal_weights_change_no_source() -> None:
    plain = extract(field(), settings=Settings(columns=SETTINGS.columns))
    weighted = extract(field(), weight=np.full((200, 220), 0.3), settings=Settings(columns=SETTINGS.columns))
    assert len(plain["X_IMAGE"]) == 3
    for name in plain:
        assert np.allclose(plain[name], weighted[name], rtol=1e-5), name


def test_pixels_that_are_no_numbers_lose_no_source() -> None:
    pixels = field()
    pixels[100:140, 10:12] = np.nan
    pixels[3, 7] = np.inf
    (found,) = extract_all([of_array(pixels, weight=None, flags=(), header=None)], Settings(columns=SETTINGS.columns))
    assert found.sources == 3
    assert np.isfinite(found.table["FLUX_AUTO"]).all()
    assert [caution.told[:11] for caution in found.warnings if caution.kind is Warned.NO_VALUE] == ["81 pixels a"]


def test_no_weight_at_all_gives_no_source_and_says_so() -> None:
    exposure = of_array(field(), weight=np.zeros((200, 220)), flags=(), header=None)
    (found,) = extract_all([exposure], SETTINGS)
    assert found.sources == 0
    assert {Warned.NO_WEIGHT, Warned.EMPTY} <= {caution.kind for caution in found.warnings}


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (7, 3), (1, 9)])
@pytest.mark.parametrize("kind", ["even", "holes", "slope", "nothing", "negative filter"])
def test_thresholds_are_worked_out_where_a_pixel_may_be_above_them(shape: tuple[int, int], kind: str) -> None:
    draw = np.random.default_rng(2)
    pixels = draw.normal(0.0, 1.0, (20, 200)).astype(np.float32)
    pixels[draw.uniform(size=pixels.shape) < 0.01] += 20.0
    variance = draw.normal(1.0, 0.05, pixels.shape).astype(np.float32) ** 2
    variance[draw.uniform(size=pixels.shape) < (0.1 if kind == "holes" else 0.0)] = BAD
    variance *= np.linspace(0.1, 5.0, 200, dtype=np.float32) if kind == "slope" else 1.0
    variance *= kind != "nothing"
    kernel = np.abs(draw.normal(1.0, 0.3, shape)).astype(np.float32)
    kernel[0, 0] *= -0.2 if kind == "negative filter" and kernel.size > 1 else 1.0
    filtered, noise, bound = np.empty((3, 9, 200), np.float32)
    for first in (0, 5, 11):
        convolve.convolve(pixels, kernel, first, filtered)
        convolve.convolve(variance, kernel, first, noise)
        wanted = (1.5 * np.sqrt(noise, dtype=np.float64)).astype(np.float32)
        weights.bounds(variance, kernel, first, 1.5, filtered, bound)
        assert np.array_equal(filtered > bound, filtered > wanted)
        assert np.array_equal(bound[filtered > wanted], wanted[filtered > wanted])
        for each in zip(
            label.runs_above(filtered, bound, 0.0, 0), label.runs_above(filtered, wanted, 0.0, 0), strict=True
        ):
            assert np.array_equal(*each)


def test_odd_pixels_of_a_file_are_told_while_it_is_read(tmp_path: Path) -> None:
    pixels = field()
    pixels[100:140, 10:12] = np.nan
    header = primary_bytes({"NEXTEND": 1})
    part = hdu_bytes(pixels, header={}, name="odd", compression=Compression.NONE)
    assemble(tmp_path / "odd.fits", header, [part])
    from_file = extract(str(tmp_path / "odd.fits"), settings=PLAIN)
    from_array = extract(pixels, settings=PLAIN)
    assert len(from_file["X_IMAGE"]) == 3
    for name in from_file:
        assert np.array_equal(from_file[name], from_array[name]), name
