"""Frames of the original SkyMaker, with a satellite painted in."""

import numpy as np
import pytest
from astropy.io import fits

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import mark_saturated
from processing.defects.settings import SaturationSettings, TrailSettings
from processing.defects.trail_search import find_trails
from processing.defects.trails import mark_trail, trail_map
from processing.flags import PixelFlag
from terapix.instruments import load_instrument

pytestmark = pytest.mark.reference
CCDS = load_instrument("megacam").ccds[1:3]
"""Those that the frames show; both lie turned by half a turn."""
X, Y = slice(32, 2080), slice(0, 4612)
PLACES = [Area(ccd.column, ccd.column + 2048, ccd.row, ccd.row + 4612, True, True) for ccd in CCDS]
PEAK, SIGMA = 3.0, 2.6
"""Noise of a pixel, and pixels: a satellite at 800 km in 0.8 arcsec seeing."""


@pytest.fixture(scope="module")
def pixels(shared_data):
    with fits.open(shared_data / "sim/exp0.fits.fz") as opened:
        return [opened[ccd.name].data.astype(np.float32) for ccd in CCDS]


def satellite(place):
    """Light of a satellite that crosses both CCDs, in noise of a pixel."""
    j, i = np.indices((4612, 2048), np.float32)
    x, y = place.x1 - 1 - i, place.y1 - 1 - j
    turn = 0.4
    away = (y - PLACES[0].y0 - 1500.0) * np.cos(turn) - (x - PLACES[0].x0) * np.sin(turn)
    return PEAK * np.exp(-0.5 * (away / SIGMA) ** 2)


def searched(pixels, added):
    """Trails found, and for each CCD its flags with them."""
    maps, every = [], []
    for image, place in zip(pixels, PLACES, strict=True):
        seen = image.copy()
        flags = np.full(seen.shape, int(PixelFlag.OVERSCAN), np.int16)
        flags[Y, X] = 0
        ccd = CcdImage(seen, Area(32, 2080, 0, 4612), (Amplifier(32, 2080, 1.585, 5.0),), 65000.0, 0.185, "sim")
        background = Background.of(ccd, flags)
        if added:
            seen[Y, X] += background.typical_rms * satellite(place)
        mark_saturated(ccd, flags, background, SaturationSettings())
        maps.append(trail_map(ccd, flags, background, TrailSettings()))
        every.append(flags)
    found = find_trails(maps, PLACES, TrailSettings())
    for trail in found:
        for stretch in trail.stretches:
            mark_trail(every[stretch.ccd].shape, stretch, every[stretch.ccd], Area(32, 2080, 0, 4612))
    return found, every


def test_nothing_is_found_where_nothing_crosses_and_every_full_pixel_is_marked(pixels):
    found, every = searched(pixels, added=False)

    assert found == []
    for image, flags in zip(pixels, every, strict=True):
        full = image[Y, X] >= 65000.0
        assert full.any()
        assert (flags[Y, X][full] & int(PixelFlag.SATURATED) > 0).all()


def test_a_satellite_of_three_sigma_a_pixel_is_found_over_both_ccds(pixels):
    found, every = searched(pixels, added=True)
    true = hit = marked = 0
    for flags, place in zip(every, PLACES, strict=True):
        lit, marks = satellite(place) > 1.0, flags[Y, X] & int(PixelFlag.SATELLITE) > 0
        true, hit, marked = true + lit.sum(), hit + (lit & marks).sum(), marked + marks.sum()

    assert len(found) == 1
    assert hit > 0.99 * true
    assert hit > 0.5 * marked
