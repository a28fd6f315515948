"""Kernels of measures with a variance for each pixel, against plain twins; run again without the compiler."""

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.kernels import aperture, growth, isophote, kron, petrosian, pixel, vignet, windowed
from tests.processing.test_measures_kernels import (
    AT,
    CENTRES,
    HELD,
    ROWS,
    SHAPE,
    SHAPES,
    SIDE,
    SINGLE,
    SKY,
    Floats,
    cell,
    ellipse,
    offsets,
    shares,
)

BAD = 1e29
"""Variance from which a pixel has no weight."""
NOISE, GAIN = 4.0, 2.0
MASKS = (pixel.NONE, pixel.BLANK, pixel.CORRECT)


class Scene:
    """Pixels of a source with noise, labels of it and of a neighbour, and variances: some pixels have no weight.

    Of these two lie opposite to the neighbour, and two opposite to each other.
    """

    def __init__(self) -> None:
        y, x = np.mgrid[:SIDE, :SIDE]
        light = 300.0 * np.exp(-0.5 * (0.3 * (x - AT[0]) ** 2 + 0.22 * (y - AT[1]) ** 2))
        self.labels = np.where(light > 20, 1, 0).astype(np.int32)
        values = light + np.random.default_rng(4).normal(0.0, 2.0, light.shape)
        values[24:27, 25:28] += 500.0
        self.labels[24:27, 25:28] = 2
        variance = NOISE * (0.6 + 0.02 * x + 0.01 * y)
        for row, column in ((17, 14), (16, 12), (20, 18), (22, 17), (19, 22), (23, 21), (5, 30)):
            variance[row, column] = 1e30
            values[row, column] += 150.0
        self.values, self.variance = values.astype(np.float32), variance.astype(np.float32)

    def good(self, mask: int) -> NDArray[np.bool_]:
        fine = self.variance < BAD
        return fine if mask == pixel.NONE else fine & (self.labels < 2)

    def counted(self, mask: int) -> tuple[Floats, Floats]:
        """Value and variance that each pixel counts for."""
        own, fine = self.good(mask), self.variance < BAD
        values, variance = np.zeros((2, SIDE, SIDE))
        for y in range(SIDE):
            for x in range(SIDE):
                at: tuple[int, int] | None = (y, x)
                if not own[y, x]:
                    at = (int(2 * AT[1] + 0.49999 - y), int(2 * AT[0] + 0.49999 - x))
                    if mask != pixel.CORRECT or max(at) >= SIDE or not fine[at] or self.labels[at] > 1:
                        at = None
                if at is not None:
                    values[y, x], variance[y, x] = self.values[at], self.variance[at]
        return values, variance


@pytest.fixture
def scene() -> Scene:
    return Scene()


def photons(values: Floats, variance: Floats) -> Floats:
    """Variance of each pixel's own photons where the gain follows the weights."""
    return np.where(values > 0.0, values / GAIN * variance / NOISE, 0.0)


def test_the_scene_has_every_kind_of_pixel(scene: Scene) -> None:
    values, variance = scene.counted(pixel.CORRECT)
    for y, x in ((24, 25), (16, 12), (22, 17), (19, 22)):
        assert (values[y, x], variance[y, x]) == (0.0, 0.0), "what lies opposite has no weight, or is another's"
    assert (values[20, 18], variance[20, 18]) == (scene.values[21, 21], scene.variance[21, 21])
    assert np.count_nonzero(scene.variance > BAD) == 7


@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("mask", MASKS)
def test_light_in_circles(scene: Scene, mask: int, by_weight: bool) -> None:
    flux, error, flags = cell(1), cell(1), np.zeros(1, np.int16)
    aperture.circles(
        scene.values, scene.labels, scene.variance, BAD, NOISE, GAIN, by_weight, mask, 0, HELD, ROWS, CENTRES,
        np.array([17.0]), SKY, flux, error, flags,
    )  # fmt: skip
    values, variance = scene.counted(mask)
    inside, (dx, dy) = shares(8.5, aperture.OVER), offsets()
    total = (inside * (values - SKY[0])).sum()
    spread = (inside * variance).sum()
    if by_weight:  # of whole pixels, as the original has it: all that the circle may touch
        touched = (dx * dx + dy * dy <= 9.25**2) & (np.abs(dx) <= 9.0) & (np.abs(dy) <= 9.0)
        spread += photons(values, variance)[touched].sum()
    else:
        spread += total / GAIN
    assert flux[0, 0] == pytest.approx(total, rel=SINGLE)
    assert error[0, 0] == pytest.approx(np.sqrt(spread), rel=SINGLE)
    assert flags[0] == 0


