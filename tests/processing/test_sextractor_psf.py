"""The PSF fitted to sources, and SPREAD_MODEL, against plain twins and painted skies."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing import psf_model
from processing.cards import CardValues, text_of
from processing.errors import BadSetting
from processing.kernels import lanczos, psf_fit, psf_joint
from processing.psf_model import PsfModel, Variation
from processing.sextractor.exposure import Names, of_files
from processing.sextractor.extract import extract, extract_all
from processing.sextractor.extraction import Warned
from processing.sextractor.point_spread import disc
from processing.sextractor.psf_choice import chosen, point_spread
from processing.sextractor.settings import Settings

pytestmark = pytest.mark.timeout(900)  # whichever comes first may meet kernels that are not compiled yet

STEP, FWHM, SIDE = 0.9, 4.2, 27
NO_CARDS = CardValues("")
COLUMNS = (
    "X_IMAGE", "Y_IMAGE", "FLUX_PSF", "FLUXERR_PSF", "MAG_PSF", "XPSF_IMAGE", "YPSF_IMAGE", "ERRAPSF_IMAGE",
    "CHI2_PSF", "NITER_PSF", "FWHMPSF_IMAGE", "SPREAD_MODEL", "SPREADERR_MODEL", "FLAGS", "STAR_PROB",
)  # fmt: skip
SETTINGS = Settings(
    columns=COLUMNS, back_type=("MANUAL", "MANUAL"), filter=None, thresh_type="ABSOLUTE", detect_thresh=(20.0,),
    analysis_thresh=(20.0,), satur_level=1e6, gain_key="", satur_key="",
)  # fmt: skip


def gaussian(fwhm: float = FWHM, *, side: int = SIDE, step: float = STEP) -> NDArray[np.float64]:
    grid = (np.arange(side) - side // 2) * step / (fwhm / 2.3548)
    image = np.exp(-0.5 * (grid**2 + grid[:, None] ** 2))
    return image / (image.sum() * step**2)


MODEL = PsfModel(gaussian()[None].astype(np.float32), STEP, FWHM)
PSF = point_spread(MODEL, NO_CARDS, where="memory")


def lanczos_twin(length: int, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrix from samples to places, by the definition of the kernel."""
    away = places[:, None] - np.arange(length)
    weights = np.where(np.abs(away) < 4.0, np.sinc(away) * np.sinc(away / 4.0), 0.0)
    weights[(places < 0) | (places > length - 1)] = 0.0
    total = weights.sum(axis=1, keepdims=True)
    return np.divide(weights, total, out=np.zeros_like(weights), where=total != 0.0)


