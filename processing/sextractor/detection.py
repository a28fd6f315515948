"""Detection: what stands above a threshold in the filtered image, parted where it is blended, cleaned of wings."""

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.kernels import clean, dealing, deblend, label, shapes, weights
from processing.sextractor.filtering import filter_with
from processing.sextractor.lots import Turn, first_turn
from processing.sextractor.parameters import shape_of
from processing.sextractor.records import OBJECT, Detections, Pixels
from processing.sextractor.settings import Settings
from processing.sextractor.threads import executor

_COLUMNS = (
    "x", "y", "x2", "y2", "xy", "a", "b", "theta", "cxx", "cyy", "cxy", "abcor", "flux", "peak", "x_peak", "y_peak",
    "x_min", "x_max", "y_min", "y_max", "npix", "detection_threshold", "mthresh", "flags", "singular", "parent",
)  # fmt: skip
"""Of the kernels' table, in their order."""
LEAD = 2
"""Rows, beside those that the filter needs, which the original's buffer holds ahead of the one it looks at."""
_CUTS = MappingProxyType({"VIGNET": -3, "VIGNET_SHIFT": 3})
"""Rows by which the original's margin for cut-outs differs from their height."""
_LIGHT = ("FLUX_APER", "FLUXERR_APER", "MAG_APER", "MAGERR_APER")
"""Columns of which the longest says how many of the apertures have to be in the buffer."""
CROPPED = 8
"""Flag of an object that touches the image's edge; what is dealt to the branch of a blend later does not count."""
_CHUNK = 256
"""Groups that a thread parts at once."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What detection and analysis count as part of an object, ADU above the background."""

    detection: float
    analysis: float


Strip = Callable[[int, int], tuple[Pixels, Pixels | None]]
"""Rows from a first to an end: pixels less their background, and variances where there are weights."""


