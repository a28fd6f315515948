"""Filters for the shapes of cosmic rays: what they answer to, and the kernels that apply them against plain twins."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import optimize

from processing.defects.cosmic_shapes import SIZE, bank, images, shapes
from processing.kernels import cosmic_groups, cosmic_shapes
from tests.processing.test_cosmics_kernels import BANNED, FULL, INSIDE, SHAPE, Ccd

WIDTH = 2.7
"""Pixels: full width at half maximum of the stars."""
INNER = SIZE // 2


def bounds_of(width: float) -> NDArray[np.float32]:
    along = np.exp(8 * np.log(2) / width**2)
    return np.array([along, along, along**2, along**2], np.float32)


def star(y: float, x: float, width: float) -> NDArray[np.float64]:
    """A star in the window, `y`, `x` pixels from its middle."""
    rows, columns = np.mgrid[-INNER : INNER + 1, -INNER : INNER + 1]
    return np.exp(-4 * np.log(2) * ((rows - y) ** 2 + (columns - x) ** 2) / width**2)


@pytest.mark.parametrize("width", [2.2, WIDTH, 5.0])
def test_filters_answer_to_their_shapes_and_to_no_light(width: float) -> None:
    drawn, filters = bank(bounds_of(width))

    np.testing.assert_allclose((filters**2).sum(axis=(1, 2)), 1.0, rtol=1e-5)
    assert ((drawn * filters).sum(axis=(1, 2)) > 0.3).all()
    chance = np.random.default_rng(8)
    for _ in range(40):
        # stars, blends of them and galaxies, all as wide as the sharpest stars or wider
        light = sum(
            chance.uniform(0, 1) * star(*chance.uniform(-4, 4, 2), width * chance.choice([1.0, 1.0, 1.5, 3.0]))
            for _ in range(int(chance.integers(1, 5)))
        )
        answers = (filters * light).sum(axis=(1, 2))
        # the sum of images is 1e-2 of the way to the nearest light
        assert (answers < 1e-2 * np.sqrt((light**2).sum())).all()


def test_a_shape_with_no_light_left_is_what_non_negative_least_squares_leave() -> None:
    drawn, stars = shapes().reshape(-1, SIZE**2), images(bounds_of(WIDTH))

    filters = cosmic_shapes.without_light(drawn, stars)

    for shape, found in zip(drawn, filters, strict=True):
        share, _ = optimize.nnls(stars.T, shape, maxiter=20_000)
        rest = shape - stars.T @ share
        # of unit vectors: the cosine of the angle between both
        assert found @ rest / np.linalg.norm(rest) > 0.995


def test_where_no_light_can_be_too_sharp_filters_do_not_answer() -> None:
    _, filters = bank(bounds_of(0.7))

    assert not filters[0].any()
    assert ((filters**2).sum(axis=(1, 2)) < 1.001).all()


def few() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Some shapes and their filters, without the kernel that makes them."""
    drawn, stars = shapes()[::5], images(bounds_of(WIDTH))
    rest = [shape - stars.T @ optimize.nnls(stars.T, shape, maxiter=20_000)[0] for shape in drawn.reshape(-1, SIZE**2)]
    filters = np.array([left / np.linalg.norm(left) for left in rest]).reshape(drawn.shape)
    return drawn.astype(np.float32), filters.astype(np.float32)


