"""Polygons against Debian's weightwatcher 1.12, bit for bit."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from processing.regions import read_regions
from processing.regions.masks import Masks

pytestmark = pytest.mark.reference

SHAPE = (61, 83)
HEADER = fits.Header(
    [
        ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 297.5), ("CRVAL2", -12.3), ("CRPIX1", 40.0),
        ("CRPIX2", 30.0), ("CD1_1", -5.2e-5), ("CD1_2", 1e-6), ("CD2_1", 1e-6), ("CD2_2", 5.2e-5),
        ("RADESYS", "FK5"), ("EQUINOX", 2000.0),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def peer(program: Callable[[str, str], str]) -> str:
    return program("weightwatcher", "weightwatcher")


def drawn_by(peer: str, place: Path, *, union: bool) -> NDArray[np.bool_]:
    """Which pixels of an empty CCD the peer flags by the regions of a.reg."""
    if not (place / "ones.fits").exists():
        fits.PrimaryHDU(np.ones(SHAPE, np.float32), HEADER).writeto(place / "ones.fits")
    settings = {
        "WEIGHT_NAMES": "ones.fits", "FLAG_NAMES": "", "POLY_NAMES": "a.reg", "POLY_OUTFLAGS": "4",
        "POLY_INTERSECT": "Y" if union else "N", "WRITE_XML": "N", "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    argv = [part for key, value in settings.items() for part in (f"-{key}", value)]
    subprocess.run([peer, *argv], check=True, capture_output=True, cwd=place)
    flags: NDArray[np.uint8] = fits.getdata(place / "flag.fits")
    return flags != 0


def polygons(chance: np.random.Generator, kind: str) -> list[NDArray[np.float64]]:
    """A few polygons across and beyond the CCD: anywhere, on whole and half pixels, or on hundredths."""
    numbers = [chance.uniform(-20, 110, (chance.integers(3, 9), 2)) for _ in range(chance.integers(1, 6))]
    return [np.round(each * 2) / 2 if kind == "halves" else np.round(each, 2) for each in numbers]


@pytest.mark.parametrize("union", [True, False])
@pytest.mark.parametrize("kind", ["halves", "hundredths", "fk5"])
def test_polygons_cover_the_peers_pixels(kind: str, union: bool, peer: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(20070614)
    covered = 0
    for _ in range(12):
        lines = ["fk5" if kind == "fk5" else "image"]
        for corners in polygons(chance, kind):
            places = WCS(HEADER).all_pix2world(corners, 1) if kind == "fk5" else corners
            lines.append(f"polygon({','.join(f'{value:.7f}' for value in places.ravel())})")
        (tmp_path / "a.reg").write_text("\n".join(lines) + "\n")
        ours = Masks(read_regions(tmp_path / "a.reg"), SHAPE, HEADER, 1, union=union, single=True).whole()
        np.testing.assert_array_equal(ours, drawn_by(peer, tmp_path, union=union))
        covered += int(ours.sum())
    assert covered > 12 * 500