def painted(image: NDArray[np.float64], x: float, y: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A PSF with its centre at x, y, by the twin."""
    down = lanczos_twin(image.shape[0], image.shape[0] // 2 + (np.arange(shape[0]) - y) / STEP)
    across = lanczos_twin(image.shape[1], image.shape[1] // 2 + (np.arange(shape[1]) - x) / STEP)
    return down @ image @ across.T


def sky(*stars: tuple[float, float, float], noise: float = 1.0, seed: int = 3) -> NDArray[np.float32]:
    image = np.random.default_rng(seed).normal(0.0, noise, (120, 130))
    for x, y, flux in stars:
        image += flux * painted(MODEL.images[0].astype(float), x, y, image.shape)
    return image.astype(np.float32)


def measured(image: NDArray[np.float32], **more: object) -> Mapping[str, NDArray[np.float64]]:
    return extract(image, settings=replace(SETTINGS, psf=PSF, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [0.4, 1.0, 1.7])
def test_pixels_are_made_of_the_samples_around_them(step: float) -> None:
    starts, weights = lanczos.buffers(40)
    lanczos.taps(21, 10.37, step, -20, starts, weights)
    matrix = np.zeros((40, 21))
    for row, (start, line) in enumerate(zip(starts, weights, strict=True)):
        for k, weight in enumerate(line):
            if weight:
                matrix[row, start + k] += weight
    assert np.allclose(matrix, lanczos_twin(21, 10.37 + (np.arange(40) - 20) * step), atol=1e-12)


def test_a_resampled_image_is_that_of_its_matrices() -> None:
    image = np.random.default_rng(5).normal(size=(15, 17))
    across, down = lanczos.buffers(12), lanczos.buffers(9)
    lanczos.taps(17, 8.3, 1.1, -6, *across)
    lanczos.taps(15, 6.8, 1.1, -4, *down)
    made = np.empty((9, 12))
    lanczos.resample(image, across, down, np.empty((15, 12)), 9, 12, made)
    twin = (
        lanczos_twin(15, 6.8 + 1.1 * (np.arange(9) - 4)) @ image @ lanczos_twin(17, 8.3 + 1.1 * (np.arange(12) - 6)).T
    )
    assert np.allclose(made, twin, atol=1e-12)


def test_stars_of_the_model_get_their_flux_and_place() -> None:
    truth = [(40.3, 50.8, 3e4), (90.75, 30.1, 8e3), (61.5, 95.5, 1.2e5)]
    table = measured(sky(*truth, noise=0.01))
    assert len(table["X_IMAGE"]) == len(truth)
    for x, y, flux in truth:
        k = int(np.argmin(np.hypot(table["XPSF_IMAGE"] - x - 1, table["YPSF_IMAGE"] - y - 1)))
        # the noise is 1e-6 to 1e-5 of the stars, and the fit ends where a step is below 1e-3 pixel
        assert table["FLUX_PSF"][k] == pytest.approx(flux, rel=1e-4)
        assert np.hypot(table["XPSF_IMAGE"][k] - x - 1, table["YPSF_IMAGE"][k] - y - 1) < 1e-3
        assert abs(table["SPREAD_MODEL"][k]) < 1e-5
        assert table["MAG_PSF"][k] == pytest.approx(-2.5 * np.log10(flux), abs=1e-4)


def test_errors_are_the_scatter_of_many_stars() -> None:
    off = []
    for seed in range(60):
        table = measured(sky((60.2, 60.4, 2e3), noise=3.0, seed=seed), gain=0.0)
        k = int(np.argmax(table["FLUX_PSF"]))
        off.append(
            [
                (table["FLUX_PSF"][k] - 2e3) / table["FLUXERR_PSF"][k],
                (table["XPSF_IMAGE"][k] - 61.2) / table["ERRAPSF_IMAGE"][k],
                table["SPREAD_MODEL"][k] / table["SPREADERR_MODEL"][k],
                table["CHI2_PSF"][k],
            ]
        )
    scatter = np.array(off)
    # of 60 draws a deviation is known to 9 %: three times that
    assert np.all(np.abs(scatter[:, :3].std(axis=0) - 1.0) < 0.28)
    assert np.all(np.abs(scatter[:, :3].mean(axis=0)) < 0.4)
    assert scatter[:, 3].mean() == pytest.approx(1.0, abs=0.05)


def fit_twin(
    image: NDArray[np.float64], bounds: NDArray[np.int64], centre: NDArray[np.float64], variance: float, gain: float
) -> tuple[float, float, float, float]:
    """Flux, its error, and position by least squares on matrices."""
    fwhm, psf = FWHM * STEP, PSF.images[0]
    middle = [(bounds[axis] + bounds[axis + 2] + 1) // 2 for axis in (0, 1)]
    size = [max(int(bounds[axis + 2] - bounds[axis] + 1 + fwhm), int(2 * fwhm)) for axis in (0, 1)]
    x0, y0 = (mid - length // 2 for mid, length in zip(middle, size, strict=True))
    data = image[y0 : y0 + size[1], x0 : x0 + size[0]].astype(float)
    weight = 1.0 / (variance + np.maximum(data, 0.0) / gain)
    down, along = np.ones(data.shape), np.ones(data.shape)
    down[[0, -1]], along[:, [0, -1]] = 0.0, 0.0
    place = centre.copy()
    for _ in range(20):
        here = painted(psf, place[0] - x0, place[1] - y0, data.shape)
        dy, dx = (0.5 * (np.roll(here, -1, axis) - np.roll(here, 1, axis)) for axis in (0, 1))
        parts = here * down * along, dx * along, dy * down
        rows = np.stack([(part * np.sqrt(weight)).ravel() for part in parts], axis=1)
        found = np.linalg.lstsq(rows, (data * np.sqrt(weight)).ravel(), rcond=None)[0]
        step = -found[1:] / found[0]
        place += step
        if step @ step <= 1e-6:
            break
    error = np.sqrt(np.linalg.inv(rows.T @ rows)[0, 0])
    return float(found[0]), float(error), float(place[0]), float(place[1])


def test_fits_are_those_of_least_squares_on_matrices() -> None:
    image = sky((40.3, 50.8, 3e3), (90.75, 30.1, 900.0), noise=2.0)
    values = np.ascontiguousarray(image)
    bounds = np.array([[36, 47, 45, 55], [88, 27, 93, 33]])
    centres = np.array([[40.4, 50.6], [90.6, 30.2]])
    told = np.empty((2, psf_fit.FIELDS))
    none = np.empty((0, 0), np.float32)
    psf_fit.points(
        values, np.zeros(values.shape, np.int32), none, np.inf, 4.0, 1.5, False, 2, 0, np.arange(2), centres, bounds,
        np.full(2, 1e6), PSF.images, np.ones((2, 1)), STEP, FWHM * STEP, told,
    )  # fmt: skip
    for line, bound, centre in zip(told, bounds, centres, strict=True):
        flux, error, x, y = fit_twin(image, bound, centre, 4.0, 1.5)
        assert line[psf_fit.FITTED] == 1.0
        assert line[psf_fit.FLUX] == pytest.approx(flux, rel=1e-9)
        assert line[psf_fit.ERROR] == pytest.approx(error, rel=1e-9)
        assert (line[psf_fit.X], line[psf_fit.Y]) == pytest.approx((x, y), abs=1e-9)


def test_psfs_that_are_fitted_together_tell_stars_of_one_source_apart() -> None:
    truth = [
        (40.3, 50.8, 3e4),
        (43.9, 52.0, 2e4),
        (90.7, 30.1, 8e3),
        (60.5, 95.5, 1e5),
        (64.9, 95.5, 7e4),
        (62.4, 99.9, 6e4),
    ]
    image = sky(*truth, noise=0.1)
    one = measured(image, deblend_mincont=1.0)
    table = measured(image, deblend_mincont=1.0, psf_nmax=3, columns=("NUMBER", *COLUMNS))
    assert len(one["X_IMAGE"]) == 3
    assert np.array_equal(table["NUMBER"], np.arange(1, 7))
    assert len(np.unique(table["SPREAD_MODEL"])) == 3
    for x, y, flux in truth:
        k = int(np.argmin(np.hypot(table["XPSF_IMAGE"] - x - 1, table["YPSF_IMAGE"] - y - 1)))
        # several go half of each way and 20 turns at most
        assert table["FLUX_PSF"][k] == pytest.approx(flux, rel=5e-3)
        assert np.hypot(table["XPSF_IMAGE"][k] - x - 1, table["YPSF_IMAGE"][k] - y - 1) < 0.02
        assert table["FLUXERR_PSF"][k] < 0.01 * flux


def test_inverses_are_those_of_numpy() -> None:
    rows = np.random.default_rng(4).normal(size=(9, 30))
    matrix = rows @ rows.T
    room, found = np.full((12, 12), np.nan), np.full((12, 12), np.nan)
    room[:9, :9] = np.tril(matrix)
    assert psf_joint.invert(room, 9, found)
    assert np.allclose(found[:9, :9], np.linalg.inv(matrix), rtol=1e-10)
    room[:9, :9] = np.tril(rows[:, :4] @ rows[:, :4].T)
    assert not psf_joint.invert(room, 9, found)


def test_where_there_is_no_light_there_is_no_fit() -> None:
    values, none = np.zeros((20, 20), np.float32), np.empty((0, 0), np.float32)
    told = np.empty((1, psf_fit.FIELDS))
    psf_fit.points(
        values, np.zeros(values.shape, np.int32), none, np.inf, 4.0, 1.5, False, 2, 0, np.arange(1),
        np.array([[10.2, 9.9]]), np.array([[9, 8, 11, 12]]), np.ones(1), PSF.images, np.ones((1, 1)), STEP, FWHM, told,
    )  # fmt: skip
    assert (told[0, psf_fit.FITTED], told[0, psf_fit.FLUX], told[0, psf_fit.CHI2]) == (0.0, 0.0, 0.0)
    assert tuple(told[0, [psf_fit.X, psf_fit.Y]]) == (10.2, 9.9)


def test_spread_is_that_of_its_formula() -> None:
    image = sky((40.3, 50.8, 3e3), noise=2.0)
    labels = np.zeros(image.shape, np.int32)
    labels[:, 45:48] = 7
    spread, error = np.empty(1, np.float32), np.empty(1, np.float32)
    psf_fit.spreads(
        image, labels, np.empty((0, 0), np.float32), np.inf, 4.0, 1.5, False, 2, 0, np.arange(1),
        np.array([[40.35, 50.75]]), np.full(1, 1e6), PSF.images, PSF.wider, np.ones((1, 1)), STEP, spread, error,
    )  # fmt: skip
    good = labels == 0
    phi, wide = (painted(part[0], 40.35, 50.75, image.shape)[good] for part in (PSF.images, PSF.wider))
    data = image[good].astype(float)
    variance = 4.0 + np.maximum(data, 0.0) / 1.5
    assert spread[0] == pytest.approx((wide @ data) / (phi @ data) - (wide @ phi) / (phi @ phi), rel=1e-5)
    gradient = wide / (phi @ data) - phi * (wide @ data) / (phi @ data) ** 2
    assert error[0] == pytest.approx(np.sqrt(np.sum(gradient**2 * variance)), rel=1e-5)


def test_what_is_wider_than_the_psf_has_a_spread_above_0_and_cosmics_one_below() -> None:
    image = sky((40.0, 50.0, 3e4), noise=1.0)
    image += 3e4 * painted(gaussian(1.5 * FWHM), 90.0, 30.0, image.shape).astype(np.float32)
    image[90:93, 60:63] += 3e3
    table = measured(image)
    star, galaxy, spike = (int(np.argmin(np.abs(table["X_IMAGE"] - x - 1))) for x in (40, 90, 61))
    assert abs(table["SPREAD_MODEL"][star]) < 1e-3
    assert table["SPREAD_MODEL"][galaxy] > 5e-3
    assert table["SPREAD_MODEL"][spike] < -5e-3
    assert table["STAR_PROB"][star] > 0.5
    assert max(table["STAR_PROB"][[galaxy, spike]]) < 0.1


def test_a_saturated_centre_has_no_fit() -> None:
    table = measured(sky((40.0, 50.0, 3e4), (90.0, 30.0, 3e3)), satur_level=500.0)
    full, other = (int(np.argmin(np.abs(table["X_IMAGE"] - x - 1))) for x in (40, 90))
    assert (table["FLUX_PSF"][full], table["MAG_PSF"][full]) == (0.0, 99.0)
    assert table["XPSF_IMAGE"][full] == pytest.approx(table["X_IMAGE"][full], abs=1e-4)  # a float32 beside a float64
    assert table["FLUX_PSF"][other] == pytest.approx(3e3, rel=0.02)


def test_threads_change_no_bit() -> None:
    draw = np.random.default_rng(8)
    image = sky(*((x, y, draw.uniform(500, 5e3)) for x in range(12, 124, 9) for y in range(12, 114, 9)), noise=2.0)
    one, two = (measured(image, threads=threads) for threads in (1, 2))
    assert len(one["X_IMAGE"]) > 130  # more than one chunk
    for name in COLUMNS:
        assert np.array_equal(one[name], two[name], equal_nan=True), name


def test_the_disc_has_the_moments_of_an_exponential() -> None:
    for scale in (1.1, 2.0):
        light = disc(scale)
        grid = np.arange(len(light)) - len(light) // 2
        assert light.sum() == pytest.approx(1.0)
        # 3 h² of the disc and 1/12 of a sample
        assert (light.sum(axis=0) * grid**2).sum() == pytest.approx(3.0 * scale**2 + 1.0 / 12.0, rel=0.01)


def test_the_width_of_the_model_is_that_at_half_its_height() -> None:
    table = measured(sky((60.0, 60.0, 3e4)))
    # bilinear between samples of 0.9 pixel: the curvature of the flank widens it by 2 %
    assert table["FWHMPSF_IMAGE"] == pytest.approx(FWHM, rel=0.03)


def variable() -> PsfModel:
    """A PSF whose height follows x by columns and the air mass by the header."""
    variation = Variation(("X_IMAGE", ":AIRMASS"), (1, 2), (65.0, 1.0), (130.0, 1.0), (1, 1))
    terms = variation.powers
    factors = {(0, 0): 1.0, (1, 0): 0.2, (0, 1): 0.4, (1, 1): 0.1}
    images = np.stack([factors[term] * gaussian() for term in terms])
    return PsfModel(images.astype(np.float32), STEP, FWHM, variation)


def test_a_model_follows_columns_and_the_header() -> None:
    model = variable()
    told = CardValues(text_of([("AIRMASS", 1.5)]))
    local = point_spread(model, told, where="memory")
    assert local.contexts == ("X_IMAGE",)
    basis = local.basis({"X_IMAGE": np.array([10.0, 120.0], np.float32)}, np.arange(2))
    for line, x in zip(basis, (10.0, 120.0), strict=True):
        assert np.tensordot(line, local.images, 1) == pytest.approx(model.at(x, 1.5), abs=1e-6)


def test_what_a_model_needs_and_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"follows AIRMASS, which the image's header does not have"):
        point_spread(variable(), NO_CARDS, where="a.psf")
    # made of others afterwards, a vector, measured with the PSF, and nothing of the tool's
    for name in ("ALPHA_J2000", "FLUX_RADIUS", "XPSF_IMAGE", "IMAFLAGS_ISO", "AIRMASS"):
        odd = replace(variable(), variation=replace(variable().variation, names=(name, ":AIRMASS")))
        with pytest.raises(BadSetting, match=f"follows {name}, which is no number measured of each source before"):
            point_spread(odd, CardValues(text_of([("AIRMASS", 1.5)])), where="a.psf")
    with pytest.raises(BadSetting, match=r"a\.psf: PSF_FWHM = 0; make the model again"):
        point_spread(replace(MODEL, fwhm=0.0), NO_CARDS, where="a.psf")
    with pytest.raises(BadSetting, match=r"lacking\.psf: no such file"):
        chosen([str(tmp_path / "lacking.psf")], 1, NO_CARDS)
    path = tmp_path / "two.psf"
    psf_model.write(path, [MODEL, MODEL])
    assert chosen([str(path)], 2, NO_CARDS).step == STEP
    with pytest.raises(BadSetting, match="2 models, but the file has an image 3"):
        chosen([str(path)], 3, NO_CARDS)
    assert chosen([str(path), "without effect"], 2, NO_CARDS).step == STEP
    for most in (0, 10):
        with pytest.raises(BadSetting, match=f"PSF_NMAX = {most}: 1 to 9 were expected"):
            measured(sky((40.0, 50.0, 3e4)), psf_nmax=most)
    with pytest.raises(BadSetting, match="one file for the measured image"):
        chosen([str(path)] * 3, 1, NO_CARDS)


def test_an_image_whose_model_has_no_stars_has_no_fits_and_says_so(tmp_path: Path) -> None:
    """The original stops with an error; here the other images of the file get their PSF all the same."""
    model, image = tmp_path / "two.psf", tmp_path / "two.fits"
    psf_model.write(model, [psf_model.without_stars((SIDE, SIDE), Variation()), MODEL])
    pixels = sky((40.3, 50.8, 3e4))
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels), fits.ImageHDU(pixels)]).writeto(image)
    settings = replace(SETTINGS, psf_name=(str(model),))
    without, fitted = extract_all(of_files(Names(str(image)), settings), settings)
    assert [Warned.NO_PSF in {each.kind for each in made.warnings} for made in (without, fitted)] == [True, False]
    told = next(str(each) for each in without.warnings if each.kind is Warned.NO_PSF)
    assert "image 1 was made of no star" in told
    row = {name: float(without.table[name].ravel()[0]) for name in COLUMNS}
    assert (row["FLUX_PSF"], row["MAG_PSF"], row["FWHMPSF_IMAGE"], row["NITER_PSF"]) == (0.0, 99.0, 0.0, 1.0)
    assert (row["SPREAD_MODEL"], row["SPREADERR_MODEL"]) == (1.0, 1.0)
    assert np.isnan(row["STAR_PROB"])
    assert row["XPSF_IMAGE"] == pytest.approx(row["X_IMAGE"], abs=1e-4)
    assert fitted.table["FLUX_PSF"][0] == pytest.approx(3e4, rel=1e-2)


def test_a_pixel_without_variance_does_not_count() -> None:
    values, labels = np.ones((5, 5), np.float32), np.zeros((5, 5), np.int32)
    variance, inverse = np.full((5, 5), 4.0, np.float32), np.empty((5, 5))
    variance[2, 3] = 0.0
    shared = (values, labels, variance, 1e30)
    for noise in (4.0, 0.0):
        assert psf_fit.weigh(*shared, noise, 0.0, True, 1, 2, 1e9, 0, 0, 5, 5, inverse) == 24
        assert (inverse[2, 3], inverse[0, 0]) == (0.0, 0.25)
    # photons make noise where the background has none
    assert psf_fit.weigh(*shared, 4.0, 2.0, False, 1, 2, 1e9, 0, 0, 5, 5, inverse) == 25
    assert (inverse[2, 3], inverse[0, 0]) == (2.0, 1.0 / 4.5)
