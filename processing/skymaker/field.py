"""The image of a point over the field of a camera: a law over the whole focal plane, the same on both sides of a gap.

Five components, which all CCDs share, are mixed by polynomials of the place: the images of three seeings, between which
those of all distances from the axis lie, and two that are longer along one direction than across.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.detector import optics_of
from processing.skymaker.effects import FULL, Effects, Points
from processing.skymaker.exposures import Exposure
from processing.skymaker.psf import Optics, Psf, Tracking, psf_of
from terapix.instruments import Ccd, Instrument

M2_DIAMETER = 1.5
"""Metres that the cage at the prime focus hides of the mirror of 3.6 metres."""
WAVELENGTHS = {"u": 0.38, "g": 0.49, "r": 0.63, "i": 0.77, "z": 0.89, "Y": 1.02, "J": 1.25, "H": 1.63, "K": 2.15}
"""Microns, by the first letter of a band's name."""
_NODES = (0.0, 0.5, 1.0)
"""Squares of the distance from the axis, in units of the corner's, whose images are components."""
_TYPICAL = (0.0, 1.0, 0.0, 0.0, 0.0)
_EVEN = Effects().plain().response
Floats = NDArray[np.float64]
Weights = NDArray[np.float32]


def psf_on(instrument: Instrument, ccd: Ccd, exposure: Exposure, effects: Effects = FULL) -> Psf:
    """Give the PSF of a CCD, at places in pixels of its illuminated part, from 0.

    The seeing is wider by ``points.curvature`` times r**2, where r is the distance from the axis in units of the
    corner's, and the image longer along the radius by a variance of (``points.elongation`` r)**2. Where the effect is
    off, the image of the CCD's middle stands for all of it, round. Images between the components' are right to 2e-4
    of their peak.
    """
    points = effects.points
    u0, du, v0, dv = optics_of(instrument, ccd, _EVEN)[:4]
    wavelength = WAVELENGTHS.get(exposure.band.name[0], 0.65)
    if points.on:
        psf = _components(round(exposure.fwhm, 4), wavelength, instrument.pixel_scale, points)
        return replace(psf, weigh=law(u0, du, v0, dv))
    square = (u0 + du * instrument.ccd_width / 2) ** 2 + (v0 + dv * instrument.ccd_height / 2) ** 2
    seeing = exposure.fwhm * (1.0 + points.curvature * float(square))
    return _even(round(seeing, 4), wavelength, instrument.pixel_scale)


def law(u0: float, du: float, v0: float, dv: float) -> Callable[[Floats, Floats], Weights]:
    """Weights of the components at pixels (x, y), which lie at (u0 + du x, v0 + dv y); 1 is the corner's distance."""

    def weigh(x: Floats, y: Floats) -> Weights:
        u, v = u0 + du * x, v0 + dv * y
        square = u * u + v * v
        weights = np.empty((square.size, len(_TYPICAL)), np.float32)
        for k, node in enumerate(_NODES):
            others = [other for other in _NODES if other != node]
            weights[:, k] = np.prod([(square - other) / (node - other) for other in others], axis=0)
        weights[:, 3] = u * u - v * v
        weights[:, 4] = 2.0 * u * v * math.copysign(1.0, du * dv)
        return weights

    return weigh


@lru_cache(maxsize=2)
def _components(seeing: float, wavelength: float, pixel_scale: float, points: Points) -> Psf:
    widths = [seeing * (1.0 + points.curvature * node) for node in _NODES]
    optics = [Optics(seeing=width, wavelength=wavelength, m2_diameter=M2_DIAMETER) for width in widths]
    round_ = [psf_of(each, pixel_scale=pixel_scale) for each in optics]
    images = [each.components[0] for each in round_]
    if points.elongation > 0.0:
        for angle in (0.0, 45.0):
            along, across = (
                psf_of(
                    replace(
                        optics[1], tracking=Tracking.JITTER, tracking_major=points.elongation, tracking_angle=direction
                    ),
                    pixel_scale=pixel_scale,
                ).components[0]
                for direction in (angle, angle + 90.0)
            )
            images.append(np.float32(0.5) * (along - across))
    else:
        images += [np.zeros_like(images[0])] * 2
    psf = Psf(np.stack(images), round_[0].oversampling, law(0.0, 0.0, 0.0, 0.0), typical=_TYPICAL)
    return psf.scattering(points.aureole, points.aureole_radius)


@lru_cache(maxsize=4)
def _even(seeing: float, wavelength: float, pixel_scale: float) -> Psf:
    return psf_of(Optics(seeing=seeing, wavelength=wavelength, m2_diameter=M2_DIAMETER), pixel_scale=pixel_scale)