def answers_of(ccd: Ccd, filters: NDArray[np.float32], shapes: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Answers of filters and shapes (n, ny, nx) in units of their noise; NaN where something is not known."""
    known = (ccd.flags & BANNED == 0) & (ccd.pixels < FULL) & ccd.inside
    sigma = np.sqrt(ccd.level(ccd.variance))
    light = np.where(known, ccd.high / sigma, np.nan).astype(np.float64)
    answers = np.full((2, len(shapes), *SHAPE), np.nan)
    reach = shapes.shape[1] // 2
    for y in range(reach, SHAPE[0] - reach):
        for x in range(reach, SHAPE[1] - reach):
            window = light[y - reach : y + reach + 1, x - reach : x + reach + 1]
            noise = 1 + np.maximum(window, 0) / (ccd.gain[x] * sigma[y, x])
            for n, pair in enumerate(zip(filters, shapes, strict=True)):
                for k, weights in enumerate(pair):
                    answers[k, n, y, x] = (weights * window).sum() / np.sqrt((weights**2 * noise).sum())
    return answers[0], answers[1]


def test_shaped_pixels_are_those_whose_filters_answer_and_that_have_the_charge() -> None:
    ccd = Ccd()
    ccd.gain[:] = 1.6
    drawn, filters = few()

    places, numbers, strength = cosmic_shapes.shaped_pixels(
        *ccd.arguments, ccd.gain, FULL, drawn, filters, 2.5, 0.2, 6.0, 1, 21
    )

    answers, charge = answers_of(ccd, filters, drawn)
    passed = np.where((answers > 2.5) & (answers > 0.2 * charge) & (charge > 6.0), answers, -np.inf)
    assert places.size > 3
    y, x = np.divmod(places, SHAPE[1])
    # float32 against float64
    np.testing.assert_allclose(strength, answers[numbers, y, x], rtol=1e-4)
    np.testing.assert_allclose(strength, passed.max(axis=0)[y, x], rtol=1e-4)
    bands = [
        cosmic_shapes.shaped_pixels(*ccd.arguments, ccd.gain, FULL, drawn, filters, 2.5, 0.2, 6.0, *band)
        for band in ((1, 4), (4, 12), (12, 21))
    ]
    np.testing.assert_array_equal(places, np.concatenate([band[0] for band in bands]))
    assert ((y >= INSIDE[2] + INNER) & (y < INSIDE[3] - INNER)).all(), "the window lies inside"
    # what is not looked at is no brighter than the sky, or no brighter than what is round it
    light = ccd.high / np.sqrt(ccd.level(ccd.variance))
    for row, column in np.argwhere(passed.max(axis=0) > -np.inf):
        if row * SHAPE[1] + column not in places:
            box = light[row - 1 : row + 2, column - 1 : column + 2].sum()
            ring = light[row - 2 : row + 3, column - 2 : column + 3].sum() - box
            assert light[row, column] <= 2.001 or box <= 9.001 or box / 9 <= 1.2501 * ring / 16


def test_the_greatest_answer_is_that_of_the_nine_windows_round_a_pixel() -> None:
    ccd = Ccd()
    ccd.gain[:] = 1.6
    ccd.sky[:], ccd.variance[:] = 105.0, 81.0
    drawn, filters = few()
    answers, _ = answers_of(ccd, filters, drawn)

    for y, x in ((10, 20), (13, 15), (14, 26), (12, 13)):
        greatest = cosmic_shapes.greatest_answer(*ccd.arguments, ccd.gain, FULL, filters, y, x)
        expected = np.nanmax(answers[:, y - 1 : y + 2, x - 1 : x + 2], initial=0.0)
        # float32 filters, and light in float64 or not
        assert greatest == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_rays_that_their_shape_tells_stand_apart_from_known_ones_and_hang_together() -> None:
    ccd = Ccd()
    ccd.pixels[:] = ccd.level(ccd.sky)
    ccd.pixels[6, 5:11] += 40
    ccd.pixels[15, 20] += 40
    state = np.zeros(SHAPE, np.uint8)
    state[15, 17] = cosmic_groups.RAY
    shape = np.zeros((2, 3, 3), np.float32)
    shape[0, 1, :], shape[1, 1, 1] = 1.0, 1.0
    # two side by side, one on its own, one beside a known ray
    places = np.array([6 * 37 + 6, 6 * 37 + 7, 6 * 37 + 9, 15 * 37 + 19])
    known = np.array([15 * 37 + 17])

    rays = cosmic_groups.add_shapes(
        *ccd.arguments, ccd.gain, np.full(4, 2.0, np.float32), known, state, shape, places, np.array([0, 0, 1, 1]),
        np.array([3.0, 3.0, 4.0, 9.0], np.float32), 4.1, 0.9, 50.0,
    )  # fmt: skip

    assert sorted(rays) == [6 * 37 + 5, 6 * 37 + 6, 6 * 37 + 7, 6 * 37 + 8, 15 * 37 + 17]
    np.testing.assert_array_equal(np.flatnonzero(state == cosmic_groups.RAY), sorted(rays))
