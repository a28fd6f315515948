"""Two parallel trails a few pixels apart: both are found, each end to end, and one wide trail stays one."""

import numpy as np
import pytest

from tests.support.trail_frames import PLACES, completeness_and_purity, exposure, marks_of, searched, trail_light

OBLIQUE = (-200.0, 300.0, 2400.0, 1700.0)
STEEP = (700.0, -100.0, 1100.0, 2300.0)


def beside(ends, apart):
    """Ends of a trail `apart` pixels from one between `ends`."""
    x0, y0, x1, y1 = ends
    across = apart * np.array([y0 - y1, x1 - x0]) / np.hypot(x1 - x0, y1 - y0)
    return (*(np.array([x0, y0]) + across), *(np.array([x1, y1]) + across))


def completeness(found, trail):
    """Share of the pixels that a trail lights by more than the noise which one of `found` marks."""
    lit = hit = 0
    for ccd, place in enumerate(PLACES):
        there = trail_light(place, *trail) > 1.0
        lit += int(there.sum())
        hit += int((there & marks_of(found, ccd)).sum())
    return hit / lit


@pytest.mark.parametrize("apart", [7.0, 9.0, 14.0, 30.0])
@pytest.mark.parametrize("ends", [OBLIQUE, STEEP], ids=["oblique", "steep"])
def test_both_of_two_parallel_trails_are_found_end_to_end(ends, apart):
    trails = [(ends, 3.0, 2.5), (beside(ends, apart), 3.0, 2.5)]
    images, _ = exposure(4, trails)
    found = searched(images)

    assert len(found) == 2
    assert min(completeness(found, trail) for trail in trails) > 0.95
    of_each = np.array([[completeness([each], trail) for trail in trails] for each in found])
    assert sorted(of_each.argmax(axis=1)) == [0, 1]
    assert of_each.max(axis=1).min() > 0.9
    for each in found:
        assert each.width == pytest.approx(2.5 * 2.355, rel=0.3)


def test_each_of_two_ends_where_its_own_light_does():
    short = (-200.0, 300.0, 1200.0, 300.0 + 1400.0 * 1400.0 / 2600.0)
    trails = [(OBLIQUE, 3.0, 2.5), (beside(short, 12.0), 3.0, 2.5)]
    images, _ = exposure(6, trails)
    found = sorted(searched(images), key=lambda each: each.length)

    assert len(found) == 2
    assert min(completeness(found, trail) for trail in trails) > 0.95
    ends = np.reshape(found[0].ends, (2, 2))
    assert min(np.hypot(*(ends - trails[1][0][2:]).T)) < 150.0
    assert found[1].length > 2200.0


@pytest.mark.parametrize("peak", [1.0, 3.0, 40.0])
@pytest.mark.parametrize("sigma", [1.5, 2.5, 5.0])
def test_one_trail_stays_one(peak, sigma):
    images, truths = exposure(4, [(OBLIQUE, peak, sigma)])
    found = searched(images)

    assert len(found) == 1
    assert peak < 2.0 or completeness_and_purity(found, truths)[0] > 0.97


def test_two_that_cannot_be_told_apart_are_marked_as_one():
    trails = [(OBLIQUE, 3.0, 2.5), (beside(OBLIQUE, 4.0), 3.0, 2.5)]
    images, truths = exposure(4, trails)
    found = searched(images)

    assert len(found) == 1
    assert completeness_and_purity(found, truths)[0] > 0.97
