"""Counts of the parts of pixels that lie within a circle."""

import numpy as np
import pytest

from processing.kernels import circle

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
