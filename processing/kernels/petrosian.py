"""Loops that add up pixels within ellipses of Petrosian's radius (Petrosian 1976, ApJ 209, L1)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.aperture import CUT
from processing.kernels.kron import CROWDED, REACH, box, fill, is_crowded
from processing.kernels.pixel import good, in_buffer

Array = NDArray[Any]
STEPS = 20
"""Of the radius, up to REACH."""
PARTS = 10
"""Rings of the profile in a step; what is compared reaches from 10 to 12 parts, with all within its middle at 11."""
RATIO = 0.2
"""Surface brightness at Petrosian's radius over the mean within."""


@njit(cache=True, nogil=True)
def ellipses(
    seen: Array,
    seen_variance: Array,
    seen_bad: float,
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    gain: float,
    by_weight: bool,
    mask: int,
    first: int,
    held: Array,
    rows: Array,
    centres: Array,
    shapes: Array,
    sky: Array,
    factor: float,
    least: float,
    estimation: float,
    measurement: float,
    radius: Array,
    flux: Array,
    error: Array,
    flags: Array,
) -> None:
    """Fill rows `rows` of `radius`, `flux` and `error` (n,) float32 with PETRO_RADIUS, FLUX_PETRO and its error.

    The parameters are those of ``kron.ellipses``, with PHOT_PETROPARAMS as `factor` and `least`.
    """
    light, area, others = np.empty((3, STEPS * PARTS + 1))
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        cxx, cyy, cxy, a, b = shapes[k]
        round_one = estimation / 2.0 >= REACH * math.sqrt(a * b)
        form = (1.0, 1.0, 0.0, estimation / 2.0) if round_one else (cxx, cyy, cxy, REACH)
        low, high = in_buffer(first, values.shape[0], held[k])
        bounds = box(cx, cy, form, (high - low, values.shape[1]), first + low, held[k])
        pixels = _profile(
            seen, labels, seen_variance, seen_bad, k + 1, mask, first, cx, cy, form, bounds, light, area, others
        )
        flags[k] |= CUT if bounds[4] else 0
        size = 0.0
        if pixels > 0:
            step, seen_there = _step(light, area)
            size = max(factor * step * (PARTS + 1) / (1.0 * STEPS * PARTS) * form[3], least) if seen_there else least
            looked = step * (PARTS + 2)
            flags[k] |= CROWDED if is_crowded(others[looked], area[looked] + others[looked]) else 0
        fill(
            k, size, values, labels, variance, bad, noise, gain, by_weight, mask, first, held, centres, shapes, sky,
            measurement, radius, flux, error, flags,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def _profile(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    mine: int,
    mask: int,
    first: int,
    cx: float,
    cy: float,
    form: tuple[float, float, float, float],
    bounds: tuple[int, int, int, int, bool],
    light: Array,
    area: Array,
    others: Array,
) -> int:
    """Sum light, pixels, and those of others, from the centre to each ring's outer edge; return how many there are."""
    cxx, cyy, cxy, limit = form
    x0, x1, y0, y1, _ = bounds
    light[:], area[:], others[:] = 0.0, 0.0, 0.0
    pixels = 0
    rings = light.size - 1
    for y in range(y0, y1):
        dy = y - cy
        for x in range(x0, x1):
            dx = x - cx
            square = cxx * dx * dx + cyy * dy * dy + cxy * dx * dy
            if square > limit * limit:
                continue
            pixels += 1
            ring = min(math.ceil(math.sqrt(square) / limit * rings), rings)
            if good(values, labels, variance, bad, mine, mask, y - first, x):
                light[ring] += values[y - first, x]
                area[ring] += 1
            else:
                others[ring] += 1
    for ring in range(1, rings + 1):
        light[ring] += light[ring - 1]
        area[ring] += area[ring - 1]
        others[ring] += others[ring - 1]
    return pixels


@njit(cache=True, nogil=True)
def _step(light: Array, area: Array) -> tuple[int, bool]:
    """Return the first step whose ring is fainter than RATIO of what it surrounds, or the last one where none is.

    The second says whether there is light in its ring and within; the smallest radius is taken where there is none.
    """
    step, there = 0, False
    for n in range(1, STEPS * PARTS // (PARTS + 2) + 1):
        step = n
        inner, middle, outer = n * PARTS, n * (PARTS + 1), n * (PARTS + 2)
        ring = area[outer] - area[inner]
        there = ring > 0 and area[middle] > 0 and light[outer] != light[inner] and light[middle] != 0.0
        if ring > 0 and area[middle] > 0:
            within = light[middle] / area[middle]
            if (light[outer] - light[inner]) / ring < RATIO * within:
                break
    return step, there
