"""Finders of defects on a CCD of MegaCam as SkyMaker paints it, whose truth is known pixel by pixel."""

import numpy as np
import pytest

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.columns import hot_candidates
from processing.defects.detector import mark_dead
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import mark_saturated
from processing.defects.settings import ColumnSettings, DeadSettings, SaturationSettings, TrailSettings
from processing.defects.trail_search import find_trails
from processing.defects.trails import mark_trail, trail_map
from processing.flags import PixelFlag
from processing.skymaker.defects import Flaw, defects, mask_of
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.frame import Shot, processed, saturation_of
from terapix.instruments import load_instrument

EFFECTS = FULL.switched("trails.satellites=0.3")
MEGACAM = load_instrument("megacam")
CCD = MEGACAM.ccds[0]
X0, X1, Y0, Y1 = MEGACAM.datasec


@pytest.fixture(scope="module")
def painted():
    """A CCD in g with saturated stars, cosmic rays, and a satellite of 3.6 sigma; and its truth."""
    pixels, exposed = processed(Shot(MEGACAM, CCD, exposure_of(9, 7), 7, 0, EFFECTS))
    boundary = MEGACAM.amplifier_boundary
    amplifiers = Amplifier(X0, boundary, CCD.gain_a, CCD.read_noise_a), Amplifier(boundary, X1, CCD.gain_b, 6.0)
    level = float(saturation_of(MEGACAM, CCD))
    image = CcdImage(pixels.astype(np.float32), Area(X0, X1, Y0, Y1), amplifiers, level, 0.185, "painted[1]")
    flags = np.where(mask_of(MEGACAM, CCD, EFFECTS.defects) == 0, int(PixelFlag.BAD), 0).astype(np.int16)
    background = Background.of(image, flags)
    mark_saturated(image, flags, background, SaturationSettings())
    return image, flags, background, exposed


def inside(flags):
    return flags[Y0:Y1, X0:X1]


def test_every_full_pixel_is_found_and_little_else(painted):
    _, flags, _, exposed = painted
    good = inside(flags) & int(PixelFlag.BAD) == 0
    full = exposed.marks & int(PixelFlag.SATURATED) > 0
    marked = inside(flags) & int(PixelFlag.SATURATED | PixelFlag.BLEED) > 0

    assert np.count_nonzero(full & good) > 500
    assert marked[full & good].all()
    # full pixels with the one beside them on each side are half again to twice as many
    assert np.count_nonzero(marked & ~full) < np.count_nonzero(full)


def test_stars_whose_pixel_is_full_are_all_marked(painted):
    _, flags, _, exposed = painted
    seen = exposed.seen
    on = seen.stars & (seen.x > 1) & (seen.x < X1 - X0 - 2) & (seen.y > 1) & (seen.y < Y1 - Y0 - 2)
    at = np.rint(seen.y[on]).astype(int), np.rint(seen.x[on]).astype(int)
    full = exposed.marks[at] & int(PixelFlag.SATURATED) > 0

    assert full.sum() >= 3
    assert (inside(flags)[at][full] & int(PixelFlag.SATURATED) > 0).all()


def test_a_satellite_is_found_end_to_end_on_one_ccd(painted):
    image, flags, background, exposed = painted
    place = Area(CCD.column, CCD.column + 2048, CCD.row, CCD.row + 4612, CCD.flipped, CCD.flipped)
    found = find_trails([trail_map(image, flags, background, TrailSettings())], [place], TrailSettings())
    marks = np.zeros_like(flags)
    for trail in found:
        for stretch in trail.on(0):
            mark_trail(marks.shape, stretch, marks, image.inside)
    truth = exposed.marks & int(PixelFlag.SATELLITE) > 0
    marked = inside(marks) > 0

    assert len(found) == len(exposed.trails) == 1
    assert marked[truth].mean() > 0.99
    assert truth[marked].mean() > 0.6  # true is what is above 1 sigma; 0.7 and a pixel are marked


def test_columns_that_stand_out_are_hot_or_bad(painted):
    image, flags, background, _ = painted
    found = hot_candidates(image, flags, background, ColumnSettings())
    hot = {bad.x0 for bad in defects(MEGACAM, CCD, EFFECTS.defects) if bad.flaw is Flaw.HOT and not bad.masked}

    assert set(np.flatnonzero(found.columns.sum(axis=0) > 2).tolist()) <= hot


def test_no_part_of_a_living_ccd_is_dead(painted):
    image, flags, background, _ = painted

    assert mark_dead(image, flags.copy(), background, DeadSettings()) == 0
