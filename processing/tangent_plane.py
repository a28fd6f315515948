"""The plane that touches the sky at a point: gnomonic projection (Calabretta & Greisen 2002, A&A 395, 1077)."""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def to_plane(ra0: float, dec0: float, ra: Floats, dec: Floats) -> tuple[Floats, Floats]:
    """Degrees to the east and north on the plane that touches the sky at `ra0`, `dec0`; NaN on the other half sky."""
    across = np.radians(ra - ra0)
    height, middle = np.radians(dec), math.radians(dec0)
    depth = np.sin(height) * math.sin(middle) + np.cos(height) * math.cos(middle) * np.cos(across)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.degrees(1.0) / np.where(depth > 0.0, depth, np.nan)
    north = np.sin(height) * math.cos(middle) - np.cos(height) * math.sin(middle) * np.cos(across)
    return np.cos(height) * np.sin(across) * scale, north * scale


def from_plane(ra0: float, dec0: float, xi: Floats, eta: Floats) -> tuple[Floats, Floats]:
    """Sky coordinates in degrees of points on that plane."""
    x, y = np.radians(xi), np.radians(eta)
    middle = math.radians(dec0)
    down = math.cos(middle) - y * math.sin(middle)
    ra = np.degrees(np.arctan2(x, down)) + ra0
    return ra % 360.0, np.degrees(np.arctan2(math.sin(middle) + y * math.cos(middle), np.hypot(x, down)))
