"""Two images beside Debian's source-extractor: found in one, measured in the other, with weights too."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from processing import ldac
from processing.sextractor.command import main

pytestmark = pytest.mark.reference

COLUMNS = (
    "X_IMAGE", "Y_IMAGE", "ERRA_IMAGE", "ISOAREA_IMAGE", "ISOAREAF_IMAGE", "ISO0", "ISO4", "FLUX_ISO", "FLUX_ISOCOR",
    "FLUX_MAX", "MU_THRESHOLD", "FLUX_APER", "FLUXERR_APER", "MAG_AUTO", "FLUXERR_AUTO", "KRON_RADIUS", "FLUX_PETRO",
    "PETRO_RADIUS", "FLUX_RADIUS", "FLAGS", "FLAGS_WEIGHT", "NLOWWEIGHT_ISO", "NLOWDWEIGHT_ISO",
)  # fmt: skip
SHARE = Path("/usr/share/source-extractor")
ALONE = 3
"""Flags of a source that is crowded or blended."""


def scene(place: Path) -> None:
    """Write a deep image and a shallow one of the same sources, out of place by a pixel, and weights of both."""
    draw = np.random.default_rng(11)
    ny, nx = 500, 480
    y, x = np.mgrid[:ny, :nx]
    light = np.zeros((ny, nx))
    for _ in range(180):
        at, size = draw.uniform(20, (nx - 20, ny - 20)), draw.uniform(1.2, 3.5)
        light += 10 ** draw.uniform(1.6, 3.6) * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2)
    found = 500.0 + light + draw.normal(0.0, 10.0, light.shape)
    measured = 800.0 + x / 20.0 + 0.5 * np.roll(light, 1, axis=0) + draw.normal(0.0, 14.0, light.shape)
    weights = {"found": np.full((ny, nx), 0.01) * (1.0 + 0.2 * y / ny), "measured": 0.005 * (1.0 + 0.4 * x / nx)}
    weights["measured"][draw.random((ny, nx)) < 0.003] = 0.0
    weights["found"][200:230, 300:310] = 0.0
    for name, pixels in (("found", found), ("measured", measured)):
        fits.PrimaryHDU(pixels.astype(np.float32)).writeto(place / f"{name}.fits")
        fits.PrimaryHDU(weights[name].astype(np.float32)).writeto(place / f"{name}.weight.fits")


def both(settings: tuple[str, ...], tool: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of ours and the peer's, in the peer's order."""
    Path("d.param").write_text("\n".join(COLUMNS))
    words = [
        "found.fits,measured.fits", "-PARAMETERS_NAME", "d.param", "-FILTER_NAME", str(SHARE / "default.conv"), "-GAIN",
        "2.0", "-CATALOG_TYPE", "FITS_LDAC", "-VERBOSE_TYPE", "QUIET", "-PIXEL_SCALE", "0.2", "-PHOT_APERTURES", "8",
        *settings, "-CATALOG_NAME",
    ]  # fmt: skip
    subprocess.run([tool, *words, "peer.cat"], check=True, capture_output=True)
    assert main([*words, "ours.cat"]) == 0
    ours, theirs = (ldac.read(Path(f"{who}.cat"))[0].sources for who in ("ours", "peer"))
    assert len(ours) == len(theirs)
    far, near = cKDTree(np.c_[ours["X_IMAGE"], ours["Y_IMAGE"]]).query(np.c_[theirs["X_IMAGE"], theirs["Y_IMAGE"]])
    assert far.max() < 1e-3
    return ours[near], theirs


WEIGHTED = ("-WEIGHT_TYPE", "MAP_WEIGHT,MAP_WEIGHT", "-WEIGHT_IMAGE", "found.weight.fits,measured.weight.fits")


@pytest.mark.parametrize("settings", [(), WEIGHTED], ids=["plain", "weights"])
def test_two_images_are_measured_as_the_original_does(
    settings: tuple[str, ...], program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = program("source-extractor", "source-extractor")
    monkeypatch.chdir(tmp_path)
    scene(tmp_path)
    ours, theirs = both(settings, tool)
    assert len(theirs) > 100
    counted = ("ISOAREA_IMAGE", "ISOAREAF_IMAGE", "ISO0", "ISO4", "FLAGS_WEIGHT", "NLOWWEIGHT_ISO", "NLOWDWEIGHT_ISO")
    for name in counted:
        assert np.array_equal(ours[name], theirs[name]), name
    for name in ("ERRA_IMAGE", "FLUX_ISO", "FLUX_MAX", "MU_THRESHOLD"):  # sums of single-precision pixels
        assert np.allclose(ours[name], theirs[name], rtol=2e-6), name
    assert np.allclose(ours["FLUX_ISOCOR"], theirs["FLUX_ISOCOR"], rtol=2e-5)
    alone = theirs["FLAGS"] & ALONE == 0
    ours, theirs = ours[alone], theirs[alone]
    # a pixel on the very edge of an ellipse or a circle falls to one side or the other by rounding
    for name in ("FLUX_APER", "FLUXERR_APER", "FLUXERR_AUTO", "KRON_RADIUS", "FLUX_PETRO", "FLUX_RADIUS"):
        assert np.mean(~np.isclose(ours[name], theirs[name], rtol=2e-4, atol=1e-3)) < 0.02, name
    assert np.mean(np.abs(ours["MAG_AUTO"] - theirs["MAG_AUTO"]) > 1e-3) < 0.01
