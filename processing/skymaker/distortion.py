"""Where the sky falls on the pixels: the linear solution of the header, the corrector's third order, and refraction."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from processing.skymaker.effects import Distortion, Refraction
from processing.skymaker.exposures import Exposure, parallactic_angle
from processing.tangent_plane import from_plane, to_plane
from terapix.instruments import Ccd, Instrument

Floats = NDArray[np.float64]
_GRID = 33
"""Points along each side of a CCD to which its linear part is fitted."""
_STEPS = 4
"""Steps of the inversion; each takes the error down by the change of the distortion a pixel, 1e-3 at most."""
_TERMS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
"""Powers of x and y in a polynomial of third order."""
_PV = (0, 1, 2, 4, 5, 6, 7, 8, 9, 10)
"""Numbers of these terms as PV1_n has them (PV1_3 and PV1_11 belong to the radius)."""


def wcs_of(ccd: Ccd, exposure: Exposure) -> dict[str, float]:
    """World coordinates of a CCD as its header has them: CRVALn in degrees, CRPIXn from 1, CDi_j in degrees a pixel."""
    return {
        "CRVAL1": exposure.ra + ccd.offset_x / math.cos(math.radians(exposure.dec)),
        "CRVAL2": exposure.dec + ccd.offset_y,
        "CRPIX1": ccd.crpix1,
        "CRPIX2": ccd.crpix2,
        "CD1_1": ccd.cd1_1,
        "CD1_2": ccd.cd1_2,
        "CD2_1": ccd.cd2_1,
        "CD2_2": ccd.cd2_2,
    }


def refracted(
    refraction: Refraction, exposure: Exposure, ra: Floats, dec: Floats, colour: Floats | float = 0.0
) -> tuple[Floats, Floats]:
    """Where the telescope sees sources, relative to the pointing, which it corrects for itself.

    `colour` is g - r above that of the guide star, in magnitudes.
    """
    if not refraction.on:
        return ra, dec
    tangent = math.sqrt(max(exposure.airmass**2 - 1.0, 0.0))
    angle = math.radians(parallactic_angle(exposure.ra, exposure.dec, exposure.mjd))
    up_east, up_north = math.sin(angle), math.cos(angle)
    xi, eta = to_plane(exposure.ra, exposure.dec, ra, dec)
    up, side = xi * up_east + eta * up_north, xi * up_north - eta * up_east
    constant = math.radians(refraction.constant / 3600.0)
    band = refraction.colour.get(exposure.band.name[0], 0.0) / 3600.0
    # what stands higher is lifted less; the plane shrinks across by the constant itself (Smart 1977, sec. 36)
    up = up - constant * (1.0 + tangent**2) * up - band * tangent * np.asarray(colour)
    side = side - constant * side
    return from_plane(exposure.ra, exposure.dec, up * up_east + side * up_north, up * up_north - side * up_east)


@dataclass(frozen=True, slots=True)
class Bend:
    """By how much a CCD's pixels lie beside where its linear header has them: polynomials of third order."""

    across: Floats
    """(10,) pixels along x, of the coordinates below."""
    along: Floats
    """(10,) pixels along y."""
    middle: tuple[float, float]
    """Pixel, from 0 in the frame as read out, at which both coordinates are 0."""
    half: tuple[float, float]
    """Pixels at which they are 1."""

    def at(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """What to take from a linear position near pixels `x`, `y` for the true one."""
        terms = _terms((x - self.middle[0]) / self.half[0], (y - self.middle[1]) / self.half[1])
        return self.across @ terms, self.along @ terms


def _terms(u: Floats, v: Floats) -> Floats:
    return np.stack([u**a * v**b for a, b in _TERMS])


def bend_of(instrument: Instrument, ccd: Ccd, third: float) -> Bend:
    """Distortion of a CCD after its header's linear part is taken off, by least squares over its pixels."""
    across = ccd.column + instrument.ccd_width / 2 - instrument.mosaic_width / 2
    along = ccd.row + instrument.ccd_height / 2 - instrument.mosaic_height / 2
    sense = -1.0 if ccd.flipped else 1.0
    return _bend(instrument.datasec, (across, along), sense, instrument.pixel_scale / 3600.0, third)


@lru_cache(maxsize=256)
def _bend(
    datasec: tuple[int, int, int, int], centre: tuple[float, float], sense: float, scale: float, third: float
) -> Bend:
    """Distortion of a CCD whose middle lies at `centre`, pixels from the axis; degrees a pixel are `scale`."""
    x0, x1, y0, y1 = datasec
    middle, half = ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2)
    u, v = _grid()
    far_x, far_y = (centre[0] + sense * u * half[0]) * scale, (centre[1] + sense * v * half[1]) * scale
    stretch = third * (far_x**2 + far_y**2)
    terms = _terms(u, v)
    found: list[Floats] = []
    for far in (far_x, far_y):
        pixels = sense * far * stretch / scale
        linear = np.linalg.lstsq(terms[:3].T, pixels, rcond=None)[0]
        rest = pixels - linear @ terms[:3]
        found.append(np.asarray(np.linalg.lstsq(terms.T, rest, rcond=None)[0], np.float64))
    return Bend(found[0], found[1], middle, half)


