"""Counts of the parts of pixels that lie within a circle."""

import numpy as np
import pytest

from processing.kernels import aperture, circle

X, Y, SIDE = 19.317, 20.571, 40


@pytest.mark.parametrize("over", [5, 11])
@pytest.mark.parametrize("radius", [0.3, 1.7, 6.2])
def test_the_parts_of_pixels_within_a_circle_are_those_whose_middles_are(radius: float, over: int) -> None:
    ends = circle.ends_of(SIDE, over)
    counts = np.full((SIDE, circle.padded(SIDE, circle.LANES)), np.nan, np.float32)
    circle.find_ends(ends, over, radius, -X, -Y, SIDE)
    for row in range(SIDE):
        circle.count(ends, over, row, counts[row])
    middles = (np.arange(SIDE)[:, None] + (np.arange(over) + 0.5) / over - 0.5).ravel()
    within = (middles - X) ** 2 + (middles[:, None] - Y) ** 2 < radius**2
    expected = within.reshape(SIDE, over, SIDE, over).sum(axis=(1, 3))
    assert np.array_equal(counts[:, :SIDE], expected)


def test_a_row_of_pixels_stays_where_no_part_of_it_comes_in_or_leaves() -> None:
    """Counts of rows that stayed are those of the circle where it is now: the windows of positions go by that."""
    chance, rows = np.random.default_rng(11), 24
    kept, anew = circle.ends_of(rows, 11), circle.ends_of(rows, 11)
    counts, fresh = np.zeros((2, rows, circle.LANES), np.float32)
    stayed = 0
    for shift in (0.0, 1e-9, 1e-3, 1e-2, 0.1, 1.0):
        x, y = 11.3 + shift * chance.uniform(-1, 1, 2)
        for ends in (kept, anew):
            circle.find_ends(ends, 11, 8.2, -x, -y, rows)
        for row in range(rows):
            circle.count(anew, 11, row, fresh[row])
            if circle.stayed(kept, 11, row):
                stayed += 1
            else:
                circle.count(kept, 11, row, counts[row])
        assert np.array_equal(counts, fresh)
    assert stayed > rows  # at least where it did not move by more than a millionth of a pixel


def test_parts_just_on_an_aperture_are_counted_in_single_precision() -> None:
    """Of a source in the middle of a pixel, within 5 pixels: (3, 4) and (1.4, 4.8) are on the circle."""
    image, centre = np.ones((21, 21), np.float32), np.array([[10.0, 10.0]])
    flux, error, flags = np.zeros((1, 1), np.float32), np.zeros((1, 1), np.float32), np.zeros(1, np.int16)
    nothing = np.empty((0, 0), np.float32)
    aperture.circles(
        image, np.zeros((21, 21), np.int32), nothing, np.inf, 1.0, 0.0, False, 0, 0, np.array([[0, 21]], np.int32),
        np.array([0]), centre, np.array([10.0]), np.empty(0, np.float32), flux, error, flags,
    )  # fmt: skip
    parts = 0
    step = np.float32(0.2)
    offset = np.float32(0.5) * (step - np.float32(1))
    for y, x in np.argwhere(image > 0):
        down = np.float32(y) - np.float32(10) + offset
        for _ in range(5):
            across = np.float32(x) - np.float32(10) + offset
            for _ in range(5):
                parts += across * across + down * down < np.float32(25)
                across += step
            down += step
    assert flux[0, 0] == pytest.approx(parts / 25, rel=1e-7)
    assert parts != np.count_nonzero(np.add.outer(np.arange(-52, 53) ** 2, np.arange(-52, 53) ** 2) < 625)