def detect(
    strip: Strip,
    shape: tuple[int, int],
    thresholds: Thresholds,
    settings: Settings,
    *,
    relative: float = 0.0,
    rms: float = 1.0,
    turn: Turn | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Detections:
    """Find the objects of an image.

    Parameters
    ----------
    strip : gives rows; it may be called from several threads
    shape : (ny, nx)
    thresholds : of the whole image
    relative : with weights, the threshold in standard deviations of each pixel; 0: that of the whole image
    rms : noise of the background, ADU, by which a retina's pixels are told
    turn : to draw random numbers, by which pixels between the parts of blends are dealt; None: from the first on
    progress : receives the share done, from 0 to 1

    Returns
    -------
    Detections in the order in which the original measures them, whatever the number of threads
    """
    ny, nx = shape
    filters = filter_with(settings, rms)
    halo = filters.height // 2
    height = max(settings.memory_bufsize // 4, 64)
    nothing = np.empty((0, 0), np.float32)

    def runs(first: int) -> tuple[NDArray[Any], ...]:
        end = min(first + height, ny)
        low, high = max(first - halo, 0), min(end + halo, ny)
        pixels, variance = strip(low, high)
        filtered = np.empty((end - first, nx), np.float32)
        filters.fill(pixels, first - low, filtered)
        noise = nothing
        if variance is not None and relative:
            noise = np.empty_like(filtered)
            weights.bounds(variance, filters.kernel, first - low, relative, filtered, noise)
        row, left, length, value, bound = label.runs_above(filtered, noise, thresholds.detection, first)
        ends = np.cumsum(length, dtype=np.int64)
        across = np.repeat(left - (ends - length), length) + np.arange(len(value))
        return row, left, length, value, pixels[np.repeat(row - low, length), across], bound

    with executor(settings.threads) as pool:
        found = []
        for piece in pool.map(runs, range(0, ny, height)):
            found.append(piece)
            progress(0.6 * min(len(found) * height / ny, 1.0))
        row, left, length = (np.concatenate(parts) for parts in list(zip(*found, strict=True))[:3])
        group, starts, begins = label.join(row, left, length, settings.detect_minarea, 0)
        x, y = np.empty(starts[-1], np.int32), np.empty(starts[-1], np.int32)
        filtered, plain = np.empty(starts[-1], np.float32), np.empty(starts[-1], np.float32)
        bounds = np.empty(starts[-1] if any(piece[5].size for piece in found) else 0, np.float32)
        ends = np.cumsum([len(piece[0]) for piece in found])

        def listed(piece: tuple[NDArray[Any], ...], end: int) -> None:
            mine = slice(end - len(piece[0]), end)
            label.lists(*piece, group[mine], begins[mine], x, y, filtered, plain, bounds)

        list(pool.map(listed, found, ends.tolist()))
        found.clear()
        specks = label.specks(row, left, length, group)
        last = x[starts[1:] - 1], y[starts[1:] - 1]  # groups list their pixels row by row, until they are parted
        groups = starts.size - 1
        progress(0.7)
        table, ends = _parted(
            pool, starts, (x, y, filtered, plain, bounds), shape, thresholds.detection, settings, turn or first_turn()
        )
    begun = np.concatenate((np.zeros(1, np.int64), ends))
    if settings.detect_maxarea and (table[:, shapes.NPIX] > settings.detect_maxarea).any():
        kept = table[:, shapes.NPIX] <= settings.detect_maxarea  # parts of blends are looked at one by one
        mine = np.repeat(kept, np.diff(begun))
        specks = np.concatenate((specks, np.stack((x[~mine], y[~mine]), axis=1)))
        x, y, filtered, plain = x[mine], y[mine], filtered[mine], plain[mine]
        table, begun = table[kept], np.concatenate((np.zeros(1, np.int64), np.cumsum(np.diff(begun)[kept])))
    progress(0.9)
    held = min(settings.memory_bufsize, ny)
    power = settings.clean_param if settings.clean else 0.0
    into, order, since, back = clean.swept(
        table, power, nx, ny, held, halo + LEAD, settings.memory_objstack, _margin(settings), halo
    )
    own = np.diff(begun)[order]
    table, starts, sequence = _merged(into, order, table, begun)
    x, y, filtered, plain, hidden = clean.gathered(sequence, begun, into, back, (x, y, filtered, plain))
    progress(1.0)
    return Detections(
        _objects(table, own, last, thresholds.analysis),
        starts,
        x,
        y,
        filtered,
        plain,
        hidden,
        np.stack((since, since + held), axis=1),
        into.size,
        specks,
        groups,
    )


def _margin(settings: Settings) -> int:
    """Rows at either side of a barycentre that the original keeps in its buffer for cut-outs and apertures."""
    cuts = ((shape_of(name, settings.columns), more) for name, more in _CUTS.items())
    wanted = [shape for shape in (shape_of(name, settings.columns) for name in _LIGHT) if shape is not None]
    number = max((math.prod(shape) for shape in wanted), default=0)
    circles = (int((diameter + 1.0) / 2.0) - 1 for diameter in settings.phot_apertures[:number])
    return max([0, *((shape[0] + more) // 2 for shape, more in cuts if shape), *circles])


def _parted(
    pool: Executor,
    starts: NDArray[np.int64],
    pixels: tuple[NDArray[np.int32], NDArray[np.int32], Pixels, Pixels, Pixels],
    shape: tuple[int, int],
    threshold: float,
    settings: Settings,
    turn: Turn,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Objects of all groups, and the ends of their pixels."""
    groups = starts.size - 1
    owner, parts = np.full(pixels[0].size, -1, np.int32), np.ones(groups, np.int32)
    firsts = range(0, groups, _CHUNK)

    def branches(first: int) -> NDArray[np.float64]:
        table: NDArray[np.float64] = deblend.branches(
            starts, *pixels, threshold, settings.deblend_nthresh, settings.deblend_mincont,
            settings.detect_minarea, first, min(first + _CHUNK, groups), owner, parts,
        )  # fmt: skip
        return table

    found = [np.zeros((0, shapes.FIELDS)), *pool.map(branches, firsts)]
    table = np.concatenate(found)
    edge = (table[:, shapes.X_MIN] == 0) | (table[:, shapes.X_MAX] == shape[1] - 1)
    edge |= (table[:, shapes.Y_MIN] == 0) | (table[:, shapes.Y_MAX] == shape[0] - 1)
    table[edge, shapes.FLAGS] += CROPPED
    begins = np.concatenate((np.zeros(1, np.int64), np.cumsum(parts, dtype=np.int64)))
    with turn as state:
        dealing.deal(starts, *pixels[:2], owner, parts, table, threshold, state)
    ends = np.empty(len(table), np.int64)

    def gather(first: int) -> None:
        end = min(first + _CHUNK, groups)
        mine = slice(begins[first], begins[end])
        deblend.gather(
            starts, *pixels, threshold, settings.detect_minarea, first, end, owner, parts, table[mine], ends[mine]
        )

    list(pool.map(gather, firsts))
    return table, ends


def _merged(
    into: NDArray[np.int64],
    order: NDArray[np.int64],
    table: NDArray[np.float64],
    begun: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Put objects in `order`; tell where the pixels of each begin, and in which sequence objects bring theirs.

    What was swallowed comes behind what swallowed it.
    """
    rank = np.empty(into.size, np.int64)
    rank[order] = np.arange(order.size)
    rank[into >= 0] = rank[into[into >= 0]]
    sequence = np.lexsort((into >= 0, rank))
    sizes = np.bincount(rank, weights=np.diff(begun), minlength=order.size).astype(np.int64)
    return table[order], np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes))), sequence


def _objects(
    table: NDArray[np.float64],
    own: NDArray[np.int64],
    last: tuple[NDArray[np.int32], NDArray[np.int32]],
    threshold: float,
) -> NDArray[Any]:
    """Objects from the kernels' table; `last`: x and y of the last pixel of each group."""
    objects = np.zeros(len(table), OBJECT)
    for column, name in enumerate(_COLUMNS):
        objects[name] = table[:, column]
    objects["threshold"] = threshold
    objects["own"] = own
    for name, places in zip(("x_last", "y_last"), last, strict=True):
        objects[name] = places[objects["parent"] - 1]
    return objects
