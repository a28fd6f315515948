"""Loops that add up pixels within circles."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.circle import share as share_of
from processing.kernels.circle import span, spans_of
from processing.kernels.pixel import counted

Array = NDArray[Any]
OVER = 5
"""Parts of a pixel's side at the edge of an aperture."""
CUT = 16
"""Flag: an aperture reaches beyond the image."""


@njit(cache=True, nogil=True)
def circles(
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
    diameters: Array,
    sky: Array,
    flux: Array,
    error: Array,
    flags: Array,
) -> None:
    """Fill rows `rows` of `flux` and `error` (n, diameters) float32, and add CUT to `flags` (n,) int16.

    Parameters
    ----------
    values, labels, variance : (ny, nx) from row `first` of an image of `height` rows on
    by_weight : the gain follows the variance of each pixel
    centres : (n, 2) float64, (x, y) in the image
    sky : (n,) float32, levels that are taken off the objects' light; (0,): nothing is
    """
    spans = spans_of(OVER)
    nx, weighted = values.shape[1], variance.size > 0
    for k in rows:
        cx, cy = centres[k, 0], centres[k, 1]
        for n in range(diameters.size):
            radius = 0.5 * diameters[n]
            inner = max(radius - 0.75, 0.0) ** 2
            outer = (radius + 0.75) ** 2
            x0, x1 = int(cx - radius + 0.499999), int(cx + radius + 1.499999)
            y0, y1 = int(cy - radius + 0.499999), int(cy + radius + 1.499999)
            if cx - radius + 0.499999 < 0 or x1 > nx or cy - radius + 0.499999 < 0 or y1 > height:
                flags[k] |= CUT
                x0, x1 = max(x0, 0), min(x1, nx)
            y0, y1 = max(y0, first), min(y1, first + values.shape[0])
            total, spread, area = 0.0, 0.0, 0.0
            for y in range(y0, y1):
                dy = y - cy
                line, own = values[y - first], labels[y - first]
                noises = variance[y - first] if weighted else line
                wide = math.sqrt(max(outer - dy * dy, 0.0)) + 1.0
                begin = max(x0, int(cx - wide))
                span(dy, radius, begin - cx, OVER, spans)
                for x in range(begin, min(x1, int(cx + wide) + 2)):
                    dx = x - cx
                    square = dx * dx + dy * dy
                    if square > outer:
                        continue
                    share = 1.0 if square <= inner else share_of(x - begin, OVER, spans)
                    value, var = line[x], (noises[x] if weighted else noise)
                    if not (own[x] in (0, k + 1) and value > -1e30 and var < bad):
                        value, var, _ = counted(
                            values, labels, variance, bad, noise, k + 1, mask, (cy - first, cx), y - first, x
                        )
                    area += share
                    total += share * value
                    spread += share * var
                    if by_weight and gain > 0.0 and value > 0.0:
                        spread += value / gain * var / noise
            total -= area * (sky[k] if sky.size else 0.0)
            if not by_weight and gain > 0.0 and total > 0.0:
                spread += total / gain
            flux[k, n] = total
            error[k, n] = spread**0.5
