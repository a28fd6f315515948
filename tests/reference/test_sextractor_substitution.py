"""Debian's psfex and scamp take our LDAC catalogues for those of source-extractor: same stars, same model, same sky."""

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac
from processing.cards import text_of
from processing.missfits.editing import read_head
from processing.sextractor.command import main
from processing.sextractor.world import world_of

pytestmark = pytest.mark.reference

COLUMNS = (
    "NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE",
    "FLUX_AUTO", "FLUXERR_AUTO", "FLAGS", "FLUX_RADIUS", "SNR_WIN", "FLUX_APER(1)", "FLUXERR_APER(1)", "ELONGATION",
    "VIGNET(35,35)",
)  # fmt: skip
SHARE = Path("/usr/share/source-extractor")
SETTINGS = (
    "-c", "sex.conf", "-PARAMETERS_NAME", "default.param", "-CATALOG_TYPE", "FITS_LDAC", "-PIXEL_SCALE", "0",
    "-PHOT_APERTURES", "10", "-VERBOSE_TYPE", "QUIET", "-STARNNW_NAME", str(SHARE / "default.nnw"),
)  # fmt: skip


@pytest.fixture(scope="module")
def catalogues(program: Callable[[str, str], str], shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ours0.cat and peer0.cat of one CCD of a simulated exposure, and those of another exposure."""
    tool, place = program("source-extractor", "source-extractor"), tmp_path_factory.mktemp("substitution")
    (place / "default.param").write_text("\n".join(COLUMNS))
    (place / "sex.conf").write_text(f"FILTER_NAME {SHARE / 'default.conv'}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for number in (0, 1):
            with fits.open(shared_data / "sim" / f"exp{number}.fits.fz") as hdus:
                ccd = fits.ImageHDU(hdus[1].data, hdus[1].header)
            fits.HDUList([fits.PrimaryHDU(), ccd]).writeto(f"exp{number}.fits")
            words = [f"exp{number}.fits", *SETTINGS, "-CATALOG_NAME"]
            subprocess.run([tool, *words, f"peer{number}.cat"], check=True, capture_output=True)
            assert main([*words, f"ours{number}.cat"]) == 0
    return place


def test_psfex_makes_the_same_model(catalogues: Path, program: Callable[[str, str], str]) -> None:
    tool, models = program("psfex", "psfex"), []
    for name in ("peer0", "ours0"):
        words = [tool, f"{name}.cat", "-c", "/dev/null", "-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE"]
        subprocess.run([*words, "-WRITE_XML", "N"], cwd=catalogues, check=True, capture_output=True)
        with fits.open(catalogues / f"{name}.psf") as hdus:
            models.append((hdus[1].header, np.array(hdus[1].data["PSF_MASK"])))
    (theirs, expected), (ours, found) = models
    assert theirs["ACCEPTED"] > 50
    assert abs(ours["ACCEPTED"] - theirs["ACCEPTED"]) <= 1
    assert ours["PSF_FWHM"] == pytest.approx(theirs["PSF_FWHM"], rel=1e-6)
    assert ours["CHI2"] == pytest.approx(theirs["CHI2"], rel=1e-3)
    # 1e-3 of the peak: what is asked of models, and ten times what was seen
    assert np.abs(found - expected).max() < 1e-3 * expected.max()


def reference(truth: Path, path: Path) -> None:
    """Write the true stars as a catalogue that SCAMP refers to."""
    lines = [line.split() for line in gzip.decompress(truth.read_bytes()).decode().splitlines()]
    stars = np.array([[float(word) for word in words[1:4]] for words in lines if words[0] == "100"])
    stars = stars[stars[:, 2] < 22.5]
    names = ("X_WORLD", "Y_WORLD", "ERRA_WORLD", "ERRB_WORLD", "MAG", "MAGERR", "OBSDATE")
    rows = np.zeros(len(stars), [(name, "f8" if name in {"X_WORLD", "Y_WORLD", "OBSDATE"} else "f4") for name in names])
    for name, values in zip(names, (*stars[:, :2].T, 1e-5, 1e-5, stars[:, 2], 0.01, 2008.2), strict=True):
        rows[name] = values
    cards = text_of([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)])
    ldac.write(path, [ldac.Catalogue(cards, rows, dict.fromkeys(names[:4], "deg"))])


def test_scamp_finds_the_same_sky(catalogues: Path, program: Callable[[str, str], str], shared_data: Path) -> None:
    tool, skies = program("scamp", "scamp"), []
    reference(shared_data / "sim" / "truth.list.gz", catalogues / "stars.cat")
    for name in ("peer", "ours"):
        words = [tool, f"{name}0.cat", f"{name}1.cat", "-c", "/dev/null", "-ASTREF_CATALOG", "FILE"]
        words += ["-ASTREFCAT_NAME", "stars.cat", "-ASTREFMAG_KEY", "MAG", "-ASTREFMAGERR_KEY", "MAGERR"]
        words += ["-SAVE_REFCATALOG", "N", "-CHECKPLOT_TYPE", "NONE", "-WRITE_XML", "N", "-FWHM_THRESHOLDS", "0,100"]
        subprocess.run(words, cwd=catalogues, check=True, capture_output=True)
        head = read_head(catalogues / f"{name}1.head")
        assert head is not None
        world = world_of("".join(head.blocks[0]))
        assert world is not None
        y, x = (grid.ravel().astype(float) for grid in np.mgrid[1:4644:300, 1:2112:300])
        skies.append(world.sky(x, y))
    (alpha, delta), (ours_alpha, ours_delta) = skies
    apart = np.hypot((ours_alpha - alpha) * np.cos(np.radians(delta)), ours_delta - delta) * 3.6e6
    # mas: what is asked of astrometric solutions
    assert np.sqrt(np.mean(apart**2)) < 5.0
    assert apart.max() < 20.0
