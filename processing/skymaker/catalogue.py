"""The sky behind all frames of a seed: stars and galaxies with their positions and magnitudes."""

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.exposures import FIELD_DEC, FIELD_RA
from processing.tangent_plane import from_plane

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
BULGE_SIZE = 0.5
"""Radius of half a bulge's light over the scale length of its disc."""
INFRARED = {"J": 0.9, "H": 1.2, "K": 1.3, "Y": 0.55}
"""Mean of r less the magnitude in each band (AB) of a star or galaxy of middling colour."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Objects of the sky; each field is an array over the objects, stars first."""

    ra: Floats
    """Degrees."""
    dec: Floats
    magnitudes: dict[str, Floats]
    """By band of the catalogue (u, g, r, i, z …); a list that was read has one for all, under an empty name."""
    scale: Floats
    """Arcsec; length over which a galaxy's disc falls by e, 0 for stars."""
    ratio: Floats
    """Axis ratio of discs."""
    angle: Floats
    """Radians, of the long axis from north over east."""
    bulge: Floats
    """Share of the light in the bulge."""
    bulge_radius: Floats
    """Arcsec, that holds half of the bulge's light."""
    bulge_ratio: Floats
    code: NDArray[np.int16] = field(default_factory=lambda: np.empty(0, np.int16))
    """100 for a star, 200 or 210 for a galaxy, as in SkyMaker's lists."""
    bulge_angle: Floats = field(default_factory=lambda: np.empty(0))
    """As `angle`, of the bulge; empty where the bulges lie along their discs."""
    index: Floats = field(default_factory=lambda: np.empty(0))
    """Sersic index of the bulge; empty where all are de Vaucouleurs'."""

    @property
    def bulge_angles(self) -> Floats:
        return self.bulge_angle if self.bulge_angle.size else self.angle

    @property
    def stars(self) -> NDArray[np.bool_]:
        point: NDArray[np.bool_] = self.code == 100
        return point


@lru_cache(maxsize=4)
def sky(seed: int, ra: float = FIELD_RA, dec: float = FIELD_DEC, half_side: float = HALF_SIDE) -> Catalogue:
    """Return the objects round a place of the sky, in degrees; equal seeds give equal skies."""
    random = np.random.default_rng([seed, 2])
    area = (2.0 * half_side) ** 2
    stars, galaxies = int(STARS * area), int(GALAXIES * area)
    count = stars + galaxies
    xi, eta = random.uniform(-half_side, half_side, (2, count))
    place = from_plane(ra, dec, xi, eta)
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
    scale = np.where(is_star, 0.0, np.clip(scale, 0.12, 6.0))
    ratio = np.where(is_star, 1.0, random.uniform(0.25, 1.0, count))
    angle = random.uniform(0.0, np.pi, count)
    bulge = np.where(is_star, 0.0, random.beta(1.2, 3.0, count))
    bands = {"u": r + 2.2 * blue, "g": r + blue, "r": r, "i": r - red, "z": r - 1.5 * red}
    return Catalogue(
        ra=place[0],
        dec=place[1],
        magnitudes=bands | {band: r - shift - red + 0.34 for band, shift in INFRARED.items()},
        scale=scale,
        ratio=ratio,
        angle=angle,
        bulge=bulge,
        bulge_radius=BULGE_SIZE * scale,
        bulge_ratio=0.5 + 0.5 * ratio,
        code=np.where(is_star, 100, 200).astype(np.int16),
    )


def _magnitudes(random: np.random.Generator, count: int, slope: float, bright: float, faint: float) -> Floats:
    """Draw magnitudes whose counts grow by a factor 10**slope a magnitude."""
    low = 10.0 ** (slope * (bright - faint))
    drawn: Floats = faint + np.log10(low + (1.0 - low) * random.random(count)) / slope
    return drawn


def radians_from_north(angle: Floats) -> Floats:
    """Turn angles in degrees counter-clockwise from x, as lists have them, with north up and east to the left."""
    return np.radians(angle - 90.0) % math.pi
