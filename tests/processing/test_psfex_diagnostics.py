"""What models say about the PSF, and the document that tells it."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io.votable import parse

from processing import ldac
from processing.cards import text_of
from processing.ldac import Catalogue
from processing.psf_model import PsfModel, Variation
from processing.psfex.command import main
from processing.psfex.diagnostics import diagnose
from tests.processing.test_psfex import BARE, SIGMA, stars, written

STEP = 1.0


def tangent(width: int = 2000, height: int = 4000) -> str:
    """Cards of an image of 0.2 arcseconds a pixel."""
    return text_of([
        ("NAXIS1", width), ("NAXIS2", height), ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 150.0),
        ("CRVAL2", 2.0), ("CRPIX1", 1000.0), ("CRPIX2", 2000.0), ("CD1_1", -0.2 / 3600), ("CD1_2", 0.0),
        ("CD2_1", 0.0), ("CD2_2", 0.2 / 3600),
    ])  # fmt: skip


def growing(names: tuple[str, ...] = ("X_IMAGE", "Y_IMAGE")) -> PsfModel:
    """A model that gets wider with its first context, and is longer along y everywhere."""
    grid = (np.arange(25) - 12) * STEP

    def image(width: float) -> np.ndarray:
        light = (1.0 + 4.0 * (2 ** (1 / 3) - 1) * ((grid / width) ** 2 + (grid[:, None] / width / 1.2) ** 2)) ** -3.0
        return light / light.sum()

    middle, slope = image(4.0), image(4.05) - image(3.95)
    images = np.stack([middle, slope, np.zeros_like(middle)]).astype(np.float32)
    variation = Variation(names, (1, 1), (1000.0, 2000.0), (2000.0, 4000.0), (1,))
    return PsfModel(images, STEP, 4.2, variation, 50, 49, 1.0)


def test_places_run_over_the_first_context_first() -> None:
    places = growing().variation.places(3)
    assert places.shape == (9, 2)
    assert places[:4, 0] == pytest.approx([1000 - 2000 / 3, 1000, 1000 + 2000 / 3, 1000 - 2000 / 3])
    assert places[:4, 1] == pytest.approx([2000 - 4000 / 3] * 3 + [2000])
    assert Variation().places(9).shape == (1, 0)


def test_widths_and_ellipticities_are_those_of_the_model() -> None:
    found = diagnose(growing(), tangent(), 5)
    assert len(found.images) == 25
    # axes of 4 and 4.8 in the middle, by 0.1 and 0.12 more over the whole range, of which 0.8 is looked at
    assert found.plain.fwhm.reshape(5, 5)[2] == pytest.approx(4.4 + 0.11 * np.linspace(-0.4, 0.4, 5), abs=2e-3)
    assert found.ranges["Ellipticity"].least == pytest.approx(1.0 / 11.0, abs=1e-3)
    assert found.ranges["Ellipticity1"].most == pytest.approx(-1.0 / 11.0, abs=1e-3)
    assert found.ranges["Ellipticity2"].most == pytest.approx(0.0, abs=1e-4)
    assert found.ranges["FWHM_PixelFree"].mean < found.ranges["FWHM"].mean
    assert found.ranges["Asymmetry"].most < 1e-5
    # Moffat profile of beta 3: 2 pi (1.25 alpha² - …) is left to numbers
    flat = growing().images[0].astype(np.float64)
    assert found.areas[found.centre] == pytest.approx(flat.sum() ** 2 / (flat**2).sum(), rel=1e-5)


def test_the_value_called_mean_is_the_original_s() -> None:
    found = diagnose(growing(), "", 9)
    assert (found.centre, found.place) == (40, 44)
    assert found.ranges["FWHM"].mean == pytest.approx(found.plain.fwhm[44])


def test_arcseconds_need_a_sky() -> None:
    found = diagnose(growing(), tangent(), 3)
    assert found.ranges["PixelScale_WCS"].mean == pytest.approx(0.2, rel=1e-5)
    axes = np.sqrt(found.plain.fwhm_min * found.plain.fwhm_max)
    assert found.ranges["FWHM_WCS"].most == pytest.approx(0.2 * axes.max(), rel=1e-5)
    assert not [name for name in diagnose(growing(), "", 3).ranges if "WCS" in name]


def test_contexts_that_are_no_places_are_averaged() -> None:
    swapped = diagnose(growing(("Y_IMAGE", "X_IMAGE")), tangent(), 3)
    other = diagnose(growing(("MAG_AUTO", "Y_IMAGE")), tangent(), 3)
    straight = diagnose(growing(), tangent(), 3)
    assert swapped.ranges["FWHM_WCS"].most == pytest.approx(straight.ranges["FWHM_WCS"].most, rel=1e-5)
    # what varies with magnitude is a mean at every place
    assert other.ranges["FWHM_WCS"].most == pytest.approx(straight.ranges["FWHM_WCS"].mean, rel=1e-4)


def test_the_document_tells_catalogues_and_extensions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = Catalogue(stars().cards + tangent(), stars(seed=4).sources)
    written(tmp_path / "a.cat", stars(), told)
    written(tmp_path / "b.cat", stars(seed=6), told)
    words = ["a.cat", "b.cat", "-PSFVAR_DEGREES", "1", "-PSFVAR_NSNAP", "3", "-VERBOSE_TYPE", "QUIET"]
    assert main([*words, *BARE[2:]]) == 0
    document = parse(tmp_path / "psfex.xml", verify="exception")
    fields, extensions = (document.get_table_by_id(name).to_table() for name in ("PSF_Fields", "PSF_Extensions"))
    assert list(fields["Catalog_Name"]) == ["a.cat", "b.cat"]
    assert list(extensions["Extension"]) == [1, 2]
    assert list(fields["NStars_Loaded_Total"]) == [120, 120]
    assert fields["FWHM_Mean"].unit == "pix"
    # a Gaussian is a Moffat profile of beta 10 within 4 %
    assert fields["FWHM_Centre"][0] == pytest.approx(2.3548 * SIGMA, rel=0.04)
    assert np.ma.is_masked(extensions["FWHM_WCS_Mean"][0])
    assert extensions["PixelScale_WCS_Mean"][1] == pytest.approx(0.2, rel=1e-5)
    settings = {each.name: each.value for each in document.iter_fields_and_params() if hasattr(each, "value")}
    assert settings["Psfvar_Nsnap"] == 3


def test_images_without_stars_count_but_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    none = stars(8)
    none.sources["SNR_WIN"] = 1.0
    written(tmp_path / "a.cat", none, stars())
    assert main(["a.cat", "-PSFVAR_NSNAP", "3", "-VERBOSE_TYPE", "QUIET", *BARE[2:]]) == 0
    document = parse(tmp_path / "psfex.xml", verify="exception")
    fields, extensions, warnings = (
        document.get_table_by_id(name).to_table() for name in ("PSF_Fields", "PSF_Extensions", "Warnings")
    )
    assert (fields["NStars_Loaded_Min"][0], fields["NStars_Loaded_Max"][0]) == (0, 60)
    assert fields["FWHM_Min"][0] > 4.0
    assert np.ma.is_masked(extensions["FWHM_Mean"][0])
    assert extensions["FWHM_Mean"][1] == fields["FWHM_Mean"][0]
    assert (warnings["Extension"][0], "no star among 8 sources" in warnings["Msg"][0]) == (1, True)


def test_no_document_is_written_where_none_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ldac.write(tmp_path / "a.cat", [stars()])
    assert main(["a.cat", *BARE]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.cat", "a.psf"]
