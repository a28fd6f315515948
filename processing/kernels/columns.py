"""Loops over columns and single pixels that stand out from their neighbours."""

import math
from typing import Any

from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def column_means(
    pixels: Array,
    flags: Array,
    corners: Array,
    edges: Array,
    level: Array,
    rms: Array,
    bound: float,
    means: Array,
    counts: Array,
) -> None:
    """Fill `means` (pieces, columns) with the mean of each column in pieces of rows, in noise above the sky.

    Pixels farther than `bound` from the sky count as if they were there: a mean as robust as a median. `level` and
    `rms` (pieces, columns) are those of the sky, `edges` the first rows of the pieces and the end of the last.
    Flagged pixels are left out; `counts` becomes how many there were.
    """
    means[:] = 0.0
    counts[:] = 0.0
    for piece in range(means.shape[0]):
        for j in range(edges[piece], edges[piece + 1]):
            for i in range(corners[0], corners[1]):
                if flags[j, i] != 0:
                    continue
                k = i - corners[0]
                value = (pixels[j, i] - level[piece, k]) / rms[piece, k]
                if math.isnan(value):
                    continue
                means[piece, k] += min(max(value, -bound), bound)
                counts[piece, k] += 1.0
        for k in range(means.shape[1]):
            if counts[piece, k] > 0.0:
                means[piece, k] /= counts[piece, k]


@njit(cache=True, nogil=True)
def lonely(
    pixels: Array,
    flags: Array,
    corners: Array,
    level: float,
    rms: float,
    least: float,
    rest: float,
    rows: Array,
    columns: Array,
) -> int:
    """List pixels that differ from `level` by more than `least` times `rms` while none beside them does by `rest`.

    Those beside are the four at its sides, and `rest` is a share of the pixel's own excess. Returns how many there
    are, which may be more than there is room for.
    """
    count = 0
    bound = least * rms
    for j in range(corners[2] + 1, corners[3] - 1):
        for i in range(corners[0] + 1, corners[1] - 1):
            value = pixels[j, i] - level
            if not abs(value) > bound or flags[j, i] != 0:
                continue
            most = rest * abs(value)
            sign = math.copysign(1.0, value)
            if (
                sign * (pixels[j - 1, i] - level) < most
                and sign * (pixels[j + 1, i] - level) < most
                and sign * (pixels[j, i - 1] - level) < most
                and sign * (pixels[j, i + 1] - level) < most
            ):
                if count < rows.size:
                    rows[count], columns[count] = j, i
                count += 1
    return count


@njit(cache=True, nogil=True)
def sharp_columns(means: Array, counts: Array, least: float, sharp: Array) -> None:
    """Tell which columns stand out from those two columns away, in each piece; what light does is wider.

    `means` and `counts` are as `column_means` fills them. A column is sharp if it lies more than `least` of its own
    noise from both, and both keep less than half of its excess.
    """
    pieces, width = means.shape
    for piece in range(pieces):
        for k in range(width):
            here = means[piece, k]
            left = means[piece, k - 2] if k >= 2 else 0.0
            right = means[piece, k + 2] if k + 2 < width else 0.0
            noise = math.sqrt(2.0 / max(counts[piece, k], 1.0))
            most = 0.5 * abs(here)
            sharp[piece, k] = (
                min(abs(here - left), abs(here - right)) > least * noise and abs(left) < most and abs(right) < most
            )
