"""Loops that add up pixels within ellipses whose size the light itself gives (Kron 1980, ApJS 43, 305)."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.aperture import CUT
from processing.kernels.pixel import NONE, counted, in_buffer

Array = NDArray[Any]
REACH = 6.0
"""Standard deviations within which the first moment is taken."""
CROWDED = 1
SHARE = 0.1
"""Of the pixels, above which they are too many that belong to others."""


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
    """Fill rows `rows` of `radius`, `flux` and `error` (n,) float32 with KRON_RADIUS, FLUX_AUTO and its error.

    Parameters
    ----------
    seen, seen_variance, seen_bad : as the next ones, of the detection image, in which the radius is measured
    values, labels, variance : (ny, nx) from row `first` of an image on
    held : (n, 2) int32, first row and end of what is looked at for each
    shapes : (n, 5) float64: cxx, cyy, cxy, a, b
    sky : (n,) float32, levels that are taken off the objects' light, but not for the radius; (0,): nothing is
    factor, least : PHOT_AUTOPARAMS
    estimation, measurement : PHOT_AUTOAPERS, diameters
    """
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        cxx, cyy, cxy, a, b = shapes[k]
        round_one = estimation / 2.0 >= REACH * math.sqrt(a * b)
        form = (1.0, 1.0, 0.0, estimation / 2.0) if round_one else (cxx, cyy, cxy, REACH)
        low, high = in_buffer(first, values.shape[0], held[k])
        bounds = box(cx, cy, form, (high - low, values.shape[1]), first + low, held[k])
        moment, total, area, other = _moment(
            seen, labels, seen_variance, seen_bad, k + 1, mask, first, cx, cy, form, bounds
        )
        size = 0.0
        if area > 0:
            size = max(factor * moment / total, least) if moment > 0.0 and total > 0.0 else least
        flags[k] |= CUT if bounds[4] else 0
        flags[k] |= CROWDED if is_crowded(other, area) else 0
        fill(
            k, size, values, labels, variance, bad, noise, gain, by_weight, mask, first, held, centres, shapes, sky,
            measurement, radius, flux, error, flags,
        )  # fmt: skip


@njit(cache=True, nogil=True)
def is_crowded(other: float, area: float) -> bool:
    """Tell whether too many pixels are others' where a radius is looked for: a tenth are, in single precision."""
    return bool(area > 0 and np.float64(np.float32(other) / np.float32(area)) > SHARE)


@njit(cache=True, nogil=True)
def fill(
    k: int,
    size: float,
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
    centres: Array,
    shapes: Array,
    sky: Array,
    measurement: float,
    radius: Array,
    flux: Array,
    error: Array,
    flags: Array,
) -> None:
    """Fill row `k` with light within `size` semi-axes, or within `measurement` if that is wider: the radius is 0 then.

    It is 0 too, and so is all else, where the size is, and where there is no light.
    """
    radius[k], flux[k], error[k] = size, 0.0, 0.0
    if size <= 0.0:
        return
    cx, cy = centres[k, 0], centres[k, 1]
    cxx, cyy, cxy, a, b = shapes[k]
    form = (cxx, cyy, cxy, size)
    if size * math.sqrt(a * b) <= measurement / 2.0:
        form = (1.0, 1.0, 0.0, measurement / 2.0)
        radius[k] = 0.0
    low, high = in_buffer(first, values.shape[0], held[k])
    bounds = box(cx, cy, form, (high - low, values.shape[1]), first + low, held[k])
    light, spread, area, other = _add_up(
        values[low:high], labels[low:high], variance[low:high], bad, noise, gain, by_weight, k + 1, mask, first + low,
        cx, cy, form, bounds, sky[k] if sky.size else 0.0,
    )  # fmt: skip
    flags[k] |= CUT if bounds[4] else 0
    flags[k] |= CROWDED if other > SHARE * area else 0
    flux[k], error[k] = light, math.sqrt(spread)
    radius[k] = radius[k] if light > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _moment(
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
) -> tuple[float, float, int, int]:
    """First moment and sum of an object's pixels, the number of all pixels, and of those that do not count."""
    moment, total, area, other = 0.0, 0.0, 0, 0
    cxx, cyy, cxy, limit = form
    weighted, most = variance.size > 0, limit * limit
    for y in range(bounds[2], bounds[3]):
        dy = y - cy
        line, own = values[y - first], labels[y - first]
        noises = variance[y - first] if weighted else line
        begin, end = across(form, dy, cx, bounds)
        for x in range(begin, end):
            dx = x - cx
            square = cxx * dx * dx + cyy * dy * dy + cxy * dx * dy
            if square > most:
                continue
            area += 1
            mixed = mask != NONE and own[x] != 0 and own[x] != mine
            if mixed or (weighted and not noises[x] < bad) or not line[x] > -1e30:
                other += 1
                continue
            moment += math.sqrt(square) * line[x]
            total += line[x]
    return moment, total, area, other


