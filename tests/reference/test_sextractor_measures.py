"""Measured columns beside Debian's source-extractor, on real images: an NTT frame with its weights, a CFHTLS stack."""

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
    "X_IMAGE", "Y_IMAGE", "A_IMAGE", "B_IMAGE", "ERRA_IMAGE", "ISOAREA_IMAGE", "ISOAREAF_IMAGE", "ISO3", "FLUX_MAX",
    "MAG_ISO", "MAG_APER(2)", "MAG_AUTO", "MAGERR_AUTO", "KRON_RADIUS", "FLUX_RADIUS", "XWIN_IMAGE", "YWIN_IMAGE",
    "SNR_WIN", "FLAGS", "CLASS_STAR", "VIGNET(21,21)",
)  # fmt: skip
SHARE = Path("/usr/share/source-extractor")
ALONE = 3
"""Flags of a source that is crowded or blended: the left-overs of blends are dealt out at random by the peer."""


def both(
    image: Path,
    settings: tuple[str, ...],
    tool: str,
    place: Path,
    patch: pytest.MonkeyPatch,
    columns: tuple[str, ...] = COLUMNS,
) -> tuple[NDArray[Any], NDArray[Any], int, int]:
    """Rows of ours and the peer's that are the same source and stand alone, and how many each found."""
    patch.chdir(place)
    (place / "m.param").write_text("\n".join(columns))
    words = [
        str(image), "-PARAMETERS_NAME", "m.param", "-FILTER_NAME", str(SHARE / "default.conv"), "-PHOT_APERTURES",
        "6,15", "-GAIN", "1.6", "-CATALOG_TYPE", "FITS_LDAC", "-VERBOSE_TYPE", "QUIET", "-PIXEL_SCALE", "0.2",
        "-STARNNW_NAME", str(SHARE / "default.nnw"), *settings, "-CATALOG_NAME",
    ]  # fmt: skip
    subprocess.run([tool, *words, "peer.cat"], check=True, capture_output=True)
    assert main([*words, "ours.cat"]) == 0
    ours, theirs = (ldac.read(place / f"{who}.cat")[0].sources for who in ("ours", "peer"))
    far, near = cKDTree(np.c_[ours["X_IMAGE"], ours["Y_IMAGE"]]).query(np.c_[theirs["X_IMAGE"], theirs["Y_IMAGE"]])
    same = (far < 0.5) & (theirs["FLAGS"] & ALONE == 0)
    return ours[near[same]], theirs[same], len(ours), len(theirs)


