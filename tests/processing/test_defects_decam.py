"""Saturated stars of real DECam cut-outs, against the masks of the observatory's own pipeline."""

import numpy as np
import pytest
from astropy.io import fits

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import mark_saturated
from processing.defects.settings import SaturationSettings
from processing.flags import PixelFlag

pytestmark = pytest.mark.reference
SATURATED, BLEED = 3, 4
"""Codes of the community pipeline's data quality masks."""


@pytest.fixture(scope="module")
def cutouts(shared_data):
    """Names, our flags and their codes, of all cut-outs with a saturated star."""
    found = []
    for path in sorted((shared_data / "legacypipe").glob("*/images/**/*_ooi_*.fits")):
        codes = fits.getdata(path.with_name(path.name.replace("_ooi_", "_ood_")))
        if not (codes == SATURATED).any():
            continue
        with fits.open(path) as opened:
            hdu = next(hdu for hdu in opened if hdu.data is not None)
            pixels, header = np.ascontiguousarray(hdu.data, np.float32), hdu.header
        ny, nx = pixels.shape
        amplifiers = (Amplifier(0, nx, header["GAINA"], header.get("RDNOISEA", 6.0)),)
        image = CcdImage(pixels, Area(0, nx, 0, ny), amplifiers, header["SATURATE"], 0.262, path.name)
        flags = np.zeros(pixels.shape, np.int16)
        mark_saturated(image, flags, Background.of(image, flags), SaturationSettings())
        found.append((path.name, flags, codes))
    return found


def test_every_pixel_that_they_call_saturated_is_marked(cutouts):
    assert len(cutouts) == 6
    for name, flags, codes in cutouts:
        assert (flags[codes == SATURATED] & int(PixelFlag.SATURATED) > 0).all(), name


def test_what_is_marked_lies_within_their_saturated_and_bleeding_pixels(cutouts):
    for name, flags, codes in cutouts:
        marked = flags & int(PixelFlag.SATURATED | PixelFlag.BLEED) > 0
        theirs = (codes == SATURATED) | (codes == BLEED)
        assert theirs[marked].mean() > 0.99, name
        # they widen trails by three pixels to each side, we by one
        assert marked[theirs].mean() > 0.6, name


def test_trails_are_followed_from_end_to_end(cutouts):
    for name, flags, codes in cutouts:
        marked = flags & int(PixelFlag.SATURATED | PixelFlag.BLEED) > 0
        theirs = (codes == SATURATED).any(axis=1)
        assert marked.any(axis=1)[theirs].all(), name
