"""Models of the PSF beside those of Debian's psfex 3.21, from a catalogue of Debian's source-extractor."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing import ldac, psf_model
from processing.psfex.command import main

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
COLUMNS = "X_IMAGE Y_IMAGE FLUX_RADIUS SNR_WIN FLUX_APER(1) FLUXERR_APER(1) ELONGATION FLAGS VIGNET(35,35)"
WIDTH, HEIGHT = 800, 1000


def painted() -> np.ndarray:
    """Sky with 60 stars of a Moffat profile that get wider along x."""
    draw = np.random.default_rng(11)
    image = draw.normal(1000.0, 10.0, (HEIGHT, WIDTH))
    places = [(45 + 90 * (k % 8), 50 + 100 * (k // 8)) for k in range(72)]
    for column, row in places:
        x, y = draw.uniform(-0.5, 0.5, 2)
        grid = np.arange(-22, 23)
        alpha = 4.0 * (1 + 0.1 * column / WIDTH)
        profile = (1 + ((grid - x) ** 2 + (grid[:, None] - y) ** 2) / alpha**2) ** -3.0
        image[row - 22 : row + 23, column - 22 : column + 23] += 10 ** draw.uniform(2.5, 4.2) * profile
    return image.astype(np.float32)


def source_extractor(place: Path, *more: str) -> None:
    words = ["source-extractor", "image.fits", "-c", str(SHARE / "default.sex"), "-CATALOG_TYPE", "FITS_LDAC"]
    words += ["-FILTER_NAME", str(SHARE / "default.conv"), "-STARNNW_NAME", str(SHARE / "default.nnw")]
    words += ["-PHOT_APERTURES", "20", "-SATUR_LEVEL", "1e6", "-GAIN", "1.5", "-DETECT_THRESH", "5", *more]
    subprocess.run(words, cwd=place, check=True, capture_output=True)


@pytest.fixture(scope="module")
def place(program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with the image, its catalogue, and both models."""
    program("source-extractor", "source-extractor")
    tool, where = program("psfex", "psfex"), tmp_path_factory.mktemp("psfex")
    fits.PrimaryHDU(painted()).writeto(where / "image.fits")
    (where / "stars.param").write_text(COLUMNS.replace(" ", "\n") + "\n")
    (where / "mags.param").write_text("X_IMAGE\nY_IMAGE\nMAG_PSF\n")
    source_extractor(where, "-PARAMETERS_NAME", "stars.param", "-CATALOG_NAME", "stars.cat")
    words = [tool, "stars.cat", "-CHECKPLOT_TYPE", "NONE", "-CHECKIMAGE_TYPE", "NONE", "-WRITE_XML", "N"]
    subprocess.run([*words, "-PSF_SUFFIX", ".peer"], cwd=where, check=True, capture_output=True)
    assert main([str(where / "stars.cat"), "-PSF_SUFFIX", ".psf", *words[2:]]) == 0
    return where


def models(place: Path) -> tuple[psf_model.PsfModel, psf_model.PsfModel]:
    return psf_model.read(place / "stars.psf")[0], psf_model.read(place / "stars.peer")[0]


def test_stars_sampling_and_variation_are_the_peer_s(place: Path) -> None:
    ours, peer = models(place)
    assert ours.loaded == peer.loaded
    assert ours.accepted == peer.accepted
    assert ours.step == pytest.approx(peer.step, rel=1e-6)
    assert ours.fwhm == pytest.approx(peer.fwhm, rel=1e-6)
    assert ours.variation.names == peer.variation.names
    # the peer writes 12 decimals of float64
    assert ours.variation.zeros == pytest.approx(peer.variation.zeros, rel=1e-9)
    assert ours.variation.scales == pytest.approx(peer.variation.scales, rel=1e-9)


def test_the_model_is_the_peer_s_all_over_the_image(place: Path) -> None:
    ours, peer = models(place)
    for x in (50.0, 400.0, 750.0):
        for y in (50.0, 500.0, 950.0):
            theirs = peer.at(x, y)
            # found 1e-4; one clipped star more or less would move pixels by 3e-3 of the peak
            assert np.abs(ours.at(x, y) - theirs).max() < 1e-3 * theirs.max()
    # found 1e-5; the same stars are counted
    assert ours.chi2 == pytest.approx(peer.chi2, rel=1e-3)


def test_source_extractor_measures_the_same_with_our_model(place: Path) -> None:
    found = []
    for suffix in (".psf", ".peer"):
        source_extractor(
            place, "-PARAMETERS_NAME", "mags.param", "-CATALOG_NAME", "mags.cat", "-PSF_NAME", f"stars{suffix}"
        )
        found.append(np.array(ldac.read(place / "mags.cat")[0].sources["MAG_PSF"], np.float64))
    ours, theirs = found
    assert len(ours) == len(theirs) >= 60
    both = (ours < 90.0) & (theirs < 90.0)
    assert both.all()
    assert np.median(np.abs(ours - theirs)) < 1e-3
