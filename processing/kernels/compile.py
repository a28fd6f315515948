"""Compile every kernel into numba's cache, so that no frame waits for a compiler.

The cache lies where ``NUMBA_CACHE_DIR`` points when the process starts, or beside
the kernels. What the kernels are called with here is what the stages call them with.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from processing.flags import BITS
from processing.kernel_cache import mark
from processing.kernels import (
    camera,
    cosmic_groups,
    cosmic_shapes,
    cosmics,
    defects,
    detecting,
    gaps,
    measures,
    outlines,
    picture,
    plio,
    psf_fit,
    psf_joint,
    rice,
    sky,
    weigh,
)

_SHAPE = (3, 40)


def _code(pixels: Any) -> None:
    bits = pixels.dtype.itemsize * 8
    room = np.empty(pixels.shape[0] * rice.longest_row(pixels.shape[1], bits), np.uint8)
    ends = np.empty(pixels.shape[0], np.int64)
    rice.encode_rows(pixels, bits, room, ends)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    signed = np.empty(pixels.shape, f"i{pixels.dtype.itemsize}")
    rice.decode_rows(room, starts, ends, bits, rice.leading_zeros(), signed)


def _quantise(pixels: Any) -> None:
    room, ends = np.empty(pixels.shape[0] * rice.longest_row(pixels.shape[1], 32), np.uint8), np.empty(3, np.int64)
    rice.encode_quantised_rows(pixels, 1000.0, room, ends)


def _restore() -> None:
    scale = np.ones(_SHAPE[0])
    rice.restore_rows(np.ones(_SHAPE, np.int32), scale, scale, rice.NULL, np.empty(_SHAPE, np.float32))


def _weigh() -> None:
    flat, mask = np.ones(_SHAPE, np.float32), np.ones(_SHAPE, np.bool_)
    inside, bounds = np.array([1, 39, 0, 3]), np.array([0.3, 1.3], np.float32)
    flags = np.empty(_SHAPE, np.int16)
    weigh.weigh(flat, mask, inside, bounds, np.empty(_SHAPE, np.float32), flags)
    weigh.count_flags(flags, inside, 10, np.zeros((BITS, 1, 4), np.int64))
    weigh.bin_weights(flat, 1000.0, inside, 10, np.zeros((1, 4), np.int64))


def _null() -> None:
    inside, sums = np.array([1, 39, 0, 3]), np.zeros((1, 4), np.int64)
    none, ends = np.empty(0, np.uint8), np.zeros(_SHAPE[0], np.int64)
    code = (none, ends, none.copy(), ends.copy())
    weigh.null_weights(np.zeros(_SHAPE, np.int16), 4, inside, 10, rice.leading_zeros(), code, sums)


def _bin(pixels: Any) -> None:
    sums = np.zeros((1, 4), np.float64 if pixels.dtype.kind == "f" else np.int64)
    picture.bin_sums(pixels, np.array([1, 39, 0, 3]), 10, sums)


Tasks = tuple[Callable[[], None], ...]
_PACKING: Tasks = tuple(partial(_code, np.zeros(_SHAPE, kind)) for kind in (np.uint8, np.int16, np.int32))
_MAPS: Tasks = tuple(partial(_quantise, np.zeros(_SHAPE, kind)) for kind in (np.float32, np.float64))
FRAMES: Tasks = (
    *_PACKING,
    *_MAPS,
    _restore,
    _weigh,
    _null,
    *(partial(_bin, np.zeros(_SHAPE, kind)) for kind in (np.int16, np.int32, np.float32)),
    *defects.TASKS,
    *plio.TASKS,
    *cosmics.TASKS,
    *cosmic_groups.TASKS,
    *cosmic_shapes.TASKS,
    *outlines.TASKS,
)
"""What stages call on the nodes, which never paint."""
CATALOGUES: Tasks = (*detecting.TASKS, *gaps.TASKS, *measures.TASKS, *psf_fit.TASKS, *psf_joint.TASKS)
"""What makes catalogues of them."""
_PAINTING: Tasks = (*sky.TASKS, *camera.TASKS)
PAINTER: Tasks = (*_PACKING, *_MAPS, *_PAINTING)
"""What SkyMaker and the painter of frames call."""
PARTS = {"frames": FRAMES, "catalogues": CATALOGUES, "painting": _PAINTING}
"""All of it, in parts that processes compile beside each other: numba itself compiles one kernel after the other."""


def warm(progress: Callable[[float], None] = lambda _: None, tasks: Tasks = FRAMES) -> None:
    """Compile all kernels of `tasks` that are not in the cache yet; `progress` receives the share done, from 0 to 1."""
    for done, task in enumerate(tasks):
        progress(done / len(tasks))
        task()
    progress(1.0)


if __name__ == "__main__":
    for part in PARTS.values():
        warm(tasks=part)
    mark("weight")
