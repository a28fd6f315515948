"""Trails over a small mosaic: what crosses it is found end to end, and nothing where nothing does."""

import numpy as np
import pytest

from processing.defects.settings import TrailSettings
from processing.defects.trail_search import find_trails
from tests.support.trail_frames import NOISE, PLACES, completeness_and_purity, exposure, searched


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_trail_is_found_where_there_is_none(seed):
    images, _ = exposure(seed)
    # an edge-on galaxy, a long spike and a hot column are lines too
    images[1].pixels[300:303, 100:300] += 30 * NOISE
    images[2].pixels[200:800, 300:302] += 4 * NOISE * np.exp(-np.abs(np.arange(-300, 300)) / 80.0)[:, np.newaxis]
    images[5].pixels[:, 200] += 2 * NOISE

    assert searched(images) == []


@pytest.mark.parametrize(
    "trail",
    [
        ((-200.0, 300.0, 2400.0, 1700.0), 3.0, 2.5),
        ((700.0, -100.0, 1100.0, 2300.0), 3.0, 2.5),
        ((-200.0, 500.0, 2400.0, 520.0), 3.0, 2.5),
        ((-100.0, 1900.0, 2300.0, 200.0), 3.0, 2.5, 12.0),
        ((-200.0, 300.0, 2400.0, 1700.0), 40.0, 3.5),
    ],
    ids=["oblique", "steep", "flat", "bent", "bright"],
)
def test_a_trail_of_three_sigma_a_pixel_is_found_end_to_end(trail):
    images, truths = exposure(4, [trail])
    found = searched(images)
    complete, pure = completeness_and_purity(found, truths)

    assert len(found) == 1
    assert complete > 0.97
    assert pure > 0.5  # marked as far out as its light is half the noise


def test_a_faint_trail_is_found_too():
    images, _ = exposure(5, [((-200.0, 300.0, 2400.0, 1700.0), 0.5, 2.5)])

    assert len(searched(images)) == 1


def test_a_satellite_that_enters_the_shadow_ends_there():
    images, _ = exposure(6, [((-200.0, 300.0, 1200.0, 1100.0), 3.0, 2.5)])
    (found,) = searched(images)

    ends = np.reshape(found.ends, (2, 2))
    # rows of the search are 64 pixels long
    assert min(np.hypot(*(ends - (1200.0, 1100.0)).T)) < 100.0


def test_several_trails_cross_and_each_is_found_once():
    trails = [
        ((-200.0, 300.0, 2400.0, 1700.0), 3.0, 2.5),
        ((-200.0, 1500.0, 2400.0, 500.0), 10.0, 3.0),
        ((600.0, -100.0, 900.0, 2200.0), 2.0, 2.5),
    ]
    images, truths = exposure(7, trails)
    found = searched(images)

    assert len(found) == 3
    assert completeness_and_purity(found, truths)[0] > 0.97


def test_a_missing_ccd_is_no_trouble():
    images, _ = exposure(9, [((-200.0, 300.0, 2400.0, 1700.0), 3.0, 2.5)])
    for image in images[1:3]:
        image.pixels[:] = 0.0

    assert len(searched(images)) == 1
    assert find_trails([None] * 8, PLACES, TrailSettings()) == []


def test_an_aeroplane_is_wide():
    images, truths = exposure(8, [((-200.0, 300.0, 2400.0, 1700.0), 5.0, 25.0)])
    found = searched(images)

    assert len(found) == 1
    assert found[0].width == pytest.approx(59.0, rel=0.3)
    assert completeness_and_purity(found, truths)[0] > 0.9
