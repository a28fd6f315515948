"""What compiles the kernels of background and detection, called as SExtractor's stage calls them."""

from collections.abc import Callable

import numpy as np

from processing.kernels import (
    clean,
    convolve,
    dealing,
    deblend,
    label,
    meshes,
    retina,
    shapes,
    splines,
    stored,
    weights,
)

_SIDE = 8


def _background() -> None:
    pixels, none = np.zeros((_SIDE, _SIDE), np.float32), np.empty((0, 0), np.float32)
    stored.whole(np.zeros((1, _SIDE), np.uint16), np.float32(1.0), np.float32(0.0), pixels)
    stored.floating(np.zeros((1, _SIDE), np.uint32), pixels.view(np.uint32))
    weights.variances(pixels.copy(), weights.WEIGHT, np.float32(0.0), meshes.BIG)
    weights.scale(pixels.copy(), np.float32(1.0), meshes.BIG)
    room = np.zeros((2, 3, 2), np.float32)
    meshes.measure_strip(pixels, none, meshes.BIG, 1, _SIDE // 2, room[:, 0], room[:, 1])
    knots = np.zeros((2, 2), np.float32)
    splines.bend(knots[0], knots[1])
    splines.draw_rows(knots, knots, 0, 4, 4, pixels)
    splines.take_rows(knots, knots, 0, 4, 4, pixels)


def _detection() -> None:
    pixels, none = np.zeros((_SIDE, _SIDE), np.float32), np.empty((0, 0), np.float32)
    pixels[2:6, 2:6] = 9.0
    convolve.convolve(pixels, np.ones((1, 1), np.float32), 0, pixels.copy())
    weights.bounds(pixels, np.ones((1, 1), np.float32), 0, 1.5, pixels, pixels.copy())
    row, left, length, value, bound = label.runs_above(pixels, none, 1.0, 0)
    group, starts, begins = label.join(row, left, length, 5, 0)
    x, y = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
    kept, bounds = np.empty(starts[-1], np.float32), np.empty(0, np.float32)
    label.lists(row, left, length, value, value, bound, group, begins, x, y, kept, kept.copy(), bounds)
    label.specks(row, left, length, group)
    owner, parts, ends = np.full(kept.size, -1, np.int32), np.ones(1, np.int32), np.empty(1, np.int64)
    table = deblend.branches(starts, x, y, kept, kept.copy(), bounds, 1.0, 32, 0.005, 5, 0, 1, owner, parts)
    dealing.deal(starts, x, y, owner, parts, table, 1.0, dealing.seeded())
    deblend.gather(starts, x, y, kept, kept.copy(), bounds, 1.0, 5, 0, 1, owner, parts, table, ends)
    into, _, _, back = clean.swept(np.ones((1, shapes.FIELDS)), 1.0, _SIDE, _SIDE, _SIDE, 2, 10, 0, 1)
    clean.gathered(np.zeros(1, np.int64), np.array([0, starts[-1]]), into, back, (x, y, kept, kept.copy()))


TASKS: tuple[Callable[[], None], ...] = (_background, _detection, *retina.TASKS)
