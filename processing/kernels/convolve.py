"""Loops that filter rows of an image with a small kernel."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def convolve(pixels: Array, kernel: Array, first: int, filtered: Array) -> None:
    """Fill `filtered` (rows, nx) float32 with the correlation of rows from `first` of `pixels` on with `kernel`.

    Rows and columns beyond the edges count as 0. `kernel` is (height, width) float32 with odd lengths.
    """
    height, nx = pixels.shape
    tall, wide = kernel.shape
    for j in range(filtered.shape[0]):
        line = filtered[j]
        line[:] = np.float32(0.0)
        for row in range(tall):
            y = first + j + row - tall // 2
            if y < 0 or y >= height:
                continue
            source = pixels[y]
            for column in range(wide):
                share = kernel[row, column]
                if share == 0.0:
                    continue
                off = column - wide // 2
                begin, end = max(-off, 0), nx - max(off, 0)
                for i in range(begin, end):
                    line[i] += share * source[i + off]
