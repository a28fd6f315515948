"""PSFEx on painted stars whose PSF is known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac, psf_model
from processing.errors import BadCatalogue
from processing.ldac import Catalogue
from processing.psfex.centroids import recentred
from processing.psfex.clipping import limit_of
from processing.psfex.command import main
from processing.psfex.exposures import Exposure, models_of_all
from processing.psfex.fitting import tapered
from processing.psfex.model import Made
from processing.psfex.resampling import lanczos
from processing.psfex.sample import mode_of
from processing.psfex.settings import Selection, Settings

SIDE, SIGMA, NOISE = 45, 2.0, 5.0
BARE = ("-WRITE_XML", "N", "-CHECKIMAGE_TYPE", "NONE", "-CHECKPLOT_TYPE", "NONE")
"""Nothing but models is written."""


def stars(number: int = 60, seed: int = 3) -> Catalogue:
    """Gaussian stars that get wider along x, with positions off by up to 0.05 pixel and neighbours cut out."""
    chance = np.random.default_rng(seed)
    kind = [(name, "f4") for name in ("X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER", "FLUXERR_APER")]
    rows = np.zeros(number, [*kind, ("ELONGATION", "f4"), ("FLAGS", "i2"), ("VIGNET", "f4", (SIDE, SIDE))])
    x, y = chance.uniform(50, 2000, number), chance.uniform(50, 4000, number)
    flux = 10 ** chance.uniform(4.5, 6, number)
    grid = np.arange(SIDE) - SIDE // 2
    for row, x0, y0, light in zip(rows, x, y, flux, strict=True):
        sigma = SIGMA * (1 + 0.05 * (x0 - 1000) / 2000)
        dx, dy = x0 - np.floor(x0 + 0.5), y0 - np.floor(y0 + 0.5)
        image = np.exp(-((grid - dx) ** 2) / 2 / sigma**2) * np.exp(-((grid[:, None] - dy) ** 2) / 2 / sigma**2)
        image *= light / (2 * np.pi * sigma**2)
        row["VIGNET"] = image + chance.normal(0, NOISE, image.shape)
        row["VIGNET"][:3, :3] = -1e30
        row["FLUX_RADIUS"] = 1.1774 * sigma
    rows["X_IMAGE"], rows["Y_IMAGE"] = x + chance.uniform(-0.05, 0.05, number), y
    rows["FLUX_APER"], rows["SNR_WIN"], rows["ELONGATION"] = flux, 500, 1.02
    cards = fits.Header([("SEXBKDEV", NOISE), ("SEXGAIN", 0.0)]).tostring(endcard=False, padding=False)
    return Catalogue(cards, rows)


def written(path: Path, *catalogues: Catalogue) -> Path:
    ldac.write(path, catalogues)
    return path


def models_in(path: Path, settings: Settings) -> Sequence[Made]:
    """Models of all images of a file."""
    return models_of_all([Exposure(path, ldac.read(path))], settings)[0]


def test_the_psf_of_painted_stars_comes_back(tmp_path: Path) -> None:
    made = models_in(written(tmp_path / "a.cat", stars()), Settings(size=(31, 31)))[0]
    model = made.model
    assert model.loaded == 60
    assert model.accepted >= 57
    assert model.step == pytest.approx(0.5 * 2 * 1.1774 * SIGMA / 2.35, rel=0.02)
    grid = (np.arange(31) - 15) * model.step
    for x in (200.0, 1000.0, 1800.0):
        sigma = SIGMA * (1 + 0.05 * (x - 1000) / 2000)
        truth = np.exp(-(grid**2) / 2 / sigma**2)
        truth = truth[:, None] * truth / (2 * np.pi * sigma**2)
        # the kernel and the stars' noise leave this much
        assert np.abs(model.at(x, 2000.0) - truth).max() < 0.01 * truth.max()
    # brightest stars, of 1e5 times the noise, show the error of the kernel
    assert 0.9 < model.chi2 < 1.4


def test_the_number_of_threads_changes_no_bit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cat", stars(), stars(seed=4), stars(seed=5))
    one, three = (models_in(path, Settings(threads=threads)) for threads in (1, 3))
    assert all(np.array_equal(a.model.images, b.model.images) for a, b in zip(one, three, strict=True))


def test_the_tool_writes_a_model_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.cat", stars(), stars(seed=4))
    assert main([str(path), "-PSFVAR_DEGREES", "1", "-PSF_DIR", str(tmp_path), *BARE]) == 0
    found = psf_model.read(tmp_path / "a.psf")
    assert [model.images.shape for model in found] == [(3, 25, 25)] * 2
    told = capsys.readouterr().err
    assert f"{found[1].accepted}/60" in told
    assert "psfex: 1 catalogues, 2 images" in told


@pytest.mark.parametrize(
    "asked",
    [
        "-CHECKIMAGE_TYPE GREAT10",
        "-NEWBASIS_NUMBER 0 -NEWBASIS_TYPE PCA_COMMON",
        "-HOMOPSF_PARAMS 2.0 -HOMOBASIS_TYPE GAUSS-LAGUERRE",
        "-BADPIXEL_NMAX -1",
        "-PSF_DIR nowhere",
        "-CHECKIMAGE_NAME nowhere/a.fits -CHECKIMAGE_TYPE CHI",
        "-OUTCAT_NAME nowhere/a.cat -OUTCAT_TYPE ASCII",
        "-HOMOKERNEL_DIR nowhere -HOMOBASIS_TYPE GAUSS-LAGUERRE",
        "-XML_NAME nowhere/a.xml -WRITE_XML Y",
    ],
)
def test_what_is_not_made_is_refused_by_name(tmp_path: Path, asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.cat", stars(5))
    assert main([str(path), *BARE, *asked.split()]) == 2
    assert asked.split(maxsplit=1)[0][1:] in capsys.readouterr().err
    assert not (tmp_path / "a.psf").exists()


def test_no_star_is_a_verdict_and_no_obstacle_to_other_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = stars(8)
    catalogue.sources["SNR_WIN"] = [5, 5, 5, 30, 30, 30, np.nan, np.nan]
    catalogue.sources["FLAGS"][3:6] = 4
    path = written(tmp_path / "a.cat", catalogue, stars(), stars(0))
    words = [*BARE, "-CHECKIMAGE_TYPE", "SNAPSHOTS_IMRES,-MOFFAT"]
    words += ["-CHECKIMAGE_NAME", f"{tmp_path}/a.fits,{tmp_path}/b.fits"]
    assert main([str(path), *words, "-OUTCAT_TYPE", "FITS_LDAC", "-OUTCAT_NAME", str(tmp_path / "out.cat")]) == 0
    told = capsys.readouterr().err
    assert "no star among 8 sources (faint 5, flagged 3)" in told
    assert "no star among 0 sources (the catalogue is empty)" in told
    found = psf_model.read(tmp_path / "a.psf")
    assert [model.empty for model in found] == [True, False, True]
    assert [model.images.shape for model in found] == [(6, 25, 25), (6, 25, 25), (1, 25, 25)]


def test_a_catalogue_without_any_star_is_an_error_after_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = written(tmp_path / "a.cat", stars(0)), written(tmp_path / "b.cat", stars())
    assert main([str(one), str(other), *BARE]) == 1
    assert "a.cat: no star among 0 sources" in capsys.readouterr().err
    assert psf_model.read(tmp_path / "a.psf")[0].empty
    assert not psf_model.read(tmp_path / "b.psf")[0].empty


def test_stars_that_are_not_looked_for_have_the_middle_of_the_range(tmp_path: Path) -> None:
    choice = Selection(automatic=False, fwhm=(3.0, 6.0))
    model = models_in(written(tmp_path / "a.cat", stars()), Settings(choice))[0].model
    assert (model.fwhm, model.step) == (4.5, pytest.approx(0.5 * 4.5 / 2.35))


def test_a_mask_without_its_column_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.cat", stars(8))
    for key, name in (("SAMPLE_WFLAGMASK", "FLAGS_WEIGHT"), ("SAMPLE_IMAFLAGMASK", "IMAFLAGS_ISO")):
        assert main([str(path), f"-{key}", "1", *BARE]) == 1
        assert f"no column {name}" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["VIGNET", "SNR_WIN", "FLUX_RADIUS"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    catalogue = stars(8)
    names = [name for name in catalogue.sources.dtype.names or () if name != missing]
    less = Catalogue(catalogue.cards, np.asarray(catalogue.sources[names].tolist(), catalogue.sources[names].dtype))
    with pytest.raises(BadCatalogue, match=rf"a.cat\[2\]: no column {missing}"):
        models_in(written(tmp_path / "a.cat", less), Settings())


def test_one_star_and_pixels_without_value_are_no_obstacle(tmp_path: Path) -> None:
    catalogue = stars(4)
    catalogue.sources["VIGNET"][:, 10, 12] = np.nan
    catalogue.sources["X_IMAGE"][3] = np.nan
    made = models_in(written(tmp_path / "a.cat", catalogue), Settings(degrees=(0,)))[0]
    assert made.model.loaded == 3
    assert np.isfinite(made.model.images).all()


def test_a_star_without_a_context_is_cut_and_counted(tmp_path: Path) -> None:
    catalogue = stars()
    catalogue.sources["FLUXERR_APER"] = np.arange(60)
    catalogue.sources["FLUXERR_APER"][[3, 9]] = np.nan, np.inf
    path = written(tmp_path / "a.cat", catalogue)
    made = models_in(path, Settings(contexts=("X_IMAGE", "FLUXERR_APER")))[0]
    assert np.isfinite(made.model.images).all()
    assert (made.model.loaded, made.sample.cuts["without flux, position or context"]) == (58, 2)
    assert (made.model.variation.zeros[1], made.model.variation.scales[1]) == (29.5, 59.0)
    catalogue.sources["FLUXERR_APER"] = np.nan
    made = models_in(written(path, catalogue), Settings(contexts=("X_IMAGE", "FLUXERR_APER")))[0]
    assert made.model.empty
    assert "without flux, position or context 60" in made.verdict


def test_centres_are_found_again() -> None:
    grid = np.arange(SIDE) - SIDE // 2
    image = np.exp(-((grid - 0.3) ** 2) / 8) * np.exp(-((grid[:, None] + 0.2) ** 2) / 8)
    found = recentred(image[None], np.array([[0.0, 0.0]]), np.array([2.0]))
    # the last step is shorter than 1e-4 pixel
    assert found[0] == pytest.approx([0.3, -0.2], abs=2e-4)


def test_the_mode_is_where_widths_crowd() -> None:
    widths = np.concatenate([np.linspace(4.0, 4.2, 50), np.linspace(2.0, 10.0, 50)])
    assert 4.0 < mode_of(widths, 0.2) < 4.2
    assert mode_of(np.array([3.5]), 0.2) == 3.5


def test_bad_fits_are_clipped() -> None:
    chi = np.append(np.random.default_rng(1).normal(1.0, 0.05, 50), [3.0, 0.2])
    assert np.flatnonzero(chi > limit_of(chi)).tolist() == [50]


def test_kernels_keep_constants_and_the_taper_ends_in_a_circle() -> None:
    matrix = lanczos(45, 25, np.array([0.3]), 1.06, 1.06)
    assert matrix.sum(axis=2) == pytest.approx(1.0)
    ends = tapered(np.ones((1, 25, 25)), 4.0)[0]
    assert ends[0, 0] == 0.0
    assert (ends[12, 4:21] == 1.0).all()
    assert 0.0 < ends[12, 0] < 1.0


def test_maps_of_differential_geometry_are_missed_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.cat", stars())
    words = ["-PSFVAR_DEGREES", "1", *BARE]
    assert main([str(path), *words]) == 0
    before = (tmp_path / "a.psf").read_bytes()
    assert main([str(path), *words, "-PSF_DGEOCORRECT", "Y"]) == 0
    assert "PSF_DGEOCORRECT has no effect" in capsys.readouterr().err
    assert (tmp_path / "a.psf").read_bytes() == before
    catalogue = stars()
    maps = [(name, "f4", catalogue.sources["VIGNET"].shape[1:]) for name in ("VIGNET_DGEOX", "VIGNET_DGEOY")]
    wide = np.zeros(len(catalogue.sources), [*catalogue.sources.dtype.descr, *maps])
    for name in catalogue.sources.dtype.names or ():
        wide[name] = catalogue.sources[name]
    path = written(tmp_path / "b.cat", replace(catalogue, sources=wide))
    assert main([str(path), *words]) == 0
    assert main([str(path), *words, "-PSF_DGEOCORRECT", "Y"]) == 2
    assert "PSF_DGEOCORRECT = Y: maps of differential geometry" in capsys.readouterr().err


def test_the_list_of_stars_goes_where_it_is_wanted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "a.cat", stars())
    assert main([str(path), *BARE, "-OUTCAT_TYPE", "ASCII", "-OUTCAT_NAME", "STDOUT"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 60


def test_degrees_are_lowered_where_sources_are_few(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, degrees, terms in ((8, "3", 6), (8, "2", 6), (7, "2", 3), (4, "2", 3), (3, "2", 1), (2, "1", 1)):
        path = written(tmp_path / "a.cat", stars(number))
        assert main([str(path), "-PSFVAR_DEGREES", degrees, *BARE]) == 0
        assert psf_model.read(tmp_path / "a.psf")[0].images.shape == (terms, 25, 25)
    words = ["-PSFVAR_KEYS", "Y_IMAGE,X_IMAGE", "-PSFVAR_GROUPS", "2,1", "-PSFVAR_DEGREES", "1,2"]
    path = written(tmp_path / "a.cat", stars(3))
    assert main([str(path), *words, *BARE]) == 0
    variation = psf_model.read(tmp_path / "a.psf")[0].variation
    assert (variation.names, variation.groups, variation.degrees) == (("X_IMAGE",), (1,), (1,))
    assert "psfex: a.cat[1]: too few sources for PSFVAR_DEGREES 1,2: 1 instead" in capsys.readouterr().err


def test_a_first_degree_of_nothing_leaves_no_context(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cat", stars())
    listed = ["-OUTCAT_TYPE", "FITS_LDAC", "-OUTCAT_NAME", str(tmp_path / "out.cat")]
    for words in (["-PSFVAR_DEGREES", "0"], ["-PSFVAR_GROUPS", "1,2", "-PSFVAR_DEGREES", "0,2"]):
        assert main([str(path), *words, *BARE, *listed]) == 0
        assert psf_model.read(tmp_path / "a.psf")[0].variation.names == ()
        assert "VECTOR_CONTEXT" not in (ldac.read(tmp_path / "out.cat")[0].sources.dtype.names or ())


def test_the_psf_is_drawn_at_places_of_a_list(tmp_path: Path) -> None:
    path = written(tmp_path / "a.cat", stars())
    (tmp_path / "a.dat").write_text("# x y\n100.0 200.0\n\n1000.25 900.5 more\n")
    words = ["-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "N", "-CHECKIMAGE_TYPE", "GREAT10", "-CHECKIMAGE_CUBE", "Y"]
    assert main([str(path), *words, "-CHECKIMAGE_NAME", str(tmp_path / "at.fits")]) == 0
    images = fits.getdata(tmp_path / "at_a.fits")
    assert images.shape == (2, 48, 48)
    down, across = np.mgrid[:48, :48]
    for image, (x, y) in zip(images, ((-0.5, -0.5), (-0.25, 0.0)), strict=True):
        # the light is that of a star of 1, and its place is half a pixel from where it lies in its pixel
        assert image.sum() == pytest.approx(1.0, abs=0.02)
        assert (image * across).sum() / image.sum() == pytest.approx(24 + x, abs=0.05)
        assert (image * down).sum() / image.sum() == pytest.approx(24 + y, abs=0.05)


def test_a_pixel_without_value_counts_for_the_one_across_the_centre() -> None:
    grid = np.arange(-15, 16)
    image = np.exp(-((grid - 0.3) ** 2 + (grid[:, None] + 0.2) ** 2) / 8.0)[np.newaxis]
    good = np.ones(image.shape, np.bool_)
    good[0, 15, 17:19] = False
    holes = np.where(good, image, 0.0)
    start, sigma = np.zeros((1, 2)), np.array([2.0])
    true = recentred(image, start, sigma)[0]
    filled, left = recentred(holes, start, sigma, good)[0], recentred(holes, start, sigma)[0]
    assert np.abs(filled - true).max() < 0.3 * np.abs(left - true).max()


def test_bad_pixels_are_told_of_sources_that_are_no_stars_too(tmp_path: Path) -> None:
    catalogue = stars(40)
    catalogue.sources["SNR_WIN"][:3] = 1.0
    catalogue.sources["VIGNET"][1, 5, 4] = -1e30
    path, out = written(tmp_path / "a.cat", catalogue), tmp_path / "out.cat"
    words = [
        "-BADPIXEL_FILTER",
        "Y",
        "-BADPIXEL_NMAX",
        "9",
        "-OUTCAT_TYPE",
        "FITS_LDAC",
        "-OUTCAT_NAME",
        str(out),
        *BARE,
    ]
    assert main([str(path), *words]) == 0
    assert ldac.read(out)[0].sources["FLAGS_PSF"][:3].tolist() == [16, 16 + 128, 16]
