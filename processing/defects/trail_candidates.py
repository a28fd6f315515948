"""Straight lines of a mosaic along which more light lies than chance explains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.kernels import trails as kernels

Images = NDArray[np.float32]
SEGMENT = 256
"""Cells along which light is summed at once: a power of two."""
CELLS_A_PEAK = 8
"""Neighbouring lines of which the best one is taken."""
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Sheet:
    """Bins of one CCD and where they lie on the mosaic."""

    ccd: int
    """Number of the CCD."""
    values: Images
    """(rows, columns) light."""
    counts: Images
    """(rows, columns) pixels, or bins, that counted; 0 where there is nothing to see."""
    first: tuple[float, float]
    """Mosaic pixel of the corner of its first bin."""
    sense: tuple[float, float]
    """1 or -1: the direction of its columns and rows."""
    step: float
    """Pixels of a bin."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A segment of a line on the mosaic."""

    score: float
    x0: float
    """Mosaic pixels."""
    y0: float
    x1: float
    y1: float


def corner_of(place: Area) -> tuple[tuple[float, float], tuple[float, float]]:
    """Mosaic pixel of the outer corner of a CCD's first pixel, and the senses of its axes."""
    x = place.x1 if place.flipped_x else place.x0
    y = place.y1 if place.flipped_y else place.y0
    return (float(x), float(y)), (-1.0 if place.flipped_x else 1.0, -1.0 if place.flipped_y else 1.0)


def candidates(
    sheets: Sequence[Sheet], size: tuple[int, int], cell: float, least: float, fewest: float, bound: float = 3.0
) -> list[Candidate]:
    """Find the segments of lines with a score from `least` on, best first.

    Parameters
    ----------
    sheets : the CCDs; light above the surroundings in its own noise, clipped
    size : width and height of the mosaic in pixels
    cell : pixels along the sides of a cell of the search
    least : standard deviations of the sums
    fewest : cells with pixels that a line must cross
    bound : noise at which cells are clipped
    """
    rows, columns = int(size[1] // cell) + 1, int(size[0] // cell) + 1
    sums, numbers = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    for sheet in sheets:
        kernels.lay(
            sheet.values, sheet.counts, np.array(sheet.first), np.array(sheet.sense), sheet.step, cell, sums, numbers
        )
    seen = numbers > 0.0
    if not seen.any():
        return []
    image = np.where(seen, sums / np.sqrt(np.maximum(numbers, 1.0)), 0.0).astype(np.float32)
    np.clip(image, -bound, bound, out=image)
    image -= seen * np.float32(image[seen].mean())
    scale = float(np.sqrt(np.mean(np.square(image[seen], dtype=np.float64))))
    found = [
        Candidate(score, *((place + 0.5) * cell for place in line))
        for score, *line in _segments(image, seen.astype(np.float32), scale, least, fewest)
    ]
    return sorted(found, key=lambda each: (-each.score, each.x0, each.y0, each.x1, each.y1))


def _segments(image: Images, seen: Images, scale: float, least: float, fewest: float) -> Iterator[tuple[float, ...]]:
    """Score and ends (x0, y0, x1, y1), in cells, of the best lines in every block of columns and of rows."""
    for steep in (False, True):
        for falling in (False, True):
            view, mask = (np.ascontiguousarray(_turned(each, steep, falling)) for each in (image, seen))
            rows = view.shape[1]
            for first in range(0, view.shape[0], SEGMENT):
                block, shown = np.zeros((2, SEGMENT, rows), np.float32)
                part = view[first : first + SEGMENT]
                block[: part.shape[0]], shown[: part.shape[0]] = part, mask[first : first + SEGMENT]
                out, room, number = np.empty((3, SEGMENT, rows + SEGMENT), np.float32)
                kernels.sum_lines(block, out, room)
                kernels.sum_lines(shown, number, room)
                found = np.empty((_MOST, 3))
                count = kernels.peaks(out, number, scale, least, fewest, CELLS_A_PEAK, found)
                for score, s, r in found[: min(count, _MOST)].tolist():
                    low, high = r - SEGMENT, r - SEGMENT + s
                    if falling:
                        low, high = rows - 1 - low, rows - 1 - high
                    ends = (first, low, first + SEGMENT - 1, high)
                    yield (score, *((ends[1], ends[0], ends[3], ends[2]) if steep else ends))


def _turned(image: Images, steep: bool, falling: bool) -> Images:
    """(along, across): columns of flat lines or rows of steep ones, upside down for falling ones."""
    turned = image if steep else image.T
    return turned[:, ::-1] if falling else turned
