"""Loops that cut out the pixels around objects."""

from typing import Any

from numpy.typing import NDArray

from processing.compiler import njit
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
        for j in range(tall):
            y = y0 + j
            if y < 0 or y >= ny:
                cut[k, j] = NOTHING
                continue
            line, own, target = values[y], labels[y], cut[k, j]
            for i in range(wide):
                x = x0 + i
                fine = 0 <= x < nx
                if fine:
                    others = mask != NONE and own[x] != 0 and own[x] != k + 1
                    fine = not others and line[x] > NOTHING
                    if fine and variance.size:
                        fine = variance[y, x] < bad
                target[i] = line[x] if fine else NOTHING
