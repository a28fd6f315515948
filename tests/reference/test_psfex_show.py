"""What tells about models of the PSF, beside that of Debian's psfex 3.21: summary, check-images, stars."""

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse

from processing.psfex.command import main
from tests.reference.test_psfex import COLUMNS, source_extractor

pytestmark = pytest.mark.reference

WIDTH, HEIGHT, CCDS = 800, 1000, 2
CHECKS = {
    "CHI": "chi", "PROTOTYPES": "proto", "SAMPLES": "samp", "RESIDUALS": "resi", "SNAPSHOTS": "snap",
    "MOFFAT": "moffat", "-MOFFAT": "submoffat", "-SYMMETRICAL": "subsym", "WEIGHTS": "weight",
    "SNAPSHOTS_IMRES": "imres", "RESIDUALS_GRID": "resigrid", "SAMPLES_GRID": "sampgrid",
}  # fmt: skip
CONTENT = [
    "-OUTCAT_TYPE", "ASCII_HEAD", "-CHECKPLOT_TYPE", "NONE", "-VERBOSE_TYPE", "QUIET", "-CHECKIMAGE_TYPE",
    ",".join(CHECKS), "-CHECKIMAGE_NAME", ",".join(f"{name}.fits" for name in CHECKS.values()),
]  # fmt: skip


def painted(seed: int) -> fits.ImageHDU:
    """Sky with 72 elongated stars: their axes turn with x, and they get wider along it."""
    draw = np.random.default_rng(seed)
    image = draw.normal(1000.0, 10.0, (HEIGHT, WIDTH))
    grid = np.arange(-22, 23)
    for column, row in [(45 + 90 * (k % 8), 50 + 100 * (k // 8)) for k in range(72)]:
        x, y = draw.uniform(-0.5, 0.5, 2)
        turn, long = np.radians(20.0 + 0.05 * column), 4.2 * (1 + 0.1 * column / WIDTH)
        along = np.cos(turn) * (grid - x) + np.sin(turn) * (grid[:, None] - y)
        across = np.cos(turn) * (grid[:, None] - y) - np.sin(turn) * (grid - x)
        profile = (1 + (along / long) ** 2 + (across / long / 0.8) ** 2) ** -3.0
        image[row - 22 : row + 23, column - 22 : column + 23] += 10 ** draw.uniform(2.5, 4.2) * profile
    hdu = fits.ImageHDU(image.astype(np.float32))
    for word, value in (
        ("OBJECT", "painted"), ("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 150.0), ("CRVAL2", 2.0),
        ("CRPIX1", 400.0), ("CRPIX2", 500.0), ("CD1_1", -5.2e-5), ("CD1_2", 1e-6), ("CD2_1", 1e-6), ("CD2_2", 5.2e-5),
    ):  # fmt: skip
        hdu.header[word] = value
    return hdu


@pytest.fixture(scope="module")
def place(program: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory with the catalogue, and what both programs tell of it in directories of their own."""
    program("source-extractor", "source-extractor")
    tool, where = program("psfex", "psfex"), tmp_path_factory.mktemp("psfex-show")
    fits.HDUList([fits.PrimaryHDU(), *(painted(seed) for seed in range(CCDS))]).writeto(where / "image.fits")
    (where / "stars.param").write_text(COLUMNS.replace(" ", "\n") + "\n")
    source_extractor(where, "-PARAMETERS_NAME", "stars.param", "-CATALOG_NAME", "stars.cat")
    for name in ("peer", "ours"):
        (where / name).mkdir()
        (where / name / "stars.cat").symlink_to(where / "stars.cat")
    subprocess.run([tool, "stars.cat", *CONTENT], cwd=where / "peer", check=True, capture_output=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(where / "ours")
        assert main(["stars.cat", "-VERBOSE_TYPE", "QUIET"]) == 0
    return where


def peer_table(path: Path, name: str) -> list[Mapping[str, str]]:
    """Read a table of the peer's document, which astropy refuses: an int of it has a fraction."""
    for table in ET.parse(path).getroot().iter("TABLE"):
        if table.get("ID") == name:
            fields = [str(field.get("name")) for field in table.iter("FIELD")]
            return [dict(zip(fields, (str(cell.text) for cell in row), strict=True)) for row in table.iter("TR")]
    raise AssertionError(f"no table {name} in {path}")


TOLERANCES = {
    # absolute; found 3e-4 pixel, 3e-5, 2e-3, 1e-4: the peer's fits end where float32 does
    "FWHM": 1e-2, "Ellipticity": 5e-4, "MoffatBeta": 1e-2, "Residuals": 5e-4, "Asymmetry": 1e-4, "Area_Noise": 1e-2,
    "PixelScale": 1e-5, "Sampling": 1e-5, "Chi2": 1e-3, "NStars": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("name", ["PSF_Fields", "PSF_Extensions"])
def test_the_summary_says_what_the_peer_s_says(place: Path, name: str) -> None:
    ours = parse(place / "ours" / "psfex.xml").get_table_by_id(name).to_table()
    peer = peer_table(place / "peer" / "psfex.xml", name)
    assert len(ours) == len(peer)
    compared = 0
    for row, theirs in zip(ours, peer, strict=True):
        assert set(theirs) <= set(ours.colnames)
        for field, value in theirs.items():
            tolerance = next((least for start, least in TOLERANCES.items() if field.startswith(start)), None)
            if tolerance is None:
                assert str(row[field]) == value
                continue
            assert float(row[field]) == pytest.approx(float(value), abs=tolerance), field
            compared += 1
    assert compared >= 60 * len(peer)
    assert float(peer[0]["Ellipticity_Mean"]) > 0.08
