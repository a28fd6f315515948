"""Loops that put point sources and stamps on an image.

Each pixel takes the light of the sources in the order of the list, whoever paints its band of rows: the number of
threads changes no bit.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]
TAPS = 4
"""Samples along an axis of Keys' cubic convolution (1981, IEEE Trans. ASSP 29, 1153)."""


@njit(cache=True, nogil=True)
def fill_cubic(f: float, weights: Array) -> None:
    """Weights of the samples at -1, 0, 1 and 2 for the value at `f`, between 0 and 1."""
    weights[0] = f * (-0.5 + f * (1.0 - 0.5 * f))
    weights[1] = 1.0 + f * f * (-2.5 + 1.5 * f)
    weights[2] = f * (0.5 + f * (2.0 - 1.5 * f))
    weights[3] = f * f * (-0.5 + 0.5 * f)


@njit(cache=True, nogil=True)
def split_phases(image: Array, samples: int, phases: Array) -> None:
    """Sort the samples of `image` by their phase within a pixel.

    `phases` (samples, samples, n, n), n odd, has the sample at image.shape // 2 in its middle, with phase 0, 0.
    """
    height, width = image.shape
    half = phases.shape[2] // 2
    for b in range(samples):
        for a in range(samples):
            for j in range(phases.shape[2]):
                row = height // 2 + samples * (j - half) + b
                for i in range(phases.shape[3]):
                    column = width // 2 + samples * (i - half) + a
                    inside = 0 <= row < height and 0 <= column < width
                    phases[b, a, j, i] = image[row, column] if inside else np.float32(0.0)


@njit(cache=True, nogil=True)
def add_run(
    phases: Array, share: float, base_x: int, base_y: int, wx: Array, wy: Array, start: int, row: int, run: Array
) -> None:
    """Add a component of the PSF times `share` to a run of pixels of one row.

    `start` and `row` are the place of the run's first pixel in `phases`, were the source in the middle of its pixel.
    """
    samples, size, count = phases.shape[0], phases.shape[2], run.size
    first = start + (base_x - 1) // samples
    last = start + (base_x - 2 + TAPS) // samples
    inside = first >= 0 and last + count <= size
    for tap in range(TAPS):
        step = base_y - 1 + tap
        b = step % samples
        line_at = row + (step - b) // samples
        if line_at < 0 or line_at >= size:
            continue
        if inside:
            add_taps(phases[b], share * wy[tap], base_x - 1, wx, start, line_at, run)
            continue
        for tip in range(TAPS):
            leap = base_x - 1 + tip
            a = leap % samples
            begin = start + (leap - a) // samples
            weight = np.float32(share * wy[tap] * wx[tip])
            line = phases[b, a, line_at]
            for i in range(max(0, -begin), min(count, size - begin)):
                run[i] += weight * line[begin + i]


@njit(cache=True, nogil=True)
def add_taps(lines: Array, share: float, leap: int, wx: Array, start: int, line_at: int, run: Array) -> None:
    """Add the four neighbours along a row, from `leap` samples on, of one row of phases that holds the whole run."""
    samples, count = lines.shape[0], run.size
    w0, w1 = np.float32(share * wx[0]), np.float32(share * wx[1])
    w2, w3 = np.float32(share * wx[2]), np.float32(share * wx[3])
    at = start + leap // samples
    l0 = lines[leap % samples, line_at][at : at + count]
    at = start + (leap + 1) // samples
    l1 = lines[(leap + 1) % samples, line_at][at : at + count]
    at = start + (leap + 2) // samples
    l2 = lines[(leap + 2) % samples, line_at][at : at + count]
    at = start + (leap + 3) // samples
    l3 = lines[(leap + 3) % samples, line_at][at : at + count]
    for i in range(count):
        run[i] = run[i] + w0 * l0[i] + w1 * l1[i] + w2 * l2[i] + w3 * l3[i]


@njit(cache=True, nogil=True)
def add_points(
    image: Array, phases: Array, mixture: Array, x: Array, y: Array, flux: Array, reach: Array, first: int, last: int
) -> None:
    """Add point sources to the rows from `first` to `last` of `image`.

    `phases` (k, samples, samples, n, n) are the components of the PSF as `split_phases` leaves them, `mixture`
    (sources, k) their weights; `x`, `y` pixels from 0; `reach` the radius in pixels within which a source is painted.
    """
    width = image.shape[1]
    samples, half = phases.shape[1], phases.shape[3] // 2
    wx, wy = np.empty(TAPS, np.float32), np.empty(TAPS, np.float32)
    room = np.empty(2 * half + 1, np.float32)
    for k in range(x.size):
        radius = min(reach[k], half - 1.0)
        if x[k] + radius < 0.0 or x[k] - radius > width - 1.0:
            continue
        middle_x, middle_y = math.floor(x[k] + 0.5), math.floor(y[k] + 0.5)
        at_x, at_y = samples * (middle_x - x[k]), samples * (middle_y - y[k])
        base_x, base_y = math.floor(at_x), math.floor(at_y)
        fill_cubic(at_x - base_x, wx)
        fill_cubic(at_y - base_y, wy)
        light = np.float32(flux[k] * samples * samples)
        for j in range(max(first, math.ceil(y[k] - radius)), min(last, math.floor(y[k] + radius) + 1)):
            chord = math.sqrt(max(radius * radius - (j - y[k]) ** 2, 0.0))
            i0, i1 = max(0, math.ceil(x[k] - chord)), min(width, math.floor(x[k] + chord) + 1)
            if i1 <= i0:
                continue
            run = room[: i1 - i0]
            run[:] = np.float32(0.0)
            for component in range(phases.shape[0]):
                share = mixture[k, component]
                if share != 0.0:
                    start, row = i0 - middle_x + half, j - middle_y + half
                    add_run(phases[component], share, base_x, base_y, wx, wy, start, row, run)
            for i in range(run.size):
                image[j, i0 + i] += light * run[i]


