"""Columns and pixels that are hot or dead though no mask shows them: candidates of one exposure, and what lasts a run.

A single exposure shows stars, cosmic rays and trails that look like a hot column or pixel; what stands at the same
place in most exposures of a run, whatever the telescope pointed at, is the detector's own.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.defects.background import Background
from processing.defects.image import CcdImage, Flags
from processing.defects.settings import ColumnSettings
from processing.errors import ShapeMismatch
from processing.flags import PixelFlag
from processing.kernels import columns as kernels
from processing.mosaic import Written, assemble, hdu_bytes, primary_bytes
from processing.reading import Mosaic, read_stored

Integers = NDArray[np.int32]
PIECE = 128
"""Rows of a column that are judged together."""
BOUND = 1.5
"""Noise of the sky beyond which a pixel counts no more: what stars add to a column."""
LEAST = 0.5
"""Share of a piece's rows that must be usable."""
AROUND = (-4, -3, -2, 2, 3, 4)
"""Columns with which one is compared; those next to it may have got its charge."""
_ROOM = 1 << 15


@dataclass(frozen=True, slots=True)
class HotCandidates:
    """What stands out in one exposure of a CCD."""

    shape: tuple[int, int]
    """(ny, nx) of the CCD as read out."""
    columns: NDArray[np.bool_]
    """(pieces, nx): pieces of columns; rows are divided evenly."""
    pixels: Integers
    """(n, 2) rows and columns of single pixels."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """What is hot or dead all over a run, on one CCD."""

    good: NDArray[np.uint8]
    """(ny, nx) as in a mask: 1 good, 0 hot or dead."""
    exposures: int
    """Number of exposures that it follows from."""


def hot_candidates(image: CcdImage, flags: Flags, background: Background, settings: ColumnSettings) -> HotCandidates:
    """Find columns (in pieces of rows) and single pixels that stand out from their neighbours.

    Parameters
    ----------
    image : CcdImage
    flags : (ny, nx) int16; flagged pixels are left out
    background : Background
    settings : ColumnSettings
    """
    inside, shape = image.inside, image.pixels.shape
    corners = np.array([inside.x0, inside.x1, inside.y0, inside.y1])
    edges = piece_edges(shape[0])
    clipped = np.clip(edges, inside.y0, inside.y1)
    rms = background.typical_rms
    found = np.zeros((edges.size - 1, shape[1]), np.bool_)
    if rms <= 0.0:
        return HotCandidates(shape, found, np.empty((0, 2), np.int32))
    means, counts = np.empty((2, edges.size - 1, inside.width))
    level = _rows_of(background, clipped)
    kernels.column_means(
        image.pixels, flags, corners, clipped, level, np.full_like(level, rms), BOUND, means, counts
    )  # fmt: skip
    enough = counts >= LEAST * PIECE
    means[~enough] = math.nan
    excess = means - _around(means)
    noise = np.sqrt(1.0 / np.maximum(counts, 1.0) + 1.0 / (len(AROUND) * PIECE))
    found[:, inside.x0 : inside.x1] = enough & (np.abs(excess) > settings.column * noise)
    rows, columns = np.empty((2, _ROOM), np.int32)
    count = kernels.lonely(
        image.pixels, flags, corners, background.typical_level, rms, settings.pixel, settings.rest, rows, columns
    )
    kept = min(count, _ROOM)
    return HotCandidates(shape, found, np.stack([rows[:kept], columns[:kept]], axis=1))


def persistent(candidates: Iterable[HotCandidates], settings: ColumnSettings) -> Lasting:
    """Keep what stands out in most exposures of a CCD; exposures are taken one by one.

    A column is bad from the first to the last of its lasting pieces.

    Raises
    ------
    ValueError
        If there is no exposure, or if they differ in size.
    """
    columns: NDArray[np.int32] | None = None
    pixels: dict[tuple[int, int], int] = {}
    shape, number = (0, 0), 0
    for each in candidates:
        if columns is None:
            columns, shape = np.zeros(each.columns.shape, np.int32), each.shape
        if each.shape != shape:
            raise ValueError(f"exposures of one CCD have {shape} and {each.shape} pixels")
        columns += each.columns
        number += 1
        for row, column in each.pixels.tolist():
            pixels[row, column] = pixels.get((row, column), 0) + 1
    if columns is None:
        raise ValueError("no exposure was given")
    good = np.ones(shape, np.uint8)
    least = settings.share * number
    if number < settings.exposures:
        return Lasting(good, number)
    edges = piece_edges(shape[0])
    for column in np.flatnonzero((columns >= least).any(axis=0)):
        pieces = np.flatnonzero(columns[:, column] >= least)
        good[edges[pieces[0]] : edges[pieces[-1] + 1], column] = 0
    for (row, column), times in pixels.items():
        if times >= least:
            good[row, column] = 0
    return Lasting(good, number)


def mark_hot(flags: Flags, good: NDArray[np.integer]) -> int:
    """Mark what a list of a run shows (0 where hot or dead) as HOT where it is not BAD or OVERSCAN already.

    Returns how many pixels are marked.
    """
    hot = (good == 0) & (flags & int(PixelFlag.BAD | PixelFlag.OVERSCAN) == 0)
    flags[hot] |= int(PixelFlag.HOT)
    return int(np.count_nonzero(hot))


def write_hot(path: Path, ccds: Sequence[tuple[str, Lasting]], *, run: str) -> Written:
    """Write the lasting columns and pixels of all CCDs, by EXTNAME, as a mask: 1 good, 0 hot or dead.

    The file is there complete or not at all, and can be given wherever a mask is expected.
    """
    primary = primary_bytes({"NEXTEND": len(ccds), "RUNID": run, "OBSTYPE": "MASK", "PRODTYPE": "HOT"})
    parts = (hdu_bytes(each.good, {"NEXPOS": (each.exposures, "exposures")}, name=name) for name, each in ccds)
    return assemble(path, primary, parts)


def read_hot(path: Path, name: str, shape: tuple[int, int]) -> NDArray[np.integer]:
    """Read the CCD called `name` of a file that `write_hot` wrote.

    Raises
    ------
    ShapeMismatch, FileProblem
        If the file has no such CCD, or one of another size.
    """
    with Mosaic(path) as opened:
        found = next((each for each in opened.extensions if each.name.lower() == name.lower()), None)
    if found is None or found.shape != shape:
        what = "no CCD" if found is None else f"{found.shape[1]} x {found.shape[0]} pixels for CCD"
        raise ShapeMismatch(path, f"has {what} {name}", remedy="make the run's list of hot columns again")
    pixels: NDArray[np.integer] = read_stored(path, found)
    return pixels


def hot_of_run(
    names: Sequence[str],
    exposures: Sequence[str],
    candidates_of: Callable[[str, str], HotCandidates],
    settings: ColumnSettings,
    progress: Callable[[float], None] = lambda _: None,
) -> list[tuple[str, Lasting]]:
    """Find what lasts over a run, CCD by CCD; one exposure of one CCD is held at a time.

    Parameters
    ----------
    names : names of the CCDs
    exposures : names of the exposures
    candidates_of : gives the candidates of an exposure (first argument) on a CCD (second)
    progress : receives the share done, from 0 to 1
    """
    found = []
    for place, name in enumerate(names):

        def each(place: int = place, name: str = name) -> Iterable[HotCandidates]:
            for number, exposure in enumerate(exposures):
                yield candidates_of(exposure, name)
                progress((place + (number + 1) / len(exposures)) / len(names))

        found.append((name, persistent(each(), settings)))
    return found


def piece_edges(height: int) -> NDArray[np.int64]:
    """First rows of the pieces of a column, and the end of the last."""
    pieces = max(round(height / PIECE), 1)
    return height * np.arange(pieces + 1) // pieces


def _rows_of(background: Background, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sky (pieces, columns) in the middle of each piece."""
    inside = background.inside
    levels = background.level_map()[:, inside.x0 : inside.x1]
    middles = np.clip((edges[:-1] + edges[1:]) // 2, 0, levels.shape[0] - 1)
    middle_levels: NDArray[np.float64] = levels[middles].astype(np.float64)
    return middle_levels


def _around(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of the columns around each; 0 where none has a value."""
    reach = max(AROUND)
    padded = np.pad(means, ((0, 0), (reach, reach)), constant_values=math.nan)
    width = means.shape[1]
    stack = np.sort(np.stack([padded[:, reach + step : reach + step + width] for step in AROUND]), axis=0)
    known = np.isfinite(stack).sum(axis=0)
    low = np.take_along_axis(stack, np.maximum((known - 1) // 2, 0)[np.newaxis], axis=0)[0]
    high = np.take_along_axis(stack, np.minimum(known // 2, len(AROUND) - 1)[np.newaxis], axis=0)[0]
    around: NDArray[np.float64] = np.where(known > 0, 0.5 * (low + high), 0.0)
    return around
