"""Loops that measure how the light of an object grows with the radius around it."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.aperture import CUT
from processing.kernels.pixel import counted, in_buffer

Array = NDArray[Any]
STEPS = 64
OVER = 5
"""Parts of a pixel's side."""
REACH = 6.0
"""Semi-major axes to which the curve goes."""
TOUCHED = 0.7072
"""Pixels: half the diagonal of one, rounded up."""
LEAST = 0.5
"""Pixels: smallest half-light radius that windows start from."""
NEAR = 2.5
"""Semi-major axes within which the light of most objects is found: the curve goes on only for others."""


@njit(cache=True, nogil=True)
def radii(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    mask: int,
    first: int,
    rows: Array,
    centres: Array,
    shapes: Array,
    least: float,
    flux: Array,
    shares: Array,
    held: Array,
    radius: Array,
    half: Array,
    curves: Array,
    steps: Array,
    flags: Array,
) -> None:
    """Fill rows `rows` of `radius` (n, shares) and `half` (n,), float32: within which shares of the flux lie.

    Parameters
    ----------
    values, labels, variance : (ny, nx) from row `first` of the image on
    shapes : (n, 5) float64: cxx, cyy, cxy, a, b
    least : smallest reach, pixels
    flux : (n,) float32, of which the shares are taken
    held : (n, 2) int32, first row and end of what is looked at for each
    curves, steps : (n, points) and (n,) float64, filled with light within equal steps up to the reach, and with such a
        step; (0, 0) and (0,): not wanted
    flags : (n,) int16, to which CUT is added
    """
    curve = np.empty(STEPS)
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        reach = max(least, REACH * shapes[k, 3])
        step = reach / STEPS
        most = 0.5 * flux[k]
        for n in range(shares.size):
            most = max(most, shares[n] * flux[k])
        count = STEPS if curves.size else min(int((NEAR * shapes[k, 3] + 1.0) / step) + 1, STEPS)
        low, high = in_buffer(first, values.shape[0], held[k])
        near, own, noises = values[low:high], labels[low:high], variance[low:high]
        inside = _curve(near, own, noises, bad, noise, mask, first + low, k + 1, cx, cy, reach, held[k], curve, count)
        if count < STEPS and not np.any(curve[:count] >= most):
            _curve(near, own, noises, bad, noise, mask, first + low, k + 1, cx, cy, reach, held[k], curve, STEPS)
        flags[k] |= 0 if inside else CUT
        for n in range(shares.size):
            radius[k, n] = min(within(curve, shares[n] * flux[k], step), reach)
        if curves.size:
            points = curves.shape[1]
            steps[k] = reach / points
            for n in range(points):
                curves[k, n] = _at(curve, (n + 1.0) * STEPS / points)
        half[k] = max(min(abs(within(curve, 0.5 * flux[k], step)), reach), LEAST)


@njit(cache=True, nogil=True)
def _curve(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    noise: float,
    mask: int,
    first: int,
    mine: int,
    cx: float,
    cy: float,
    reach: float,
    held: Array,
    curve: Array,
    count: int,
) -> bool:
    """Fill `count` steps of `curve` (STEPS,) with the flux within each; tell whether all of it is in the image."""
    curve[:] = 0.0
    inverse = STEPS / reach
    ny, nx = values.shape
    x0, x1 = int(cx - reach + 0.499999), int(cx + reach + 1.499999)
    y0, y1 = int(cy - reach + 0.499999), int(cy + reach + 1.499999)
    inside = cx - reach >= 0.0 and cx + reach <= nx - 2.0  # the original asks for a pixel more on this side,
    low = held[0] + (held[0] > 0)  # and for a row more once its buffer has left the image's first one
    inside = inside and cy - reach >= low and cy + reach <= held[1] - 2.0
    radius = reach + 1.5
    if count < STEPS:
        radius = count / inverse + TOUCHED
        x0, x1 = max(x0, int(cx - radius)), min(x1, int(cx + radius) + 2)
        y0, y1 = max(y0, int(cy - radius)), min(y1, int(cy + radius) + 2)
    outer = radius * radius
    x0, x1 = max(x0, 0), min(x1, nx)
    y0, y1 = max(y0, first), min(y1, first + ny)
    across, down, places = _parts()
    twin = np.zeros(STEPS)
    for y in range(y0, y1):
        dy = y - cy
        for x in range(x0, x1):
            dx = x - cx
            square = dx * dx + dy * dy
            if square > outer:
                continue
            label = labels[y - first, x]
            value = values[y - first, x]
            var = variance[y - first, x] if variance.size else noise
            if not (label in (0, mine) and value > -1e30 and var < bad):
                value, _, _ = counted(values, labels, variance, bad, noise, mine, mask, (cy, cx), first, y - first, x)
            if value == 0.0:
                continue
            near = math.sqrt(square)
            low, high = int(max(near - TOUCHED, 0.0) * inverse), int((near + TOUCHED) * inverse)
            if low == high:
                if low < count:
                    curve[low] += value
                continue
            _in_parts(dx, dy, value / OVER**2, inverse, count, across, down, places, curve, twin)
    before = 0.0
    for k in range(count):
        curve[k] += twin[k] + before
        before = curve[k]
    return inside


@njit(cache=True, nogil=True)
def _in_parts(
    dx: float, dy: float, value: float, inverse: float, count: int, across: Array, down: Array, places: Array,
    curve: Array, twin: Array,
) -> None:  # fmt: skip
    """Add a value to the step of each part of a pixel, by turns in two curves: a step is seldom wanted at once."""
    for n in range(places.size):
        u, v = dx + across[n], dy + down[n]
        places[n] = np.int32(min(math.sqrt(u * u + v * v) * inverse, STEPS))
    for n in range(0, OVER * OVER - 1, 2):
        if places[n] < count:
            curve[places[n]] += value
        if places[n + 1] < count:
            twin[places[n + 1]] += value
    if places[OVER * OVER - 1] < count:
        curve[places[OVER * OVER - 1]] += value


@njit(cache=True, nogil=True)
def _parts() -> tuple[Array, Array, Array]:
    """Return where the parts of a pixel are from its middle, and room for their steps; a few more than there are."""
    number = -(-OVER * OVER // 8) * 8
    across, down = np.zeros(number), np.zeros(number)
    for n in range(OVER * OVER):
        across[n], down[n] = (n % OVER + 0.5) / OVER - 0.5, (n // OVER + 0.5) / OVER - 0.5
    return across, down, np.zeros(number, np.int32)


@njit(cache=True, nogil=True)
def _at(curve: Array, step: float) -> float:
    """Light within so many steps, linear between them."""
    whole = min(int(step), STEPS)
    low = curve[whole - 1] if whole > 0 else 0.0
    if whole == STEPS:
        return float(low)
    return float(low + (step - whole) * (curve[whole] - low))


@njit(cache=True, nogil=True)
def within(curve: Array, light: float, step: float) -> float:
    """Radius within which so much light lies, linear between the steps.

    Where that is never reached the line through the last steps but one is followed, as in the original: the radius may
    be of any sign.
    """
    k = 0
    while k < STEPS - 1 and curve[k] < light:
        k += 1
    if k == 0:
        return light / curve[0] * step if curve[0] != 0.0 else 0.0
    low = min(k, STEPS - 2) - 1
    rise = curve[low + 1] - curve[low]
    return (k + ((light - curve[low]) / rise if rise != 0.0 else 0.0)) * step
