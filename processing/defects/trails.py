"""Trails of satellites and aeroplanes: what a CCD adds to the search, what is found over the mosaic, and the mark."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.image import CcdImage, Flags
from processing.defects.settings import TrailSettings
from processing.flags import ALL_FLAGS, PixelFlag
from processing.kernels import columns
from processing.kernels import trails as kernels

STEP = 8
"""Pixels along the sides of a bin."""
LEFT_OUT = ALL_FLAGS & ~(PixelFlag.HALO | PixelFlag.GHOST | PixelFlag.EDGE | PixelFlag.SATELLITE)
"""Flagged pixels that say nothing about trails."""
PIECE = 512
"""Rows of a column that are judged together, about."""
BOUND = 1.5
"""Noise of the sky beyond which a pixel of a column counts no more."""
SHARP = 5.0
"""Excess of a column over those two columns away, in its own noise, from which it is the detector's."""
_LARGEST = 60_000.0
"""Noise of the sky; more does not fit a bin."""


@dataclass(frozen=True, slots=True)
class TrailMap:
    """What a CCD adds to the search: its light above a smooth sky, in bins."""

    inside: Area
    """Illuminated part of the CCD as read out."""
    values: NDArray[np.float16]
    """(rows, columns) mean light of a pixel, in noise of a pixel."""
    counts: NDArray[np.uint8]
    """(rows, columns) pixels that counted, of STEP x STEP."""
    rms: float
    """ADU, noise of a pixel."""
    sky: tuple[float, ...]
    """ADU: coefficients of the smooth sky, as `smooth_sky` gives them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a trail that lies on one CCD; a straight band."""

    ccd: int
    """Place of the CCD in the order of the maps."""
    x0: float
    """Pixel of the CCD as read out, from 0, at which it begins."""
    y0: float
    x1: float
    """Pixel at which it ends."""
    y1: float
    half_width: float
    """Pixels that are marked to each side."""
    light: float
    """Light across the trail, in noise of a pixel times pixels."""


@dataclass(frozen=True, slots=True)
class Trail:
    """One trail over the mosaic."""

    stretches: tuple[Stretch, ...]
    """In the order in which the line crosses the CCDs."""
    score: float
    """Significance, in standard deviations."""
    width: float
    """Pixels, full width at half maximum."""
    peak: float
    """Brightest light on its middle line, in noise of a pixel."""
    ends: tuple[float, float, float, float]
    """x, y of its first and last point on the mosaic, in pixels from 0."""

    @property
    def length(self) -> float:
        """Pixels on the mosaic, gaps included."""
        return math.hypot(self.ends[2] - self.ends[0], self.ends[3] - self.ends[1])

    def on(self, ccd: int) -> tuple[Stretch, ...]:
        """What of it lies on a CCD."""
        return tuple(stretch for stretch in self.stretches if stretch.ccd == ccd)


