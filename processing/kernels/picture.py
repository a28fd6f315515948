"""Pixels binned to the size of a picture."""

from typing import Any

from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def bin_sums(pixels: Array, inside: Array, side: int, sums: Array) -> None:
    """Sum `pixels` of the part `inside` (x0, x1, y0, y1) in squares of `side` pixels; the last ones may be narrower."""
    x0, x1, y0, y1 = inside[0], inside[1], inside[2], inside[3]
    for y in range(y0, y1):
        row = (y - y0) // side
        for column in range(sums.shape[1]):
            begin = x0 + column * side
            total = sums[row, column] * 0
            for x in range(begin, min(begin + side, x1)):
                total += pixels[y, x]
            sums[row, column] += total
