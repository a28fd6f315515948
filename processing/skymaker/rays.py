"""Cosmic rays of one CCD and exposure: muons straight through the silicon, and worms."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.effects import CosmicRays

Floats = NDArray[np.float64]
DIFFUSION = 0.35
"""Pixels rms by which charge spreads on its way to the gates: 5 microns in 13.5-micron pixels."""
STEP = 0.25
"""Pixels between two points of a path."""
LANDAU = 7.0
"""Electrons a micron: width of the loss of a muon, as Moyal's form of Landau's distribution has it (Moyal 1955)."""
LONGEST = 1500.0
"""Pixels; a muon in the plane of the CCD would never leave it."""


@dataclass(frozen=True, slots=True)
class Rays:
    """Hits of a CCD."""

    x: Floats
    """Pixels of the illuminated part, from 0: where the path begins."""
    y: Floats
    length: Floats
    """Pixels from one end of the path to the other along it."""
    charge: Floats
    """Electrons."""
    worm: NDArray[np.bool_]
    ends: NDArray[np.int64]
    """How many points belong to this path and those before it."""
    path_x: Floats
    path_y: Floats
    path_charge: Floats
    """Electrons, of each point."""


def rays_of(
    settings: CosmicRays, *, shape: tuple[int, int], seconds: float, zenith: float, random: np.random.Generator
) -> Rays:
    """Draw the hits of an exposure.

    Muons come with an intensity that falls as the squared cosine of their zenith distance (Particle Data Group, Review
    of Particle Physics, "Cosmic rays"), on a CCD whose normal points `zenith` degrees from the zenith; each crosses the
    thickness of the silicon along a straight line, so that its length in pixels is thickness / pixel * tan(angle).
    Worms are electrons of some tens of keV that wander until they stop.
    """
    area = shape[0] * shape[1] * (settings.pixel * 1e-4) ** 2
    hits = int(random.poisson(settings.rate * area * seconds / 60.0)) if settings.on else 0
    x, y = random.uniform(0.0, shape[1], hits), random.uniform(0.0, shape[0], hits)
    worm = random.random(hits) < settings.worms
    slope, azimuth = _muons(random, hits, math.radians(zenith))
    thickness = settings.thickness / settings.pixel
    length = np.minimum(thickness * slope, LONGEST)
    microns = settings.pixel * np.hypot(thickness, length)
    loss = settings.charge + LANDAU * -np.log(random.standard_normal(hits) ** 2 + 1e-12)
    charge = np.clip(loss, 20.0, 20.0 * settings.charge) * microns
    length = np.where(worm, random.gamma(2.0, 6.0, hits) + 2.0, length)
    charge = np.where(worm, random.gamma(2.0, 2500.0, hits) + 300.0, charge)
    points = np.maximum((length / STEP).astype(np.int64), 4)
    ends = np.cumsum(points)
    owner = np.repeat(np.arange(hits), points)
    along = (np.arange(owner.size) - np.repeat(ends - points, points) + 0.5) / points[owner]
    path_x = x[owner] + along * length[owner] * np.cos(azimuth[owner])
    path_y = y[owner] + along * length[owner] * np.sin(azimuth[owner])
    for k in np.flatnonzero(worm):
        part = slice(ends[k] - points[k], ends[k])
        turns = azimuth[k] + np.cumsum(random.normal(0.0, 0.35, points[k]))
        step = length[k] / points[k]
        path_x[part], path_y[part] = x[k] + np.cumsum(np.cos(turns)) * step, y[k] + np.cumsum(np.sin(turns)) * step
    path_x += random.normal(0.0, DIFFUSION, owner.size)
    path_y += random.normal(0.0, DIFFUSION, owner.size)
    return Rays(x, y, length, charge, worm, ends, path_x, path_y, charge[owner] / points[owner])


def _muons(random: np.random.Generator, count: int, tilt: float) -> tuple[Floats, Floats]:
    """Tangents of the angles from the CCD's normal, and directions on the CCD, of muons that hit it."""
    slopes: list[Any] = [np.empty(0)]
    azimuths: list[Any] = [np.empty(0)]
    found = 0
    while found < count:
        drawn = 2 * count + 64
        height = random.random(drawn) ** (1.0 / 3.0)  # cosine of the zenith distance, of an intensity as its square
        turn = random.uniform(0.0, 2.0 * math.pi, drawn)
        flat = np.sqrt(1.0 - height**2)
        east, north = flat * np.cos(turn), flat * np.sin(turn)
        normal = height * math.cos(tilt) + north * math.sin(tilt)
        across = north * math.cos(tilt) - height * math.sin(tilt)
        hit = random.random(drawn) < np.abs(normal)  # a tilted CCD shows a smaller face
        slopes.append(np.hypot(east, across)[hit] / np.maximum(np.abs(normal[hit]), 1e-6))
        azimuths.append(np.arctan2(across, east)[hit])
        found += int(hit.sum())
    return np.concatenate(slopes)[:count], np.concatenate(azimuths)[:count]
