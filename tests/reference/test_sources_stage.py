"""Debian's source-extractor takes our PSF of a frame, and scamp its catalogue, as the stage writes them."""

import math
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac
from processing.cards import text_of
from processing.recipes import SourcesRecipe, WeightRecipe
from processing.sextractor.world import world_of
from processing.sources import catalogue_frame
from tests.support.starfields import FLUX, SIGMA, StarField, make_star_field

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
APERTURE = 10.0
"""Pixels across, of the fluxes that the PSF is scaled with."""


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> StarField:
    """A frame of two CCDs with stars and one without; its catalogue and PSF are in `products` beside it."""
    place = tmp_path_factory.mktemp("sources")
    made = make_star_field(place / "frame")
    recipe = SourcesRecipe(mesh=64, apertures=(APERTURE, 16.0))
    catalogue_frame(
        made.frame, weight=made.weight, flag=made.flag, into=place / "frame" / "products", recipe=recipe,
        weights=WeightRecipe(), scratch=place / "scratch", workers=1,
    )  # fmt: skip
    return made


def test_source_extractor_measures_stars_with_our_psf(
    field: StarField, program: Callable[[str, str], str], tmp_path: Path
) -> None:
    tool = program("source-extractor", "source-extractor")
    with fits.open(field.frame) as hdus:
        ccds = [fits.ImageHDU(hdu.data, hdu.header) for hdu in hdus[1:3]]
    fits.HDUList([fits.PrimaryHDU(), *ccds]).writeto(tmp_path / "frame.fits")
    (tmp_path / "default.param").write_text("NUMBER\nXPSF_IMAGE\nYPSF_IMAGE\nFLUX_PSF\nFLUX_MAX\n")
    (tmp_path / "sex.conf").write_text(f"FILTER_NAME {SHARE / 'default.conv'}\n")
    words = [tool, "frame.fits", "-c", "sex.conf", "-CATALOG_TYPE", "FITS_LDAC", "-CATALOG_NAME", "out.cat"]
    words += ["-PSF_NAME", str(field.frame.parent / "products" / "979412p.psf"), "-VERBOSE_TYPE", "QUIET"]
    words += ["-STARNNW_NAME", str(SHARE / "default.nnw")]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)

    within = 1.0 - math.exp(-((APERTURE / 2.0) ** 2) / (2.0 * SIGMA**2))
    with fits.open(tmp_path / "out.cat") as hdus:
        for number, places in ((2, field.places[0]), (4, field.places[1])):
            rows = hdus[number].data
            rows = rows[rows["FLUX_MAX"] < 50_000]  # one is the saturated block
            assert len(rows) >= len(places) - 1
            ratio = rows["FLUX_PSF"] / (FLUX * within)
            assert np.median(ratio) == pytest.approx(1.0, abs=0.005), "0.002 was seen, of how pixels share an aperture"
            assert np.std(ratio) < 0.006, "0.3 % is the noise of photons and background; 0.15 % was seen"
            for row in rows:
                apart = np.hypot(places[:, 0] - row["XPSF_IMAGE"], places[:, 1] - row["YPSF_IMAGE"])
                assert apart.min() < 0.05, "five times what was seen"


def test_scamp_finds_the_sky_of_our_catalogue(
    field: StarField, program: Callable[[str, str], str], tmp_path: Path
) -> None:
    tool = program("scamp", "scamp")
    read = ldac.read(field.frame.parent / "products" / "979412p.ldac")[:2]
    worlds = [world for each in read if (world := world_of(each.cards)) is not None]
    true = np.concatenate([np.stack(w.sky(*spots.T), axis=1) for w, spots in zip(worlds, field.places, strict=False)])
    names = ("X_WORLD", "Y_WORLD", "ERRA_WORLD", "ERRB_WORLD", "MAG", "MAGERR", "OBSDATE")
    rows = np.zeros(len(true), [(name, "f8" if name in {"X_WORLD", "Y_WORLD", "OBSDATE"} else "f4") for name in names])
    for name, values in zip(names, (*true.T, 1e-5, 1e-5, 18.0, 0.01, 2008.2), strict=True):
        rows[name] = values
    cards = text_of([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)])
    ldac.write(tmp_path / "stars.cat", [ldac.Catalogue(cards, rows, dict.fromkeys(names[:4], "deg"))])
    words = [tool, str(field.frame.parent / "products" / "979412p.ldac"), "-c", "/dev/null", "-ASTREF_CATALOG", "FILE"]
    words += ["-ASTREFCAT_NAME", "stars.cat", "-ASTREFMAG_KEY", "MAG", "-ASTREFMAGERR_KEY", "MAGERR", "-MATCH", "N"]
    words += ["-SAVE_REFCATALOG", "N", "-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "N", "-FWHM_THRESHOLDS", "0,100"]
    told = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)

    said = told.stdout + told.stderr
    assert told.returncode == 0, said
    found = re.search(r"3 sets +(\d+) detections", said)
    assert found, said
    assert int(found[1]) >= 0.85 * len(true), "scamp leaves those at the borders out"
    assert "0.1860" in said, "arcseconds a pixel, of the CCDs' world coordinates"
