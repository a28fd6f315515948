"""A field of stars and galaxies, the same sky in several passbands."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.stuff import lensing
from processing.stuff.clusters import Cluster, read_clusters
from processing.stuff.clusters import members as cluster_members
from processing.stuff.galaxies import Galaxies, Population, draw, dress
from processing.stuff.settings import EQUATORIAL, Settings
from processing.stuff.stars import Points, points

Floats = NDArray[np.float64]
NO_LIGHT = 99.0
"""Magnitude of what sends no light through a passband."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sky:
    """What a field holds."""

    settings: Settings
    galaxies: Galaxies
    stars: Points
    clusters: tuple[tuple[Cluster, int], ...] = ()
    """Clusters with the galaxies each has within the limits."""

    def places(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Coordinates as lists have them: pixels from 0.5 at the field's edge, or right ascension and declination.

        `x`, `y` are degrees from the centre.
        """
        return places(self.settings, x, y)


def places(settings: Settings, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Pixels, or right ascension and declination (gnomonic, x to the west), of degrees from the centre."""
    if settings.coordinates != EQUATORIAL:
        width, height = settings.field_size
        scale = 3600.0 / settings.pixel_size
        return width / 2.0 + x * scale, height / 2.0 + y * scale
    xi, eta = -np.radians(x), np.radians(y)
    ra0, dec0 = np.radians(settings.centre)
    below = np.cos(dec0) - eta * np.sin(dec0)
    ra = np.degrees(ra0 + np.arctan2(xi, below)) % 360.0
    dec = np.degrees(np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, below)))
    return ra, dec


def field(settings: Settings, *, seed: int | None = None) -> Sky:
    """Make a field.

    Parameters
    ----------
    settings : Settings
    seed : int, optional
        Taken instead of `settings.seed` for the galaxies. Equal seeds and settings give equal fields,
        to the bit; stars have a seed of their own and do not move when galaxies change.

    Returns
    -------
    Sky
        Galaxies from far to near, with magnitudes (passbands, galaxies); 99 where there is no light.

    Raises
    ------
    BadSetting
        A spectrum, passband or file that is not there, or a value without meaning.
    """
    population = Population(settings)
    random = np.random.default_rng([settings.seed if seed is None else seed, 1])
    parts, clusters = [], []
    if settings.galaxies:
        parts.append(dress(population, draw(population, random), random))
    if settings.clusters:
        for cluster in read_clusters(settings.clusters):
            part = cluster_members(population, cluster, random)
            clusters.append((cluster, len(part)))
            parts.append(part)
    if not parts:
        empty = np.zeros(0)
        nothing = draw(population, random)
        parts.append(dress(population, nothing, random).taken(empty.astype(np.int64)))
    galaxies = Galaxies.joined(parts)
    galaxies = galaxies.taken(np.argsort(-galaxies.z, kind="stable"))
    return Sky(
        settings=settings,
        galaxies=_finished(settings, galaxies),
        stars=points(population),
        clusters=tuple(clusters),
    )


def _finished(settings: Settings, galaxies: Galaxies) -> Galaxies:
    """Send the light of galaxies through the lens, and give those without light the magnitude 99."""
    gain = lensing.gain(settings)
    bulge = lensing.lensed(settings, galaxies.bulge_radius, galaxies.bulge_ratio, galaxies.bulge_angle)
    disc = lensing.lensed(settings, galaxies.disc_radius, galaxies.disc_ratio, galaxies.disc_angle)
    return replace(
        galaxies,
        magnitudes=np.minimum(galaxies.magnitudes - gain, NO_LIGHT),
        bulge_radius=bulge[0],
        bulge_ratio=bulge[1],
        bulge_angle=bulge[2],
        disc_radius=disc[0],
        disc_ratio=disc[1],
        disc_angle=disc[2],
    )
