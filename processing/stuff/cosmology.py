"""Distances and volumes of a universe of matter, curvature and a cosmological constant.

The formulae are those of Hogg 1999, astro-ph/9905116. They are evaluated here and not by
astropy.cosmology, whose import alone takes longer than the making of a field; a test holds
them to LambdaCDM of astropy within 1e-6 in distance and 1e-5 in the volume of a near shell.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LIGHT = 299792.458
"""km/s."""
Z_MAX = 12.0
"""Redshift up to which distances are known."""
_STEP = 0.001
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)


@dataclass(frozen=True, slots=True)
class Cosmology:
    """A universe, with its distances tabulated."""

    hubble_constant: float
    """km/s/Mpc."""
    z: Floats
    comoving: Floats
    """Line-of-sight comoving distance to `z`, Mpc."""
    transverse: Floats
    """Transverse comoving distance to `z`, Mpc."""
    volume: Floats
    """Comoving volume of a steradian out to `z`, Mpc^3."""

    def distance_modulus(self, z: Floats) -> Floats:
        """Distance modulus, magnitudes; z above 0."""
        distance = np.interp(z, self.z, self.transverse) * (1.0 + z)
        modulus: Floats = 5.0 * np.log10(distance) + 25.0
        return modulus

    def arcsec_per_kpc(self, z: Floats) -> Floats:
        """Angle of a proper kiloparsec across the line of sight."""
        scale: Floats = np.degrees(1e-3) * 3600.0 * (1.0 + z) / np.interp(z, self.z, self.transverse)
        return scale

    def shells(self, depth: float, farthest: float) -> Floats:
        """Edges in redshift of shells of equal comoving depth (Mpc), from 0 to `farthest` or just beyond."""
        reach = np.interp(farthest, self.z, self.comoving)
        edges: Floats = np.interp(np.arange(0.0, reach + depth, depth), self.comoving, self.z)
        return edges

    def volumes(self, edges: Floats) -> Floats:
        """Comoving volume of a steradian of each shell, Mpc^3."""
        volumes: Floats = np.diff(np.interp(edges, self.z, self.volume))
        return volumes


def cosmology(hubble_constant: float, omega_matter: float, omega_lambda: float) -> Cosmology:
    """Tabulate a universe without radiation; what is missing to a total density of 1 is curvature."""
    curvature = 1.0 - omega_matter - omega_lambda
    edges = np.arange(0.0, Z_MAX + _STEP, _STEP)
    nodes = edges[:-1, None] + 0.5 * _STEP * (1.0 + _NODES)

    def rate(z: Floats) -> Floats:
        squared: Floats = omega_matter * (1 + z) ** 3 + curvature * (1 + z) ** 2 + omega_lambda
        return np.sqrt(np.maximum(squared, 1e-12))

    radius = LIGHT / hubble_constant
    comoving = radius * _summed((0.5 * _STEP * _WEIGHTS / rate(nodes)).sum(axis=1))
    inner = np.interp(nodes, edges, comoving)
    transverse = _curved(comoving, radius, curvature)
    inner = _curved(inner, radius, curvature)
    volume = _summed((0.5 * _STEP * _WEIGHTS * radius * inner**2 / rate(nodes)).sum(axis=1))
    return Cosmology(hubble_constant, edges, comoving, transverse, volume)


def _summed(parts: Floats) -> Floats:
    return np.concatenate((np.zeros(1), np.cumsum(parts)))


def _curved(comoving: Floats, radius: float, curvature: float) -> Floats:
    if abs(curvature) < 1e-12:
        return comoving
    root = np.sqrt(abs(curvature)) / radius
    bent: Floats = (np.sinh(root * comoving) if curvature > 0 else np.sin(root * comoving)) / root
    return bent
