"""What compiles the kernels that look for defects, called as they are called there."""

from collections.abc import Callable

import numpy as np

from processing.kernels import background, bleed, bright, columns, trails

_SIDE = 16
_CORNERS = np.array([0, _SIDE, 0, _SIDE])


def _sky() -> None:
    pixels, flags = np.ones((_SIDE, _SIDE), np.float32), np.zeros((_SIDE, _SIDE), np.int16)
    edges, knots = np.array([0, _SIDE]), np.ones((1, 1))
    background.measure(pixels, flags, edges, edges, 1, 0.1, knots, knots.copy())
    background.draw(knots, 0.0, 1.0, 0.0, 1.0, pixels)


def _cores() -> None:
    pixels, flags = np.ones((_SIDE, _SIDE), np.float32), np.zeros((_SIDE, _SIDE), np.int16)
    rows, own = np.zeros((2, 1), np.int64)
    bleed.full_pixels(pixels, pixels[0], 2.0, _CORNERS, rows, rows.copy())
    bleed.plateaus(pixels, pixels[0], _CORNERS, 2.0, 0.05, 8, np.empty(1, np.float32))
    bleed.label(rows, rows, own)
    bleed.cores(rows, rows, own, np.empty((1, 4)))
    bleed.mark_core(flags, rows, rows, _CORNERS, 1, 4)
    bleed.spill(pixels, flags, _CORNERS, rows[0], rows[0], 1, 1.0, 1.0, 9, 4, 128)
    bleed.follow(pixels, flags, _CORNERS, rows[0], rows[0], 1, np.zeros(3), 1.0, 1.0, 1.0, 9, 3, 4, 128)


def _columns() -> None:
    pixels, flags = np.ones((_SIDE, _SIDE), np.float32), np.zeros((_SIDE, _SIDE), np.int16)
    level = np.ones((1, _SIDE))
    columns.column_means(pixels, flags, _CORNERS, np.array([0, _SIDE]), level, level, 1.5, level.copy(), level.copy())
    columns.sharp_columns(level, level, 5.0, np.empty((1, _SIDE), np.bool_))
    found = np.empty((2, 1), np.int32)
    columns.lonely(pixels, flags, _CORNERS, 1.0, 1.0, 8.0, 0.25, found[0], found[1])


def _stars() -> None:
    flags, place = np.zeros((_SIDE, _SIDE), np.int16), np.zeros(1)
    bright.mark_ring(flags, _CORNERS, 0.0, 0.0, 2.0, 1.0, 256)
    bright.mark_bar(flags, _CORNERS, 0.0, 0.0, 1.0, 0.0, 0.0, 2.0, 1.0, 512)
    bright.near_part(place, place, place, _CORNERS)


def _trails() -> None:
    pixels, flags = np.ones((_SIDE, _SIDE), np.float32), np.zeros((_SIDE, _SIDE), np.int16)
    values, counts = np.empty((2, 2), np.float32), np.empty((2, 2), np.uint8)
    sharp = np.zeros((1, _SIDE), np.bool_)
    trails.bin_residuals(pixels, flags, 1, sharp, _CORNERS, 8, np.zeros(6), 1.0, values, counts)
    above, seen = np.empty_like(values), counts.astype(np.float32)
    trails.raise_above(values, seen > 0.0, 7, 4.0, above)
    first, sense, cells = np.zeros(2), np.ones(2), np.zeros((2, 2), np.float32)
    trails.lay(above, seen, first, sense, 8.0, 8.0, cells, cells.copy())
    sums, room = np.empty((2, 2, 4), np.float32)
    trails.sum_lines(cells, sums, room)
    trails.peaks(sums, sums, 1.0, 5.0, 1.0, 2, np.empty((1, 3)))
    strip = np.zeros((1, 4))
    trails.add_strip(above, seen, first, sense, 8.0, np.array([0.0, 0.0, 1.0, 0.0]), 0.0, 8.0, 8.0, strip, strip.copy())
    trails.mark_band(flags, _CORNERS, np.array([0.0, 0.0, 8.0, 8.0]), 1.0, 64)


TASKS: tuple[Callable[[], None], ...] = (_sky, _cores, _columns, _stars, _trails)
