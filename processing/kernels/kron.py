"""Loops that add up pixels within ellipses whose size the light itself gives (Kron 1980, ApJS 43, 305)."""

import math
from typing import Any

from numba import njit
from numpy.typing import NDArray

from processing.kernels.aperture import CUT
from processing.kernels.pixel import counted, good

Array = NDArray[Any]
REACH = 6.0
"""Standard deviations within which the first moment is taken."""
CROWDED = 1
SHARE = 0.1
"""Of the pixels, from which they are too many that belong to others."""


@njit(cache=True, nogil=True)
def ellipses(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    gain: float,
    by_weight: bool,
    mask: int,
    first: int,
    height: int,
    rows: Array,
    centres: Array,
    shapes: Array,
    factor: float,
    least: float,
    estimation: float,
    measurement: float,
    radius: Array,
    flux: Array,
    error: Array,
    flags: Array,
) -> None:
    """Fill rows `rows` of `radius`, `flux` and `error` (n,) float32 with KRON_RADIUS, FLUX_AUTO and its error.

    Parameters
    ----------
    values, labels, variance : (ny, nx) from row `first` of an image of `height` rows on
    shapes : (n, 5) float64: cxx, cyy, cxy, a, b
    factor, least : PHOT_AUTOPARAMS
    estimation, measurement : PHOT_AUTOAPERS, diameters
    """
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        cxx, cyy, cxy, a, b = shapes[k]
        limit = REACH
        if estimation / 2.0 >= REACH * math.sqrt(a * b):
            cxx, cyy, cxy, limit = 1.0, 1.0, 0.0, estimation / 2.0
        x0, x1, y0, y1, cut = _box(cx, cy, cxx, cyy, cxy, limit, values.shape[1], height)
        if cut:
            flags[k] |= CUT
        moment, total, area, other = 0.0, 0.0, 0, 0
        for y in range(y0, y1):
            dy = y - cy
            for x in range(x0, x1):
                dx = x - cx
                square = cxx * dx * dx + cyy * dy * dy + cxy * dx * dy
                if square > limit * limit:
                    continue
                area += 1
                if good(values, labels, variance, bad, k + 1, mask, y - first, x):
                    moment += math.sqrt(square) * values[y - first, x]
                    total += values[y - first, x]
                else:
                    other += 1
        size = 0.0
        if area > 0:
            size = max(factor * moment / total, least) if moment > 0.0 and total > 0.0 else least
            if other > SHARE * area:
                flags[k] |= CROWDED
        radius[k], flux[k], error[k] = size, 0.0, 0.0
        if size <= 0.0:
            continue
        cxx, cyy, cxy, a, b = shapes[k]
        limit = size
        if size * math.sqrt(a * b) <= measurement / 2.0:
            cxx, cyy, cxy, limit = 1.0, 1.0, 0.0, measurement / 2.0
            radius[k] = 0.0
        x0, x1, y0, y1, cut = _box(cx, cy, cxx, cyy, cxy, limit, values.shape[1], height)
        if cut:
            flags[k] |= CUT
        light, spread, area, other = 0.0, 0.0, 0, 0
        for y in range(y0, y1):
            dy = y - cy
            for x in range(x0, x1):
                dx = x - cx
                if cxx * dx * dx + cyy * dy * dy + cxy * dx * dy > limit * limit:
                    continue
                area += 1
                value, var, own = counted(
                    values, labels, variance, bad, noise, k + 1, mask, (cy - first, cx), y - first, x
                )
                other += not own
                light += value
                spread += var
                if by_weight and gain > 0.0 and value > 0.0:
                    spread += value / gain * var / noise
        if other > SHARE * area:
            flags[k] |= CROWDED
        if not by_weight and gain > 0.0 and light > 0.0:
            spread += light / gain
        flux[k], error[k] = light, math.sqrt(spread)


@njit(cache=True, nogil=True)
def _box(
    cx: float, cy: float, cxx: float, cyy: float, cxy: float, limit: float, nx: int, ny: int
) -> tuple[int, int, int, int, bool]:
    """Pixels that an ellipse can touch, and whether the image cuts it."""
    across, down = cxx - cxy * cxy / (4.0 * cyy), cyy - cxy * cxy / (4.0 * cxx)
    dx = limit / math.sqrt(across) if across > 0.0 else 0.0
    dy = limit / math.sqrt(down) if down > 0.0 else 0.0
    x0, x1 = math.floor(cx - dx + 0.5), math.floor(cx + dx + 0.5) + 1
    y0, y1 = math.floor(cy - dy + 0.5), math.floor(cy + dy + 0.5) + 1
    cut = x0 < 0 or x1 > nx or y0 < 0 or y1 > ny
    return max(x0, 0), min(x1, nx), max(y0, 0), min(y1, ny), cut
