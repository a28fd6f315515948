"""Satellites and aeroplanes that cross the field during an exposure, each in one straight line over the mosaic."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.distortion import project
from processing.skymaker.effects import Effects, Trails
from processing.skymaker.exposures import Exposure
from processing.tangent_plane import from_plane
from terapix.instruments import Ccd, Instrument

Floats = NDArray[np.float64]
STEP = 32.0
"""Pixels between two points at which a trail is put on the CCD anew: the distortion bends it by 1e-4 pixel between."""
DISTANCE = 800.0e3
"""Metres to a satellite of a low orbit."""
SPEED = 1500.0
"""Arcsec a second of such a satellite."""
HEIGHT = 10.0e3
"""Metres to an aeroplane."""


class Crosser(StrEnum):
    """What left a trail."""

    SATELLITE = "satellite"  #: one line, steady or slowly varying
    AEROPLANE = "aeroplane"  #: two lamps, wide out of focus, with flashes


@dataclass(frozen=True, slots=True)
class Trail:
    """A straight line on the plane that touches the sky at the pointing."""

    kind: Crosser
    xi: float
    """Degrees to the east of the pointing, of the point that is nearest to it."""
    eta: float
    """Degrees to the north."""
    angle: float
    """Degrees from north over east, of the line."""
    light: float
    """Magnitudes: all the light that falls on an arcsec of its length."""
    width: float
    """Arcsec, full width at half maximum."""
    period: float
    """Degrees after which its light comes back; 0 for a steady one."""
    depth: float
    """Share by which it falls between."""


def trails_of(settings: Trails, exposure: Exposure, instrument: Instrument, *, seed: int) -> tuple[Trail, ...]:
    """Give the trails of an exposure; equal seeds give equal ones, whatever CCD asks."""
    if not settings.on:
        return ()
    random = np.random.default_rng([seed, 8, exposure.index])
    radius = 0.5 * math.hypot(*instrument.mosaic) * instrument.pixel_scale / 3600.0
    expected = math.pi * radius**2 * exposure.band.exptime / 60.0
    kinds = [Crosser.SATELLITE] * int(random.poisson(settings.satellites * expected))
    kinds += [Crosser.AEROPLANE] * int(random.poisson(settings.aeroplanes * expected))
    found = []
    for kind in kinds:
        turn, distance = random.uniform(0.0, 180.0), random.uniform(-radius, radius)
        across, down = math.cos(math.radians(turn)), -math.sin(math.radians(turn))
        low = kind is Crosser.AEROPLANE
        height = HEIGHT if low else DISTANCE * float(random.uniform(0.6, 2.0))
        blur = math.degrees(settings.aperture / height) * 3600.0
        span = settings.faintest - settings.brightest
        magnitude = settings.faintest - span * float(random.random() ** 2) - (4.0 if low else 0.0)
        speed = SPEED * DISTANCE / height if not low else 4500.0
        found.append(
            Trail(
                kind,
                distance * across,
                distance * down,
                float(turn),
                magnitude + 2.5 * math.log10(speed),
                math.hypot(exposure.fwhm, blur),
                0.05 if low else float(random.choice([0.0, 0.0, 0.3])),
                0.9 if low else float(random.uniform(0.2, 0.8)),
            )
        )
        if low:
            lamp = found[-1]
            apart = 30.0 / 3600.0
            found.append(
                Trail(
                    kind, lamp.xi + apart * across, lamp.eta + apart * down, lamp.angle,
                    lamp.light + 0.4, lamp.width, 0.0, 0.0,
                )
            )  # fmt: skip
    return tuple(found)


def path_on(
    trail: Trail, instrument: Instrument, ccd: Ccd, exposure: Exposure, effects: Effects, *, step: float = STEP
) -> tuple[Floats, Floats, Floats]:
    """Where a trail crosses a CCD.

    Returns
    -------
    x, y : (n,) pixels of the illuminated part, from 0, in steps of `step` pixels; empty where it passes by
    shine : (n,) light from each point to the next, about 1
    """
    reach = math.hypot(*instrument.mosaic) * instrument.pixel_scale / 3600.0
    along = np.arange(-reach, reach, step * instrument.pixel_scale / 3600.0)
    angle = math.radians(trail.angle)
    xi, eta = trail.xi + along * math.sin(angle), trail.eta + along * math.cos(angle)
    ra, dec = from_plane(exposure.ra, exposure.dec, xi, eta)
    x, y = project(instrument, ccd, exposure, ra, dec, distortion=effects.distortion)
    x0, x1, y0, y1 = instrument.datasec
    margin = 2.0 * step + 1500.0
    near = (x > x0 - margin) & (x < x1 + margin) & (y > y0 - margin) & (y < y1 + margin)
    shine = np.ones(along.size)
    if trail.period > 0.0:
        shine -= trail.depth * 0.5 * (1.0 + np.cos(2.0 * math.pi * along / trail.period))
    return x[near] - x0, y[near] - y0, shine[near]
