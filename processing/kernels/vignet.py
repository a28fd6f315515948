"""Loops that cut out the pixels around objects."""

from typing import Any

from numba import njit
from numpy.typing import NDArray

from processing.kernels.pixel import good

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
            for i in range(wide):
                x, y = x0 + i, y0 + j
                if 0 <= x < nx and 0 <= y < ny and good(values, labels, variance, bad, k + 1, mask, y, x):
                    cut[k, j, i] = values[y, x]
                else:
                    cut[k, j, i] = NOTHING
