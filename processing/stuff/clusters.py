"""Clusters of galaxies, from a list of the user.

A line of the list is ``x y z richness [core_radius [radius [dispersion [early]]]]``: where the
centre lies (pixels, or degrees where COORD_TYPE is EQUATORIAL), its redshift, the number of
members brighter than M*+2, the core radius and the outermost radius (Mpc/h, 0.15 and 1.5), the
velocity dispersion (km/s, 800), and the share of types below 0 (0.8).
"""

from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.stuff.cosmology import LIGHT
from processing.stuff.galaxies import Drawn, Galaxies, Population, absolute, dress
from processing.stuff.stars import from_centre

Floats = NDArray[np.float64]
DEPTH = 2.0
"""Magnitudes below M* down to which the richness counts."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One line of the list."""

    x: float
    y: float
    z: float
    richness: float
    core: float = 0.15
    radius: float = 1.5
    dispersion: float = 800.0
    early: float = 0.8


def read_clusters(path: Path) -> list[Cluster]:
    """Read a list of clusters; BadSetting names the line that cannot be understood."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise BadSetting(f"CLUSTER_LIST = {path}: cannot be read ({problem.strerror}); NONE does without") from problem
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split("#")[0].split()
        if not words:
            continue
        try:
            cluster = Cluster(*map(float, words))
            good = cluster.z > 0 and cluster.richness >= 0 and 0 <= cluster.early <= 1
            good = good and cluster.core > 0 and cluster.radius > 0
        except (TypeError, ValueError):
            good = False
        if not good:
            expected = "x y z richness [core radius dispersion early] was expected, z above 0"
            raise BadSetting(f"{path}:{number}: {line.strip()}: {expected}")
        found.append(cluster)
    return found


def members(population: Population, cluster: Cluster, random: np.random.Generator) -> Galaxies:
    """Draw the galaxies of a cluster: a projected density 1/(1+(r/core)^2), velocities as a Gaussian has them."""
    settings = population.settings
    early = np.array([kind.hubble < 0 for kind in settings.types])
    z = np.array([cluster.z])
    density, brights, faints = (each[:, 0] for each in population.numbers(z))
    counted = np.array(
        [
            kind.phi_star
            * settings.h**3
            * (1.0 + cluster.z) ** kind.phi_evolution
            * float(function.brighter(np.array(DEPTH)))
            for kind, function in zip(settings.types, population.functions, strict=True)
        ]
    )
    share = np.zeros(len(early))
    for group, part in ((early, cluster.early), (~early, 1.0 - cluster.early)):
        if counted[group].sum() > 0:
            share[group] = part / counted[group].sum()
    counts = random.poisson(cluster.richness * share * density)
    kind = np.repeat(np.arange(len(counts)), counts)
    count = len(kind)
    magnitude = absolute(population, kind, np.full(count, cluster.z), brights[kind], faints[kind], random)
    redshift = cluster.z + (1 + cluster.z) * cluster.dispersion / LIGHT * random.standard_normal(count)
    dressed = dress(population, Drawn(kind, np.maximum(redshift, 1e-4), magnitude), random)
    reach = np.log1p((cluster.radius / cluster.core) ** 2)
    distance = cluster.core / settings.h * np.sqrt(np.expm1(reach * random.random(len(dressed))))
    distance = distance * 1e3 * population.universe.arcsec_per_kpc(z)[0] / 3600.0
    angle = random.uniform(0.0, 2 * np.pi, len(dressed))
    x, y = from_centre(settings, np.array(cluster.x), np.array(cluster.y))
    return replace(dressed, x=x + distance * np.cos(angle), y=y + distance * np.sin(angle))


def write_clusters(path: Path, clusters: tuple[tuple[Cluster, int], ...]) -> None:
    """Write the clusters with the number of galaxies that each has within the limits."""
    lines = ["# x y z richness core_radius radius dispersion early galaxies"]
    lines += [" ".join(f"{value:g}" for value in (*astuple(cluster), count)) for cluster, count in clusters]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
