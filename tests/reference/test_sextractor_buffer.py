"""Beside Debian's source-extractor: the order of sources, which its buffer decides, cut-outs, curves of growth."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing import ldac
from processing.sextractor import measuring
from processing.sextractor.command import main

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
COLUMNS = ("NUMBER", "X_IMAGE", "Y_IMAGE", "FLUX_RADIUS", "FLAGS")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Sources of unlike sizes all over an image, some blended, some cut by its edges."""
    draw, (y, x) = np.random.default_rng(11), np.mgrid[:330, :200]
    pixels = draw.normal(100.0, 3.0, (330, 200))
    for _ in range(70):
        at, size = draw.uniform((3, -2), (197, 332)), draw.uniform(1.2, 3.5)
        pixels += draw.uniform(100, 3000) * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2)
    fits.writeto(tmp_path / "image.fits", pixels.astype(np.float32))
    return tmp_path / "image.fits"


def both(
    image: Path, tool: str, patch: pytest.MonkeyPatch, columns: tuple[str, ...], *settings: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """All rows of our catalogue and of the peer's."""
    patch.chdir(image.parent)
    Path("wanted.param").write_text("\n".join((*COLUMNS, *columns)))
    words = [image.name, "-PARAMETERS_NAME", "wanted.param", "-CATALOG_TYPE", "FITS_LDAC", "-DETECT_THRESH", "5"]
    words += ["-VERBOSE_TYPE", "QUIET", "-STARNNW_NAME", str(SHARE / "default.nnw"), "-FILTER_NAME"]
    words += [*(settings or (str(SHARE / "default.conv"),)), "-CATALOG_NAME"]
    subprocess.run([tool, *words, "peer.cat"], check=True, capture_output=True)
    assert main([*words, "ours.cat"]) == 0
    ours, theirs = (ldac.read(Path(f"{who}.cat"))[0].sources for who in ("ours", "peer"))
    assert len(ours) == len(theirs) > 50
    return ours, theirs


@pytest.mark.parametrize("rows", ["64", "128", "330", "1024"])
@pytest.mark.parametrize("cut", ["", "VIGNET(5,46)", "VIGNET(5,85)", "VIGNET_SHIFT(5,61)", "MAG_APER", "MAG_APER(2)"])
@pytest.mark.parametrize("filters", ["default.conv", "gauss_3.0_5x5.conv", ""])
def test_sources_are_numbered_as_they_leave_the_buffer(
    rows: str,
    cut: str,
    filters: str,
    image: Path,
    program: Callable[[str, str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tool = program("source-extractor", "source-extractor")
    settings = (str(SHARE / (filters or "default.conv")), "-FILTER", "Y" if filters else "N", "-MEMORY_BUFSIZE", rows)
    settings += ("-PHOT_APERTURES", "43,80")  # the second counts where a column asks for two
    ours, theirs = both(image, tool, monkeypatch, (cut,) if cut else (), *settings)
    assert np.abs(ours["X_IMAGE"] - theirs["X_IMAGE"]).max() < 1e-4
    assert np.abs(ours["Y_IMAGE"] - theirs["Y_IMAGE"]).max() < 1e-4


@pytest.mark.parametrize("banded", [False, True])
def test_shifted_cut_outs_and_curves_of_growth_are_those_of_the_original(
    banded: bool, image: Path, program: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = program("source-extractor", "source-extractor")
    columns = ("VIGNET(9,180)", "VIGNET_SHIFT(31,178)", "FLUX_GROWTH(17)", "FLUX_GROWTHSTEP")
    columns += ("MAG_GROWTH(100)", "MAG_GROWTHSTEP")
    if banded:
        monkeypatch.setattr(measuring, "WHOLE", 1)
    settings = (str(SHARE / "default.conv"), "-MEMORY_BUFSIZE", "330")
    if banded:  # bands are as high as the buffer: cut-outs are higher here than what is otherwise kept around them
        settings = (*settings[:2], "64", "-MASK_TYPE", "NONE")
    ours, theirs = both(image, tool, monkeypatch, columns, *settings)
    whole = theirs if not banded else both(image, tool, monkeypatch, columns, *settings[:2], "330", *settings[3:])[1]
    order = np.lexsort((whole["X_IMAGE"], whole["Y_IMAGE"]))[np.argsort(np.lexsort((ours["X_IMAGE"], ours["Y_IMAGE"])))]
    whole = whole[order]  # the original cuts its cut-outs where its buffer ends, and counts its sources otherwise then
    assert np.array_equal(ours["VIGNET"], whole["VIGNET"])
    lost = np.abs(whole["VIGNET_SHIFT"]) > 1e20  # the original interpolates between its -1e30 of neighbours too
    assert lost.any() == (not banded)
    assert np.array_equal(ours["VIGNET_SHIFT"] < -1e29, lost)
    unlike = np.abs(ours["VIGNET_SHIFT"].astype(np.float64) - whole["VIGNET_SHIFT"])[~lost]
    assert (unlike / np.maximum(np.abs(whole["VIGNET_SHIFT"][~lost]), 10.0)).max() < 1e-5
    for name, bound in {
        "FLUX_GROWTH": 1e-4,
        "FLUX_GROWTHSTEP": 1e-6,
        "MAG_GROWTH": 1e-5,
        "MAG_GROWTHSTEP": 1e-6,
    }.items():
        if not banded:
            assert np.max(np.abs(ours[name] / theirs[name] - 1.0)) < bound, name


@pytest.mark.parametrize("rows", ["150", "1024"])
def test_what_reaches_over_an_edge_or_out_of_the_buffer_is_flagged_as_the_original_does(
    rows: str, tmp_path: Path, program: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, (y, x) = np.random.default_rng(2), np.mgrid[:700, :700]
    pixels = draw.normal(100.0, 1.0, (700, 700))
    for k in range(26):
        along, far = 40 + k * 25, 690 + draw.uniform(-2, 2, 4)  # six semi-major axes are 9 pixels
        sources = (far[0], along, 1.5), (699 - far[1], along, 1.5), (along, far[2], 1.5), (along, 699 - far[3], 1.5)
        for cx, cy, wide in (*sources, (350 + 30 * (k % 5), along, 3.0)):  # flat ones reach farther than their margin
            pixels += 500 * np.exp(-0.5 * (((x - cx) / wide) ** 2 + ((y - cy) / min(wide, 1.5)) ** 2))
    fits.writeto(tmp_path / "image.fits", pixels.astype(np.float32))
    settings = (str(SHARE / "default.conv"), "-MEMORY_BUFSIZE", rows, "-PHOT_AUTOAPERS", "0,0")
    tool = program("source-extractor", "source-extractor")
    ours, theirs = both(tmp_path / "image.fits", tool, monkeypatch, (), *settings)
    alone = theirs["FLAGS"] & 3 == 0
    assert 30 < np.count_nonzero(theirs["FLAGS"][alone] & 16) < 100
    assert np.array_equal(ours["FLAGS"][alone], theirs["FLAGS"][alone])


def test_what_others_crowd_is_flagged_as_the_original_does(
    tmp_path: Path, program: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenth of an ellipse is enough where radii are looked for, but not where light is added up."""
    draw, (y, x) = np.random.default_rng(5), np.mgrid[-9:10, -9:10]
    pixels = draw.normal(100.0, 3.0, (1600, 1600))
    for _ in range(7000):
        row, column = draw.integers(10, 1590, 2)
        light = np.exp(-0.5 * ((x - draw.uniform(-0.5, 0.5)) ** 2 + (y - draw.uniform(-0.5, 0.5)) ** 2) / 1.7**2)
        pixels[row - 9 : row + 10, column - 9 : column + 10] += draw.uniform(60, 600) * light
    fits.writeto(tmp_path / "image.fits", pixels.astype(np.float32))
    tool = program("source-extractor", "source-extractor")
    ours, theirs = both(tmp_path / "image.fits", tool, monkeypatch, ("MAG_AUTO", "MAG_PETRO"))
    assert np.count_nonzero(theirs["FLAGS"] & 1) > 1000
    assert np.array_equal(ours["FLAGS"], theirs["FLAGS"])
