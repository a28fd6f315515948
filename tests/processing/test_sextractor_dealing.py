"""Pixels between the parts of blends are dealt by the random numbers of the C library, in the order of images."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from processing.kernels import dealing, shapes
from processing.sextractor.lots import Lots

PUBLISHED = (1804289383, 846930886, 1681692777, 1714636915, 1957747793, 424238335, 719885386)
"""What rand() of glibc gives first in every program that does not seed it."""


def test_random_numbers_are_those_of_the_c_library() -> None:
    state = dealing.seeded.py_func()
    assert tuple(dealing.drawn.py_func(state) for _ in PUBLISHED) == PUBLISHED
    compiled = dealing.seeded()
    assert tuple(dealing.drawn(compiled) for _ in PUBLISHED) == PUBLISHED


def blend() -> tuple[np.ndarray, ...]:
    """Two objects at either end of a row of nine pixels, three of which are of their branches each."""
    table = np.zeros((2, shapes.FIELDS))
    table[:, [shapes.A, shapes.B, shapes.CXX, shapes.CYY, shapes.ABCOR]] = 1.0
    table[:, shapes.X], table[:, shapes.NPIX], table[:, shapes.PEAK] = (1.0, 7.0), 3.0, 9.0
    owner = np.array([0, 0, 0, -1, -1, -1, 1, 1, 1], np.int32)
    x, y = np.arange(9, dtype=np.int32), np.zeros(9, np.int32)
    return np.array([0, 9]), x, y, owner, np.array([2], np.int32), table


def test_a_pixel_between_two_parts_goes_to_the_likelier_one_unless_chance_has_it_otherwise() -> None:
    starts, x, y, owner, parts, table = blend()
    dealing.deal(starts, x, y, owner, parts, table, 1.0, dealing.seeded())
    # the first number drawn, 0.84, is less than the share of the near object at 2 and 4 pixels from both, 0.998; the
    # second, 0.39, is less than 0.5, in the middle; the third, 0.78, more than 0.002
    assert owner.tolist() == [0, 0, 0, 1, 1, 3, 2, 2, 2]


def test_the_plain_loop_deals_alike() -> None:
    draw = np.random.default_rng(5)
    starts, x, y, owner, parts, table = blend()
    table[:, shapes.CXX] = draw.uniform(0.01, 0.1, 2)
    plain = owner.copy()
    dealing.deal(starts, x, y, owner, parts, table, 1.0, dealing.seeded())
    height, share = np.empty(2, np.float32), np.empty(2, np.float32)
    dealing._deal.py_func(x, y, plain, table, height, share, 1.0, dealing.seeded())
    assert np.array_equal(owner, plain)


def test_images_draw_one_behind_the_other_whichever_is_ready_first() -> None:
    lots = Lots(3)

    def take(index: int) -> list[int]:
        with lots.turn(index) as state:
            return [dealing.drawn(state) for _ in range(2)]

    with ThreadPoolExecutor(3) as pool:
        drawn = [each.result() for each in [pool.submit(take, index) for index in (2, 1, 0)]]
    assert tuple(drawn[2] + drawn[1] + drawn[0]) == PUBLISHED[:6]


def test_an_image_that_fails_lets_the_next_one_draw() -> None:
    lots = Lots(3)
    with pytest.raises(ZeroDivisionError), lots.turn(0):
        raise ZeroDivisionError
    lots.release(0)
    lots.release(1)
    with lots.turn(2) as state:
        assert dealing.drawn(state) == PUBLISHED[0]
    lots.release(2)
