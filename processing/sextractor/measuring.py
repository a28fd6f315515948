"""The driver of measures: bands of rows, labels painted in them, groups of columns on several threads."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial

import numpy as np
from numpy.typing import NDArray

from processing.kernels import label
from processing.sextractor import local_sky
from processing.sextractor.groups import GROUPS, needed
from processing.sextractor.parameters import shape_of
from processing.sextractor.records import Band, Detections, Group, Noise, Pixels, Seen, Table
from processing.sextractor.rooms import Rooms
from processing.sextractor.settings import Settings
from processing.sextractor.threads import executor

WHOLE = 1 << 25
"""Pixels up to which an image is one band."""
REACH = 16.0
"""Semi-major axes around an object that its widest aperture may need."""
MARGIN = 64
"""Rows at least around an object."""
CHUNK, BAND_CHUNK = 64, 256
"""Objects that a thread measures at once: of an image that is one band, whose pixels then stay near to the processor,
and of bands, whose rows are too long for that: there are fewer calls."""

Strip = Callable[[int, int], tuple[Pixels, Pixels | None]]
"""Rows from a first to an end: pixels less their background, and variances where there are weights."""
Look = Callable[[int, int], Seen]
"""Rows of the detection image from a first to an end."""
Level = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Background at places x and y."""


def measure(
    strip: Strip,
    shape: tuple[int, int],
    detections: Detections,
    settings: Settings,
    noise: Noise,
    wanted: frozenset[str],
    *,
    level: Level,
    look: Look | None = None,
    rooms: Rooms | None = None,
    known: Table | None = None,
    chosen: NDArray[np.int64] | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Table:
    """Measure columns of all detections.

    Parameters
    ----------
    strip : gives rows of the measurement image
    shape : (ny, nx)
    wanted : base columns; those that no group gives are not in the table
    level : background as the column BACKGROUND has it
    look : gives rows of the detection image; None: it is the same
    known : columns that were measured before
    chosen : rows of the table that are filled in; None: all. Others are 0, and take no memory

    Returns
    -------
    columns by name, a row a detection; the same whatever the number of threads
    """
    number = len(detections.objects)
    gives = {group.name: dict(group.gives(settings)) for group in GROUPS}
    groups = needed(wanted, {name: frozenset(columns) for name, columns in gives.items()})
    rooms = rooms or Rooms()
    table: Table = dict(known or {})
    groups = [group for group in groups if not gives[group.name].keys() <= table.keys()]
    for group in groups:
        for name, (kind, cell) in gives[group.name].items():
            table[name] = np.zeros((number, *cell), kind)
    chosen = np.arange(number) if chosen is None else chosen
    if len(chosen) and groups:
        parts = list(_bands(detections, shape, settings, chosen))
        with executor(settings.threads) as pool, executor(min(settings.threads, len(parts))) as ahead:

            def begun(index: int) -> Future[Band] | None:
                if index == len(parts):
                    return None
                first, end = parts[index][1]
                labels = rooms.labels((end - first, shape[1]))
                return ahead.submit(_band, strip, detections, labels, first, shape[0], noise, level, look)

            coming = None
            for index, (rows, _) in enumerate(parts):
                begin = coming or begun(index)
                assert begin is not None
                band = begin.result()
                # one thread would only have the next band's pixels in memory beside this one's
                coming = begun(index + 1) if settings.threads > 1 else None
                chunk = CHUNK if len(parts) == 1 else BAND_CHUNK
                chunks = [rows[begin : begin + chunk] for begin in range(0, len(rows), chunk)]
                measured = pool.map(partial(_measured, groups, band, detections, settings, table), chunks)
                for done, _ in enumerate(measured, 1):
                    progress((index + done / len(chunks)) / len(parts))
                if len(parts) == 1:  # bands differ in height: their labels are of no use to others
                    _wipe(band.labels, detections)
                    rooms.leave_labels(band.labels)
                del band, begin, measured
    progress(1.0)
    return table


def _measured(
    groups: Sequence[Group],
    band: Band,
    detections: Detections,
    settings: Settings,
    table: Table,
    rows: NDArray[np.int64],
) -> None:
    """Measure all groups of columns of some objects, whose pixels are then still near to the processor."""
    for group in groups:
        group.measure(band, detections, rows, settings, table)


def _bands(
    detections: Detections, shape: tuple[int, int], settings: Settings, chosen: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], tuple[int, int]]]:
    """Rows of the table, of those `chosen`, whose objects are measured together, and the rows of pixels they need."""
    if shape[0] * shape[1] <= WHOLE:
        yield chosen, (0, shape[0])
        return
    objects = detections.objects
    cuts = [shape_of(name, settings.columns) for name in ("VIGNET", "VIGNET_SHIFT")]
    least = [MARGIN, *(0.5 * size + 2 for size in settings.phot_apertures), *(0.5 * cut[0] + 6 for cut in cuts if cut)]
    reach = np.maximum(REACH * objects["a"], max(least))
    around = local_sky.reach(objects, settings)
    low = np.minimum(objects["y_min"] - around, objects["y"] - reach).astype(np.int64)
    high = np.maximum(objects["y_max"] + around, objects["y"] + reach).astype(np.int64) + 2
    part = (objects["y"] // settings.memory_bufsize).astype(np.int64)
    for band in np.unique(part[chosen]):
        rows = chosen[part[chosen] == band]
        yield rows, (max(int(low[rows].min()), 0), min(int(high[rows].max()), shape[0]))


def _band(
    strip: Strip,
    detections: Detections,
    labels: NDArray[np.int32],
    first: int,
    height: int,
    noise: Noise,
    level: Level,
    look: Look | None,
) -> Band:
    end = first + len(labels)
    values, variance = strip(first, end)
    seen = look(first, end) if look else Seen(values, variance, noise.rms, noise.bad_variance)
    _paint(labels, first, detections)
    return Band(
        first=first,
        height=height,
        values=values,
        variance=variance,
        detection=seen,
        labels=labels,
        noise=noise,
        level=level,
    )


def _paint(labels: NDArray[np.int32], first: int, detections: Detections) -> None:
    """Paint k + 1 where object k is, and -1 where something too small stands above the threshold: it is nobody's."""
    own, low, high = (np.ascontiguousarray(detections.objects[name]) for name in ("own", "y_min", "y_max"))
    label.paint(
        labels, first, detections.starts, own, low, high, detections.x, detections.y, detections.hidden,
        detections.specks,
    )  # fmt: skip


def _wipe(labels: NDArray[np.int32], detections: Detections) -> None:
    """Make the labels of a whole image zeros again."""
    labels[detections.y, detections.x] = 0
    labels[detections.specks[:, 1], detections.specks[:, 0]] = 0
