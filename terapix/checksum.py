"""The checksum of FITS: the ones' complement sum of 32-bit words, of which CHECKSUM and DATASUM tell."""

from typing import Any, Final

import numpy as np

ALL_ONES: Final = 0xFFFFFFFF
"""The largest word, which counts as zero in ones' complement."""


def datasum(data: "bytes | bytearray | memoryview | np.ndarray[Any, Any]", begun: int = 0) -> int:
    """Sum bytes up as the FITS checksum convention has it; zeros fill the last word.

    Parameters
    ----------
    begun : the sum of what came before, if that was a whole number of words
    """
    raw = np.frombuffer(data, dtype=np.uint8)
    whole = len(raw) // 4 * 4
    total = begun + int(raw[:whole].view(">u4").sum(dtype=np.uint64))
    if rest := raw[whole:].tobytes():
        total += int.from_bytes(rest.ljust(4, b"\0"), "big")
    while total >> 32:
        total = (total & ALL_ONES) + (total >> 32)
    return total


def is_zero(head: int, data: int) -> bool:
    """Tell whether the sums of a header and its data cancel out, as in an HDU that CHECKSUM describes."""
    total = head + data
    return (total & ALL_ONES) + (total >> 32) in {0, ALL_ONES}
