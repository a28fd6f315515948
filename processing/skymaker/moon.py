"""The moon of an exposure: where it stands, how full it is, and by how much it brightens the sky."""

import math
from dataclasses import dataclass

from processing.skymaker.exposures import Exposure, altitude_azimuth

DARK = 21.7
"""Magnitude in V of a square arcsec of the sky without the moon."""
EXTINCTION = 0.12
"""Magnitudes in V an airmass."""
COLOUR = {"u": 1.4, "g": 1.2, "r": 0.6, "i": 0.3, "z": 0.12, "Y": 0.05, "J": 0.02, "H": 0.0, "K": 0.0}
"""Moonlight over dark sky in a band, in units of that in V: the moon is blue and the dark sky red."""


@dataclass(frozen=True, slots=True)
class Moon:
    """The moon as the telescope has it."""

    altitude: float
    """Degrees."""
    azimuth: float
    """Degrees from north over east."""
    distance: float
    """Degrees from the pointing."""
    lit: float
    """Share of its disc, from 0 to 1."""
    waxing: bool

    @property
    def up(self) -> bool:
        return self.altitude > 0.0


def moon_of(exposure: Exposure) -> Moon:
    """Place the moon at the start of an exposure, to half a degree (Meeus 1998, ch. 47, its largest terms)."""
    days = exposure.mjd - 51544.5
    centuries = days / 36525.0
    mean = 218.3165 + 481267.8813 * centuries
    elongation, sun = (math.radians(v) for v in (297.8502 + 445267.1115 * centuries, 357.5291 + 35999.0503 * centuries))
    anomaly, node = (math.radians(v) for v in (134.9634 + 477198.8676 * centuries, 93.2721 + 483202.0175 * centuries))
    longitude = math.radians(
        mean + 6.289 * math.sin(anomaly) + 1.274 * math.sin(2 * elongation - anomaly) + 0.658 * math.sin(2 * elongation)
        + 0.214 * math.sin(2 * anomaly) - 0.186 * math.sin(sun)
    )  # fmt: skip
    latitude = math.radians(5.128 * math.sin(node) + 0.281 * math.sin(anomaly + node))
    tilt = math.radians(23.4393)
    ra = math.atan2(
        math.sin(longitude) * math.cos(tilt) - math.tan(latitude) * math.sin(tilt), math.cos(longitude)
    )  # fmt: skip
    dec = math.asin(
        math.sin(latitude) * math.cos(tilt) + math.cos(latitude) * math.sin(tilt) * math.sin(longitude)
    )  # fmt: skip
    sun_longitude = math.radians(280.4665 + 36000.7698 * centuries + 1.915 * math.sin(sun))
    apart = math.cos(latitude) * math.cos(longitude - sun_longitude)
    altitude, azimuth = altitude_azimuth(math.degrees(ra), math.degrees(dec), exposure.mjd)
    here, there = math.radians(exposure.dec), math.radians(exposure.ra)
    near = math.sin(here) * math.sin(dec) + math.cos(here) * math.cos(dec) * math.cos(ra - there)
    return Moon(
        altitude - 0.95 * math.cos(math.radians(altitude)),
        azimuth,
        math.degrees(math.acos(max(-1.0, min(1.0, near)))),
        (1.0 - apart) / 2.0,
        math.sin(longitude - sun_longitude) > 0.0,
    )


def moonlight(exposure: Exposure) -> float:
    """Moonlight over dark sky in the band of an exposure (Krisciunas & Schaefer 1991, PASP 103, 1033, eq. 15-21)."""
    moon = moon_of(exposure)
    if not moon.up:
        return 0.0
    phase = math.degrees(math.acos(2.0 * moon.lit - 1.0))
    shine = 10.0 ** (-0.4 * (3.84 + 0.026 * phase + 4e-9 * phase**4))
    apart = math.radians(moon.distance)
    scattering = 10.0**5.36 * (1.06 + math.cos(apart) ** 2) + 10.0 ** (6.15 - moon.distance / 40.0)
    heights = (moon.altitude, _altitude(exposure))
    through = [(1.0 - 0.96 * math.cos(math.radians(height)) ** 2) ** -0.5 for height in heights]
    lost, seen = (10.0 ** (-0.4 * EXTINCTION * airmass) for airmass in through)
    nanolamberts = scattering * shine * lost * (1.0 - seen)
    dark = 34.08 * math.exp(20.7233 - 0.92104 * DARK)
    share: float = nanolamberts / dark * COLOUR.get(exposure.band.name[0], 0.5)
    return share


def _altitude(exposure: Exposure) -> float:
    return altitude_azimuth(exposure.ra, exposure.dec, exposure.mjd)[0]