def _grid() -> tuple[Floats, Floats]:
    """Points of a CCD, each coordinate from -1 to 1."""
    line = np.linspace(-1.0, 1.0, _GRID)
    v, u = np.meshgrid(line, line, indexing="ij")
    return u.ravel(), v.ravel()


def linear_pixels(ccd: Ccd, exposure: Exposure, ra: Floats, dec: Floats) -> Floats:
    """Pixels (2, n), from 0 in the frame as read out, at which the header has sky coordinates in degrees."""
    cards = wcs_of(ccd, exposure)
    plane = np.stack(to_plane(cards["CRVAL1"], cards["CRVAL2"], ra, dec))
    inverse = np.linalg.inv([[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]])
    pixels: Floats = inverse @ plane + np.array([[ccd.crpix1 - 1.0], [ccd.crpix2 - 1.0]])
    return pixels


def project(
    instrument: Instrument, ccd: Ccd, exposure: Exposure, ra: Floats, dec: Floats, *, distortion: Distortion
) -> Floats:
    """Pixels (2, n), from 0 in the frame as read out, on which sky coordinates in degrees fall.

    With the distortion off these are the header's own. The polynomial is meant for the CCD and its surroundings:
    what lies farther than a CCD's width outside stays where the linear solution has it.
    """
    linear = linear_pixels(ccd, exposure, ra, dec)
    if not distortion.on:
        return linear
    bend = bend_of(instrument, ccd, distortion.third)
    near = (np.abs(linear[0] - bend.middle[0]) < 3 * bend.half[0]) & (
        np.abs(linear[1] - bend.middle[1]) < 2 * bend.half[1]
    )
    pixels = linear.copy()
    x, y = linear[0][near], linear[1][near]
    right, up = x, y
    for _ in range(_STEPS):
        off_x, off_y = bend.at(right, up)
        right, up = x - off_x, y - off_y
    pixels[0, near], pixels[1, near] = right, up
    return pixels


def pv_terms(instrument: Instrument, ccd: Ccd, distortion: Distortion) -> dict[str, float]:
    """PVi_j of a TPV header (Calabretta et al. 2004; SCAMP's convention) that describes the distortion exactly."""
    bend = bend_of(instrument, ccd, distortion.third)
    u, v = _grid()
    x, y = bend.middle[0] + u * bend.half[0], bend.middle[1] + v * bend.half[1]
    off_x, off_y = bend.at(x, y)
    matrix = np.array([[ccd.cd1_1, ccd.cd1_2], [ccd.cd2_1, ccd.cd2_2]])
    start = np.array([[ccd.crpix1 - 1.0], [ccd.crpix2 - 1.0]])
    plain = matrix @ (np.stack([x, y]) - start)
    true = matrix @ (np.stack([x + off_x, y + off_y]) - start)
    cards: dict[str, float] = {}
    for axis, (first, second) in enumerate(((plain[0], plain[1]), (plain[1], plain[0])), start=1):
        # far from the reference pixel the powers are alike: fitted about the middle they would not be PV's
        terms = _terms(first, second)
        sizes = np.abs(terms).max(axis=1)
        found = np.linalg.lstsq((terms / sizes[:, None]).T, true[axis - 1], rcond=None)[0] / sizes
        cards |= {f"PV{axis}_{number}": float(value) for number, value in zip(_PV, found, strict=True)}
    return cards
