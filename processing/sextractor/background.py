"""The background of an image and its noise: measured in meshes, filtered, drawn between them by splines.

Bertin & Arnouts 1996 (A&AS 117, 393), section 3; the estimator is the one that SExtractor 2.25 applies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from processing.kernels import meshes, splines
from processing.sextractor.records import Pixels, Rows
from processing.sextractor.threads import executor

MOST = 1 << 20
"""Pixels of a row of meshes above which only some of its rows take part in the first guess (BACK_BUFSIZE)."""


@dataclass(frozen=True)
class Background:
    """Level and noise on a mesh, and what is drawn between."""

    level: Pixels
    """(rows, columns) of meshes, ADU."""
    sigma: Pixels
    """(rows, columns), ADU."""
    mean: float
    """Median of the levels: the global background."""
    rms: float
    """Median of the noise of meshes."""
    width: int
    """Of a mesh, pixels."""
    height: int
    nx: int
    """Columns of the image."""
    variance: Pixels | None = None
    """(rows, columns) of meshes, level of the variances that came with the image, filtered; None without any."""
    constant: float | None = None
    """What is taken off instead (BACK_TYPE MANUAL); level and noise of the meshes stay as they were measured."""

    @cached_property
    def _bends(self) -> Pixels:
        """Bends of the surface along y at each knot of the level."""
        return _bends(self.level)

    def rows(self, first: int, end: int) -> Pixels:
        """Background of rows `first` to `end`, (end - first, nx) float32."""
        if self.constant is not None:
            return np.full((end - first, self.nx), self.constant, np.float32)
        return _drawn(self.level, self, first, end)

    def take(self, values: Pixels, first: int) -> None:
        """Take the background off rows of the image from `first` on, in place."""
        if self.constant is not None:
            values -= np.float32(self.constant)
            return
        splines.take_rows(self.level, self._bends, first, self.width, self.height, values)

    def at(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Levels at places counted from 0, drawn straight between the middles of meshes: the column BACKGROUND."""
        down, across = self.level.shape
        column, right = _between(np.floor(x + 0.5) / self.width - 0.5, across)
        row, lower = _between(np.floor(y + 0.5) / self.height - 0.5, down)
        next_column, next_row = np.minimum(column + 1, across - 1), np.minimum(row + 1, down - 1)
        level = self.level.astype(np.float64)
        above = level[row, column] * (1.0 - right) + level[row, next_column] * right
        below = level[next_row, column] * (1.0 - right) + level[next_row, next_column] * right
        drawn: NDArray[np.float64] = above * (1.0 - lower) + below * lower
        return drawn

    def noise(self, first: int, end: int) -> Pixels:
        """Standard deviation of rows `first` to `end`, (end - first, nx) float32."""
        return _drawn(self.sigma, self, first, end)


