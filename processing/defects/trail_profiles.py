"""Light across a trail, from which its width and brightness follow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.defects.trail_candidates import Sheet
from processing.defects.trail_paths import Path, Piece
from processing.kernels import trails as kernels

Floats = NDArray[np.float64]
EXPONENT = 2.5
"""Of Moffat's profile across a trail: the integral along a line of a star of exponent 3."""
FWHM = 2.0 * math.sqrt(2.0 ** (1.0 / EXPONENT) - 1.0)
"""Full width at half maximum of that profile, in units of its scale."""
ACROSS = 0.25
"""Bins across a column of the profile."""
HALF = 64
"""Columns to either side."""
NARROWEST, WIDEST = 0.25, 12.0
"""Bins: widths that are tried."""
_SUBDIVISIONS = 8


@dataclass(frozen=True, slots=True)
class Profile:
    """A trail's light across it."""

    width: float
    """Pixels, full width at half maximum."""
    peak: float
    """Light on the middle line, in noise of a pixel."""
    peaks: Floats
    """(pieces,) the same on each piece of the path."""

    @property
    def area(self) -> float:
        """Light across the trail for a peak of 1, in pixels."""
        return self.width / FWHM / 0.75

    def half_width(self, peak: float, limit: float) -> float:
        """Pixels from the middle line at which a trail of `peak` has fallen to `limit`."""
        scale = self.width / FWHM
        return scale * math.sqrt(max((max(peak, 0.0) / limit) ** (1.0 / EXPONENT) - 1.0, 0.0))


def profile_of(path: Path, sheets: Mapping[int, Sheet]) -> Profile:
    """Measure width and brightness of a path; `sheets` hold light in noise of a pixel, by CCD, in the finest bins."""
    bins = sheets[path.pieces[0].ccd].step
    step = path.step
    rows = [rows_of(piece, path, sheets[piece.ccd]) for piece in path.pieces]
    every = median(np.concatenate(rows))
    direction = path.line[2:]
    widths = np.geomspace(NARROWEST * step, WIDEST * step, 40)
    best, width = math.inf, float(widths[0])
    known = np.isfinite(every)
    if np.count_nonzero(known) < HALF:
        return Profile(width, 0.0, np.zeros(len(rows)))
    for each in widths:
        design = _design(float(each), direction, step, bins)
        left = float(_fit(design[known], every[known])[1])
        if left < 0.999 * best:
            best, width = left, float(each)
    design = _design(width, direction, step, bins)
    peaks = []
    overall = float(_fit(design[known], every[known])[0])
    for part in rows:
        profile = median(part)
        usable = np.isfinite(profile)
        enough = part.shape[0] >= 6 and np.count_nonzero(usable) >= HALF
        peaks.append(float(_fit(design[usable], profile[usable])[0]) if enough else overall)
    return Profile(width, overall, np.array(peaks))


def rows_of(piece: Piece, path: Path, sheet: Sheet) -> Floats:
    """Light (rows, columns) along the piece, NaN where there is none."""
    line, middle, step = path.line, piece.middle, path.step
    point = line[:2] + middle * line[2:] + piece.offset * np.array([-line[3], line[2]])
    turned = line[2:] + piece.slope * np.array([-line[3], line[2]])
    straight = np.concatenate([point, turned / np.hypot(*turned)])
    low, high = max(path.first, piece.start), min(path.last, piece.end)
    number = max(round((high - low) / piece.row), 1)
    sums, numbers = np.zeros((2, number, 2 * HALF))
    kernels.add_strip(
        sheet.values, sheet.counts, np.array(sheet.first), np.array(sheet.sense), sheet.step, straight,
        low - middle, piece.row, ACROSS * step, sums, numbers,
    )  # fmt: skip
    return np.where(numbers > 0.0, sums / np.maximum(numbers, 1.0), np.nan)


def median(rows: Floats) -> Floats:
    """Median of each column; NaN where it has fewer than three values."""
    ordered = np.sort(rows, axis=0)
    known = np.isfinite(rows).sum(axis=0)
    column = np.arange(rows.shape[1])
    middle = 0.5 * (
        ordered[np.maximum((known - 1) // 2, 0), column] + ordered[np.minimum(known // 2, rows.shape[0] - 1), column]
    )
    return np.where(known >= 3, middle, np.nan)


def _design(width: float, direction: Floats, step: float, bins: float) -> Floats:
    """(columns, 2): profile of a trail of peak 1 as bins of `bins` pixels see it, and 1 for the light beside."""
    seen = seen_through(width, direction, step, bins, np.zeros(1))[0]
    return np.stack([seen, np.ones_like(seen)], axis=1)


def seen_through(width: float, direction: Floats, step: float, bins: float, places: Floats) -> Floats:
    """(places, columns): trails of peak 1, `places` pixels from the path, as bins of `bins` pixels see them."""
    middles = (np.arange(2 * HALF) - HALF + 0.5) * ACROSS * step
    shares = (np.arange(_SUBDIVISIONS) + 0.5) / _SUBDIVISIONS - 0.5
    within = (shares[:, np.newaxis] * abs(direction[0]) + shares * abs(direction[1])).ravel() * bins
    away, at = np.unique(middles - places[:, np.newaxis], return_inverse=True)
    seen: Floats = moffat(away[:, np.newaxis] + within, width).mean(axis=-1)[at].reshape(places.size, middles.size)
    return seen


def moffat(away: Floats, width: float) -> Floats:
    """Light of a trail of peak 1 `away` pixels from its middle line."""
    light: Floats = (1.0 + (away / (width / FWHM)) ** 2) ** -EXPONENT
    return light


def _fit(design: Floats, profile: Floats) -> tuple[float, float]:
    """Peak, and sum of the squares that are left; a peak below 0 counts as none."""
    (peak, beside), *_ = np.linalg.lstsq(design, profile, rcond=None)
    if peak <= 0.0:
        return 0.0, float(((profile - profile.mean()) ** 2).sum())
    return float(peak), float(((profile - design @ np.array([peak, beside])) ** 2).sum())
