"""Weights as variances: of a map or of the background, scaled to the noise that the background shows.

A plane holds an image of moderate size with its background taken off, once it is needed; rows of larger
ones are made each time they are asked for.
"""

from dataclasses import dataclass, field
from threading import Lock

import numpy as np

from processing.kernels import gaps
from processing.sextractor.background import Background, flat, measure
from processing.sextractor.records import Pixels, Rows
from processing.sextractor.settings import Settings

BAD = np.float32(1e30)
"""Variance of a pixel that does not count."""
_WHOLE = 1 << 25
"""Pixels up to which a plane is held."""
_ABOVE = 64
"""Rows above a band from which its pixels without weight may be filled."""


class Variances:
    """A weight map as variances, unscaled: `BAD` where a pixel does not count.

    Parameters
    ----------
    kind : MAP_WEIGHT, MAP_VAR or MAP_RMS
    threshold : in the unit of the map, from which on a pixel is bad; None: 0 of weights, 1e30 of others
    """

    def __init__(self, rows: Rows, kind: str, threshold: float | None) -> None:
        self._rows = rows
        self._kind = kind
        self._threshold = threshold
        self.shape = rows.shape

    def read(self, first: int, end: int) -> Pixels:
        """Rows `first` to `end`, ADU**2 over the scale."""
        values = self._rows.read(first, end)
        if self._kind == "MAP_WEIGHT":
            good = values > np.float32(self._threshold or 0.0)
            with np.errstate(divide="ignore", over="ignore"):
                return np.where(good, np.float32(1.0) / np.where(good, values, np.float32(1.0)), BAD)
        limit = BAD if self._threshold is None else np.float32(self._threshold)
        good = (values < limit) & (values >= 0)
        kept: Pixels = np.where(good, values, np.float32(0.0))
        return np.where(good, kept * kept if self._kind == "MAP_RMS" else kept, BAD)


@dataclass
class Plane:
    """An image, its background and its variances."""

    rows: Rows
    background: Background
    variances: Rows | None
    """Unscaled; None: the noise is that of the background, the same everywhere."""
    scale: float
    """By which the roots of the variances are multiplied; 0 without a map."""
    local_noise: bool
    """Whether the variances are those of the background (WEIGHT_TYPE BACKGROUND)."""
    settings: Settings
    place: int
    """0 of the detection image, 1 of the measurement image."""
    _held: tuple[Pixels, Pixels | None] | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def strip(self, first: int, end: int) -> tuple[Pixels, Pixels | None]:
        """Rows less their background, and variances; whoever reads them does not change them."""
        height, width = self.rows.shape
        if height * width > _WHOLE:
            begin = max(first - _ABOVE, 0) if self.variances is not None else first
            values, variance = self._made(begin, end)
            return values[first - begin :], None if variance is None else variance[first - begin :]
        with self._lock:
            if self._held is None:
                self._held = self._made(0, height)
        values, variance = self._held
        return values[first:end], None if variance is None else variance[first:end]

    def _made(self, first: int, end: int) -> tuple[Pixels, Pixels | None]:
        values = self.background.taken_from(self.rows.read(first, end), first)
        if self.local_noise:
            return values, self.background.noise(first, end) ** 2
        if self.variances is None:
            return values, None
        variance: Pixels = self.variances.read(first, end)
        if self.scale != 1.0:
            variance = np.where(variance < BAD, variance * np.float32(self.scale**2), BAD)
        kind = self.settings.interp_type[self.place]
        if kind != "NONE":
            lags = self.settings.interp_maxxlag, self.settings.interp_maxylag
            gaps.fill(values, np.ascontiguousarray(variance, np.float32), BAD, *lags, kind == "ALL")
        return values, variance


def plane(rows: Rows, weights: Rows | None, settings: Settings, place: int) -> Plane:
    """Measure the background of an image with its weights.

    Parameters
    ----------
    weights : of the kind that ``settings.weight_type[place]`` says
    place : 0 of the detection image, 1 of the measurement image
    """
    kind = settings.weight_type[place]
    variances = None
    if weights is not None and kind.startswith("MAP"):
        variances = Variances(weights, kind, settings.weight_thresh[place])
    found = measure(
        rows,
        size=settings.back_size,
        filtered=settings.back_filtersize,
        threshold=settings.back_filtthresh,
        variance=variances,
        bad=float(BAD),
        threads=settings.threads,
    )
    scale = 0.0
    if variances is not None:
        scale = 1.0
        if kind != "MAP_RMS" and settings.rescale_weights[place]:
            scale = _scale(found)
    if settings.back_type[place] == "MANUAL":
        found = flat(settings.back_value[place], found.rms, rows.shape)
    return Plane(rows, found, variances, scale, kind == "BACKGROUND", settings, place)


def _scale(found: Background) -> float:
    """Median over the meshes of the noise of the background over the root of the map's variance."""
    if found.variance is None:
        return 1.0
    good = (found.variance > 0) & (found.sigma > 0)
    return float(np.median(found.sigma[good] / np.sqrt(found.variance[good]))) if good.any() else 1.0
