"""Regions against Debian's weightwatcher 1.12, bit for bit, and through the WCS of real frames."""

import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from processing.regions import hand_mask, read_regions
from processing.regions.masks import Masks
from processing.regions.shapes import System
from processing.regions.sky import Sky
from processing.regions.writing import polygon_lines, write_regions

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


def test_regions_made_of_a_mask_cover_it_in_the_peers_hands(peer: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(20040115)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ring = (np.hypot(x - 40, y - 30) < 20) & (np.hypot(x - 40, y - 30) > 8)
    trail = abs(y - 0.6 * x) < 3
    for mask in (ring, trail, ring | trail, chance.random(SHAPE) < 0.03, chance.random(SHAPE) < 0.6):
        write_regions(tmp_path / "a.reg", polygon_lines(mask))
        np.testing.assert_array_equal(drawn_by(peer, tmp_path, union=True), mask)


def real_headers(shared_data: Path) -> list[fits.Header]:
    """Headers of the 36 CCDs of a real frame."""
    with gzip.open(shared_data / "headers/mega/979412p.fits.header.gz", "rt", encoding="latin-1") as dump:
        blocks = dump.read().split("# HDU ")[2:]
    cards = [[line.ljust(80) for line in block.splitlines()[1:] if line.strip() != "END"] for block in blocks]
    return [fits.Header.fromstring("".join(each)) for each in cards]


def test_one_file_of_the_sky_holds_a_mosaic_of_real_ccds(shared_data: Path, tmp_path: Path) -> None:
    headers = real_headers(shared_data)
    assert len(headers) == 36
    chance = np.random.default_rng(979412)
    shape = (4644, 2112)
    masks, lines = {}, []
    for index in (0, 12, 22, 35):
        mask = np.zeros(shape, np.bool_)
        for x0, y0, width, height in chance.integers((0, 0, 1, 1), (2112, 4644, 40, 900), (30, 4)):
            mask[y0 : y0 + height, x0 : x0 + width] = True
        for x0, y0 in chance.integers((0, 0), (2110, 4640), (200, 2)):
            mask[y0 : y0 + 2, x0 + 1] = mask[y0 + 1, x0] = True
        masks[index] = mask
        lines += polygon_lines(mask, system=System.ICRS, sky=Sky(headers[index]))
    write_regions(tmp_path / "sky.reg", lines)
    regions = read_regions(tmp_path / "sky.reg")
    for index, mask in masks.items():
        np.testing.assert_array_equal(hand_mask(regions, shape, headers[index], index + 1), mask)
    assert not hand_mask(regions, shape, headers[5], 6).any()


def test_a_real_cut_out_with_tpv_in_disguise_gives_a_mask_back(shared_data: Path, tmp_path: Path) -> None:
    with fits.open(shared_data / "mop/cutout-1616687p.fits") as opened:
        [image] = [hdu for hdu in opened if hdu.header["NAXIS"] == 2]
        header, pixels = image.header.copy(), image.data.copy()
    mask = pixels > np.percentile(pixels, 99)
    write_regions(tmp_path / "sky.reg", polygon_lines(mask, system=System.FK5, sky=Sky(header)))
    np.testing.assert_array_equal(hand_mask(read_regions(tmp_path / "sky.reg"), mask.shape, header, 1), mask)