def _between(place: NDArray[np.float64], number: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the mesh before a place and the share of the next one; both go on beyond the outer middles."""
    before = np.clip(np.floor(place).astype(np.int64), 0, max(number - 2, 0))
    return before, place - before


def flat(value: float, rms: float, shape: tuple[int, int]) -> Background:
    """Return a background that is the same everywhere."""
    one = np.ones((1, 1), np.float32)
    return Background(one * np.float32(value), one * np.float32(rms), value, rms, shape[1], shape[0], shape[1])


def _drawn(knots: Pixels, background: Background, first: int, end: int) -> Pixels:
    drawn = np.empty((end - first, background.nx), np.float32)
    splines.draw_rows(knots, _bends(knots), first, background.width, background.height, drawn)
    return drawn


def _bends(knots: Pixels) -> Pixels:
    """Bends of the surface along y at each knot."""
    bends = np.empty_like(knots)
    line = np.empty(knots.shape[0], np.float32)
    for column in range(knots.shape[1]):
        splines.bend(np.ascontiguousarray(knots[:, column]), line)
        bends[:, column] = line
    return bends


def measure(
    image: Rows,
    *,
    size: tuple[int, int] = (64, 64),
    filtered: tuple[int, int] = (3, 3),
    threshold: float = 0.0,
    variance: Rows | None = None,
    bad: float = np.inf,
    threads: int = 1,
) -> Background:
    """Measure level and noise of an image.

    Parameters
    ----------
    image : ADU; pixels that are not finite are left out
    size : (width, height) of a mesh, pixels
    filtered : (width, height) of the median filter, meshes
    threshold : least change of level, ADU, that the filter makes
    variance : pixels of `bad` and more are left out
    threads : do strips of meshes at once; their number changes no bit
    """
    ny, nx = image.shape
    width, height = min(size[0], nx), min(size[1], ny)
    across, down = (nx - 1) // width + 1, (ny - 1) // height + 1
    level, sigma = np.full((2, 2, down, across), -meshes.BIG, np.float32)
    nothing, limit = np.empty((0, 0), np.float32), np.float32(min(bad, float(meshes.BIG)))

    def strip(row: int) -> None:
        first, end = row * height, min((row + 1) * height, ny)
        pixels = np.ascontiguousarray(image.read(first, end), np.float32)
        noise = nothing if variance is None else np.ascontiguousarray(variance.read(first, end), np.float32)
        sample = -(-pixels.size // MOST)
        meshes.measure_strip(pixels, noise, limit, sample, width, level[:, row], sigma[:, row])

    with executor(threads) as pool:
        for _ in pool.map(strip, range(down)):
            pass
    if not (level[0] > -meshes.BIG).any():
        return flat(0.0, 1.0, image.shape)
    weight = None
    if variance is not None:
        _fill(level[1], sigma[1])
        weight, _ = _median(level[1], sigma[1], filtered, threshold)
    level, sigma = level[0], sigma[0]
    _fill(level, sigma)
    level, sigma = _median(level, sigma, filtered, threshold)
    rms = middle(sigma.ravel())
    if rms <= 0.0:
        rms = middle(sigma[sigma > 0.0]) if (sigma > 0.0).any() else 1.0
    return Background(level, sigma, middle(level.ravel()), rms, width, height, nx, weight)


def _fill(level: Pixels, sigma: Pixels) -> None:
    """Give meshes without a value the mean of their nearest ones with one."""
    good = np.argwhere(level > -meshes.BIG)
    before_level, before_sigma = level.copy(), sigma.copy()
    for row, column in np.argwhere(level <= -meshes.BIG):
        far = ((good - (row, column)) ** 2).sum(axis=1)
        near = good[far == far.min()]
        level[row, column] = before_level[near[:, 0], near[:, 1]].mean(dtype=np.float64)
        sigma[row, column] = before_sigma[near[:, 0], near[:, 1]].mean(dtype=np.float64)


def _median(
    level: Pixels, sigma: Pixels, filtered: Sequence[int], threshold: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Median of both maps in windows that shrink towards the edges, where the level changes by `threshold`."""
    new_level, new_sigma = _medians(level, filtered), _medians(sigma, filtered)
    kept = np.abs(new_level - level) < threshold
    return np.where(kept, level, new_level), np.where(kept, sigma, new_sigma)


def _medians(values: Pixels, filtered: Sequence[int]) -> Pixels:
    rows, columns = values.shape
    down, across = np.minimum(np.arange(rows), np.arange(rows)[::-1]), np.arange(columns)
    across = np.minimum(across, across[::-1])
    made = np.empty_like(values)
    for tall in range(min(filtered[1] // 2, down.max()) + 1):
        for wide in range(min(filtered[0] // 2, across.max()) + 1):
            windows = sliding_window_view(values, (2 * tall + 1, 2 * wide + 1)).reshape(
                rows - 2 * tall, columns - 2 * wide, -1
            )
            # the largest window that has room comes last
            medians = np.sort(windows, axis=2)[:, :, windows.shape[2] // 2]
            here = np.ix_(down >= tall, across >= wide)
            made[here] = medians
    return made


def middle(values: NDArray[np.floating]) -> float:
    """Median of numbers (n,), at least one; NumPy's own brings masked arrays, 20 ms of every command."""
    half = values.size // 2
    first = half - 1 + values.size % 2
    return float(np.partition(values, (first, half))[first : half + 1].mean())
