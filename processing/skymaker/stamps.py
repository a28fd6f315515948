"""How the original cuts its galaxies: at the rim of a square stamp, the lost light given back to what is left.

A de Vaucouleurs profile has 1 to 2 % of its light beyond the stamps of SkyMaker 4.3.0, so that its bulges are brighter
by that much than the list says. `terapix skymaker` does the same, so that equal lists give equal images.
"""

import math

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.profiles import EXPONENTIAL_B, central_brightness, sersic_b
from processing.skymaker.psf import Optics, width_of
from processing.skymaker.scene import Scene

Floats = NDArray[np.float64]
LARGEST_ORDER = 15
"""Power of 2 of the largest stamp's side."""
LEAST_DISC = 0.001
"""Share of the light below which the original leaves the disc out."""
ALL = 0.9999
"""Share of the light within the circle in the stamp that is taken for all of it."""
_ANGLES = 48


def enclosed(n: float, radius: Floats) -> Floats:
    """Share of the light of a Sersic profile within `radius` effective radii; to 1e-6."""
    z = np.linspace(0.0, 4.0 * n + 60.0, 20001)
    density = np.exp(np.where(z > 0.0, (2.0 * n - 1.0) * np.log(np.maximum(z, 1e-300)) - z, -np.inf))
    total = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    share: Floats = np.interp(sersic_b(n) * radius ** (1.0 / n), z, total / total[-1])
    return share


def _windowed(n: float, radius: Floats, ratio: Floats, angle: Floats, half: Floats) -> Floats:
    """Share of the light of elliptical profiles within squares of half side `half`."""
    share = enclosed(n, half / radius)
    few = np.flatnonzero(share < ALL)
    radius, ratio, angle, half = radius[few], ratio[few], angle[few], half[few]
    turn = (np.arange(_ANGLES) + 0.5) * (2.0 * math.pi / _ANGLES)
    along, across = np.cos(turn), ratio[:, np.newaxis] * np.sin(turn)
    c, s = np.cos(angle)[:, np.newaxis], np.sin(angle)[:, np.newaxis]
    farthest = np.maximum(np.abs(c * along - s * across), np.abs(s * along + c * across))
    share[few] = enclosed(n, half[:, np.newaxis] / (radius[:, np.newaxis] * farthest)).mean(axis=1)
    return share


def cut_as_original(scene: Scene, optics: Optics, *, pixel_scale: float, oversampling: int, quantum: float) -> Scene:
    """Give galaxies the light that the original gives them.

    Parameters
    ----------
    scene : Scene
    optics : Optics
    pixel_scale : float
        Arcsec a pixel.
    oversampling : int
        Samples of the PSF a pixel.
    quantum : float
        Light of a pixel, in the unit of the fluxes, that sets the size of the stamps: 1 electron in images without
        noise, the rms of the noise in others.

    Returns
    -------
    scene : Scene with other fluxes and bulge shares; the total light within the stamp is that of the list
    """
    found = {name: getattr(scene, name).copy() for name in ("flux", "bulge_share")}
    for n in np.unique(scene.index[~scene.points]):
        chosen = np.flatnonzero(~scene.points & (scene.index == n) & (scene.flux > 0.0))
        part = scene[chosen]
        share, flux = part.bulge_share, part.flux
        disc = np.where(1.0 - share > LEAST_DISC, 1.0 - share, 0.0)
        bulge_radius = np.maximum(part.bulge_radius / pixel_scale, 1e-6)
        disc_radius = np.maximum(part.disc_radius / pixel_scale, 1e-6)
        top = share * flux * central_brightness(float(n)) / (part.bulge_ratio * bulge_radius * quantum)
        size = bulge_radius * (np.log(np.maximum(top, 1.0)) / sersic_b(float(n))) ** n
        top = disc * flux / (2.0 * math.pi * part.disc_ratio * disc_radius * quantum)
        size = np.maximum(size, disc_radius * np.log(np.maximum(top, 1.0)))
        samples = oversampling * np.sqrt(size**2 + 16.0 * math.pi * (width_of(optics) / pixel_scale) ** 2)
        order = np.minimum(np.floor(np.log2(np.maximum(2.0 * np.floor(samples), 1.0))) + 1.0, LARGEST_ORDER)
        half = 0.5 * 2.0**order / oversampling
        bulge_window = _windowed(float(n), bulge_radius, part.bulge_ratio, np.radians(part.bulge_angle), half)
        disc_window = _windowed(1.0, disc_radius * EXPONENTIAL_B, part.disc_ratio, np.radians(part.disc_angle), half)
        bulge, rest = share / bulge_window, disc / disc_window
        bulge, rest = bulge / (share + disc), rest / (share + disc)
        found["flux"][chosen] = flux * (bulge + rest)
        found["bulge_share"][chosen] = bulge / (bulge + rest)
    columns = {name: getattr(scene, name) for name in scene.__dataclass_fields__}
    return Scene(**{**columns, **found})