@njit(cache=True, nogil=True)
def _add_up(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    gain: float,
    by_weight: bool,
    mine: int,
    mask: int,
    first: int,
    cx: float,
    cy: float,
    form: tuple[float, float, float, float],
    bounds: tuple[int, int, int, int, bool],
    sky: float,
) -> tuple[float, float, int, int]:
    """Light above the level `sky` in an ellipse, its variance, the number of its pixels, and of those not its own."""
    cxx, cyy, cxy, limit = form
    light, spread, area, other = 0.0, 0.0, 0, 0
    weighted, most = variance.size > 0, limit * limit
    for y in range(bounds[2], bounds[3]):
        dy = y - cy
        line, own = values[y - first], labels[y - first]
        noises = variance[y - first] if weighted else line
        begin, end = across(form, dy, cx, bounds)
        for x in range(begin, end):
            dx = x - cx
            if cxx * dx * dx + cyy * dy * dy + cxy * dx * dy > most:
                continue
            area += 1
            value, var = line[x], (noises[x] if weighted else noise)
            if not (own[x] in (0, mine) and value > -1e30 and var < bad):
                value, var, mixed = counted(
                    values, labels, variance, bad, noise, mine, mask, (cy, cx), first, y - first, x
                )
                other += not mixed
            light += value
            spread += var
            if by_weight and gain > 0.0 and value > 0.0:
                spread += value / gain * var / noise
    light -= area * sky
    if not by_weight and gain > 0.0 and light > 0.0:
        spread += light / gain
    return light, spread, area, other


@njit(cache=True, nogil=True)
def across(
    form: tuple[float, float, float, float], dy: float, cx: float, bounds: tuple[int, int, int, int, bool]
) -> tuple[int, int]:
    """From where to before where an ellipse can touch a row at `dy`, a pixel more on either side."""
    cxx, cyy, cxy, limit = form
    middle = -0.5 * cxy * dy / cxx
    wide = math.sqrt(max(middle * middle - (cyy * dy * dy - limit * limit) / cxx, 0.0)) + 1.0
    return max(int(cx + middle - wide), bounds[0]), min(int(cx + middle + wide) + 2, bounds[1])


@njit(cache=True, nogil=True)
def box(
    cx: float,
    cy: float,
    form: tuple[float, float, float, float],
    shape: tuple[int, int],
    first: int,
    held: Array,
) -> tuple[int, int, int, int, bool]:
    """Pixels that an ellipse can touch among rows from `first` on, and whether the image, or what is held, cuts it."""
    cxx, cyy, cxy, limit = form
    across, down = cxx - cxy * cxy / (4.0 * cyy), cyy - cxy * cxy / (4.0 * cxx)
    dx = limit / math.sqrt(across) if across > 0.0 else 0.0
    dy = limit / math.sqrt(down) if down > 0.0 else 0.0
    x0, x1 = math.floor(cx - dx + 0.5), math.floor(cx + dx + 0.5) + 1
    y0, y1 = math.floor(cy - dy + 0.5), math.floor(cy + dy + 0.5) + 1
    cut = x0 < 0 or x1 > shape[1] or y0 < held[0] or y1 > held[1]
    return max(x0, 0), min(x1, shape[1]), max(y0, first), min(y1, first + shape[0]), cut
