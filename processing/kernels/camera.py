"""What compiles the kernels of the painter of frames, called as it calls them."""

from collections.abc import Callable

import numpy as np

from processing.kernels import charge, noise, tracks

_SIDE = 8


def _light() -> None:
    light, flat, one = np.zeros((_SIDE, _SIDE), np.float32), np.ones((_SIDE, _SIDE), np.float32), np.ones(1)
    optics = np.ones(9)
    charge.respond(optics, 0.01, np.uint64(1), 4, 1.0, 1.0, flat)
    charge.shade_rings(flat, one, one, one, one)
    charge.fill_sky(1.0, 0.0, 0.0, 0.0, optics, light)
    charge.fill_fringes(np.ones((4, 3)), light.copy())
    charge.add_rings(light, one, one, one, 0.5 * one, one)
    charge.add_scaled(light, flat, 1.0)
    charge.collect(light, flat, 4, 1.0, 1.0, 0.0)


def _tracks() -> None:
    light, marks, one = np.zeros((_SIDE, _SIDE), np.float32), np.zeros((_SIDE, _SIDE), np.uint8), np.ones(1)
    counts = np.zeros(1, np.int64)
    tracks.add_paths(light, marks, 32, 1.0, np.ones(1, np.int64), one, one, one, counts)
    tracks.add_trail(light, marks, 64, 1.0, np.arange(2.0), np.arange(2.0), one, 1.0, 4.0)
    tracks.mark_full(light, 90.0, 4, marks)


def _detector() -> None:
    light = np.full((_SIDE, _SIDE), 100.0, np.float32)
    noise.read_out(light, np.ones(4), 4, 1e5, 0.0, True, np.uint64(1), light.copy())
    pixels = np.zeros((_SIDE, 2 * _SIDE), np.int32)[:, :_SIDE]
    noise.flatten(light, light, light, 1e5, light, 0.0, 0, 65535, pixels)


TASKS: tuple[Callable[[], None], ...] = (_light, _tracks, _detector)
