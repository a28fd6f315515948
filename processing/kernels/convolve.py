"""Loops that filter rows of an image with a small kernel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def convolve(pixels: Array, kernel: Array, first: int, filtered: Array) -> None:
    """Fill `filtered` (rows, nx) float32 with the correlation of rows from `first` of `pixels` on with `kernel`.

    Rows and columns beyond the edges count as 0. `kernel` is (height, width) float32 with odd lengths.
    """
    height = pixels.shape[0]
    tall, wide = kernel.shape
    for j in range(filtered.shape[0]):
        line = filtered[j]
        line[:] = np.float32(0.0)
        for row in range(tall):
            y = first + j + row - tall // 2
            if y < 0 or y >= height:
                continue
            source = pixels[y]
            column = 0
            while column < wide:
                few = 3 if column + 3 <= wide else 1
                _add(source, kernel[row, column : column + few], column - wide // 2, line)
                column += few


@njit(cache=True, nogil=True)
def _add(source: Array, shares: Array, off: int, line: Array) -> None:
    """Add a row's pixels from `off` on, and those right of them, each times its share, one after the other."""
    nx = line.size
    few = shares.size
    if few == 3 and nx > 2 * (abs(off) + few):
        begin, end = max(-off, 0), nx - max(off + 2, 0)  # where all three lie inside
        for i in range(begin):
            _add_one(source, shares, off, line, i)
        for i in range(end, nx):
            _add_one(source, shares, off, line, i)
        one, two, three = shares[0], shares[1], shares[2]
        first, second = source[begin + off : end + off], source[begin + off + 1 : end + off + 1]
        third, target = source[begin + off + 2 : end + off + 2], line[begin:end]
        for i in range(target.size):
            target[i] = target[i] + one * first[i] + two * second[i] + three * third[i]
    else:
        for i in range(nx):
            _add_one(source, shares, off, line, i)


@njit(cache=True, nogil=True)
def _add_one(source: Array, shares: Array, off: int, line: Array, i: int) -> None:
    for k in range(shares.size):
        at = i + off + k
        if 0 <= at < line.size:
            line[i] += shares[k] * source[at]