@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", [kron, petrosian])
def test_light_in_ellipses(scene: Scene, kind: object, mask: int, by_weight: bool) -> None:
    radius, flux, error, flags = cell(), cell(), cell(), np.zeros(1, np.int16)
    kind.ellipses(  # type: ignore[attr-defined]
        scene.values, scene.variance, BAD, scene.values, scene.labels, scene.variance, BAD, NOISE, GAIN, by_weight,
        mask, 0, HELD, ROWS, CENTRES, np.array([SHAPE]), SKY, 2.5, 2.0, 0.0, 0.0, radius, flux, error, flags,
    )  # fmt: skip
    far, own = ellipse(), scene.good(mask)
    within = own & (far <= kron.REACH)
    if kind is kron:
        expected = 2.5 * (far * scene.values)[within].sum() / scene.values[within].sum()
    else:
        expected = 2.5 * petrosian_radius(scene.values, far, own)
    assert expected > 2.0, "of the light, not the least that is allowed"
    assert radius[0] == pytest.approx(expected, rel=SINGLE)
    values, variance = scene.counted(mask)
    inside = far <= expected
    total = (values[inside] - SKY[0]).sum()
    spread = variance[inside].sum() + (photons(values, variance)[inside].sum() if by_weight else total / GAIN)
    assert flux[0] == pytest.approx(total, rel=SINGLE)
    assert error[0] == pytest.approx(np.sqrt(spread), rel=SINGLE)


def petrosian_radius(values: NDArray[np.float32], far: Floats, own: NDArray[np.bool_]) -> float:
    """Where a ring of a tenth of its radius to either side is fainter than a fifth of the mean within, in semi-axes."""
    step = kron.REACH / petrosian.STEPS
    for n in range(1, 17):
        ring = own & (far > n * step) & (far <= 1.2 * n * step)
        within = own & (far <= 1.1 * n * step)
        if ring.any() and values[ring].mean() < 0.2 * values[within].mean():
            break
    return 1.1 * n * step


def test_a_radius_of_petrosian_has_no_less_than_the_least(scene: Scene) -> None:
    radius, flux, error, flags = cell(), cell(), cell(), np.zeros(1, np.int16)
    petrosian.ellipses(
        scene.values, scene.variance, BAD, scene.values, scene.labels, scene.variance, BAD, NOISE, GAIN, False,
        pixel.BLANK, 0, HELD, ROWS, CENTRES, np.array([SHAPE]), SKY, 0.1, 3.5, 0.0, 0.0, radius, flux, error, flags,
    )  # fmt: skip
    assert radius[0] == 3.5


@pytest.mark.parametrize("mask", MASKS)
def test_light_within_the_radii_of_a_growth_curve(scene: Scene, mask: int) -> None:
    values, _ = scene.counted(mask)
    whole = np.float32((shares(6.0 * SHAPE[3], growth.OVER) * values).sum())
    radius, half, curve, step, flags = cell(2), cell(), cell(5), cell(), np.zeros(1, np.int16)
    growth.radii(
        scene.values, scene.labels, scene.variance, BAD, NOISE, mask, 0, ROWS, CENTRES, np.array([SHAPE]), 0.0,
        np.full(1, whole, np.float32), np.array([0.5, 0.9]), np.array([[0, SIDE]], np.int32), radius, half, curve, step,
        flags,
    )  # fmt: skip
    # the curve is straight between 64 steps, and a pixel that a step does not divide is not parted
    within = np.array([(shares((n + 1) * float(step[0]), 25) * values).sum() for n in range(5)])
    assert np.allclose(curve[0], within, rtol=0.02)
    for share, found in zip((0.5, 0.9), radius[0], strict=True):
        assert (shares(float(found), 25) * values).sum() == pytest.approx(share * whole, rel=0.03)


