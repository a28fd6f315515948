"""Cosmic rays of a CCD: whatever is sharper than starlight can be.

The edges of what hits the CCD itself are sharp; light has passed the air and the telescope and is not. L.A.Cosmic (van
Dokkum 2001, PASP 113, 1420) looks for such edges with a Laplacian and spares stars by a contrast to be chosen by hand.
Here the frame tells the contrast: of three pixels in a row, the middle one may exceed the geometric mean of the outer
two as far as it does on a star, and no sum of stars, galaxies and sky can exceed that (docs/algorithms/cosmics.md).
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.cosmic_shapes import bank
from processing.defects.image import Amplifier, CcdImage, Flags
from processing.defects.settings import CosmicSettings
from processing.flags import PixelFlag
from processing.kernels import cosmic_groups as groups
from processing.kernels import cosmics as kernels
from processing.kernels.cosmic_shapes import shaped_pixels

BANNED = int(
    PixelFlag.BAD | PixelFlag.OVERSCAN | PixelFlag.SATURATED | PixelFlag.LOW_RESPONSE | PixelFlag.HIGH_RESPONSE
    | PixelFlag.BLEED | PixelFlag.HOT | PixelFlag.DEAD
)  # fmt: skip
"""Pixels with one of these flags are neither marked nor believed."""
TILE = (128, 256)
"""Rows and columns, about, of the tiles in which sky and noise are measured."""
BAND = 256
"""Rows that are searched at a time."""
STARS = 20
"""Stars that it takes to tell how sharp they are."""
BRIGHT = 30.0
"""Noise of the sky: least peak of the stars that tell the seeing."""
STREAK = 32
"""Marked pixels of a column among twice as many rows that make it a flaw of the column."""
PART = 0.2
"""Of the signal of a shape, what its filter leaves at least; stars that are not quite as told leave less."""
NARROW, WIDE = 2.65, 2.85
"""Pixels: full width at half maximum of the sharpest stars from which, and up to which, thresholds are lower."""
_CURVATURE = 8.0 * math.log(2.0)
"""Of the logarithm of a Gauss curve whose full width at half maximum is 1."""
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class _Level:
    """Sky and noise of a CCD, known along the rows `centres`."""

    inside: NDArray[np.int64]
    """x0, x1, y0, y1 of the part that saw the sky."""
    sky: NDArray[np.float32]
    """(rows of tiles, nx) ADU."""
    variance: NDArray[np.float32]
    """(rows of tiles, nx) ADU**2, of the sky and of the reading."""
    centres: NDArray[np.float64]
    """Rows."""
    gain: NDArray[np.float32]
    """(nx) electrons an ADU."""

    @classmethod
    def of(cls, image: CcdImage, pixels: Any, flags: Any) -> Self | None:
        """Measure; None where an amplifier has no good pixels."""
        area, nx = image.inside, pixels.shape[1]
        y_edges = _edges(area.y0, area.y1, TILE[0])
        sky, variance = np.zeros((2, y_edges.size - 1, nx), np.float32)
        gain = np.ones(nx, np.float32)
        for amplifier in image.amplifiers:
            x0, x1 = (min(max(x, area.x0), area.x1) for x in (amplifier.x0, amplifier.x1))
            if x0 == x1:
                continue
            x_edges = _edges(x0, x1, TILE[1])
            tiles = np.empty((y_edges.size - 1, x_edges.size - 1, 2), np.float32)
            kernels.tile_levels(pixels, flags, BANNED, x_edges, y_edges, tiles)
            good = np.isfinite(tiles[:, :, 0])
            if not good.any():
                return None
            usual = np.median(tiles[good], axis=0)
            tiles[~good] = usual
            columns, middles = np.arange(x0, x1), _middles(x_edges)
            least = _least_noise(amplifier)
            for t, row in enumerate(tiles):
                sky[t, x0:x1] = np.interp(columns, middles, row[:, 0])
                variance[t, x0:x1] = np.interp(columns, middles, np.maximum(row[:, 1], least) ** 2)
            gain[x0:x1] = amplifier.gain
        inside = np.array([area.x0, area.x1, area.y0, area.y1])
        return cls(inside, sky, variance, _middles(y_edges), gain)

    @property
    def arguments(self) -> tuple[Any, ...]:
        return self.inside, self.sky, self.variance, self.centres


def mark_cosmics(image: CcdImage, flags: Flags, settings: CosmicSettings, *, threads: int = 1) -> int:
    """Set COSMIC in the pixels that cosmic rays hit; return how many have it.

    Parameters
    ----------
    image : CcdImage
        A CCD of a single exposure that was not resampled. The sky may have been subtracted. NaN is no number.
    flags : (ny, nx) int16, bits of `PixelFlag`, changed in place
        BAD, OVERSCAN, SATURATED, LOW_RESPONSE, HIGH_RESPONSE, BLEED, HOT and DEAD pixels are neither marked nor
        believed.
    threads : int
        The result is the same with any number.
    """
    area = image.inside
    if not settings.on or min(area.width, area.height) < 3:
        return 0
    pixels, known = np.ascontiguousarray(image.pixels), np.ascontiguousarray(flags)
    level = _Level.of(image, pixels, known)
    if level is None:
        return 0
    ccd = (pixels, known, BANNED, *level.arguments)
    bounds = sharpness(ccd, image, settings)
    settings = adapted(settings, bounds)
    shapes, filters = bank(bounds)
    least = min(settings.track, settings.pixel)

    def search(first: int, last: int) -> tuple[Any, ...]:
        return (
            *kernels.sharp_pixels(*ccd, level.gain, image.saturation, bounds, least, settings.spare, first, last),
            *shaped_pixels(
                *ccd, level.gain, image.saturation, shapes, filters, settings.answer, PART, settings.charge, first, last
            ),
        )

    found = _in_bands(area, threads, search)
    places, strength, *shaped = (np.concatenate(parts) for parts in zip(*found, strict=True))
    state = np.zeros(pixels.shape, np.uint8)
    round_it = 4.0 / float((bounds**-0.5).sum())
    rays = groups.accept(
        *ccd, level.gain, image.saturation, bounds, round_it, filters, places, strength, state, settings.pixel,
        settings.group, settings.peak, settings.spare, settings.track,
    )  # fmt: skip
    rays = groups.add_shapes(
        *ccd, level.gain, bounds, rays, state, shapes, *shaped, settings.shape, settings.spare, settings.track
    )
    rays = _without_columns(rays, state)
    fringes = groups.fringe(*ccd, level.gain, bounds, rays, state, settings.fringe, settings.share)
    marked = np.concatenate((rays, fringes))
    flags[np.divmod(marked, pixels.shape[1])] |= int(PixelFlag.COSMIC)
    return int(marked.size)


def sharpness(ccd: tuple[Any, ...], image: CcdImage, settings: CosmicSettings) -> NDArray[np.float32]:
    """Tell how sharp light can be in this frame, from its stars.

    Returns
    -------
    bounds : (4) float32
        Most that the square of a pixel can be over the product of its neighbours along the row, along the column and
        on both diagonals, all above the sky.
    """
    limit = _CURVATURE / (settings.sharpest / image.pixel_scale) ** 2
    sharpest = limit * np.array([1.0, 1.0, 2.0, 2.0])
    least, most = BRIGHT, 0.5 * image.saturation
    found = kernels.bright_maxima(*ccd, least, most, image.inside.y0, image.inside.y1)
    found = found[(found > 0.0).all(axis=1)].astype(np.float64)
    curvature = -np.log(found)
    across = 0.5 * (curvature[:, 0] + curvature[:, 1])
    round_ones = np.abs(curvature[:, 0] - curvature[:, 1]) < 0.5 * across
    kept = (curvature < sharpest).all(axis=1) & (across > 0.0) & round_ones
    curvature, across = curvature[kept], across[kept]
    if across.size >= STARS:
        usual = _mode(np.sort(across)[across.size // 2 :])
        stars = curvature[np.abs(across - usual) < 0.4 * usual]
        sharpest = np.minimum(sharpest, np.percentile(stars, 97.0, axis=0))
    return np.exp(sharpest).astype(np.float32)


def adapted(settings: CosmicSettings, bounds: NDArray[np.float32]) -> CosmicSettings:
    """Lower the thresholds where stars cover few pixels.

    The bound is far above the noise on their cores there, and so high that rays hide below it.
    """
    width = math.sqrt(_CURVATURE / float(np.log(bounds[:2]).mean()))
    eager = settings.eager * min(max((WIDE - width) / (WIDE - NARROW), 0.0), 1.0)
    lower = {"pixel": 1.0 - eager, "track": 1.0 - eager, "peak": 1.0 - 0.5 * eager, "shape": 1.0 - eager / 3.0}
    return settings.model_copy(update={name: getattr(settings, name) * share for name, share in lower.items()})


def _mode(ordered: NDArray[np.float64]) -> float:
    """Give the half-sample mode of ordered values."""
    while ordered.size > 3:
        half = (ordered.size + 1) // 2
        width = ordered[half - 1 :] - ordered[: ordered.size - half + 1]
        first = int(width.argmin())
        ordered = ordered[first : first + half]
    return float(ordered.mean())


def _without_columns(rays: NDArray[np.int64], state: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Leave out what stands along a column as no ray does: a column that sheds charge and that no mask knows."""
    row, column = np.divmod(rays, state.shape[1])
    order = np.lexsort((row, column))
    row, column = row[order], column[order]
    end = np.arange(order.size) + STREAK - 1
    begins = np.flatnonzero(end < order.size)
    end = end[begins]
    streaks = begins[(column[end] == column[begins]) & (row[end] - row[begins] < 2 * STREAK)]
    if not streaks.size:
        return rays
    flawed = np.zeros(order.size, bool)
    for first in streaks:
        flawed |= (np.abs(column - column[first]) <= 1) & (row >= row[first]) & (row <= row[first + STREAK - 1])
    state[row[flawed], column[flawed]] = 0
    return np.sort(rays[order][~flawed])


def _least_noise(amplifier: Amplifier) -> float:
    """ADU: what reading and counting in whole ADU leave in an empty pixel."""
    return math.hypot(max(amplifier.read_noise, 0.0) / amplifier.gain, math.sqrt(1.0 / 12.0))


def _edges(first: int, last: int, size: int) -> NDArray[np.int64]:
    return np.linspace(first, last, max((last - first) // size, 1) + 1).astype(np.int64)


def _middles(edges: NDArray[np.int64]) -> NDArray[np.float64]:
    middles: NDArray[np.float64] = (edges[1:] + edges[:-1] - 1) / 2.0
    return middles


def _in_bands(area: Area, threads: int, work: Callable[[int, int], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Gather `work(first, last)` of bands of rows, in their order."""
    bands = [(first, min(first + BAND, area.y1)) for first in range(area.y0, area.y1, BAND)]
    if threads <= 1:
        return [work(*band) for band in bands]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda band: work(*band), bands))
