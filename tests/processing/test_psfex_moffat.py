"""Moffat profiles fitted to images of the PSF."""

import numpy as np
import pytest

from processing.psfex import moffat

STEP = 0.9


def profile(
    fwhm: tuple[float, float], theta: float, beta: float, *, subpixels: int = 1, centre: tuple[float, float] = (12, 12)
) -> np.ndarray:
    """An elliptical Moffat profile of flux 1 at 25x25 samples, averaged over a pixel by `subpixels` squared samples."""
    factor, turn = 4.0 * (2.0 ** (1.0 / beta) - 1.0), np.radians(theta)
    ticks = (np.arange(subpixels) - (subpixels - 1) / 2.0) / subpixels
    total = np.zeros((25, 25))
    for a in ticks:
        for b in ticks:
            x, y = ((np.arange(25) - middle) * STEP + tick for middle, tick in zip(centre, (a, b), strict=True))
            along = np.cos(turn) * x + np.sin(turn) * y[:, np.newaxis]
            across = np.cos(turn) * y[:, np.newaxis] - np.sin(turn) * x
            total += (1.0 + factor * ((along / fwhm[0]) ** 2 + (across / fwhm[1]) ** 2)) ** -beta / subpixels**2
    return (total / total.sum()).astype(np.float32)


def test_a_profile_comes_back() -> None:
    images = np.stack([
        profile((4.6, 4.1), 30.0, 2.8), profile((4.6, 4.1), -70.0, 2.8), profile((4.0, 4.0), 0.0, 4.0),
        profile((5.0, 4.0), 80.0, 3.0, centre=(12.3, 11.8)),
    ])  # fmt: skip
    plain, _ = moffat.fit(images, STEP, 4.4)
    # pixels are float32, of 1e-7 of the peak
    assert plain.fwhm_max == pytest.approx([4.6, 4.6, 4.0, 5.0], abs=1e-3)
    assert plain.fwhm_min == pytest.approx([4.1, 4.1, 4.0, 4.0], abs=1e-3)
    assert plain.theta[[0, 1, 3]] == pytest.approx([30.0, -70.0, 80.0], abs=0.05)
    assert plain.beta == pytest.approx([2.8, 2.8, 4.0, 3.0], abs=2e-3)
    assert (plain.x[3], plain.y[3]) == pytest.approx((12.3, 11.8), abs=1e-3)
    assert plain.residuals.max() < 1e-3
    first, second = plain.components
    assert first[3] == pytest.approx(np.cos(np.radians(160.0)) / 9.0, abs=1e-3)
    assert second[0] == pytest.approx(0.5 / 8.7 * np.sin(np.radians(60.0)), abs=1e-3)


def test_the_pixel_is_taken_off() -> None:
    images = profile((3.0, 2.7), 20.0, 3.0, subpixels=5)[np.newaxis]
    plain, free = moffat.fit(images, STEP, 3.0)
    assert plain.fwhm_max[0] > 3.05
    assert free.fwhm_max[0] == pytest.approx(3.0, abs=2e-3)
    assert free.fwhm_min[0] == pytest.approx(2.7, abs=2e-3)
    assert free.beta[0] == pytest.approx(3.0, abs=5e-3)
    assert free.residuals[0] < plain.residuals[0]


def test_what_is_fitted_can_be_painted() -> None:
    image = profile((4.4, 4.0), -25.0, 3.2, subpixels=5)[np.newaxis]
    _, free = moffat.fit(image, STEP, 4.2)
    assert np.abs(free.images((25, 25), STEP) - image).max() < 2e-4 * image.max()


def test_a_gaussian_ends_at_the_bound_of_beta() -> None:
    grid = (np.arange(25) - 12) * STEP
    image = np.exp(-(grid**2 + grid[:, np.newaxis] ** 2) / 2.0 / 1.8**2)
    plain, free = moffat.fit((image / image.sum()).astype(np.float32)[np.newaxis], STEP, 4.2)
    assert plain.beta[0] == free.beta[0] == 10.0
    # the profile of beta 10 that fits best is 3 % narrower at half its maximum
    assert plain.fwhm[0] == pytest.approx(2.3548 * 1.8, rel=0.05)


def test_an_empty_image_gives_numbers() -> None:
    plain, free = moffat.fit(np.zeros((1, 25, 25), np.float32), STEP, 4.2)
    assert np.isfinite([plain.fwhm, free.fwhm, plain.beta, free.residuals]).all()