@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("mask", [pixel.BLANK, pixel.CORRECT])
def test_the_window_sees_what_has_a_weight(scene: Scene, mask: int, by_weight: bool) -> None:
    told, flags, cut = np.empty((1, windowed.FIELDS)), np.zeros(1, np.int16), np.zeros(1, np.int16)
    half = np.full(1, 2.0, np.float32)
    windowed.windowed(
        scene.values, scene.labels, scene.variance, BAD, NOISE, GAIN, by_weight, mask, 0, ROWS, CENTRES, SHAPES, half,
        np.ones((1, 6)), HELD, told, flags, cut,
    )  # fmt: skip
    assert flags[0] == 0
    sigma = 2.0 * 2.0 / 2.35
    values, variance = scene.counted(mask)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    at = before = np.array(AT)
    for _ in range(windowed.TURNS_MOST):
        before = at
        window = np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / sigma**2)
        light = window * values
        step = np.array([(light * (x - at[0])).sum(), (light * (y - at[1])).sum()]) / light.sum()
        at = at + 2.0 * step
        if np.hypot(*step) < windowed.STOP:
            break
    else:
        pytest.fail("the twin's window does not settle")
    # the twin's window has no edge; that of the kernel ends at four standard deviations, where it is 3e-4
    assert told[0, windowed.X] == pytest.approx(at[0], abs=3e-3)
    assert told[0, windowed.Y] == pytest.approx(at[1], abs=3e-3)
    assert told[0, windowed.FLUX] == pytest.approx(light.sum(), rel=3e-3)
    each = variance + (photons(values, variance) if by_weight else np.where(values > 0.0, values / GAIN, 0.0))
    assert told[0, windowed.ERROR] == pytest.approx(np.sqrt((each * window**2).sum()), rel=1e-3)
    across = (each * window**2 * ((x - before[0]) ** 2 + windowed.PIXEL)).sum()
    assert told[0, windowed.EX2] == pytest.approx(4.0 * across / light.sum() ** 2, rel=1e-2)


@pytest.mark.parametrize("by_weight", [False, True])
@pytest.mark.parametrize("factor", [0.0, 3.0])
def test_sums_within_the_isophote(scene: Scene, factor: float, by_weight: bool) -> None:
    y, x = (found.astype(np.int32) for found in np.nonzero(scene.labels == 1))
    values, variance = (each[y, x].astype(np.float64) for each in (scene.values, scene.variance))
    sums = np.empty((1, isophote.FIELDS))
    isophote.isophote(
        scene.values, scene.variance, BAD, NOISE, 9.0, GAIN, by_weight, 0, ROWS, np.array([0, x.size]),
        np.array([x.size]), x, y, np.ascontiguousarray(scene.values[y, x]), CENTRES, np.zeros(1, np.bool_), np.ones(1),
        np.full(1, 1e9), np.full(1, 30.0), factor, SKY.astype(np.float64), sums,
    )  # fmt: skip
    fine = variance < BAD
    assert sums[0, isophote.LOW] == np.count_nonzero(~fine) > 2
    light = (values - SKY[0]).sum()
    spread = variance[fine].sum()
    spread += photons(values, variance)[fine].sum() if by_weight else light / GAIN
    assert sums[0, isophote.FLUX] == pytest.approx(light)
    assert sums[0, isophote.VARIANCE] == pytest.approx(spread)
    bound = factor * np.sqrt(variance) if factor else 30.0
    assert sums[0, isophote.AREA] == np.count_nonzero(values > bound)
    assert (factor > 0.0) == (np.count_nonzero(values > bound) != np.count_nonzero(values > 30.0))


def test_a_cut_out_has_nothing_where_there_is_no_weight(scene: Scene) -> None:
    for mask in (pixel.NONE, pixel.BLANK):
        cut = cell(21, 31)
        vignet.vignets(scene.values, scene.labels, scene.variance, BAD, mask, 0, ROWS, CENTRES, cut)
        wanted = np.where(scene.good(mask), scene.values, np.float32(vignet.NOTHING))
        x, y = int(AT[0] + 0.5), int(AT[1] + 0.5)
        assert np.array_equal(cut[0], wanted[y - 10 : y + 11, x - 15 : x + 16])
        assert np.count_nonzero(cut[0] == np.float32(vignet.NOTHING)) >= 5
