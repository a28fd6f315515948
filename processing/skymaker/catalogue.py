"""The sky behind all frames of a seed: stars and galaxies with their positions and magnitudes."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.exposures import FIELD_DEC, FIELD_RA

HALF_SIDE = 0.68
"""Degrees; half the side of the square that holds objects: half the mosaic, the dithers and a margin."""
STARS = 6000.0
"""Stars a square degree down to FAINTEST_STAR, as at 60 degrees from the Milky Way."""
FAINTEST_STAR = 24.0
BRIGHTEST_STAR = 10.0
STAR_SLOPE = 0.20
"""Decimal logarithm of the growth of counts a magnitude."""
GALAXIES = 36000.0
"""Galaxies a square degree down to FAINTEST_GALAXY."""
FAINTEST_GALAXY = 23.8
BRIGHTEST_GALAXY = 15.0
GALAXY_SLOPE = 0.36
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Objects of the sky; each field is an array over the objects, stars first."""

    ra: Floats
    """Degrees."""
    dec: Floats
    magnitudes: dict[str, Floats]
    """By band of the catalogue (g, r, i, z)."""
    scale: Floats
    """Arcsec; length over which a galaxy's disc falls by e, 0 for stars."""
    ratio: Floats
    """Axis ratio of galaxies."""
    angle: Floats
    """Radians, of the long axis from north over east."""
    bulge: Floats
    """Share of the light in the bulge."""

    @property
    def stars(self) -> NDArray[np.bool_]:
        point: NDArray[np.bool_] = self.scale == 0.0
        return point


@lru_cache(maxsize=4)
def sky(seed: int) -> Catalogue:
    """Return the objects of the field; equal seeds give equal skies."""
    random = np.random.default_rng([seed, 2])
    area = (2.0 * HALF_SIDE) ** 2
    stars, galaxies = int(STARS * area), int(GALAXIES * area)
    count = stars + galaxies
    xi, eta = random.uniform(-HALF_SIDE, HALF_SIDE, (2, count))
    ra, dec = _from_plane(xi, eta)
    r = np.concatenate(
        [
            _magnitudes(random, stars, STAR_SLOPE, BRIGHTEST_STAR, FAINTEST_STAR),
            _magnitudes(random, galaxies, GALAXY_SLOPE, BRIGHTEST_GALAXY, FAINTEST_GALAXY),
        ]
    )
    is_star = np.arange(count) < stars
    blue = np.where(is_star, random.choice([0.45, 0.7, 1.35], count), 0.75) + random.normal(0.0, 0.12, count)
    red = 0.45 * blue + random.normal(0.0, 0.05, count)
    scale = 0.42 * 10.0 ** (-0.12 * (r - 22.0)) * np.exp(random.normal(0.0, 0.35, count))
    return Catalogue(
        ra=ra,
        dec=dec,
        magnitudes={"g": r + blue, "r": r, "i": r - red, "z": r - 1.5 * red},
        scale=np.where(is_star, 0.0, np.clip(scale, 0.12, 6.0)),
        ratio=np.where(is_star, 1.0, random.uniform(0.25, 1.0, count)),
        angle=random.uniform(0.0, np.pi, count),
        bulge=np.where(is_star, 0.0, random.beta(1.2, 3.0, count)),
    )


def _magnitudes(random: np.random.Generator, count: int, slope: float, bright: float, faint: float) -> Floats:
    """Draw magnitudes whose counts grow by a factor 10**slope a magnitude."""
    low = 10.0 ** (slope * (bright - faint))
    drawn: Floats = faint + np.log10(low + (1.0 - low) * random.random(count)) / slope
    return drawn


def _from_plane(xi: Floats, eta: Floats) -> tuple[Floats, Floats]:
    """Sky coordinates in degrees of points on the tangent plane at the middle of the field, in degrees."""
    x, y = np.radians(xi), np.radians(eta)
    dec = np.radians(FIELD_DEC)
    down = np.cos(dec) - y * np.sin(dec)
    ra = np.degrees(np.arctan2(x, down)) + FIELD_RA
    return ra % 360.0, np.degrees(np.arctan2(np.sin(dec) + y * np.cos(dec), np.hypot(x, down)))
