"""Kernels of measures against plain twins in numpy; test_uncompiled.py runs this file again without the compiler."""

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.kernels import (
    annulus,
    aperture,
    growth,
    isophote,
    kron,
    meshes,
    petrosian,
    pixel,
    vignet,
    windowed,
)

Floats = NDArray[np.float64]
SIDE = 40
AT = (19.317, 20.571)
"""x and y of the source."""
NONE = np.empty((0, 0), np.float32)
ROWS = np.zeros(1, np.int64)
HELD = np.array([[0, SIDE]], np.int32)
CENTRES = np.array([AT])
SHAPES = np.array([[0.25, 0.25, 0.0, 2.0, 2.0]])
SHAPE = (0.30, 0.22, 0.10, 2.4, 1.9)
"""cxx, cyy, cxy, a, b."""
SINGLE = 1e-5
"""Results are stored in single precision."""
SKY = np.array([0.75], np.float32)
"""Local level."""


@pytest.fixture
def image() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Pixels of a source with noise, and labels: its own, and a neighbour whose pixels do not count."""
    y, x = np.mgrid[:SIDE, :SIDE]
    light = 300.0 * np.exp(-0.5 * (0.3 * (x - AT[0]) ** 2 + 0.22 * (y - AT[1]) ** 2))
    values = light + np.random.default_rng(4).normal(0.0, 2.0, light.shape)
    labels = np.where(light > 20, 1, 0).astype(np.int32)
    values[24:27, 25:28] += 500.0
    labels[24:27, 25:28] = 2
    return values.astype(np.float32), labels


def cell(*shape: int) -> NDArray[np.float32]:
    return np.zeros((1, *shape), np.float32)


def offsets() -> tuple[Floats, Floats]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    return x - AT[0], y - AT[1]


def corrected(values: NDArray[np.float32], labels: NDArray[np.int32]) -> Floats:
    """Pixels of neighbours replaced by those on the other side of the centre, or by 0 where these are others' too."""
    made = values.astype(np.float64)
    for y, x in np.argwhere(labels > 1):
        other_y, other_x = int(2 * AT[1] + 0.49999 - y), int(2 * AT[0] + 0.49999 - x)
        made[y, x] = values[other_y, other_x] if labels[other_y, other_x] in (0, 1) else 0.0
    return made


def shares(radius: float, over: int) -> Floats:
    """Share of each pixel within a circle, as the middles of its parts tell it."""
    dx, dy = offsets()
    parts = (np.arange(over) + 0.5) / over - 0.5
    square = (dx[..., None, None] + parts) ** 2 + (dy[..., None, None] + parts[:, None]) ** 2
    return np.asarray((square < radius * radius).mean(axis=(2, 3)))


@pytest.mark.parametrize("mask", [pixel.NONE, pixel.BLANK, pixel.CORRECT])
def test_light_in_circles(image: tuple[NDArray[np.float32], NDArray[np.int32]], mask: int) -> None:
    values, labels = image
    flux, error, flags = cell(2), cell(2), np.zeros(1, np.int16)
    aperture.circles(
        values, labels, NONE, np.inf, 4.0, 2.0, False, mask, 0, HELD, ROWS, CENTRES, np.array([7.0, 60.0]), SKY, flux,
        error, flags,
    )  # fmt: skip
    counted = {
        pixel.NONE: values.astype(np.float64), pixel.BLANK: np.where(labels > 1, 0.0, values),
        pixel.CORRECT: corrected(values, labels),
    }[mask]  # fmt: skip
    inside = shares(3.5, aperture.OVER)
    total = (inside * (counted - SKY[0])).sum()
    assert flux[0, 0] == pytest.approx(total, rel=SINGLE)
    assert error[0, 0] == pytest.approx(np.sqrt(4.0 * inside.sum() + total / 2.0), rel=SINGLE)
    assert flags[0] == aperture.CUT  # the large one reaches beyond the image


