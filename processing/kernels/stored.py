"""Loops that turn words as FITS files store them, the most significant byte first, into pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]


@njit(cache=True, nogil=True)
def whole(words: Array, scale: np.float32, zero: np.float32, pixels: Array) -> None:
    """Fill `pixels` (rows, nx) float32 from whole numbers, `words` uint16 as a little-endian machine reads them."""
    for j in range(words.shape[0]):
        line, target = words[j], pixels[j]
        for i in range(line.size):
            word = line[i]
            turned = np.int16(np.uint16(np.uint16(word >> 8) | np.uint16(word << 8)))
            target[i] = np.float32(turned) * scale + zero


@njit(cache=True, nogil=True)
def floating(words: Array, pixels: Array) -> int:
    """Fill `pixels` (rows, nx), uint32 that are looked at as float32, from `words` uint32 of the same kind.

    Returns
    -------
    number of pixels that are NaN or infinite
    """
    count = 0
    exponent, byte = np.uint32(0x7F800000), np.uint32(0xFF)
    for j in range(words.shape[0]):
        line, target = words[j], pixels[j]
        odd = np.uint32(0)
        for i in range(line.size):
            word = line[i]
            turned = np.uint32(
                np.uint32(word >> 24)
                | np.uint32((word >> 8) & np.uint32(0xFF00))
                | np.uint32((word & np.uint32(0xFF00)) << 8)
                | np.uint32((word & byte) << 24)
            )
            target[i] = turned
            odd = np.uint32(odd + np.uint32((turned & exponent) == exponent))
        count += int(odd)
    return count
