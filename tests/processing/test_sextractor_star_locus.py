"""STAR_PROB on drawn stars and galaxies, and as a column."""

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.sextractor import star_locus
from processing.sextractor.extract import extract
from processing.sextractor.settings import Settings


def drawn(seed: int, stars: int, galaxies: int) -> tuple[NDArray[np.float64], ...]:
    """SPREAD_MODEL, its error, fluxes and whether each is a star; errors grow from 1e-4 to 8e-3 towards faint ones."""
    draw = np.random.default_rng(seed)
    number = stars + galaxies
    star = np.arange(number) < stars
    magnitude = 18.0 + 6.0 * draw.uniform(0, 1, number) ** 0.5
    error = 1e-4 * 10.0 ** (0.32 * (magnitude - 18.0))
    extent = np.where(star, 3e-4, draw.gamma(3.0, 0.004, number))
    spread = draw.normal(extent, np.hypot(error, np.where(star, 4e-4, 0.0)))
    return spread, error, 10.0 ** (-0.4 * magnitude), star


def test_bright_stars_and_galaxies_are_told_apart() -> None:
    spread, error, flux, star = drawn(2, 800, 1200)
    made = star_locus.probability(spread, error, flux)
    sharp = error < 5e-4
    assert np.all((made >= 0.0) & (made <= 1.0))
    # a hundred of them a class or so; galaxies of less than 1.5e-3 are as stars
    assert np.mean((made > 0.5)[sharp] == star[sharp]) > 0.97


def test_of_what_is_told_a_star_with_some_probability_that_share_is() -> None:
    spread, error, flux, star = (
        np.concatenate(each) for each in zip(*(drawn(k, 800, 1200) for k in range(4)), strict=True)
    )
    made = star_locus.probability(spread, error, flux)
    for low in (0.05, 0.2, 0.4, 0.6, 0.8):
        among = (made >= low) & (made < low + 0.2)
        # some hundred sources each, of which the share is known to 0.05 or better; the model of galaxies adds as much
        assert abs(star[among].mean() - made[among].mean()) < 0.12, low
    assert made.sum() == pytest.approx(star.sum(), rel=0.08)


def test_it_is_better_than_a_cut_in_spread() -> None:
    spread, error, flux, star = drawn(5, 800, 1200)
    made = star_locus.probability(spread, error, flux) > 0.5
    cut = np.abs(spread) < 0.003 + error
    assert np.mean(made == star) > np.mean(cut == star) + 0.02


def test_the_order_of_sources_changes_nothing() -> None:
    spread, error, flux, _ = drawn(7, 200, 300)
    turned = np.random.default_rng(1).permutation(len(spread))
    plain = star_locus.probability(spread, error, flux)
    # sums of some hundred numbers in another order
    assert star_locus.probability(spread[turned], error[turned], flux[turned]) == pytest.approx(plain[turned], abs=1e-9)


def test_what_is_sharper_than_the_psf_is_no_star() -> None:
    spread, error, flux, _ = drawn(3, 500, 500)
    spread[0], error[0], flux[0] = -0.03, 1e-3, np.median(flux)
    assert star_locus.probability(spread, error, flux)[0] < 0.01


def test_few_sources_or_none_have_a_probability_too() -> None:
    empty = np.empty(0)
    assert star_locus.probability(empty, empty, empty).shape == (0,)
    made = star_locus.probability(np.array([0.0, 0.02, 0.0]), np.full(3, 1e-3), np.array([10.0, 10.0, -1.0]))
    assert made[0] > 0.8
    assert made[1] < 0.01
    assert np.all(np.isfinite(made))


def test_the_locus_is_found_where_stars_are_not_at_0() -> None:
    spread, error, _, _ = drawn(11, 600, 600)
    locus = star_locus.locus_of(spread, error)
    # the median of a hundred sharp stars that scatter by 5e-4, pulled up by small galaxies
    assert locus.centre == pytest.approx(3e-4, abs=2e-4)
    assert star_locus.SCATTER <= locus.scatter < 1e-3


def test_the_column_asks_for_a_model_of_the_psf() -> None:
    image = np.random.default_rng(1).normal(0.0, 1.0, (50, 50)).astype(np.float32)
    with pytest.raises(BadSetting, match=r"PSF_NAME = default\.psf: no such file"):
        extract(image, settings=Settings(columns=("STAR_PROB",)))
