"""Columns that say what maps have where a source is: flags inside its isophote, and pixels without weight."""

from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.sextractor.records import Detections, Picking, Rows, Table

_BAND = 4096
"""Rows of a map that are read together."""
Whole = NDArray[np.int32]


def at_pixels(rows: Rows, detections: Detections, kind: str) -> NDArray[Any]:
    """Return what an image has at all pixels of all detections, in their order."""
    found = np.empty(len(detections.x), kind)
    height = rows.shape[0]
    for first in range(0, height, _BAND):
        end = min(first + _BAND, height)
        here = slice(None) if end - first == height else np.nonzero((detections.y >= first) & (detections.y < end))[0]
        y, x = detections.y[here], detections.x[here]
        found[here] = rows.at(y, x, first, end) if isinstance(rows, Picking) else rows.read(first, end)[y - first, x]
    return found


def _reduced(how: np.ufunc) -> Callable[[Whole, NDArray[np.int64], Whole], tuple[Whole, Whole]]:
    """Combine by a function of two values; as many pixels count as have a flag."""

    def combine(flags: Whole, starts: NDArray[np.int64], flagged: Whole) -> tuple[Whole, Whole]:
        return how.reduceat(flags, starts[:-1]), flagged

    return combine


def _chosen(choose: Callable[[Whole], int]) -> Callable[[Whole, NDArray[np.int64], Whole], tuple[Whole, Whole]]:
    """One of the flags that pixels have; as many pixels count as have that one."""

    def combine(flags: Whole, starts: NDArray[np.int64], flagged: Whole) -> tuple[Whole, Whole]:
        values, counts = np.zeros(len(flagged), np.int32), np.zeros(len(flagged), np.int32)
        for place in np.nonzero(flagged)[0]:
            own = flags[starts[place] : starts[place + 1]]
            values[place] = choose(own[own != 0])
            counts[place] = np.count_nonzero(own == values[place])
        return values, counts

    return combine


def _most(flags: Whole) -> int:
    values, counts = np.unique(flags, return_counts=True)
    return int(values[np.argmax(counts)])


COMBINED = MappingProxyType(
    {
        "OR": _reduced(np.bitwise_or),
        "AND": _reduced(np.bitwise_and),
        "MIN": _chosen(lambda flags: int(flags.min())),
        "MAX": _chosen(lambda flags: int(flags.max())),
        "MOST": _chosen(_most),
    }
)
"""How flags of pixels become one: by its choice of FLAG_TYPE."""


def flags_of(detections: Detections, maps: Sequence[Rows], kinds: Sequence[str]) -> Table:
    """Return IMAFLAGS_ISO and NIMAFLAGS_ISO, (n, maps) int32.

    Parameters
    ----------
    kinds : of FLAG_TYPE, one a map; the last stands for further maps

    Notes
    -----
    MIN, MAX and MOST choose among pixels with a flag. AND has the bits of all pixels (the original's is always 0).
    """
    number = len(detections.objects)
    values, counts = np.zeros((number, len(maps)), np.int32), np.zeros((number, len(maps)), np.int32)
    if number:
        for place, one in enumerate(maps):
            flags = at_pixels(one, detections, "i4")
            flagged = np.add.reduceat((flags != 0).astype(np.int32), detections.starts[:-1])
            combine = COMBINED[kinds[min(place, len(kinds) - 1)]]
            values[:, place], counts[:, place] = combine(flags, detections.starts, flagged)
    return {"IMAFLAGS_ISO": values, "NIMAFLAGS_ISO": counts}


def weights_of(detections: Detections, measured: Rows | None, detected: Rows | None, bad: tuple[float, float]) -> Table:
    """Return NLOWWEIGHT_ISO, NLOWDWEIGHT_ISO and FLAGS_WEIGHT: 1 and 2 where the map of each image has such pixels.

    Parameters
    ----------
    measured, detected : variances of both images, after gaps are filled; None without weights
    bad : variance of each from which a pixel has no weight
    """
    number = len(detections.objects)
    table: Table = {"FLAGS_WEIGHT": np.zeros(number, np.int16)}
    for bit, (name, rows) in enumerate((("NLOWWEIGHT_ISO", measured), ("NLOWDWEIGHT_ISO", detected))):
        if bit and rows is measured:
            table[name] = table["NLOWWEIGHT_ISO"].copy()
        else:
            table[name] = np.zeros(number, np.int32)
            if rows is not None and number:
                low = at_pixels(rows, detections, "f4") >= bad[bit]
                table[name] = np.add.reduceat(low.astype(np.int32), detections.starts[:-1])
        table["FLAGS_WEIGHT"] |= np.where(table[name] > 0, np.int16(1 << bit), np.int16(0))
    return table
