"""Background, filter, detection, deblending and cleaning against Debian's source-extractor 2.25."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from processing.kernels import convolve
from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.filtering import kernel, read_filter
from processing.sextractor.images import ArrayRows
from processing.sextractor.records import Detections
from processing.sextractor.settings import Settings
from processing.sextractor.weighting import plane

pytestmark = pytest.mark.reference

SHARE = Path("/usr/share/source-extractor")
IMAGES = ("MINIBACKGROUND", "MINIBACK_RMS", "BACKGROUND", "BACKGROUND_RMS", "FILTERED", "SEGMENTATION")
COLUMNS = "X_IMAGE Y_IMAGE A_IMAGE B_IMAGE XMIN_IMAGE YMAX_IMAGE ISOAREAF_IMAGE THRESHOLD FLAGS"


@dataclass(frozen=True)
class Case:
    """Settings of ours, and how the original is told them."""

    ours: Settings = field(default_factory=Settings)
    peer: str = ""
    weights: str = ""
    filter: str = "default.conv"


WEIGHTED = ("MAP_WEIGHT", "MAP_WEIGHT")
CASES = {
    "default": Case(),
    "all of it kept": Case(Settings(clean=False), "-CLEAN N"),
    "wide filter": Case(Settings(detect_minarea=3), "-DETECT_MINAREA 3", filter="gauss_3.0_7x7.conv"),
    "odd meshes": Case(
        Settings(back_size=(50, 37), back_filtersize=(5, 3), deblend_mincont=0.0001),
        "-BACK_SIZE 50,37 -BACK_FILTERSIZE 5,3 -DEBLEND_MINCONT 0.0001",
    ),
    "short buffer": Case(Settings(memory_bufsize=128, clean=False), "-MEMORY_BUFSIZE 128 -CLEAN N"),
    "cut-outs": Case(
        Settings(columns=("VIGNET(45,45)",), memory_bufsize=128, clean=False),
        "-MEMORY_BUFSIZE 128 -CLEAN N -PARAMETERS_NAME cut-outs.param",
    ),
    "short list": Case(Settings(memory_objstack=20, clean=False), "-MEMORY_OBJSTACK 20 -CLEAN N"),
    "weights": Case(Settings(weight_type=WEIGHTED), "-WEIGHT_TYPE MAP_WEIGHT", "weight"),
    "own noise": Case(Settings(weight_type=("BACKGROUND", "BACKGROUND")), "-WEIGHT_TYPE BACKGROUND"),
}


def field_of(seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels with sources, many of them blended, on a sky that is not flat; weights, some of them 0."""
    draw = np.random.default_rng(seed)
    ny, nx = 420, 390
    y, x = np.mgrid[:ny, :nx]
    pixels = 900.0 + 20.0 * np.sin(x / 90.0) + y / 20.0 + draw.normal(0.0, 12.0, (ny, nx))
    for _ in range(150):
        at, size = draw.uniform(0, (nx, ny)), draw.uniform(1.2, 3.0)
        for _ in range(draw.integers(1, 4)):
            pixels += 10 ** draw.uniform(1.5, 3.5) * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / size**2)
            at = at + draw.normal(0.0, 5.0, 2)
    weights = np.full((ny, nx), 0.002) * (1.0 + 0.3 * x / nx) * draw.normal(1.0, 0.02, (ny, nx))
    weights[draw.random((ny, nx)) < 0.004] = 0.0
    weights[100:140, 200:230] = 0.0
    weights[:, 60:62] = 0.0
    return pixels.astype(np.float32), weights.astype(np.float32)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("field")
    for name, values in zip(("image", "weight"), field_of(3), strict=True):
        fits.PrimaryHDU(values).writeto(place / f"{name}.fits")
    (place / "wanted.param").write_text("\n".join(COLUMNS.split()) + "\n")
    (place / "cut-outs.param").write_text("\n".join([*COLUMNS.split(), "VIGNET(45,45)"]) + "\n")
    return place


@dataclass(frozen=True)
class Peer:
    table: NDArray[np.void]
    images: dict[str, NDArray[np.float32]]


