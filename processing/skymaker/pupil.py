"""The pupil of the telescope: mirror, obstruction, spider, and the wave front that comes through them."""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from processing.kernels.psf import fill_pupil

ARCSEC = math.pi / 648000.0
"""Radians."""
FINEST = 10
"""Samples of a pupil pixel along an axis, at most."""


class Exposure(StrEnum):
    """How the atmosphere is averaged."""

    NONE = "none"  #: no atmosphere
    LONG = "long"  #: over many coherence times
    SHORT = "short"  #: with the mean motion of the image taken out


class Tracking(StrEnum):
    """How the telescope fails to follow the sky."""

    NONE = "none"  #: it does not
    JITTER = "jitter"  #: Gaussian, elliptic
    DRIFT = "drift"  #: at constant speed along the major axis, Gaussian across and along


@dataclass(frozen=True, slots=True)
class Aberration:
    """One term of the wave front, and how it varies over the image."""

    d80: tuple[float, ...] = (0.0,)
    """Arcsec: diameter of the circle with 80 % of the light; 1, 3 or 6 coefficients of 1, u, v, u², uv, v²."""
    centre: tuple[float, float] = (0.5, 0.5)
    """Where u and v are 0, in shares of the image's width and height."""

    def at(self, u: float, v: float) -> float:
        """D80 in arcsec at a place given in shares of width and height."""
        u, v = u - self.centre[0], v - self.centre[1]
        return sum(a * b for a, b in zip(self.d80, (1.0, u, v, u * u, u * v, v * v), strict=False))

    @property
    def varies(self) -> bool:
        return any(self.d80[1:])


STILL = Aberration()
STRENGTHS = (
    ("defocus", 0.279, 2), ("spherical", 0.179, 4), ("coma_x", 0.534, 3), ("coma_y", 0.534, 3),
    ("astigmatism_00", 0.279, 2), ("astigmatism_45", 0.279, 2), ("trefoil_00", 0.208, 3), ("trefoil_30", 0.208, 3),
    ("quadratic_00", 0.172, 4), ("quadratic_22", 0.172, 4),
)  # fmt: skip
"""Name, phase at the edge of the pupil by d80 in units of pi D / lambda, and power of the radius (SkyMaker 4.3.0)."""


@dataclass(frozen=True, slots=True)
class Optics:
    """Telescope, atmosphere and tracking; the defaults are SkyMaker's."""

    m1_diameter: float = 3.6
    """Metres."""
    m2_diameter: float = 1.0
    """Metres, of the obstruction."""
    arms: int = 4
    arm_thickness: float = 20.0
    """Millimetres."""
    arm_angle: float = 0.0
    """Degrees counter-clockwise from x, of the first arm."""
    wavelength: float = 0.8
    """Microns."""
    defocus: Aberration = STILL
    spherical: Aberration = STILL
    coma_x: Aberration = STILL
    coma_y: Aberration = STILL
    astigmatism_00: Aberration = STILL
    astigmatism_45: Aberration = STILL
    trefoil_00: Aberration = STILL
    trefoil_30: Aberration = STILL
    quadratic_00: Aberration = STILL
    quadratic_22: Aberration = STILL
    exposure: Exposure = Exposure.LONG
    seeing: float = 0.7
    """Arcsec, full width at half maximum of the atmosphere's own image."""
    tracking: Tracking = Tracking.NONE
    tracking_major: float = 0.0
    """Arcsec: rms of a jitter, full length of a drift."""
    tracking_minor: float = 0.0
    """Arcsec rms."""
    tracking_angle: float = 0.0
    """Degrees counter-clockwise from x."""
    aureole_sb: float = 16.0
    """Mag per square arcsec at 1 arcmin from a star of magnitude 0."""
    aureole_radius: int = 0
    """Pixels; 0 for no aureole."""

    @property
    def aberrations(self) -> tuple[Aberration, ...]:
        return tuple(getattr(self, name) for name, _, _ in STRENGTHS)

    @property
    def varies(self) -> bool:
        """Whether the image of a point depends on its place."""
        return any(each.varies for each in self.aberrations)


def pupil_scale(optics: Optics, sample: float, size: int) -> float:
    """Metres a pixel of the pupil, for an image of `size` samples of `sample` arcsec."""
    return optics.wavelength * 1e-6 / (sample * ARCSEC * size)


def amplitude(
    optics: Optics, *, sample: float, size: int, place: tuple[float, float] = (0.5, 0.5), as_original: bool = False
) -> NDArray[np.complex64]:
    """Amplitude of the light in the pupil.

    Parameters
    ----------
    optics : Optics
    sample : float
        Arcsec a sample of the image that the pupil will give.
    size : int
        Pixels along both axes.
    place : (u, v)
        Where in the image, in shares of its width and height.
    as_original : bool
        Cut positions in the pupil to whole pixels and take QUA22 for QUA00, as SkyMaker 4.3.0 does.

    Returns
    -------
    pupil : (size, size) complex64; modulus 0 to 1, the centre of the mirror at pixel size // 2
    """
    scale = pupil_scale(optics, sample, size)
    finest = optics.m1_diameter / 1000.0
    if optics.m2_diameter > optics.wavelength * 1e-6:
        finest = min(finest, optics.m2_diameter / 4.0)
    if optics.arm_thickness > optics.wavelength * 1e-3:
        finest = min(finest, optics.arm_thickness * 1e-3 / 4.0)
    steps = min(max(int(scale / min(finest, scale)), 1), FINEST)
    angles = np.radians((optics.arm_angle + np.arange(optics.arms) * 360.0 / max(optics.arms, 1)) % 360.0)
    unit = math.pi * optics.m1_diameter / (optics.wavelength * 1e-6) * ARCSEC
    reduced = 2.0 * scale / optics.m1_diameter
    phase = np.array(
        [
            unit * strength * aberration.at(*place) * reduced**power
            for aberration, (_, strength, power) in zip(optics.aberrations, STRENGTHS, strict=True)
        ]
    )
    if as_original:
        phase[8], phase[9] = phase[9], 0.0
    pupil = np.empty((size, size), np.complex64)
    fill_pupil(
        (optics.m1_diameter / scale / 2.0) ** 2,
        (optics.m2_diameter / scale / 2.0) ** 2,
        optics.arm_thickness * 1e-3 / scale / 2.0,
        np.stack([np.sin(angles), np.cos(angles)], axis=1),
        steps,
        0.5 * (1.0 / steps - 1.0),
        as_original,
        phase,
        pupil.real,
        pupil.imag,
    )
    return pupil
