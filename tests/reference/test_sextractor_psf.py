"""PSF magnitudes, positions and SPREAD_MODEL beside Debian's source-extractor, with one model for both."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing import ldac, psf_model
from processing.psf_model import PsfModel, Variation
from processing.sextractor.command import main

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
COLUMNS = (
    "X_IMAGE", "Y_IMAGE", "FLUX_AUTO", "FLUXERR_AUTO", "FLAGS", "FLUX_PSF", "MAG_PSF", "MAGERR_PSF", "XPSF_IMAGE",
    "YPSF_IMAGE", "ERRAPSF_IMAGE", "ERRTHETAPSF_IMAGE", "SPREAD_MODEL", "SPREADERR_MODEL",
)  # fmt: skip
SIDE, CELL = 11, 64
STEP, FWHM = 0.86, 4.05


def moffat(y: NDArray[Any], x: NDArray[Any], fwhm: float) -> NDArray[np.float64]:
    alpha = fwhm / 2.0 / np.sqrt(2.0 ** (1.0 / 3.0) - 1.0)
    profile: NDArray[np.float64] = 2.0 / (np.pi * alpha**2) * (1.0 + (x**2 + y**2) / alpha**2) ** -3.0
    return profile


def model() -> PsfModel:
    """The PSF, which gets 10 % wider over the image."""
    variation = Variation(("X_IMAGE",), (1,), (352.0,), (704.0,), (1,))
    y, x = (np.mgrid[:35, :35] - 17) * STEP
    narrow, wide = (moffat(y, x, FWHM * factor) for factor in (0.95, 1.05))
    fade = np.clip((16 * STEP - np.hypot(x, y)) / (3 * STEP), 0.0, 1.0)
    images = np.stack([0.5 * (narrow + wide), wide - narrow]) * fade
    return PsfModel(images.astype(np.float32), STEP, FWHM, variation)


@pytest.fixture(scope="module")
def catalogues(
    program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of ours and the peer's for the same stars and galaxies."""
    tool, place = program("source-extractor", "source-extractor"), tmp_path_factory.mktemp("psf")
    draw = np.random.default_rng(29)
    image = draw.normal(500.0, 10.0, (SIDE * CELL, SIDE * CELL))
    for row in range(SIDE):
        for column in range(SIDE):
            x, y = CELL * (np.array([column, row]) + 0.5) + draw.uniform(-0.5, 0.5, 2)
            fwhm = FWHM * (1.0 + 0.1 * (x - 352.0) / 704.0) * (1.0 if (row + column) % 2 else draw.uniform(1.1, 2.0))
            down, along = np.mgrid[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL].astype(float)
            flux = 10.0 ** draw.uniform(3.6, 5.8)
            image[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] += flux * moffat(
                down - y, along - x, fwhm
            )
    fits.PrimaryHDU(image.astype(np.float32)).writeto(place / "image.fits")
    psf_model.write(place / "model.psf", [model()])
    (place / "psf.param").write_text("\n".join(COLUMNS))
    words = ["image.fits", "-c", str(SHARE / "default.sex"), "-CATALOG_TYPE", "FITS_LDAC", "-PARAMETERS_NAME"]
    words += ["psf.param", "-FILTER_NAME", str(SHARE / "default.conv"), "-STARNNW_NAME", str(SHARE / "default.nnw")]
    words += ["-PSF_NAME", "model.psf", "-GAIN", "1.5", "-SATUR_LEVEL", "20000", "-DETECT_THRESH", "2.5"]
    words += ["-ANALYSIS_THRESH", "2.5", "-VERBOSE_TYPE", "QUIET", "-CATALOG_NAME"]
    subprocess.run([tool, *words, "peer.cat"], cwd=place, check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([*words, "ours.cat"]) == 0
    ours, theirs = (ldac.read(place / f"{who}.cat")[0].sources for who in ("ours", "peer"))
    apart = np.hypot(*(ours[name][:, None] - theirs[name][None, :] for name in ("X_IMAGE", "Y_IMAGE")))
    near = apart.argmin(axis=0)
    same = (apart.min(axis=0) < 0.01) & (theirs["FLUX_AUTO"] > 20.0 * theirs["FLUXERR_AUTO"]) & (theirs["FLAGS"] == 0)
    assert same.sum() > 100
    return ours[near[same]], theirs[same]


def test_magnitudes_are_the_peer_s(catalogues: tuple[NDArray[Any], NDArray[Any]]) -> None:
    ours, theirs = catalogues
    assert np.array_equal(ours["FLUX_PSF"] > 0.0, theirs["FLUX_PSF"] > 0.0)
    off = np.abs(ours["MAG_PSF"] - theirs["MAG_PSF"])
    # what is asked for is 1e-3; found: 2e-6
    assert off.max() < 1e-5
    assert ours["MAGERR_PSF"] == pytest.approx(theirs["MAGERR_PSF"], rel=1e-4)


def test_positions_are_the_peer_s(catalogues: tuple[NDArray[Any], NDArray[Any]]) -> None:
    ours, theirs = catalogues
    off = np.hypot(*(ours[name] - theirs[name] for name in ("XPSF_IMAGE", "YPSF_IMAGE")))
    # found: 4e-6, the float32 in which the peer has shifts
    assert off.max() < 5e-5
    assert ours["ERRAPSF_IMAGE"] == pytest.approx(theirs["ERRAPSF_IMAGE"], rel=1e-3)


def test_spread_is_the_peer_s(catalogues: tuple[NDArray[Any], NDArray[Any]]) -> None:
    ours, theirs = catalogues
    assert theirs["SPREAD_MODEL"].max() > 0.01
    assert np.abs(ours["SPREAD_MODEL"] - theirs["SPREAD_MODEL"]).max() < 1e-3
    # the peer samples the disc more coarsely: 1 to 3 % of errors that scale with it
    assert ours["SPREADERR_MODEL"] == pytest.approx(theirs["SPREADERR_MODEL"], rel=0.05)
