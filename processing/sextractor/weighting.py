"""Weights as variances: of a map or of the background, scaled to the noise that the background shows.

A plane holds an image of moderate size with its background taken off, once it is needed; rows of larger
ones are made each time they are asked for.
"""

from dataclasses import dataclass, field, replace
from threading import Lock

import numpy as np

from processing.kernels import gaps, weights
from processing.sextractor.background import Background, measure, middle
from processing.sextractor.images import OddPixels
from processing.sextractor.records import Pixels, Rows, fill
from processing.sextractor.rooms import Rooms
from processing.sextractor.settings import Settings

BAD = np.float32(1e30)
"""Variance of a pixel that does not count."""
_WHOLE = 1 << 25
"""Pixels up to which a plane is held."""
_TOGETHER = 64
"""Rows of a held plane from which the background is taken off at once: they stay in a processor's memory."""
_ABOVE = 64
"""Rows above a band from which its pixels without weight may be filled."""


class Variances:
    """A weight map as variances, unscaled: `BAD` where there is no weight.

    Parameters
    ----------
    kind : MAP_WEIGHT, MAP_VAR or MAP_RMS
    threshold : in the unit of the map, from which on a pixel is bad; None: 0 of weights, 1e30 of others
    """

    def __init__(self, rows: Rows, kind: str, threshold: float | None) -> None:
        self._rows = rows
        self._kind = kind
        self.shape = rows.shape
        self.bad = BAD if threshold is None else _variance(np.float32(threshold), kind)
        """From which a pixel is bad; it keeps its own variance."""

    def read(self, first: int, end: int) -> Pixels:
        """Rows `first` to `end`, ADU**2 over the scale."""
        rows = np.empty((end - first, self.shape[1]), np.float32)
        self.fill(first, rows)
        return rows

    def fill(self, first: int, rows: Pixels) -> None:
        """Fill `rows` (any, nx) with those from `first` on."""
        fill(self._rows, first, rows)
        limit = 0.0 if self._kind == "MAP_WEIGHT" else float(BAD)
        kinds = {"MAP_WEIGHT": weights.WEIGHT, "MAP_VAR": weights.VARIANCE, "MAP_RMS": weights.RMS}
        weights.variances(rows, kinds[self._kind], np.float32(limit), BAD)


def _variance(threshold: np.float32, kind: str) -> np.float32:
    """Variance of a threshold in the unit of a map."""
    if kind == "MAP_WEIGHT":
        return min(np.float32(1.0) / threshold, BAD) if threshold > 0.0 else BAD
    return min(threshold * threshold if kind == "MAP_RMS" else threshold, BAD)


class _Kept:
    """Rows that stay in memory when they are read for the first time, all of them once."""

    def __init__(self, rows: Rows, rooms: Rooms) -> None:
        self._rows = rows
        self.shape = rows.shape
        self.pixels = rooms.pixels(rows.shape)

    def read(self, first: int, end: int) -> Pixels:
        """Rows `first` to `end`."""
        rows: Pixels = self.pixels[first:end]
        fill(self._rows, first, rows)
        return rows


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
    bad: float = np.inf
    """Variance from which a pixel is bad; infinite without a map."""
    noise_of: Background | None = None
    """Of another image, where its noise is that of this one too."""
    raw: tuple[Pixels, Pixels | None] | None = field(default=None, repr=False)
    """Pixels and variances of an image of moderate size as they were read; they become the plane when it is needed."""
    _held: tuple[Pixels, Pixels | None] | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def strip(self, first: int, end: int) -> tuple[Pixels, Pixels | None]:
        """Rows less their background, and variances; whoever reads them does not change them."""
        width = self.rows.shape[1]
        if self.raw is None:
            begin = max(first - _ABOVE, 0) if self.variances is not None else first
            values = np.empty((end - begin, width), np.float32)
            fill(self.rows, begin, values)
            variance = None if self.variances is None else self.variances.read(begin, end)
            values, variance = self._made(values, variance, begin)
            return values[first - begin :], None if variance is None else variance[first - begin :]
        with self._lock:
            if self._held is None:
                self._held = self._made(*self.raw, 0)
        values, variance = self._held
        return values[first:end], None if variance is None else variance[first:end]

    def weighed_as(self, other: "Plane", *, gaps: str) -> None:
        """Take the weights of the detection image, scaled to its noise, where they are given for both images.

        `gaps`: ALL, where those of pixels are filled too.
        """
        self.scale, self.bad = other.scale, other.bad
        filled = other.settings.interp_type[0]
        kind = "NONE" if filled == "NONE" else "ALL" if gaps == "ALL" else "VAR_ONLY"
        self.settings = replace(self.settings, interp_type=(filled, kind))
        if other.local_noise:
            self.noise_of = other.background

    def leave(self, rooms: Rooms) -> None:
        """Give the memory back; the plane cannot be used any more."""
        for array in self.raw or ():
            if array is not None:
                rooms.leave_pixels(array)
        self.raw = self._held = None

    def _made(self, values: Pixels, variance: Pixels | None, first: int) -> tuple[Pixels, Pixels | None]:
        """Take the background off rows from `first` on, scale their variances and fill their gaps, in place."""
        for begin in range(0, len(values), _TOGETHER):
            part = slice(begin, begin + _TOGETHER)
            self.background.take(values[part], first + begin)
            if variance is not None and self.scale != 1.0:
                weights.scale(variance[part], np.float32(self.scale**2), BAD)
        if self.local_noise:
            background = self.noise_of or self.background
            return values, background.noise(first, first + len(values)) ** 2
        kind = self.settings.interp_type[self.place]
        if variance is not None and kind != "NONE":
            lags = self.settings.interp_maxxlag, self.settings.interp_maxylag
            gaps.fill(values, variance, np.float32(self.bad), *lags, kind == "ALL")
        return values, variance