def of_peer(tool: str, place: Path, case: Case) -> Peer:
    words = [
        tool, "image.fits", "-c", str(SHARE / "default.sex"), "-PARAMETERS_NAME", "wanted.param", "-FILTER_NAME",
        str(SHARE / case.filter), "-STARNNW_NAME", str(SHARE / "default.nnw"), "-CATALOG_TYPE", "FITS_1.0",
        "-CATALOG_NAME", "made.fits", "-CHECKIMAGE_TYPE", ",".join(IMAGES), "-CHECKIMAGE_NAME",
        ",".join(f"{name}.fits" for name in IMAGES), "-DETECT_MINAREA", "5", *case.peer.split(),
    ]  # fmt: skip
    words += ["-WEIGHT_IMAGE", f"{case.weights}.fits"] if case.weights else []
    subprocess.run(words, cwd=place, check=True, capture_output=True)
    return Peer(
        np.array(fits.getdata(place / "made.fits", 1)),
        {name: fits.getdata(place / f"{name}.fits") for name in IMAGES},
    )


@pytest.mark.parametrize("name", CASES)
def test_sky_and_objects_are_those_of_the_original(program: Callable[[str, str], str], image: Path, name: str) -> None:
    case = CASES[name]
    peer = of_peer(program("source-extractor", "source-extractor"), image, case)
    rows, normalised = read_filter(SHARE / case.filter)
    settings = replace(case.ours, filter=rows, filter_normalised=normalised)
    pixels, weights = field_of(3)
    seen = plane(ArrayRows(pixels), ArrayRows(weights) if case.weights else None, settings, 0)
    sky, (ny, nx) = seen.background, pixels.shape

    for title, ours in {
        "MINIBACKGROUND": sky.level,
        "MINIBACK_RMS": sky.sigma,
        "BACKGROUND": sky.rows(0, ny),
        "BACKGROUND_RMS": sky.noise(0, ny),
    }.items():
        # to the bit where meshes are powers of two; else the peer adds up steps in single precision
        worst = 0.0 if sky.width == 64 else 1e-5 * sky.rms
        assert np.abs(ours - peer.images[title]).max() <= worst, title
    filtered = np.empty_like(pixels)
    convolve.convolve(seen.strip(0, ny)[0], kernel(rows, normalised=normalised), 0, filtered)
    assert np.abs(filtered - peer.images["FILTERED"]).max() <= (0.0 if sky.width == 64 else 1e-4 * sky.rms)

    bounds = Thresholds(1.5 * sky.rms, 1.5 * sky.rms)
    found = detect(seen.strip, (ny, nx), bounds, settings, relative=1.5)
    same_objects(found, peer, settings)


def same_objects(found: Detections, peer: Peer, settings: Settings) -> None:
    objects, table = found.objects, peer.table
    labels = np.zeros(peer.images["SEGMENTATION"].shape, np.int32)
    labels[found.y, found.x] = np.repeat(np.arange(len(objects)) + 1, np.diff(found.starts))
    assert np.array_equal(labels > 0, peer.images["SEGMENTATION"] > 0)
    assert len(objects) == len(table)
    far = np.hypot(objects["x"][:, None] + 1 - table["X_IMAGE"], objects["y"][:, None] + 1 - table["Y_IMAGE"])
    nearest = far.argmin(axis=0)
    matched = far.min(axis=0) < 1e-3  # single precision of the catalogue
    alone = table["FLAGS"] & 2 == 0
    assert alone.sum() > 60
    assert (~alone).sum() > 20
    assert matched.all()
    ours, theirs = objects[nearest], table
    # pixels between the parts of blends are dealt by the same random numbers
    assert np.array_equal(ours["npix"], theirs["ISOAREAF_IMAGE"])
    for column, name in {"A_IMAGE": "a", "B_IMAGE": "b", "THRESHOLD": "detection_threshold"}.items():
        assert np.allclose(theirs[column], ours[name], rtol=1e-4), column
    assert len(np.unique(nearest)) == len(table)
    assert np.array_equal(nearest, np.arange(len(table))), "numbered as the original numbers them"