@pytest.mark.parametrize("weighted", [False, True])
def test_a_real_frame_is_measured_as_the_original_does(
    weighted: bool,
    shared_data: Path,
    program: Callable[[str, str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = shared_data / "sextractor_tests"
    settings = ("-WEIGHT_TYPE", "MAP_WEIGHT", "-WEIGHT_IMAGE", str(folder / "galaxies.weight.fits")) if weighted else ()
    tool = program("source-extractor", "source-extractor")
    ours, theirs, found, expected = both(folder / "galaxies.fits", settings, tool, tmp_path, monkeypatch)
    assert abs(found - expected) <= 0.003 * expected  # CLEAN looks at borderline ones in another order
    assert len(theirs) > 700
    agree(ours, theirs, area=3 if weighted else 0)  # thresholds differ from pixel to pixel, and their rounding


def test_a_stack_is_measured_as_the_original_does(
    shared_data: Path, program: Callable[[str, str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = program("source-extractor", "source-extractor")
    image = shared_data / "humvi" / "CFHTLS-test_g.fits"
    ours, theirs, found, expected = both(image, (), tool, tmp_path, monkeypatch)
    assert found == expected
    agree(ours, theirs)


def agree(ours: NDArray[Any], theirs: NDArray[Any], *, area: int = 0) -> None:
    """Hold what must agree for every source, and for all but a few whose apertures reach over a blend."""

    def off(name: str) -> NDArray[np.float64]:
        difference = np.abs(ours[name].astype(np.float64) - theirs[name].astype(np.float64))
        return difference.reshape(len(ours), -1).max(axis=1)

    bounds = {"X_IMAGE": 1e-3, "Y_IMAGE": 1e-3, "A_IMAGE": 1e-5, "B_IMAGE": 1e-5, "ISOAREA_IMAGE": area, "ISO3": area}
    for name, bound in bounds.items():
        assert off(name).max() <= bound, name
    assert np.max(off("ERRA_IMAGE") / theirs["ERRA_IMAGE"]) < 1e-5
    few = {"ISOAREAF_IMAGE": 0, "FLUX_MAX": 0, "MAG_ISO": 1e-5, "FLAGS": 0, "MAG_AUTO": 1e-3}
    few |= {"MAGERR_AUTO": 1e-3, "KRON_RADIUS": 1e-3, "FLUX_RADIUS": 1e-3, "CLASS_STAR": 0.01}
    for name, bound in few.items():
        assert np.mean(off(name) > bound) < 0.025, name
    assert np.mean(off("MAG_APER") > 1e-4) < 0.05  # of 15 pixels: what was left over of blends lies in more of them
    # a few sources of a hundred end one turn earlier or later, or start from another half-light radius
    for name in ("XWIN_IMAGE", "YWIN_IMAGE"):
        assert np.median(off(name)) < 1e-6
        assert np.mean(off(name) > 1e-3) < 0.05
    assert np.mean((ours["VIGNET"] != theirs["VIGNET"]).any(axis=(1, 2))) < 0.1


LOCAL = (
    "X_IMAGE", "Y_IMAGE", "BACKGROUND", "FLUX_AUTO", "FLUXERR_AUTO", "FLUX_APER(2)", "FLUXERR_APER(2)", "FLUX_PETRO",
    "FLUX_ISO", "FLUXERR_ISO", "FLUX_ISOCOR", "FLUX_RADIUS", "FLUX_MAX", "MU_MAX", "MU_THRESHOLD", "FWHM_IMAGE", "ISO0",
    "ISO3", "ISO7", "XWIN_IMAGE", "FLUX_WIN", "CLASS_STAR", "FLAGS",
)  # fmt: skip


@pytest.fixture
def sloping(tmp_path: Path) -> Path:
    """An image of 48 sources, two of them blends, on a sky that rises towards the right and in its middle."""
    random, (y, x) = np.random.default_rng(5), np.mgrid[:480, :512]
    image = random.normal(1000.0, 5.0, (480, 512)) + 0.15 * x
    image += 12.0 * np.exp(-((x - 250) ** 2 + (y - 240) ** 2) / 2.0 / 120.0**2)
    for k in range(48):
        cx, cy = 32 + 64 * (k % 8) + random.uniform(-8, 8), 40 + 80 * (k // 8) + random.uniform(-8, 8)
        light, width = 10.0 ** random.uniform(2.0, 3.5), random.uniform(1.5, 3.5)
        for shift in (0.0, 3.6) if k in {12, 29} else (0.0,):
            image += light * np.exp(-0.5 * ((x - cx - shift * width) ** 2 + (y - cy) ** 2) / width**2)
    fits.writeto(tmp_path / "sloping.fits", image.astype(np.float32))
    return tmp_path / "sloping.fits"


@pytest.mark.parametrize("thick", ["24", "9"])
def test_local_backgrounds_are_those_of_the_original(
    thick: str,
    sloping: Path,
    program: Callable[[str, str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = program("source-extractor", "source-extractor")
    settings = ("-BACKPHOTO_TYPE", "LOCAL", "-BACKPHOTO_THICK", thick)
    flat, peers, *_ = both(sloping, (), tool, tmp_path, monkeypatch, LOCAL)
    ours, theirs, found, expected = both(sloping, settings, tool, tmp_path, monkeypatch, LOCAL)
    assert found == expected
    assert len(theirs) == len(peers)

    def off(ours: NDArray[Any], theirs: NDArray[Any]) -> NDArray[np.float64]:
        unlike = np.abs(ours.astype(np.float64) - theirs) / np.maximum(np.abs(theirs), 1e-3)
        return unlike.reshape(len(ours), -1).max(axis=1)

    same = off(flat["FLUX_APER"], peers["FLUX_APER"]) < 1e-5  # an aperture that reaches over a speck differs anyhow
    assert same.sum() >= 44
    for name in (each.split("(")[0] for each in LOCAL):
        assert off(ours[name][same], theirs[name][same]).max() < 1e-4, name
    changed = np.abs(flat["BACKGROUND"] - ours["BACKGROUND"]) > 0.01
    assert changed.sum() > 0.5 * len(flat)
    assert changed.all() == (thick == "9")  # the edges cut wider annuli: these sources have no local level