def ellipse() -> Floats:
    """Distance of each pixel in semi-axes."""
    dx, dy = offsets()
    cxx, cyy, cxy, _, _ = SHAPE
    return np.asarray(np.sqrt(cxx * dx * dx + cyy * dy * dy + cxy * dx * dy))


def test_light_in_an_ellipse_of_kron(image: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    values, labels = image
    radius, flux, error, flags = cell(), cell(), cell(), np.zeros(1, np.int16)
    kron.ellipses(
        values, NONE, np.inf, values, labels, NONE, np.inf, 4.0, 2.0, False, pixel.CORRECT, 0, HELD, ROWS, CENTRES,
        np.array([SHAPE]), SKY, 2.5, 3.5, 0.0, 0.0, radius, flux, error, flags,
    )  # fmt: skip
    far = ellipse()
    own = (far <= kron.REACH) & (labels < 2)
    expected = max(2.5 * (far * values)[own].sum() / values[own].sum(), 3.5)
    assert radius[0] == pytest.approx(expected, rel=SINGLE)
    inside = far <= expected
    total = (corrected(values, labels)[inside] - SKY[0]).sum()
    assert flux[0] == pytest.approx(total, rel=SINGLE)
    assert error[0] == pytest.approx(np.sqrt(4.0 * inside.sum() + total / 2.0), rel=SINGLE)


def test_light_in_an_ellipse_of_petrosian(image: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    _, labels = image
    far, own, step = ellipse(), labels < 2, kron.REACH / petrosian.STEPS
    values = (300.0 * np.exp(-far / 1.2)).astype(np.float32)  # of a disk: it falls slowly, so that each ring matters
    values[labels > 1] += 500.0
    radius, flux, error, flags = cell(), cell(), cell(), np.zeros(1, np.int16)
    petrosian.ellipses(
        values, NONE, np.inf, values, labels, NONE, np.inf, 4.0, 2.0, False, pixel.CORRECT, 0, HELD, ROWS, CENTRES,
        np.array([SHAPE]), SKY, 2.0, 1.0, 0.0, 0.0, radius, flux, error, flags,
    )  # fmt: skip
    # rings of a tenth of their radius to either side: the first that is fainter than a fifth of the mean within
    rings = [own & (far > n * step) & (far <= 1.2 * n * step) for n in range(1, 17)]
    means = [values[own & (far <= 1.1 * n * step)].mean() for n in range(1, 17)]
    ratios = [values[ring].mean() / mean if ring.any() else 1.0 for ring, mean in zip(rings, means, strict=True)]
    n = 1 + next(k for k, ratio in enumerate(ratios) if ratio < 0.2)
    assert n > 1 + next(k for k, ratio in enumerate(ratios) if ratio < 0.25), "the ratio matters"
    assert radius[0] == pytest.approx(2.0 * 1.1 * n * step, rel=SINGLE)
    total = (corrected(values, labels)[far <= radius[0]] - SKY[0]).sum()
    assert flux[0] == pytest.approx(total, rel=SINGLE)


def test_half_of_the_light_is_within_the_half_light_radius(
    image: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    values, labels = image
    inside = shares(6.0 * SHAPE[3], growth.OVER)
    light = corrected(values, labels)
    whole = np.float32((inside * light).sum())
    radius, half, curve, step, flags = cell(2), cell(), cell(5), cell(), np.zeros(1, np.int16)
    growth.radii(
        values, labels, NONE, np.inf, 4.0, pixel.CORRECT, 0, ROWS, CENTRES, np.array([SHAPE]), 0.0,
        np.full(1, whole, np.float32), np.array([0.5, 0.9]), HELD, radius, half, curve, step, flags,
    )  # fmt: skip
    assert step[0] == pytest.approx(6.0 * SHAPE[3] / 5)
    assert curve[0, -1] == pytest.approx(whole, rel=0.02)
    within = np.array([(shares((n + 1) * float(step[0]), 25) * light).sum() for n in range(5)])
    assert np.allclose(curve[0], within, rtol=0.02)
    for share, found in zip((0.5, 0.9), radius[0], strict=True):
        within = (shares(float(found), 25) * light).sum()
        # the curve is straight between 64 steps, and a pixel that a step does not divide is not parted
        assert within == pytest.approx(share * whole, rel=0.02)
    assert half[0] == radius[0, 0]


@pytest.mark.parametrize("flux", [-50.0, 30.0, 250.0, 1e9])
def test_radii_are_the_same_where_the_curve_is_not_wanted_and_drawn_only_as_far_as_need_be(
    image: tuple[NDArray[np.float32], NDArray[np.int32]], flux: float
) -> None:
    values, labels = image
    told = []
    for points in (0, 5):
        radius, half, flags = cell(3), cell(), np.zeros(1, np.int16)
        growth.radii(
            values, labels, NONE, np.inf, 4.0, pixel.CORRECT, 0, ROWS, CENTRES, np.array([SHAPE]), 0.0,
            np.full(1, flux, np.float32), np.array([0.2, 0.5, 0.9]), np.array([[0, SIDE]], np.int32), radius, half,
            cell(points), cell(), flags,
        )  # fmt: skip
        told.append((*radius[0], half[0], flags[0]))
    assert told[0] == told[1]


def test_radii_of_negative_light_are_negative_and_windows_take_their_size(
    image: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    values, labels = image
    for flux in (-200.0, -1e9):
        radius, half, flags = cell(1), cell(), np.zeros(1, np.int16)
        growth.radii(
            values, labels, NONE, np.inf, 4.0, pixel.CORRECT, 0, ROWS, CENTRES, np.array([SHAPE]), 0.0,
            np.full(1, flux, np.float32), np.array([0.5]), np.array([[0, SIDE]], np.int32), radius, half, cell(0),
            cell(), flags,
        )  # fmt: skip
        assert radius[0, 0] < 0.0
        assert half[0] == pytest.approx(min(max(-radius[0, 0], growth.LEAST), growth.REACH * SHAPE[3]), rel=SINGLE)


def test_a_share_that_is_never_reached_lies_on_the_line_through_the_last_steps_but_one() -> None:
    curve = np.linspace(1.0, 2.0, growth.STEPS) ** 0.5
    low, high = curve[growth.STEPS - 3], curve[growth.STEPS - 2]
    expected = growth.STEPS - 1 + (9.0 - low) / (high - low)
    assert growth.within(curve, 9.0, 0.25) == pytest.approx(0.25 * expected)


@pytest.mark.parametrize("measure", ["kron", "petrosian"])
def test_without_positive_light_there_is_no_radius(measure: str) -> None:
    values, labels = np.full((SIDE, SIDE), -1.0, np.float32), np.zeros((SIDE, SIDE), np.int32)
    radius, flux, error, flags = np.ones(1, np.float32), cell(), cell(), np.zeros(1, np.int16)
    {"kron": kron, "petrosian": petrosian}[measure].ellipses(
        values, NONE, np.inf, values, labels, NONE, np.inf, 4.0, 2.0, False, pixel.CORRECT, 0, HELD, ROWS, CENTRES,
        np.array([SHAPE]), SKY, 2.5, 3.5, 0.0, 0.0, radius, flux, error, flags,
    )  # fmt: skip
    assert flux[0] < 0.0
    assert radius[0] == 0.0


@pytest.mark.parametrize("first", [0, 12])
def test_a_curve_that_meets_the_end_of_what_is_held_is_flagged(
    image: tuple[NDArray[np.float32], NDArray[np.int32]], first: int
) -> None:
    values, labels = image
    radius, half, flags = cell(1), cell(), np.zeros(1, np.int16)
    growth.radii(
        values, labels, NONE, np.inf, 4.0, pixel.CORRECT, 0, ROWS, CENTRES, np.array([SHAPE]), 0.0,
        np.ones(1, np.float32), np.array([0.5]), np.array([[first, SIDE]], np.int32), radius, half, cell(0), cell(),
        flags,
    )  # fmt: skip
    assert flags[0] == (aperture.CUT if first else 0)


def test_position_and_shape_under_the_window(image: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    values, labels = image
    told, flags, cut = np.empty((1, windowed.FIELDS)), np.zeros(1, np.int16), np.zeros(1, np.int16)
    half = np.full(1, 2.0, np.float32)
    windowed.windowed(
        values, labels, NONE, np.inf, 4.0, 2.0, False, pixel.BLANK, 0, ROWS, CENTRES, SHAPES, half,
        np.ones((1, 6)), HELD, told, flags, cut,
    )  # fmt: skip
    assert flags[0] == 0
    sigma = 2.0 * 2.0 / 2.35
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    light = np.where(labels > 1, 0.0, values)
    at, before = np.array(AT), np.array(AT)
    for _ in range(windowed.TURNS_MOST):
        before = at
        window = np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / sigma**2) * light
        step = np.array([(window * (x - at[0])).sum(), (window * (y - at[1])).sum()]) / window.sum()
        at = at + 2.0 * step
        if np.hypot(*step) < windowed.STOP:
            break
    # the twin's window has no edge; that of the kernel ends at four standard deviations, where it is 3e-4
    assert told[0, windowed.X] == pytest.approx(at[0], abs=3e-3)
    assert told[0, windowed.Y] == pytest.approx(at[1], abs=3e-3)
    assert told[0, windowed.FLUX] == pytest.approx(window.sum(), rel=3e-3)
    assert told[0, windowed.X2] == pytest.approx((window * (x - before[0]) ** 2).sum() / window.sum(), rel=1e-2)


@pytest.mark.parametrize(("axis", "flag"), [(1.0, windowed.AWAY), (20.0, 0)])
def test_a_window_has_left_its_object_outside_of_its_ellipse_only(
    image: tuple[NDArray[np.float32], NDArray[np.int32]], axis: float, flag: int
) -> None:
    values, labels = image
    told, flags, cut = np.empty((1, windowed.FIELDS)), np.zeros(1, np.int16), np.zeros(1, np.int16)
    half = np.full(1, 2.0, np.float32)
    beside = CENTRES - 1.8
    windowed.windowed(
        values, labels, NONE, np.inf, 4.0, 2.0, False, pixel.BLANK, 0, ROWS, beside,
        np.array([[axis**-2, axis**-2, 0.0, axis, axis]]), half, np.ones((1, 6)), HELD, told, flags, cut,
    )  # fmt: skip
    assert flags[0] == flag
    expected = beside[0] if flag else np.array(AT)
    assert np.hypot(*(told[0, : windowed.X2] - expected)) < 0.5  # of a neighbour's light, beside 2.5 pixels


@pytest.mark.parametrize("faint", [76.0, 99.9])
@pytest.mark.parametrize(("down", "right"), [(0, 1), (0, -1), (1, 0), (-1, 0)])
def test_a_window_that_is_thrown_out_of_the_image_sees_nothing_there(down: int, right: int, faint: float) -> None:
    """Light that is nearly 0 in all has a mean place far away: nothing beside the arrays may be touched."""
    values, labels = np.zeros((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.int32)
    values[20 + 3 * down, 20 + 3 * right], values[20 - 3 * down, 20 - 3 * right] = 100.0, -faint
    told, flags, cut = np.empty((1, windowed.FIELDS)), np.zeros(1, np.int16), np.zeros(1, np.int16)
    middle = np.full((1, 2), 20.0)
    windowed.windowed(
        values, labels, values + np.float32(4.0), np.inf, 4.0, 2.0, False, pixel.BLANK, 0, ROWS, middle, SHAPES,
        np.full(1, 2.0, np.float32), np.ones((1, 6)), HELD, told, flags, cut,
    )  # fmt: skip
    assert flags[0] & windowed.LOST
    assert flags[0] & windowed.AWAY == 0  # along one axis only
    assert told[0, windowed.FLUX] == 0.0
    assert tuple(told[0, : windowed.X2]) == (20.0, 20.0)


def test_a_window_without_light_leaves_position_and_shape_as_they_are() -> None:
    values, labels = np.full((SIDE, SIDE), -1.0, np.float32), np.zeros((SIDE, SIDE), np.int32)
    told, flags, cut = np.empty((1, windowed.FIELDS)), np.zeros(1, np.int16), np.zeros(1, np.int16)
    shape = np.array([[4.0, 3.0, 0.5, 0.1, 0.2, 0.0]])
    windowed.windowed(
        values, labels, NONE, np.inf, 4.0, 2.0, False, pixel.BLANK, 0, ROWS, CENTRES, SHAPES,
        np.ones(1, np.float32), shape, HELD, told, flags, cut,
    )  # fmt: skip
    assert flags[0] & windowed.LOST
    assert tuple(told[0, : windowed.X2]) == AT
    assert np.array_equal(told[0, windowed.X2 : windowed.FLUX], shape[0])


def test_sums_within_the_isophote(image: tuple[NDArray[np.float32], NDArray[np.int32]]) -> None:
    values, labels = image
    y, x = (found.astype(np.int32) for found in np.nonzero(labels == 1))
    filtered = np.ascontiguousarray(values[y, x])
    sums = np.empty((1, isophote.FIELDS))
    isophote.isophote(
        values, NONE, np.inf, 4.0, 9.0, 2.0, False, 0, ROWS, np.array([0, x.size]), np.array([x.size]), x, y, filtered,
        CENTRES, np.zeros(1, np.bool_), np.ones(1), np.full(1, 1e9), np.full(1, 30.0), 0.0,
        SKY.astype(np.float64), sums,
    )  # fmt: skip
    inside = filtered.astype(np.float64)
    spread = 9.0 + np.where(inside > 0, inside / 2.0, 0.0)
    light, peak = (inside - SKY[0]).sum(), inside.max() - SKY[0]
    assert sums[0, isophote.FLUX] == pytest.approx(light)
    assert sums[0, isophote.VARIANCE] == pytest.approx(4.0 * x.size + light / 2.0)
    assert sums[0, isophote.PEAK] == peak
    assert sums[0, isophote.AREA] == (inside > 30.0).sum()
    assert sums[0, isophote.EX2] == pytest.approx((spread * (x - AT[0]) ** 2).sum() / inside.sum() ** 2)
    for level in (0, 5):
        bound = (30.0 - SKY[0]) * (peak / (30.0 - SKY[0])) ** (level / 8.0)
        assert sums[0, isophote.LEVELS + level] == (inside > bound).sum()


def test_a_cut_out_has_nothing_where_another_object_or_no_image_is(
    image: tuple[NDArray[np.float32], NDArray[np.int32]],
) -> None:
    values, labels = image
    cut = cell(61, 21)
    vignet.vignets(values, labels, NONE, np.inf, pixel.BLANK, 0, ROWS, CENTRES, cut)
    padded = np.full((SIDE + 60, SIDE + 60), vignet.NOTHING, np.float32)
    padded[30 : 30 + SIDE, 30 : 30 + SIDE] = np.where(labels > 1, np.float32(vignet.NOTHING), values)
    x, y = int(AT[0] + 0.5) + 30, int(AT[1] + 0.5) + 30
    assert np.array_equal(cut[0], padded[y - 30 : y + 31, x - 10 : x + 11])


@pytest.mark.parametrize("mask", [pixel.NONE, pixel.BLANK])
def test_a_shifted_cut_out_is_interpolated_between_eight_pixels(
    image: tuple[NDArray[np.float32], NDArray[np.int32]], mask: int
) -> None:
    values, labels = image
    cut = cell(31, 60)  # wider than the image
    vignet.shifted(values, labels, NONE, np.inf, mask, 0, ROWS, CENTRES, cut)

    def taps(at: float, size: int) -> Floats:
        """What each pixel of a row counts for each one that is made; rows that are not there count 0."""
        away = np.float32(at) + np.arange(-(size // 2), size - size // 2)[:, None] - np.arange(-60, SIDE + 60)
        made = np.where(np.abs(away) < 4.0, np.sinc(away) * np.sinc(away / 4.0), 0.0)
        return (made / made.sum(axis=1, keepdims=True))[:, 60 : 60 + SIDE]

    down, across = taps(AT[1], 31), taps(AT[0], 60)
    others = (labels > 1).astype(np.float64) if mask == pixel.BLANK else np.zeros_like(values)
    near = np.abs(down) @ others @ np.abs(across.T) > 0.0
    assert np.array_equal(cut[0] == vignet.NOTHING, near)
    assert near.any() == (mask == pixel.BLANK)
    assert cut[0][~near] == pytest.approx((down @ values @ across.T)[~near], rel=SINGLE, abs=1e-4)
    assert (cut[0][:, :3] == 0.0).all(), "beyond the image"


@pytest.mark.parametrize("mask", [pixel.NONE, pixel.CORRECT])
def test_the_sky_around_is_that_of_the_annulus_without_what_was_found_before(mask: int) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    values = np.random.default_rng(7).normal(3.0, 1.0, (SIDE, SIDE)).astype(np.float32)
    labels = np.zeros((SIDE, SIDE), np.int32)
    for rows in (slice(9, 11), slice(28, 30)):  # a neighbour that ends before the object does, and one behind it
        values[rows, 12:26], labels[rows, 12:26] = 4.5, 2
    values[16:21, 15:24] = 900.0  # within the box: 4 rows and 8 columns, and a quarter of that more to each side
    box, sky = np.array([[16, 23, 17, 20, 20, 20]]), cell()[:, None].reshape(1)
    annulus.skies(values, labels, mask, 0, ROWS, box, SIDE, 10, sky)
    wanted = (x >= 4) & (x < 36) & (y >= 6) & (y < 32) & ~((x >= 14) & (x < 26) & (y >= 16) & (y < 22))
    if mask != pixel.NONE:
        wanted &= ~((labels > 0) & (y <= 20))
    level, sigma = np.empty((2, 2, 1), np.float32)
    meshes.measure_strip(values[wanted][:, None], NONE, meshes.BIG, 1, 1, level, sigma)
    assert sky[0] == level[0, 0]
    assert abs(sky[0] - 3.0) < 0.5  # a few hundredths of what scatters by 1, and the rows of neighbours
    annulus.skies(values, labels, mask, 0, ROWS, box, SIDE, 14, sky)
    assert sky[0] == 0.0, "the image cuts the annulus"


@pytest.mark.parametrize(("first", "held", "counts"), [(0, 0, 7.0), (100, 0, 0.0), (100, 1, 7.0)])
def test_a_masked_pixel_counts_as_its_mirror_image_where_that_is_held(first: int, held: int, counts: float) -> None:
    """Just before the first row that is held there is none; just before the image's own the original rounds to it."""
    values, labels = np.full((9, 9), 7.0, np.float32), np.zeros((9, 9), np.int32)
    labels[8, 4] = 2
    centre = first + 3.6 + 0.5 * held, 4.0  # the mirror image is 0.3 rows, or 1.3 with a row more, before and behind it
    found = pixel.counted(values, labels, NONE, np.inf, 1.0, 1, pixel.CORRECT, centre, first, 8, 4)
    assert found == (counts, 1.0, False)
