"""Line lists of masks, as the FITS standard (4.0, section 10.4.3) defines PLIO_1.

A row is a list of words of 16 bits behind a header of seven: four bits say what to do, twelve by how much. A value is
kept while runs of zeros and of the value follow each other, so that a row without a flag takes two words and a row
with the rims of a CCD a few more.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]

_HEADER = 7
_MOST = 4095
"""What the twelve bits hold."""
_ZEROS, _SET, _MORE, _LESS, _VALUES, _ZEROS_AND_ONE = 0, 1, 2, 3, 4, 5
"""So many zeros; the value is these bits and those of the next word; the value plus, minus this; so many of the value;
so many zeros of which the last one is of the value."""


def longest_row(width: int) -> int:
    """Words that a row can take at most."""
    return _HEADER + 4 * width + 2


@njit(cache=True, nogil=True)
def encode_rows(flags: Array, words: Array, ends: Array) -> int:  # noqa: C901, PLR0912  one tight loop
    """Code each row of `flags` (no negative ones) into `words` of 16 bits; `ends` receives where each row ends."""
    at = 0
    width = flags.shape[1]
    for y in range(flags.shape[0]):
        begin = at
        at += _HEADER
        value = 1
        x = 0
        while x < width:
            zeros = x
            while x < width and flags[y, x] == 0:
                x += 1
            zeros = x - zeros
            count, wanted = 0, 0
            if x < width:
                wanted = int(flags[y, x])
                count = 1
                while x + count < width and flags[y, x + count] == wanted:
                    count += 1
            x += count
            if count > 0 and wanted != value:
                step = wanted - value
                if abs(step) > _MOST:
                    words[at] = (_SET << 12) | (wanted & _MOST)
                    words[at + 1] = wanted >> 12
                    at += 2
                else:
                    words[at] = (_MORE << 12) | step if step > 0 else (_LESS << 12) | -step
                    at += 1
                value = wanted
            while zeros > _MOST:
                words[at] = _MOST
                at += 1
                zeros -= _MOST
            if zeros > 0:
                if count == 1 and zeros < _MOST:
                    words[at] = (_ZEROS_AND_ONE << 12) | (zeros + 1)
                    count = 0
                else:
                    words[at] = (_ZEROS << 12) | zeros
                at += 1
            while count > 0:
                some = min(count, _MOST)
                words[at] = (_VALUES << 12) | some
                at += 1
                count -= some
        length = at - begin
        words[begin] = 0
        words[begin + 1] = _HEADER
        words[begin + 2] = -100
        words[begin + 3] = length % 32768
        words[begin + 4] = length // 32768
        words[begin + 5] = 0
        words[begin + 6] = 0
        ends[y] = at
    return at


def warm() -> None:
    """Compile for the flags that the stages store."""
    encode_rows(np.zeros((1, 8), np.int16), np.empty(longest_row(8), np.int16), np.empty(1, np.int64))


TASKS = (warm,)
