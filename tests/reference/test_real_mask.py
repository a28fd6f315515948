"""The real 36-CCD Elixir mask of MegaCam as input of the weight stage."""

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.areas import Area
from processing.flags import PixelFlag
from processing.mosaic import Compression, Mosaic, assemble, hdu_bytes, primary_bytes
from processing.recipes import WeightRecipe
from processing.weightwatcher import weigh_frame
from tests.support.mosaics import PLAIN

pytestmark = [pytest.mark.reference, pytest.mark.timeout(200)]

SHAPE = (4644, 2112)
SEEN = Area(32, 2080, 0, 4612)
SATURATION = 62789
"""ADU; the lowest SATURATE of the CCDs of 979412p."""


@pytest.fixture(scope="module")
def mask(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The mask, unpacked once: 0.7 GB that pytest shall not keep."""
    path = tmp_path_factory.mktemp("mask") / "2004B.mask.0.36.01.fits"
    with gzip.open(shared_data / "obs_cfht" / "2004B.mask.0.36.01.fits.gz") as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 22)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frame of 36 CCDs of true size: flat sky, and on each CCD a saturated star that bleeds along its column."""
    pixels = np.full(SHAPE, 1200, np.int32)
    pixels[2000:2600, 1000] = 65000
    pixels[2290:2310, 990:1010] = 65000
    parts = []
    for index in range(36):
        header = {"DATASEC": "[33:2080,1:4612]", "SATURATE": SATURATION, "EXTVER": index}
        parts.append(hdu_bytes(pixels, header, name=f"ccd{index:02d}", bzero=32668))
    primary = primary_bytes({"NEXTEND": 36, "IMRED_MK": "2004B.mask.0.36.01"})
    return assemble(tmp_path_factory.mktemp("frame") / "700000p.fits.fz", primary, parts).path


def test_every_pixel_the_mask_rules_out_is_flagged_bad_and_has_no_weight(
    mask: Path, frame: Path, tmp_path: Path
) -> None:
    made = weigh_frame(
        frame,
        flat=None,
        mask=mask,
        into=tmp_path / "products",
        scratch=tmp_path / "scratch",
        recipe=WeightRecipe(**PLAIN),
    )

    inside = np.zeros(SHAPE, bool)
    inside[SEEN.y0 : SEEN.y1, SEEN.x0 : SEEN.x1] = True
    saturated = np.zeros(SHAPE, bool)
    saturated[2000:2600, 1000] = saturated[2290:2310, 990:1010] = True
    bad_total = 0
    shares = []
    weights, flags = (Mosaic(tmp_path / "products" / f"700000p_{kind}.fits.fz") for kind in ("weight", "flag"))
    with fits.open(mask) as opened:
        assert len(opened) == 37
        for index, hdu in enumerate(opened[1:]):
            good = np.asarray(hdu.data) != 0
            bad_total += int((~good & inside).sum())
            shares.append(weights.extensions[index].header["EFF_AREA"])
            assert shares[-1] == pytest.approx((good & inside & ~saturated).mean())
            if index not in {0, 4, 17, 18, 35}:
                continue  # a fresh look at every pixel of five CCDs; the sums above cover the others
            expected = np.where(good, 0, PixelFlag.BAD) | np.where(inside, 0, PixelFlag.OVERSCAN)
            expected |= np.where(saturated, PixelFlag.SATURATED, 0)
            np.testing.assert_array_equal(flags.read(index), expected)
            np.testing.assert_array_equal(weights.read(index), (expected == 0).astype(np.float32))
    assert made.summary["flags"]["BAD"] == bad_total
    assert made.summary["flags"]["SATURATED"] == 36 * int(saturated.sum())
    assert made.summary["ccds"] == 36
    assert min(shares) < 0.55, "one CCD of this mask is half ruled out"
    assert max(shares) > 0.95


def test_the_mask_is_read_as_astropy_reads_it(mask: Path, tmp_path: Path) -> None:
    with fits.open(mask) as opened:
        image = np.asarray(opened["ccd18"].data)
        header = opened["ccd18"].header
    parts = [hdu_bytes(image, header, name="ccd18", compression=each) for each in Compression]
    with Mosaic(assemble(tmp_path / "one.fits", primary_bytes(None), parts).path) as mosaic:
        for index in range(2):
            np.testing.assert_array_equal(mosaic.read(index), image)
            assert mosaic.extensions[index].header["MASK_000"] == "[1:1,2112:1]"
