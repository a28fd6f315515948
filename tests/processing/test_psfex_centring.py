"""Stars find their centres again with the model of their PSF."""

from dataclasses import replace

import numpy as np
import pytest

from processing.psfex.centring import centred
from processing.psfex.model import fit_psf, made_of
from processing.psfex.settings import Basis, Settings

from .test_psfex_basis import sharp_stars

STEP = 0.25


def truth() -> np.ndarray:
    """The PSF of the painted stars, finely sampled."""
    grid = (np.arange(41) - 20) * STEP
    down = np.exp(-(grid**2) / 2 / 0.85**2)
    return (down[:, None] * down / (2 * np.pi * 0.85**2))[np.newaxis]


def test_stars_go_to_where_they_are() -> None:
    sample = sharp_stars(40)
    shifts = np.random.default_rng(5).uniform(-0.1, 0.1, sample.offsets.shape)
    found = centred(replace(sample, offsets=sample.offsets + shifts), truth(), STEP, 0.01)
    # found 0.007: weights with an accuracy of 0.01 look at the wings, where noise is
    assert found.offsets == pytest.approx(sample.offsets, abs=0.015)


def test_a_star_is_looked_at_in_a_box_of_twice_its_width() -> None:
    sample = sharp_stars(3)
    assert int(2.0 * sample.fwhm) + 1 == 5
    before = centred(sample, truth(), STEP, 0.01).offsets
    pulled = replace(sample, vignettes=sample.vignettes.copy())
    # of 21 pixels the box has 8 to 12
    pulled.vignettes[0, 10, 13] += 500.0
    pulled.vignettes[1, 10, 12] += 500.0
    pulled.vignettes[2, 8, 10] += 500.0
    moved = centred(pulled, truth(), STEP, 0.01).offsets - before
    assert moved[0].tolist() == [0.0, 0.0]
    assert moved[1, 0] > 5 * abs(moved[1, 1])
    assert moved[2, 1] < -5 * abs(moved[2, 0])


def test_a_star_that_would_go_farther_than_a_pixel_stays_where_it_was() -> None:
    sample = sharp_stars(4)
    offsets = sample.offsets.copy()
    sample.vignettes[0] = np.roll(sample.vignettes[0], 2, axis=1)  # farther
    sample.vignettes[1] = np.roll(sample.vignettes[1], 1, axis=1)  # so much together with a wrong place
    offsets[1, 0] -= 0.3
    sample.vignettes[2] = np.roll(sample.vignettes[2], 1, axis=0)  # by 0.9
    offsets[2, 1] += 0.1
    found = centred(replace(sample, offsets=offsets), truth(), STEP, 0.01)
    assert np.array_equal(found.offsets[:2], offsets[:2])
    assert found.offsets[2] == pytest.approx(sample.offsets[2] + (0.0, 1.0), abs=0.05)
    assert found.offsets[3] == pytest.approx(sample.offsets[3], abs=0.015)


def test_a_neighbour_pulls_a_star_by_a_part_of_a_pixel_only() -> None:
    sample = sharp_stars(2)
    sample.vignettes[0] += 20.0 * np.roll(sample.vignettes[0], 4, axis=1)
    found = centred(sample, truth(), STEP, 0.01)
    # found 0.14, towards the neighbour: its light within the model's circle
    assert found.offsets[0] == pytest.approx(sample.offsets[0] + (0.14, 0.0), abs=0.05)
    assert found.offsets[1] == pytest.approx(sample.offsets[1], abs=0.015)


def test_a_model_of_recentred_stars_fits_better_than_one_of_wrong_places() -> None:
    sample = sharp_stars(60)
    wrong = replace(sample, offsets=sample.offsets + np.random.default_rng(5).normal(0.0, 0.1, (60, 2)))
    settings = Settings(size=(25, 25), basis=Basis("PIXEL"), degrees=(0,))
    right = fit_psf(sample, settings).images[0]
    left, moved = (made_of(wrong, replace(settings, recentred=recentred)) for recentred in (False, True))
    errors = [np.abs(each.model.images[0] - right).max() / right.max() for each in (left, moved)]
    # found 0.10 and 0.016
    assert errors[1] < 0.5 * errors[0]
    assert np.std(moved.sample.offsets - sample.offsets) < 0.5 * np.std(wrong.offsets - sample.offsets)
