"""Models of stars that the image does not sample well enough, on painted stars whose PSF is known."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.errors import BadCatalogue, NotFits
from processing.psf_model import Variation
from processing.psfex.basis import Basis as Vectors
from processing.psfex.basis import gauss_laguerre, of_file, pixels_of
from processing.psfex.model import fit_psf
from processing.psfex.refinement import Refinement
from processing.psfex.resampling import resampled
from processing.psfex.sample import Floats, Sample
from processing.psfex.settings import Basis, Settings

SIDE, SIGMA, NOISE = 21, 0.85, 1.0


def sharp_stars(number: int = 60, seed: int = 3, gain: float = 0.0) -> Sample:
    """Gaussian stars with an FWHM of 2.0 pixels, each elsewhere on its pixel."""
    draw = np.random.default_rng(seed)
    offsets, fluxes = draw.uniform(-0.5, 0.5, (number, 2)), 10 ** draw.uniform(4.0, 5.0, number)
    grid = np.arange(SIDE) - SIDE // 2
    across = np.exp(-((grid - offsets[:, :1]) ** 2) / 2 / SIGMA**2)
    down = np.exp(-((grid - offsets[:, 1:]) ** 2) / 2 / SIGMA**2)
    stars = fluxes[:, None, None] / (2 * np.pi * SIGMA**2) * down[:, :, None] * across[:, None, :]
    stars += draw.normal(0.0, NOISE, stars.shape)
    return Sample(
        np.arange(number), stars, np.ones(stars.shape, np.bool_), offsets, fluxes, np.empty((number, 0)),
        2.3548 * SIGMA, NOISE, gain, Variation(), {},
    )  # fmt: skip


def test_a_basis_of_pixels_finds_what_lies_between_pixels() -> None:
    errors = {}
    for kind in ("NONE", "PIXEL_AUTO"):
        model = fit_psf(sharp_stars(), Settings(size=(25, 25), basis=Basis(kind), degrees=(0,)))
        grid = (np.arange(25) - 12) * model.step
        truth = np.exp(-(grid**2) / 2 / SIGMA**2)
        truth = truth[:, None] * truth / (2 * np.pi * SIGMA**2)
        errors[kind] = np.abs(model.images[0] - truth).max() / truth.max()
    # found 0.026 without, 0.013 with it: the kernel smooths stars of so few pixels
    assert errors["NONE"] > 0.02
    assert errors["PIXEL_AUTO"] < 0.02


def test_stars_that_are_wide_enough_are_not_refined_by_pixel_auto() -> None:
    sample = sharp_stars()
    wide = Sample(**{name: getattr(sample, name) for name in Sample.__slots__} | {"fwhm": 3.0})
    auto, none = (fit_psf(wide, Settings(basis=Basis(kind), degrees=(0,))) for kind in ("PIXEL_AUTO", "NONE"))
    assert np.array_equal(auto.images, none.images)


WHOLE = (99, 99)
"""Vignettes that see all of a model."""


def test_pixels_are_those_that_differ_most_from_nothing() -> None:
    images = np.zeros((2, 7, 9))
    images[0, 2:4, 3:5] = [[4.0, 3.0], [2.0, -1.0]]
    vectors = pixels_of(images, 2, WHOLE, 0.5).vectors
    assert vectors.shape == (4, 7, 9)
    assert vectors.sum(axis=0)[2:4, 3:5].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_pixels_end_in_a_circle_and_where_no_vignette_sees_them() -> None:
    images = np.random.default_rng(1).normal(size=(1, 7, 9))
    down, across = np.mgrid[-3:4, -4:5]
    circle = down**2 + across**2 < 3.5**2
    assert np.array_equal(pixels_of(images, 20, WHOLE, 0.5).vectors.sum(axis=0) > 0.0, circle)
    # (5 - 1) / 2 / 0.9 pixels of the model upwards and downwards
    assert np.array_equal(pixels_of(images, 20, (5, 99), 0.9).vectors.sum(axis=0) > 0.0, circle & (np.abs(down) <= 2))


@pytest.mark.parametrize("number", [3, 6, 40])
def test_the_short_cut_of_pixels_is_that_of_any_basis(number: int) -> None:
    sample, step = sharp_stars(20, gain=2.0), 0.43
    first = resampled(sample.vignettes / sample.fluxes[:, None, None], (15, 17), sample.offsets, step).mean(axis=0)[
        None
    ]
    pixels = pixels_of(first, number, WHOLE, step)
    short = Refinement(pixels, step, 0.01)(sample, first)
    long = Refinement(Vectors(pixels.vectors), step, 0.01)(sample, first)
    # both sum in float64, in another order
    assert np.abs(short - long).max() < 1e-10
    assert np.abs(short - first).max() > 1e-4


def normal_equations(sample: Sample, first: Floats, basis: Vectors, step: float) -> Floats:
    """The twin: least squares of all pixels of all stars at once, the prior as further rows."""
    rows, values = [], []
    for star, offset, flux in zip(sample.vignettes, sample.offsets, sample.fluxes, strict=True):
        shape, at = star.shape, -offset[np.newaxis] / step
        root = 1.0 / np.sqrt(NOISE**2 + (0.01 * star) ** 2)
        seen = [resampled(vector[np.newaxis], shape, at, 1.0 / step)[0] * flux * root for vector in basis.vectors]
        rows.append(np.stack(seen, axis=-1).reshape(-1, len(basis)))
        values.append(((star - flux * resampled(first, shape, at, 1.0 / step)[0]) * root).ravel())
    rows.append(np.eye(len(basis)) / 0.01)
    values.append(np.zeros(len(basis)))
    found = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
    return first + np.tensordot(found, basis.vectors, 1)


def test_the_refinement_is_the_least_squares_of_all_pixels() -> None:
    sample, step = sharp_stars(12), 0.43
    first = resampled(sample.vignettes / sample.fluxes[:, None, None], (15, 15), sample.offsets, step).mean(axis=0)[
        None
    ]
    basis = pixels_of(first, 8, WHOLE, step)
    expected = normal_equations(sample, first, basis, step)
    # normal equations have the square of the condition of least squares
    assert Refinement(basis, step, 0.01)(sample, first) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("gone", [[3], [3, 7, 19], list(range(14))])
@pytest.mark.parametrize("alone", [False, True])
def test_what_is_kept_of_stars_that_went_is_nothing(gone: list[int], *, alone: bool) -> None:
    sample, step = sharp_stars(20, gain=2.0), 0.43
    first = resampled(sample.vignettes / sample.fluxes[:, None, None], (15, 15), sample.offsets, step).mean(axis=0)[
        None
    ]
    basis = Vectors(gauss_laguerre((15, 15), 1.0, 3), alone=True) if alone else pixels_of(first, 6, WHOLE, step)
    left = sample.of(~np.isin(np.arange(20), gone))
    again = Refinement(basis, step, 0.01)
    before = again(sample, first)
    expected = Refinement(basis, step, 0.01)(left, first)
    assert np.abs(again(left, first) - expected).max() < 1e-9 * first.max()
    assert np.abs(before - expected).max() > 1e-5 * first.max()


def test_shapelets_are_orthogonal_and_end_up_where_they_should() -> None:
    vectors = gauss_laguerre((61, 61), 1.0, 8)
    assert len(vectors) == 45
    flat = vectors.reshape(45, -1)
    products = flat @ flat.T
    # samples of 3 by 3 a pixel take a little from each
    assert np.abs(products - np.diag(np.diag(products))).max() < 0.02
    assert products[0, 0] == pytest.approx(1.0, abs=0.01)
    # a cosine turned by a quarter of its period is the sine beside it
    assert vectors[4].T[::-1] == pytest.approx(-vectors[4], abs=1e-12)
    assert vectors[2] == pytest.approx(vectors[1].T, abs=1e-12)


def test_a_model_of_shapelets_alone_is_in_their_span() -> None:
    sample = sharp_stars()
    basis = Basis("GAUSS-LAGUERRE", 4, 0.8)
    model = fit_psf(sample, Settings(size=(21, 21), basis=basis, degrees=(0,)))
    rows, columns = np.mgrid[:21, :21] - 10
    # outside this circle the model is tapered
    inside = rows**2 + columns**2 < 25
    vectors = gauss_laguerre((21, 21), 0.8, 4)[:, inside].T
    coefficients = np.linalg.lstsq(vectors, model.images[0][inside], rcond=None)[0]
    # float32 coefficients
    assert vectors @ coefficients == pytest.approx(model.images[0][inside], abs=1e-6)


def test_vectors_of_a_file_are_those_of_the_basis_it_was_made_of(tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    fits.PrimaryHDU(gauss_laguerre((21, 21), 1.0, 4)).writeto(path)
    sample = sharp_stars()
    same = [
        fit_psf(sample, Settings(size=(21, 21), basis=basis, degrees=(0,)))
        for basis in (Basis("FILE", path=path), Basis("GAUSS-LAGUERRE", 4))
    ]
    assert np.array_equal(same[0].images, same[1].images)


def test_a_file_that_is_no_basis_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cube.fits"
    with pytest.raises(NotFits, match="BASIS_NAME"):
        of_file(path, (25, 25))
    fits.PrimaryHDU(np.zeros((25, 25))).writeto(path)
    with pytest.raises(BadCatalogue, match="no cube"):
        of_file(path, (25, 25))
    fits.PrimaryHDU(np.zeros((3, 21, 31))).writeto(path, overwrite=True)
    with pytest.raises(BadCatalogue, match="images of 31 by 21"):
        of_file(path, (25, 25))
    fits.PrimaryHDU(np.full((3, 25, 25), np.nan)).writeto(path, overwrite=True)
    with pytest.raises(BadCatalogue, match="no numbers"):
        of_file(path, (25, 25))
