"""Loops that describe a group of pixels by its moments, as SExtractor does before it measures."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels import lutz

Array = NDArray[Any]
(
    X, Y, X2, Y2, XY, A, B, THETA, CXX, CYY, CXY, ABCOR, FLUX, PEAK, X_PEAK, Y_PEAK, X_MIN, X_MAX, Y_MIN, Y_MAX, NPIX,
    DETECTION, MTHRESH, FLAGS, SINGULAR, PARENT,
) = range(26)  # fmt: skip
"""Columns of a table of objects, float64."""
FIELDS = 26


@njit(cache=True, nogil=True)
def describe(
    x: Array, y: Array, value: Array, raw: Array, bounds: Array, threshold: float, least: int, kept: int, told: Array
) -> None:
    """Fill a row `told` (FIELDS,) with the moments of pixels.

    Parameters
    ----------
    x, y : (n,) int32
    value : (n,) float32, filtered pixels
    raw : (n,) float32, pixels before they were filtered
    bounds : (n,) float32, what each had to stand above, or empty: `threshold`
    threshold : that all stand above
    least : fewest pixels of a detection
    kept : 0, or the number of pixels of a branch, which come first: the barycentre that the row has for it then stays,
        and moments are taken about it
    """
    number = x.size
    x0, x1, y0, y1 = x[0], x[0], y[0], y[0]
    peak, total = value[0], 0.0
    x_peak, y_peak = x[0], y[0]
    for k in range(number):
        x0, x1, y0, y1 = min(x0, x[k]), max(x1, x[k]), min(y0, y[k]), max(y1, y[k])
        total += value[k]
        if value[k] > peak:
            peak, x_peak, y_peak = value[k], x[k], y[k]
    half = 0.5 * (threshold + raw.max())
    sx, sy, sxx, syy, sxy, bright, above = 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0
    for k in range(number):
        v, i, j = float(value[k]), float(x[k] - x0), float(y[k] - y0)
        sx += v * i
        sy += v * j
        sxx += v * i * i
        syy += v * j * j
        sxy += v * i * j
        bright += raw[k] > half
        above += raw[k] > threshold
    sx, sy, sxx, syy, sxy = sx / total, sy / total, sxx / total, syy / total, sxy / total
    if kept > 0:
        mx, my = told[X] - x0, told[Y] - y0
        xx, yy = sxx + mx * mx - 2.0 * sx * mx, syy + my * my - 2.0 * sy * my
        xy = sxy + mx * my - sx * my - sy * mx
    else:
        mx, my = sx, sy
        xx, yy, xy = sxx - mx * mx, syy - my * my, sxy - mx * my
    determinant = xx * yy - xy * xy
    told[SINGULAR] = 0.0
    if determinant < 0.00694:
        xx += 1.0 / 12.0
        yy += 1.0 / 12.0
        determinant = xx * yy - xy * xy
        told[SINGULAR] = 1.0
    unlike = xx - yy
    angle = 0.5 * math.atan2(2.0 * xy, unlike) if abs(unlike) > 0.0 else math.pi / 4.0
    root = math.sqrt(0.25 * unlike * unlike + xy * xy)
    major, minor = math.sqrt(0.5 * (xx + yy) + root), math.sqrt(max(0.5 * (xx + yy) - root, 0.0))
    told[X], told[Y] = mx + x0, my + y0
    told[X2], told[Y2], told[XY] = xx, yy, xy
    told[A], told[B], told[THETA] = major, minor, math.degrees(angle)
    told[CXX], told[CYY], told[CXY] = yy / determinant, xx / determinant, -2.0 * xy / determinant
    told[ABCOR] = 1.0
    ratio = threshold / half if half != 0.0 else threshold
    if ratio > 0.0 and bounds.size == 0:
        area = float(bright - above)
        area = area if area < 0.0 else -1.0
        told[ABCOR] = min(area / (2.0 * math.pi * math.log(min(ratio, 0.99)) * major * minor), 1.0)
    told[FLUX], told[PEAK], told[X_PEAK], told[Y_PEAK] = total, peak, x_peak, y_peak
    told[X_MIN], told[X_MAX], told[Y_MIN], told[Y_MAX] = x0, x1, y0, y1
    told[NPIX], told[DETECTION] = number, threshold
    told[MTHRESH] = 0.0
    if number >= least:
        mine = kept if kept > 0 else number
        if bounds.size:
            told[MTHRESH] = _faintest(x, y, value - bounds, least, mine)
        else:
            told[MTHRESH] = _faintest(x, y, value, least, mine) - threshold


SMALL = 256
"""Pixels up to which the order of an object's list matters to its faintest bright pixel."""


@njit(cache=True, nogil=True)
def _faintest(x: Array, y: Array, value: Array, least: int, own: int) -> float:
    """Return about the `least`-th brightest pixel, as the original finds it.

    It sorts the first `least` pixels of the list, leaves out the next, and puts brighter ones into a heap that it does
    not order to the end, so that the faintest comes out a little too bright; of no more than `least` pixels it takes
    the first. The first `own` pixels are connected and listed as Lutz does, others behind them.
    """
    listed = value
    if value.size <= SMALL:
        listed = value.copy()
        places = lutz.order(x[:own], y[:own])
        for k in range(own):
            listed[k] = value[places[k]]
    if listed.size <= least:
        return float(listed[0])
    heap = np.sort(listed[:least])
    for k in range(least + 1, listed.size):
        if not listed[k] > heap[0]:
            continue
        heap[0] = listed[k]
        at, child = 0, 2
        while child <= least:
            if child != least and heap[child - 1] > heap[child]:
                child += 1
            if heap[at] <= heap[child - 1]:
                break
            heap[at], heap[child - 1] = heap[child - 1], heap[at]
            at, child = child, 2 * (child + 1)
    return float(heap[0])
