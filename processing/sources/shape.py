"""Width and ellipticity of a PSF from its image."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FINE = 8
"""Points between two samples, where the area above half of the peak is counted: FWHM of a Gaussian to 0.3 %."""
_ROUNDS = 40
"""Of the adaptive window; it has its width to 1e-4 after ten of them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a PSF, in samples of its image."""

    fwhm: float
    """Diameter of the circle with the area that is above half of the peak."""
    ellipticity: float
    """(A-B)/(A+B), of the moments under the Gaussian that fits best (Bernstein & Jarvis 2002, AJ 123, 583)."""
    angle: float
    """Degrees from the x axis to the major one, counted to the y axis; -90 to 90."""


def shape_of(image: NDArray[np.float32]) -> Shape | None:
    """Return the shape of a PSF, (ny, nx), whose peak is near its middle; None where it has no peak."""
    values = image.astype(np.float64)
    if not np.isfinite(values).all() or values.max() <= 0.0:
        return None
    fine = _finer(_finer(values, 0), 1)
    peak = float(fine.max())
    fwhm = 2.0 * math.sqrt(float(np.count_nonzero(fine > 0.5 * peak)) / math.pi) / _FINE
    moments = _adaptive(values, fwhm)
    if moments is None:
        return None
    xx, yy, xy = moments
    difference, total = math.hypot(xx - yy, 2.0 * xy), xx + yy
    major, minor = math.sqrt((total + difference) / 2.0), math.sqrt(max(total - difference, 0.0) / 2.0)
    angle = math.degrees(0.5 * math.atan2(2.0 * xy, xx - yy))
    return Shape(fwhm, (major - minor) / (major + minor), angle)


def _finer(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Cubic (Catmull-Rom) interpolation along an axis; the ends are repeated."""
    size = values.shape[axis]
    at = np.arange((size - 1) * _FINE + 1) / _FINE
    left = np.minimum(at.astype(np.int64), size - 2)
    t = at - left
    weights = (
        0.5 * (-t + 2 * t**2 - t**3), 0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3), 0.5 * (t**3 - t**2),
    )  # fmt: skip
    shape = [1, 1]
    shape[axis] = -1
    made = np.zeros(1)
    for offset, weight in zip((-1, 0, 1, 2), weights, strict=True):
        made = made + weight.reshape(shape) * np.take(values, np.clip(left + offset, 0, size - 1), axis=axis)
    return made


def _adaptive(values: NDArray[np.float64], fwhm: float) -> tuple[float, float, float] | None:
    """Second moments xx, yy, xy of the elliptical Gaussian that is its own window's moments, samples²."""
    y, x = np.mgrid[: values.shape[0], : values.shape[1]].astype(np.float64)
    x0, y0 = (size // 2 for size in values.shape[::-1])
    centre = np.array([x0, y0], np.float64)
    moments = np.eye(2) * (fwhm / 2.3548) ** 2
    for _ in range(_ROUNDS):
        dx, dy = x - centre[0], y - centre[1]
        try:
            inverse = np.linalg.inv(moments)
        except np.linalg.LinAlgError:
            return None
        radius = inverse[0, 0] * dx**2 + 2.0 * inverse[0, 1] * dx * dy + inverse[1, 1] * dy**2
        light = values * np.exp(-0.5 * radius)
        total = float(light.sum())
        if not total > 0.0:
            return None
        centre = centre + 2.0 * np.array([float((light * dx).sum()), float((light * dy).sum())]) / total
        xx, yy, xy = (float((light * each).sum()) / total for each in (dx * dx, dy * dy, dx * dy))
        made = 2.0 * np.array([[xx, xy], [xy, yy]])
        if not (made[0, 0] > 0.0 and np.linalg.det(made) > 0.0):
            return None
        step = float(np.abs(made - moments).max())
        moments = made
        if step < 1e-6 * float(made[0, 0]):
            break
    return float(moments[0, 0]), float(moments[1, 1]), float(moments[0, 1])
