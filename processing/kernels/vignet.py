"""Loops that cut out the pixels around objects."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.lanczos import REACH, TAPS
from processing.kernels.pixel import NONE

Array = NDArray[Any]
NOTHING = -1e30
"""Of a pixel beyond the image, without weight, or of another object."""


@njit(cache=True, nogil=True)
def vignets(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    mask: int,
    first: int,
    rows: Array,
    centres: Array,
    cut: Array,
) -> None:
    """Fill rows `rows` of `cut` (n, height, width) float32, centred on the pixel nearest to each object."""
    tall, wide = cut.shape[1], cut.shape[2]
    ny, nx = values.shape
    for k in rows:
        x0, y0 = int(centres[k, 0] + 0.5) - wide // 2, int(centres[k, 1] + 0.5) - tall // 2 - first
        left, right = min(max(x0, 0), nx), max(min(x0 + wide, nx), 0)
        for j in range(tall):
            y, target = y0 + j, cut[k, j]
            if y < 0 or y >= ny or left >= right:
                target[:] = NOTHING
                continue
            target[: left - x0] = NOTHING
            target[right - x0 :] = NOTHING
            own = labels[y, left:right] if mask != NONE else labels[y, :0]
            noises = variance[y, left:right] if variance.size else values[y, :0]
            _good(values[y, left:right], own, np.int32(k + 1), noises, np.float32(bad), target[left - x0 : right - x0])


@njit(cache=True, nogil=True)
def _good(line: Array, own: Array, mine: np.int32, noises: Array, bad: np.float32, target: Array) -> None:
    """Fill in pixels that count, NOTHING for others; `own` and `noises` may be empty."""
    nothing, none = np.float32(NOTHING), np.int32(0)
    for i in range(target.size):
        target[i] = max(line[i], nothing)
    for i in range(own.size):
        target[i] = target[i] if (own[i] == none) | (own[i] == mine) else nothing
    for i in range(noises.size):
        target[i] = target[i] if noises[i] < bad else nothing


@njit(cache=True, nogil=True)
def shifted(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    mask: int,
    first: int,
    rows: Array,
    centres: Array,
    cut: Array,
) -> None:
    """Fill rows `rows` of `cut` (n, height, width) float32, with each object's centre in the middle.

    Between pixels it is Lanczos interpolation of four of them on either side. What lies beyond the image counts 0; a
    place near a pixel that is without weight or of another object is NOTHING.
    """
    tall, wide = cut.shape[1], cut.shape[2]
    ny = values.shape[0]
    down, across = np.empty(TAPS), np.empty(TAPS)
    room, lost = np.empty((tall + TAPS, wide)), np.empty((tall + TAPS, wide), np.bool_)
    for k in rows:
        x, y = np.float32(centres[k, 0]), np.float32(centres[k, 1])  # as the original rounds them
        left, top = math.floor(x), math.floor(y)
        _taps(x - left, across)
        _taps(y - top, down)
        left, top = left - wide // 2 - REACH + 1, top - tall // 2 - REACH + 1 - first
        for j in range(tall + TAPS):
            room[j], lost[j] = 0.0, False
            if 0 <= top + j < ny:
                _row(values, labels, variance, bad, mask, k + 1, top + j, left, across, room[j], lost[j])
        for j in range(tall):
            for i in range(wide):
                total, fine = 0.0, True
                for m in range(TAPS):
                    if down[m] != 0.0:
                        total += down[m] * room[j + m, i]
                        fine = fine and not lost[j + m, i]
                cut[k, j, i] = total if fine else NOTHING


@njit(cache=True, nogil=True)
def _row(
    values: Array,
    labels: Array,
    variance: Array,
    bad: float,
    mask: int,
    mine: int,
    y: int,
    left: int,
    weights: Array,
    made: Array,
    lost: Array,
) -> None:
    """Fill `made` (width,) with a row interpolated from column `left` on; `lost` where a pixel does not count."""
    line, own = values[y], labels[y]
    for i in range(made.size):
        total = 0.0
        for m in range(max(0, -left - i), min(TAPS, line.size - left - i)):
            if weights[m] == 0.0:
                continue
            x = left + i + m
            fine = line[x] > NOTHING and (mask == NONE or own[x] == 0 or own[x] == mine)
            if fine and variance.size:
                fine = variance[y, x] < bad
            if fine:
                total += weights[m] * line[x]
            else:
                lost[i] = True
        made[i] = total


@njit(cache=True, nogil=True)
def _taps(share: float, weights: Array) -> None:
    """Fill `weights` (TAPS,), sum 1, of the samples around a place that is `share` of one behind a sample."""
    total = 0.0
    for m in range(TAPS):
        away = math.pi * (m - REACH + 1 - share)
        if abs(away) < 1e-5:
            weights[m] = 1.0
        elif share < 1e-5 or abs(away) >= REACH * math.pi:
            weights[m] = 0.0
        else:
            weights[m] = REACH * math.sin(away) * math.sin(away / REACH) / (away * away)
        total += weights[m]
    for m in range(TAPS):
        weights[m] /= total
