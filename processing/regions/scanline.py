"""Which pixels lie in rings: WeightWatcher's rule, for all rings of a CCD at once.

An edge crosses a row where one end lies below it and the other on or above it.
The crossing is taken to the pixel ``int(x + 0.49999)``, which is the first one inside
or the first one outside. Plain numpy: most files have few regions, and the tool is
done before a compiler would have started.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting

MOST_CROSSINGS = 1 << 24
"""Crossings of edges and rows of one CCD; they take 1.5 GB for a moment. A mask whose every other pixel is bad has 10
million."""


@dataclass(frozen=True, slots=True)
class Ring:
    """A closed line."""

    corners: NDArray[np.floating]
    """(n, 2) x, y in pixels from 0; arithmetic is done in their precision."""
    region: int
    """Rings of one region lie in one another: what two surround is outside."""


class Drawing:
    """Rings laid on an image of `shape` (ny, nx).

    Parameters
    ----------
    union : bool
        A pixel is in where at least one region covers it; otherwise where an odd number of regions does.
    """

    def __init__(self, rings: Sequence[Ring], shape: tuple[int, int], *, union: bool = True) -> None:
        self.shape = shape
        parts = [
            _crossings([ring for ring in rings if ring.corners.dtype == kind], shape, kind)
            for kind in (np.dtype(np.float32), np.dtype(np.float64))
        ]
        rows, columns, regions = (np.concatenate(each) for each in zip(*parts, strict=True))
        self._edges = _edges(rows, columns, regions, shape, union=union)

    @property
    def empty(self) -> bool:
        return not self._edges.size

    def part(self, begin: int, end: int) -> NDArray[np.bool_] | None:
        """Return pixels `begin` to `end`, counted row by row; None where no region touches them."""
        low, high = np.searchsorted(self._edges, begin, "right"), np.searchsorted(self._edges, end)
        if low == high and low % 2 == 0:
            return None
        cuts = np.concatenate(([begin], self._edges[low:high], [end]))
        inside = (np.arange(low, high + 1) & 1).astype(np.bool_)
        return np.repeat(inside, np.diff(cuts))

    def whole(self) -> NDArray[np.bool_]:
        """Return all pixels."""
        covered = self.part(0, self.shape[0] * self.shape[1])
        return np.zeros(self.shape, np.bool_) if covered is None else covered.reshape(self.shape)


def _edges(
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    regions: NDArray[np.int64],
    shape: tuple[int, int],
    *,
    union: bool,
) -> NDArray[np.int64]:
    """Pixels, counted row by row, at which what is covered begins and ends, in turn."""
    if not rows.size:
        return rows
    # Numbers are sorted five times as fast as an order of them: each holds all that is asked of it later.
    ny, nx = shape
    line, column = np.divmod(np.sort((regions * ny + rows) * nx + columns), nx)
    first = np.ones(line.size, np.bool_)
    first[1:] = line[1:] != line[:-1]
    place = np.arange(line.size)
    enters = ((place - np.maximum.accumulate(np.where(first, place, 0))) & 1) == 0
    at = line % ny * nx + column
    # What is still open at the end of a row is closed there.
    unclosed = enters & np.append(first[1:], True)
    events = np.concatenate((2 * at + enters, 2 * (line[unclosed] % ny + 1) * nx))
    events.sort()
    at, depth = events >> 1, np.cumsum(2 * (events & 1) - 1)
    last = np.ones(at.size, np.bool_)
    last[:-1] = at[1:] != at[:-1]
    at, inside = at[last], (depth[last] > 0 if union else depth[last] & 1 != 0)
    changes = inside.copy()
    changes[1:] = inside[1:] != inside[:-1]
    return at[changes]


def _crossings(
    rings: Sequence[Ring], shape: tuple[int, int], kind: np.dtype[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Row, column and region of each crossing left of the image's right edge."""
    if not rings:
        nothing = np.empty(0, np.int64)
        return nothing, nothing, nothing
    starts = np.concatenate([ring.corners for ring in rings])
    sizes = np.array([len(ring.corners) for ring in rings])
    following = np.arange(1, len(starts) + 1)
    following[np.cumsum(sizes)[sizes > 0] - 1] -= sizes[sizes > 0]
    ends = starts[following]
    regions = np.repeat([ring.region for ring in rings], sizes)
    low, high = np.minimum(starts[:, 1], ends[:, 1]), np.maximum(starts[:, 1], ends[:, 1])
    first = np.clip(np.floor(low) + 1, 0, shape[0]).astype(np.int64)
    counts = np.maximum(np.clip(np.floor(high) + 1, 0, shape[0]).astype(np.int64) - first, 0)
    total = int(counts.sum())
    if total > MOST_CROSSINGS:
        raise BadSetting(f"regions whose edges cross rows {total} times: at most {MOST_CROSSINGS} are drawn")
    edge = np.repeat(np.arange(len(counts)), counts)
    rows = first[edge] + np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    with np.errstate(all="ignore"):
        slopes = (ends[:, 0] - starts[:, 0]) / (ends[:, 1] - starts[:, 1])
        at = starts[edge, 0] + (rows.astype(kind) - starts[edge, 1]) * slopes[edge]
    columns = np.clip(at.astype(np.float64) + 0.49999, 0, shape[1]).astype(np.int64)
    inside = columns < shape[1]
    return rows[inside], columns[inside], regions[edge][inside]
