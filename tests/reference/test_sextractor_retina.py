"""Retinas as filters of detection, beside Debian's source-extractor."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing.sextractor.command import main
from tests.support.retinas import Network, drawn, of_stars

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
COLUMNS = "NUMBER X_IMAGE Y_IMAGE ISOAREAF_IMAGE THRESHOLD MAG_AUTO FLAGS"
NETWORKS = {
    "stars": of_stars(),
    "one layer": drawn((3, 3)),
    "sigmoid": drawn((3, 5), 4, linear=False),
    "even": drawn((4, 2), 6, 3, seed=3),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources in an image, a second image of the same, and weights."""
    monkeypatch.chdir(tmp_path)
    draw, (y, x) = np.random.default_rng(1), np.mgrid[:200, :170]
    pixels = draw.normal(100.0, 5.0, y.shape)
    for _ in range(40):
        at, size = draw.uniform(0, (170, 200)), draw.uniform(1.3, 2.5)
        pixels += 10 ** draw.uniform(1.5, 3.2) * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2)
    fits.writeto("image.fits", pixels.astype(np.float32))
    fits.writeto("other.fits", (2.0 * pixels + draw.normal(0.0, 3.0, y.shape)).astype(np.float32))
    weights = np.full(y.shape, 0.04, np.float32)
    weights[50:60, 60:75] = 0.0
    fits.writeto("weight.fits", weights)
    Path("wanted.param").write_text("\n".join(COLUMNS.split()) + "\n")
    return tmp_path


Made = tuple[NDArray[Any], NDArray[np.float32], NDArray[np.int32]]


def both(network: Network, program: Callable[[str, str], str], images: str, *settings: str) -> tuple[Made, Made]:
    """Catalogue, filtered image and segmentation of ours, and of the peer's."""
    words = [images, "-c", str(SHARE / "default.sex"), "-PARAMETERS_NAME", "wanted.param", "-STARNNW_NAME"]
    words += [str(SHARE / "default.nnw"), "-CATALOG_TYPE", "FITS_1.0", "-CHECKIMAGE_TYPE", "FILTERED,SEGMENTATION"]
    words += ["-VERBOSE_TYPE", "QUIET", "-FILTER_NAME", str(network.written(Path("network.ret"))), *settings]

    def made(who: str) -> list[str]:
        return ["-CATALOG_NAME", f"{who}.cat", "-CHECKIMAGE_NAME", f"{who}.filtered.fits,{who}.labels.fits"]

    def read(who: str) -> Made:
        images = [fits.getdata(f"{who}.{kind}.fits") for kind in ("filtered", "labels")]
        return np.array(fits.getdata(f"{who}.cat", 1)), images[0], images[1]

    subprocess.run([program("source-extractor", "source-extractor"), *words, *made("peer")], check=True)
    assert main([*images.split(","), *words[1:], *made("ours")]) == 0
    return read("ours"), read("peer")


_WEIGHTED = "-WEIGHT_TYPE MAP_WEIGHT -WEIGHT_IMAGE weight.fits"
CASES = {
    "plain": ("image.fits", ""),
    "thresholds": ("image.fits", "-FILTER_THRESH 0.5,20"),
    "least pixel": ("image.fits", "-FILTER_THRESH 1"),
    "short buffer": ("image.fits", "-MEMORY_BUFSIZE 128"),
    "two images": ("other.fits,image.fits", ""),
    "weights of the measurement": ("image.fits", "-WEIGHT_TYPE NONE,MAP_WEIGHT -WEIGHT_IMAGE weight.fits,weight.fits"),
    "weights": (
        "image.fits",
        f"{_WEIGHTED} -THRESH_TYPE ABSOLUTE -DETECT_THRESH 20 -ANALYSIS_THRESH 20 -DEBLEND_MINCONT 1",
    ),
}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("case", CASES)
def test_sources_are_those_of_the_original(case: str, program: Callable[[str, str], str]) -> None:
    images, settings = CASES[case]
    (ours, filtered, labels), (theirs, peer_filtered, peer_labels) = both(
        NETWORKS["stars"], program, images, *settings.split()
    )
    # neurons' exponentials are rounded by two libraries: the last bit of few pixels
    assert np.allclose(filtered, peer_filtered, rtol=1e-6, atol=0.0)
    assert (filtered == peer_filtered).mean() > 0.99
    assert np.array_equal(labels, peer_labels)
    assert len(ours) == len(theirs) > 25
    for name in ("NUMBER", "ISOAREAF_IMAGE", "FLAGS"):
        assert np.array_equal(ours[name], theirs[name]), name
    for name in ("X_IMAGE", "Y_IMAGE", "THRESHOLD", "MAG_AUTO"):
        assert np.allclose(ours[name], theirs[name], rtol=1e-6), name


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_all_shapes_answer_as_in_the_original(name: str, program: Callable[[str, str], str]) -> None:
    (ours, filtered, _), (theirs, peer, _) = both(NETWORKS[name], program, "image.fits")
    assert np.allclose(filtered, peer, rtol=1e-6, atol=0.0)
    assert (filtered == peer).mean() > 0.99
    assert len(ours) == len(theirs)


@pytest.mark.usefixtures("place")
def test_convolutions_take_no_thresholds_of_pixels(program: Callable[[str, str], str]) -> None:
    told = ("-FILTER_NAME", str(SHARE / "default.conv"), "-FILTER_THRESH", "2,9")
    (_, filtered, _), (_, peer, _) = both(of_stars(), program, "image.fits", *told)
    assert np.array_equal(filtered, peer)


@pytest.mark.usefixtures("place")
def test_noise_that_goes_through_a_network_is_no_threshold(
    program: Callable[[str, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Why this is refused here: a network that changes no positive number leaves no thresholds there."""
    same = Network((1, 1), (np.array([[1.0, 0.0]], np.float32),))
    words = ["image.fits", "-c", str(SHARE / "default.sex"), "-PARAMETERS_NAME", "wanted.param", "-STARNNW_NAME"]
    words += [str(SHARE / "default.nnw"), "-CATALOG_TYPE", "FITS_1.0", "-CATALOG_NAME", "peer.cat", "-FILTER_NAME"]
    words += [str(same.written(Path("same.ret"))), "-VERBOSE_TYPE", "QUIET", "-WEIGHT_TYPE", "BACKGROUND"]
    subprocess.run([program("source-extractor", "source-extractor"), *words], check=True)
    assert not fits.getdata("peer.cat", 1)["THRESHOLD"].any()
    assert main(words) == 2
    assert "a retina makes no thresholds of WEIGHT_TYPE = BACKGROUND" in capsys.readouterr().err
