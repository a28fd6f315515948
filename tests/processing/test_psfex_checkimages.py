"""Check-images and the list of stars."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac
from processing.cards import text_of
from processing.psfex.checkimages import montage
from processing.psfex.command import main
from processing.psfex.stars import Unfit
from tests.processing.test_psfex import NOISE, SIDE, stars, written

QUIET = ("-VERBOSE_TYPE", "QUIET", "-WRITE_XML", "N", "-CHECKPLOT_TYPE", "NONE")


def checks(*kinds: str) -> list[str]:
    names = ",".join(f"{kind.strip('-').lower()}{k}.fits" for k, kind in enumerate(kinds))
    return ["-CHECKIMAGE_TYPE", ",".join(kinds), "-CHECKIMAGE_NAME", names, *QUIET]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.cat", stars(), stars(seed=4))
    return tmp_path


def test_bits_of_the_list_are_the_original_s() -> None:
    assert {each.name: each.value for each in Unfit} == {
        "CHI2": 1, "FLAGS": 2, "FLAGS_WEIGHT": 4, "IMAFLAGS": 8, "FAINT": 16, "WIDTH": 32, "ELONGATED": 64,
        "PIXELS": 128,
    }  # fmt: skip


def test_small_images_stand_side_by_side() -> None:
    images = np.arange(5, dtype=np.float32)[:, None, None] * np.ones((5, 2, 3), np.float32)
    sheet = montage(images, 3)
    assert sheet.shape == (4, 9)
    assert sheet[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert sheet[2].tolist() == [3, 3, 3, 4, 4, 4, 0, 0, 0]


def test_stars_and_what_is_left_of_them_are_drawn(here: Path) -> None:
    assert main(["a.cat", *checks("SAMPLES", "RESIDUALS", "CHI", "WEIGHTS")]) == 0
    with fits.open(here / "samples0_a.fits") as hdus:
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "chip01", "chip02"]
        accepted = ldac.read(here / "a.cat")[0].sources
        assert hdus[1].data.shape == (SIDE * 6, SIDE * 10)
        first = np.where(accepted["VIGNET"][0] < -1e29, 0.0, accepted["VIGNET"][0])
        assert np.array_equal(hdus[1].data[:SIDE, :SIDE], first.astype(np.float32))
    samples, left = (fits.getdata(here / name, 1) for name in ("samples0_a.fits", "residuals1_a.fits"))
    assert np.abs(left).max() < 0.05 * samples.max()
    chi, weights = (fits.getdata(here / name, 1).astype(np.float64) for name in ("chi2_a.fits", "weights3_a.fits"))
    step, held = fits.getheader(here / "chi2_a.fits", 1)["PSF_SAMP"], samples != 0.0
    noise = NOISE**2 + (0.01 * samples.astype(np.float64)) ** 2  # of the background, and PSF_ACCURACY
    assert weights == pytest.approx(np.where(held, 1.0 / noise, 0.0), rel=1e-5, abs=0.0)
    drawn = 57
    """Of 60 stars; three are not taken."""
    assert np.count_nonzero(held) == drawn * (SIDE**2 - 9), "all but the corners that have no value"
    # what adds to chi2: with the accuracy of the model too, within its circle of 12 samples
    within = (left**2 / (noise + (0.01 * (samples - left).astype(np.float64)) ** 2))[chi > 0.0]
    assert chi[chi > 0.0] == pytest.approx(within, rel=1e-3, abs=1e-6)
    assert np.count_nonzero(chi) == pytest.approx(drawn * np.pi * (12 * step) ** 2, rel=0.02)
    assert 0.5 < within.mean() < 2.0


def test_the_model_is_drawn_all_over_the_field(here: Path) -> None:
    kinds = ("SNAPSHOTS", "PROTOTYPES", "MOFFAT", "-MOFFAT", "-SYMMETRICAL", "SNAPSHOTS_IMRES")
    assert main(["a.cat", "-PSFVAR_NSNAP", "3", "-PSFVAR_DEGREES", "1", *checks(*kinds)]) == 0
    shapes = [(75, 75), (25, 75), (75, 75), (75, 75), (75, 75), (3 * SIDE, 3 * SIDE)]
    found = [fits.getdata(here / f"{kind.strip('-').lower()}{k}_a.fits", 1) for k, kind in enumerate(kinds)]
    assert [each.shape for each in found] == shapes
    assert found[0] - found[2] == pytest.approx(found[3], abs=1e-7)
    assert found[4][:25, :25] == pytest.approx(found[0][:25, :25] - found[0][:25, :25][::-1, ::-1], abs=1e-7)
    # fluxes of 1: in samples of the model, and in pixels of the image
    step = fits.getheader(here / "snapshots0_a.fits", 1)["PSF_SAMP"]
    assert found[0][:25, :25].sum() * step**2 == pytest.approx(1.0, abs=0.02)
    assert found[5][:SIDE, :SIDE].sum() == pytest.approx(1.0, abs=0.02)


def test_cubes_have_an_axis_of_small_images(here: Path) -> None:
    kinds = ("SAMPLES", "SNAPSHOTS", "PROTOTYPES", "RESIDUALS_GRID", "SAMPLES_GRID")
    assert main(["a.cat", "-CHECKIMAGE_CUBE", "Y", "-PSFVAR_NSNAP", "4", *checks(*kinds)]) == 0
    found = [fits.getdata(here / f"{kind.lower()}{k}_a.fits", 1) for k, kind in enumerate(kinds)]
    assert found[0].shape[1:] == (SIDE, SIDE)
    assert [each.shape for each in found[1:]] == [(4, 4, 25, 25), (6, 25, 25), (4, 4, SIDE, SIDE), (4, 4, SIDE, SIDE)]
    # 60 stars in 16 parts: most have one
    assert np.count_nonzero(found[4].max(axis=(2, 3)) > 0.0) > 10


def test_vectors_of_a_basis_are_drawn_where_there_are_any(here: Path) -> None:
    assert main(["a.cat", "-BASIS_TYPE", "PIXEL", "-BASIS_NUMBER", "5", *checks("BASIS")]) == 0
    found = fits.getdata(here / "basis0_a.fits", 1)
    assert found.shape == (75, 250)
    # 25 pixels, each its own vector
    assert (found.sum(), found.max()) == (25.0, 1.0)
    assert main(["a.cat", *checks("BASIS")]) == 0
    assert not fits.getdata(here / "basis0_a.fits", 1).any()


def test_a_catalogue_of_one_image_has_it_as_the_primary_one(here: Path) -> None:
    written(here / "b.cat", stars())
    assert main(["b.cat", *checks("SNAPSHOTS")]) == 0
    with fits.open(here / "snapshots0_b.fits") as hdus:
        assert len(hdus) == 1
        assert hdus[0].data.shape == (225, 225)


def test_kinds_and_files_must_fit(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a.cat", "-CHECKIMAGE_TYPE", "SAMPELS", *QUIET]) == 2
    assert "CHECKIMAGE_TYPE = SAMPELS" in capsys.readouterr().err
    assert main(["a.cat", "-CHECKIMAGE_TYPE", "SAMPLES,CHI", "-CHECKIMAGE_NAME", "a.fits", *QUIET]) == 2
    assert "1 files for 2 check-images" in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == ["a.cat"]


def test_the_list_tells_why_a_source_is_no_star(here: Path) -> None:
    catalogue = stars()
    sources = catalogue.sources
    sources["SNR_WIN"][3], sources["FLAGS"][5], sources["ELONGATION"][8] = 5.0, 4, 3.0
    sources["FLUX_RADIUS"][13], sources["FLUX_APER"][21] = 4.0, -1.0
    sources["VIGNET"][34] += 0.05 * np.roll(sources["VIGNET"][34].clip(0), 8, axis=0)
    written(here / "c.cat", catalogue)
    assert (
        main(["c.cat", "-CHECKIMAGE_TYPE", "NONE", "-OUTCAT_TYPE", "FITS_LDAC", "-OUTCAT_NAME", "list.cat", *QUIET])
        == 0
    )
    rows = ldac.read(here / "list.cat")[0].sources
    assert len(rows) == 60
    assert {k: int(rows["FLAGS_PSF"][k]) for k in (3, 5, 8, 13, 21, 34)} == {3: 16, 5: 2, 8: 64, 13: 32, 21: 128, 34: 1}
    assert rows["SOURCE_NUMBER"].tolist() == list(range(1, 61))
    assert np.array_equal(rows["VECTOR_CONTEXT"][:, 0], sources["X_IMAGE"].astype(np.float64))
    assert rows["CHI2_PSF"][3] == 0.0
    assert rows["CHI2_PSF"][0] > 0.1


@pytest.mark.parametrize("degree", ["0", "1"])
@pytest.mark.parametrize("kind", ["INDEPENDENT", "COMMON"])
def test_a_keyword_in_the_list_has_its_image_s_value(here: Path, kind: str, degree: str) -> None:
    written(here / "k.cat", *(replace(stars(seed=k), cards=stars().cards + text_of([("AIRMASS", k)])) for k in (1, 3)))
    words = ["-PSFVAR_KEYS", ":AIRMASS,X_IMAGE", "-PSFVAR_DEGREES", degree, "-MEF_TYPE", kind]
    words += ["-CHECKIMAGE_TYPE", "NONE"]
    assert main(["k.cat", *words, "-OUTCAT_TYPE", "FITS_LDAC", "-OUTCAT_NAME", "list.cat", *QUIET]) == 0
    rows = ldac.read(here / "list.cat")[0].sources
    if degree == "0":
        assert "VECTOR_CONTEXT" not in (rows.dtype.names or ())
    else:
        assert rows["VECTOR_CONTEXT"][:, 0].tolist() == [1.0] * 60 + [3.0] * 60


@pytest.mark.parametrize(
    "matrix", [{"CDELT1": -1e-4, "CDELT2": 1e-4}, {"CD1_1": -1e-4, "CD2_2": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0}]
)
@pytest.mark.parametrize("cube", ["N", "Y"])
def test_images_have_the_sky_of_their_image(here: Path, matrix: dict[str, float], cube: str) -> None:
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 2.0, "CRPIX1": 1.0, "CRPIX2": 1.0}
    cards = text_of(
        [("NAXIS", 2), ("NAXIS1", 2048), ("NAXIS2", 4096), *sky.items(), *matrix.items(), ("EQUINOX", 2000.0)]
    )
    written(here / "k.cat", replace(stars(), cards=stars().cards + cards))
    words = ["-CHECKIMAGE_TYPE", "SNAPSHOTS", "-CHECKIMAGE_NAME", "s.fits", "-CHECKIMAGE_CUBE", cube]
    assert main(["k.cat", *words, *QUIET]) == 0
    header = fits.getheader(here / "s_k.fits")
    scale = min(2048 / header["NAXIS1"], 4096 / header["NAXIS2"])
    for keyword, value in matrix.items():
        assert header[keyword] == pytest.approx(value * scale)
    assert (header["CTYPE1"], header["CRVAL2"], header["EQUINOX"]) == ("RA---TAN", 2.0, 2000.0)
    assert ("CRVAL4" in header) == (cube == "Y")


def test_a_kind_has_the_name_at_its_place(here: Path) -> None:
    words = ["-CHECKIMAGE_TYPE", "NONE,CHI", "-CHECKIMAGE_NAME", "one.fits,two.fits", "-CHECKPLOT_DEV", "SVG"]
    words += [*QUIET, "-CHECKPLOT_TYPE", "NONE,FWHM", "-CHECKPLOT_NAME", "one,two"]
    assert main(["a.cat", *words]) == 0
    assert sorted(path.name for path in here.iterdir()) == ["a.cat", "a.psf", "two_a.fits", "two_a.svg"]


def test_an_image_of_unknown_size_and_without_sources_is_drawn_too(here: Path) -> None:
    written(here / "n.cat", stars(), stars(0))
    assert main(["n.cat", *checks("SAMPLES_GRID")]) == 0
    found = fits.getdata(here / "samples_grid0_n.fits", 2)
    assert found.shape == (9 * SIDE, 9 * SIDE)
    assert not found.any()


def test_the_list_is_a_text_with_or_without_names(here: Path) -> None:
    words = ["-PSFVAR_KEYS", "", "-PSFVAR_GROUPS", "", "-PSFVAR_DEGREES", "", "-CHECKIMAGE_TYPE", "NONE", *QUIET]
    assert main(["a.cat", "-OUTCAT_TYPE", "ASCII_HEAD", "-OUTCAT_NAME", "named.cat", *words]) == 0
    assert main(["a.cat", "-OUTCAT_TYPE", "ASCII", "-OUTCAT_NAME", "bare.cat", *words]) == 0
    lines = (here / "named.cat").read_text().splitlines()
    assert [line.split()[2] for line in lines if line[0] == "#"][:6] == [
        "SOURCE_NUMBER", "EXTENSION", "CATALOG_NUMBER", "FLAGS_PSF", "X_IMAGE", "Y_IMAGE",
    ]  # fmt: skip
    assert (here / "bare.cat").read_text().splitlines() == [line for line in lines if line[0] != "#"]
    assert np.loadtxt(here / "bare.cat").shape == (120, 14)