@dataclass(frozen=True)
class Weighed:
    """Pixels of a plane with variances of another one, or with none: an image whose detection has its own weights."""

    pixels: Plane
    other: Plane | None

    @property
    def rows(self) -> Rows:
        return self.pixels.rows

    @property
    def background(self) -> Background:
        return self.pixels.background

    @property
    def variances(self) -> Rows | None:
        return None if self.other is None else self.other.variances

    @property
    def scale(self) -> float:
        return 0.0 if self.other is None else self.other.scale

    @property
    def bad(self) -> float:
        return np.inf if self.other is None else self.other.bad

    def strip(self, first: int, end: int) -> tuple[Pixels, Pixels | None]:
        """Rows less their background, and variances; whoever reads them does not change them."""
        variance = None if self.other is None else self.other.strip(first, end)[1]
        return self.pixels.strip(first, end)[0], variance

    def leave(self, rooms: Rooms) -> None:
        """Give the memory of the variances back; that of the pixels is another's."""
        if self.other is not None:
            self.other.leave(rooms)


def plane(rows: Rows, weight_map: Rows | None, settings: Settings, place: int, *, rooms: Rooms | None = None) -> Plane:
    """Measure the background of an image with its weights.

    Parameters
    ----------
    weight_map : of the kind that ``settings.weight_type[place]`` says
    place : 0 of the detection image, 1 of the measurement image
    rooms : where memory for it may be had; it is given back by `Plane.leave`

    Raises
    ------
    OddPixels
        The image tells that pixels are no numbers.
    """
    kind = settings.weight_type[place]
    variances = None
    if weight_map is not None and kind.startswith("MAP"):
        variances = Variances(weight_map, kind, settings.weight_thresh[place])
    kept = kept_variances = None
    if rows.shape[0] * rows.shape[1] <= _WHOLE:
        rooms = rooms or Rooms()
        kept = _Kept(rows, rooms)
        kept_variances = None if variances is None else _Kept(variances, rooms)
    found = measure(
        kept or rows,
        size=settings.back_size,
        filtered=settings.back_filtersize,
        threshold=settings.back_filtthresh,
        variance=kept_variances or variances,
        bad=float(BAD if variances is None else variances.bad),
        threads=settings.threads,
    )
    if getattr(rows, "odd", False):
        raise OddPixels
    scale, limit = 0.0, np.inf
    if variances is not None:
        scale = 1.0 if kind == "MAP_RMS" else _scale(found)
        if not settings.rescale_weights[place]:  # the noise is that of the map then
            found, scale = replace(found, rms=found.rms / scale), 1.0
        limit = float(min(variances.bad * np.float32(scale**2), BAD))
    if settings.back_type[place] == "MANUAL":
        value = settings.back_value[place]
        found = replace(found, mean=value, constant=value)
    raw = None if kept is None else (kept.pixels, None if kept_variances is None else kept_variances.pixels)
    return Plane(rows, found, variances, scale, kind == "BACKGROUND", settings, place, limit, raw=raw)


def _scale(found: Background) -> float:
    """Median over the meshes of the noise of the background over the root of the map's variance."""
    if found.variance is None:
        return 1.0
    good = (found.variance > 0) & (found.sigma > 0)
    return middle(found.sigma[good] / np.sqrt(found.variance[good])) if good.any() else 1.0