@njit(cache=True, nogil=True)
def add_stamps(image: Array, stamps: Array, left: Array, bottom: Array, first: int, last: int) -> None:
    """Add stamps (count, n, n), whose first pixels lie at `left`, `bottom`, to the rows from `first` to `last`."""
    width, size = image.shape[1], stamps.shape[1]
    for k in range(stamps.shape[0]):
        j0, j1 = max(first, bottom[k]), min(last, bottom[k] + size)
        i0, i1 = max(0, left[k]), min(width, left[k] + size)
        if i1 <= i0:
            continue
        for j in range(j0, j1):
            row, part = image[j, i0:i1], stamps[k, j - bottom[k], i0 - left[k] : i1 - left[k]]
            for i in range(row.size):
                row[i] += part[i]


@njit(cache=True, nogil=True)
def deposit(coarse: Array, x: Array, y: Array, flux: Array, cell: float, margin: int) -> None:
    """Share the flux of each source among the four cells about it; `margin` cells lie before the image's first."""
    height, width = coarse.shape
    for k in range(x.size):
        u = (x[k] + 0.5) / cell - 0.5 + margin
        v = (y[k] + 0.5) / cell - 0.5 + margin
        i, j = math.floor(u), math.floor(v)
        if i < 0 or j < 0 or i + 1 >= width or j + 1 >= height:
            continue
        fu, fv = u - i, v - j
        coarse[j, i] += flux[k] * (1.0 - fu) * (1.0 - fv)
        coarse[j, i + 1] += flux[k] * fu * (1.0 - fv)
        coarse[j + 1, i] += flux[k] * (1.0 - fu) * fv
        coarse[j + 1, i + 1] += flux[k] * fu * fv


@njit(cache=True, nogil=True)
def add_coarse(image: Array, coarse: Array, cell: int, margin: int, first: int, last: int) -> None:
    """Add a map of cells to the rows from `first` to `last`, bilinearly between the centres of the cells."""
    width = image.shape[1]
    row, rise = np.zeros(coarse.shape[1], np.float32), np.zeros(coarse.shape[1], np.float32)
    before, share = np.empty(width, np.uint32), np.empty(width, np.float32)
    for i in range(width):
        u = (i + 0.5) / cell - 0.5 + margin
        before[i] = int(u)
        share[i] = u - int(u)
    for j in range(first, last):
        v = (j + 0.5) / cell - 0.5 + margin
        below = math.floor(v)
        fv = np.float32(v - below)
        for k in range(row.size):
            row[k] = coarse[below, k] + fv * (coarse[below + 1, k] - coarse[below, k])
        for k in range(row.size - 1):
            rise[k] = row[k + 1] - row[k]
        for i in range(width):
            image[j, i] += row[before[i]] + share[i] * rise[before[i]]


@njit(cache=True, nogil=True)
def turn_image(
    image: Array,
    centre_x: float,
    centre_y: float,
    x: float,
    y: float,
    scale: float,
    ratio: float,
    angle: float,
    finer: int,
    stamp: Array,
) -> None:
    """Add `image`, scaled, squeezed along y by `ratio` and turned by `angle` about its centre, to `stamp` at x, y.

    Each pixel of the stamp is the mean of `finer` squared points, taken bilinearly from `image`.
    """
    c, s = math.cos(angle), math.sin(angle)
    step = 1.0 / finer
    for j in range(stamp.shape[0]):
        for i in range(stamp.shape[1]):
            total = 0.0
            for sub in range(finer * finer):
                px = i + (sub % finer + 0.5) * step - 0.5 - x
                py = j + (sub // finer + 0.5) * step - 0.5 - y
                u = centre_x + (c * px + s * py) / scale
                v = centre_y + (c * py - s * px) / (scale * ratio)
                left, below = math.floor(u), math.floor(v)
                if left < 0 or below < 0 or left + 1 >= image.shape[1] or below + 1 >= image.shape[0]:
                    continue
                fu, fv = u - left, v - below
                low = image[below, left] + fu * (image[below, left + 1] - image[below, left])
                high = image[below + 1, left] + fu * (image[below + 1, left + 1] - image[below + 1, left])
                total += low + fv * (high - low)
            stamp[j, i] += total * step * step