def trail_map(image: CcdImage, flags: Flags, background: Background, settings: TrailSettings) -> TrailMap | None:
    """Bin a CCD for the search; None where it is switched off or where the CCD shows no noise.

    The sky is a surface of second order through the meshes of `background`: meshes themselves would follow a wide
    trail. Flagged pixels are left out, but for those in haloes, in ghosts and at edges.
    """
    rms = background.typical_rms
    if not settings.on or rms <= 0.0:
        return None
    inside = image.inside
    shape = (inside.height // STEP, inside.width // STEP)
    if 0 in shape:
        return None
    smooth, corners = smooth_sky(background), _corners(inside)
    values, counts = np.empty(shape, np.float32), np.empty(shape, np.uint8)
    kernels.bin_residuals(
        image.pixels, flags, int(LEFT_OUT), _sharp_columns(image, flags, smooth, rms), corners, STEP, smooth, rms,
        values, counts,
    )  # fmt: skip
    kept = np.clip(values, -_LARGEST, _LARGEST).astype(np.float16)
    return TrailMap(inside, kept, counts, rms, tuple(smooth.tolist()))


def smooth_sky(background: Background) -> NDArray[np.float64]:
    """Coefficients of 1, u, v, u u, u v, v v (u, v from -1 to 1 over the illuminated part) of the sky, in ADU.

    Meshes that a bright star or a trail fills do not count.
    """
    rows, columns = background.level.shape
    v, u = np.meshgrid(
        2.0 * (np.arange(rows) + 0.5) / rows - 1.0, 2.0 * (np.arange(columns) + 0.5) / columns - 1.0, indexing="ij"
    )
    return fit_surface(u.ravel(), v.ravel(), background.level.ravel(), background.seen.ravel())


def surface_on(surface: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float32]:
    """(rows, columns) of a surface of second order on a grid of columns at `u` and rows at `v`."""
    by_row = (surface[0] + (surface[2] + surface[5] * v) * v).astype(np.float32)
    by_column = ((surface[1] + surface[3] * u) * u).astype(np.float32)
    mixed: NDArray[np.float32] = np.multiply.outer((surface[4] * v).astype(np.float32), u.astype(np.float32))
    mixed += by_row[:, np.newaxis]
    mixed += by_column
    return mixed


def fit_surface(
    u: NDArray[np.float64], v: NDArray[np.float64], level: NDArray[np.float64], seen: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Coefficients of the surface of second order through most of the points that are `seen`; arrays over points.

    Points away from it by more than 2.5 standard deviations of the others do not count.
    """
    terms = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v])
    surface = np.zeros(6)
    if not seen.any():
        return surface
    surface[0] = float(np.median(level[seen]))
    away = np.abs(level - surface[0])
    for _ in range(6):
        kept = seen & (away <= 2.5 * 1.4826 * float(np.median(away[seen])) + 1e-9)
        if np.count_nonzero(kept) < 24:
            break
        surface = np.linalg.lstsq(terms[:, kept].T, level[kept], rcond=None)[0]
        away = np.abs(level - surface @ terms)
    return surface


def mark_trail(shape: tuple[int, int], stretch: Stretch, flags: Flags, inside: Area | None = None) -> int:
    """Mark a trail's stretch on its CCD as SATELLITE.

    Parameters
    ----------
    shape : (ny, nx) of the CCD as read out
    stretch : Stretch
    flags : (ny, nx) int16, changed in place
    inside : Area
        Illuminated part, beside which nothing is marked; the whole CCD if it is left out.

    Returns
    -------
    count : int
        Pixels that were not marked before.
    """
    if flags.shape != shape:
        raise ValueError(f"flags have {flags.shape} pixels, the CCD has {shape}")
    part = inside or Area(0, shape[1], 0, shape[0])
    ends = np.array([stretch.x0, stretch.y0, stretch.x1, stretch.y1])
    marked: int = kernels.mark_band(flags, _corners(part), ends, stretch.half_width, int(PixelFlag.SATELLITE))
    return marked


def _sharp_columns(image: CcdImage, flags: Flags, smooth: NDArray[np.float64], rms: float) -> NDArray[np.bool_]:
    """(pieces, columns) hot or dead columns that no mask shows: lines too, but of the detector."""
    inside = image.inside
    pieces = max(round(inside.height / PIECE), 1)
    edges = inside.y0 + inside.height * np.arange(pieces + 1) // pieces
    v = (edges[:-1] + edges[1:] - 2 * inside.y0)[:, np.newaxis] / inside.height - 1.0
    u = 2.0 * (np.arange(inside.width) + 0.5) / inside.width - 1.0
    level = smooth[0] + smooth[1] * u + smooth[2] * v + smooth[3] * u * u + smooth[4] * u * v + smooth[5] * v * v
    means, counts = np.empty((2, pieces, inside.width))
    sharp = np.empty((pieces, inside.width), np.bool_)
    columns.column_means(
        image.pixels, flags, _corners(inside), edges, level, np.full_like(level, rms), BOUND, means, counts
    )  # fmt: skip
    columns.sharp_columns(means, counts, SHARP, sharp)
    return sharp


def _corners(area: Area) -> NDArray[np.int64]:
    return np.array([area.x0, area.x1, area.y0, area.y1])
