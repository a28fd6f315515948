"""Haloes, diffraction spikes and ghosts of bright stars, on the CCD, beside it and beside the mosaic.

Where light falls is the instrument's matter, how far it is seen follows from the star's flux and the noise of the sky.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.image import CcdImage, Flags
from processing.defects.saturation import Cores
from processing.defects.settings import StarSettings
from processing.flags import PixelFlag
from processing.kernels import bright
from terapix.instruments import BrightStars, Ghost

Floats = NDArray[np.float64]
SEGMENTS = 16
"""Of a spike, which narrows from one to the next."""


@dataclass(frozen=True, slots=True)
class StarsOnCcd:
    """Bright stars as a CCD sees them, those that it does not see too; arrays over them."""

    x: Floats
    """Pixels from 0 of the CCD as read out; any number."""
    y: Floats
    light: Floats
    """ADU of the whole star in this exposure."""
    axis: tuple[float, float]
    """Pixel x, y at which the optical axis meets the plane of the CCD; beside most CCDs."""
    turned: bool = False
    """Whether the CCD lies turned by half a turn on the mosaic."""

    @classmethod
    def from_cores(cls, cores: Cores, image: CcdImage, optics: BrightStars, *, place: Area, mosaic: Area) -> Self:
        """Stars without a catalogue: the flux follows from the radius within which the wings are full.

        Good to a factor of two: the wings depend on the seeing.
        """
        arcsec = np.maximum(cores.radius, 0.5) * image.pixel_scale
        share = 10.0 ** (-0.4 * optics.wing) * arcsec**-optics.wing_slope * image.pixel_scale**2
        level = image.saturation if math.isfinite(image.saturation) else float(np.nanmax(image.pixels))
        light = level / np.minimum(share, 1.0)
        axis, turned = axis_on(image.inside, place, mosaic)
        large = cores.pixels >= 9  # what is smaller may be a hot pixel or a cosmic ray
        return cls(cores.x[large], cores.y[large], light[large], axis, turned)


def axis_on(inside: Area, place: Area, mosaic: Area) -> tuple[tuple[float, float], bool]:
    """Pixel of a CCD at which the middle of the mosaic lies, and whether the CCD is turned there by half a turn.

    `inside` is the illuminated part, `place` where it lies on the mosaic (DETSEC).
    """
    middle_x, middle_y = 0.5 * (mosaic.x0 + mosaic.x1 - 1), 0.5 * (mosaic.y0 + mosaic.y1 - 1)
    x = inside.x0 + (place.x1 - 1 - middle_x if place.flipped_x else middle_x - place.x0)
    y = inside.y0 + (place.y1 - 1 - middle_y if place.flipped_y else middle_y - place.y0)
    return (x, y), place.flipped_x


def mark_stars(
    image: CcdImage, flags: Flags, background: Background, stars: StarsOnCcd, optics: BrightStars,
    settings: StarSettings,
) -> int:  # fmt: skip
    """Mark what bright stars shed light on as HALO, SPIKE and GHOST.

    Parameters
    ----------
    image : CcdImage
    flags : (ny, nx) int16, changed in place
    background : Background
        Its noise tells how far light is seen.
    stars : StarsOnCcd
    optics : BrightStars
        Of the instrument's file.
    settings : StarSettings

    Returns
    -------
    count : int
        Bits set.
    """
    rms = background.typical_rms
    if not settings.on or stars.x.size == 0 or rms <= 0.0:
        return 0
    inside, scale = image.inside, image.pixel_scale
    corners = np.array([inside.x0, inside.x1, inside.y0, inside.y1])
    halo = reach(stars.light, optics.halo, optics.halo_slope, settings.halo * rms, scale)
    halo = np.minimum(halo, optics.halo_longest / scale)
    seen = reach(stars.light, optics.spike, optics.spike_slope, settings.spike * rms, scale)
    spike = np.minimum(seen, optics.spike_longest / scale)
    count = 0
    for k in np.flatnonzero(bright.near_part(stars.x, stars.y, halo, corners) & (halo >= settings.smallest)):
        count += bright.mark_ring(flags, corners, stars.x[k], stars.y[k], halo[k], 0.0, int(PixelFlag.HALO))
    turn = 180.0 if stars.turned else 0.0
    for k in np.flatnonzero(bright.near_part(stars.x, stars.y, spike, corners) & (spike >= settings.smallest)):
        edges = np.linspace(0.0, spike[k], SEGMENTS + 1)
        halves = widths_along(0.5 * (edges[1:] + edges[:-1]), seen[k], optics) / scale
        for angle in np.radians(np.asarray(optics.spike_angles) + turn):
            for first, last, half in zip(edges[:-1], edges[1:], halves, strict=True):
                count += bright.mark_bar(
                    flags, corners, stars.x[k], stars.y[k], math.cos(angle), math.sin(angle), first, last, half,
                    int(PixelFlag.SPIKE),
                )  # fmt: skip
    for ghost in optics.ghosts:
        count += _mark_ghost(flags, corners, stars, ghost, settings.ghost * rms, scale)
    return count


def reach(light: Floats, brightness: float, slope: float, limit: float, scale: float) -> Floats:
    """Pixels from stars of `light` ADU at which their own light has fallen to `limit` ADU a pixel.

    `brightness` is the magnitude of a square arcsec at 1 arcmin from a star of magnitude 0, and `slope` the power of
    the distance with which light falls; `scale` is in arcsec a pixel.
    """
    at_minute = light * 10.0 ** (-0.4 * brightness) * scale**2
    distance: Floats = 60.0 / scale * (np.maximum(at_minute, 0.0) / limit) ** (1.0 / slope)
    return distance


def widths_along(places: Floats, seen: float, optics: BrightStars) -> Floats:
    """Arcsec to each side of a spike at which its light is no longer seen, `places` along it; `seen` is where it ends.

    Across it, light falls as that of a trail does, by Moffat's profile of exponent 5/2: the brighter, the wider.
    """
    brighter = (seen / np.maximum(places, 1.0)) ** (optics.spike_slope / 2.5)
    half: Floats = 0.5 * optics.spike_width * np.sqrt(np.maximum(brighter - 1.0, 1.0))
    return half


def _mark_ghost(
    flags: Flags, corners: NDArray[np.int64], stars: StarsOnCcd, ghost: Ghost, limit: float, scale: float
) -> int:
    radius = ghost.radius / scale
    area = math.pi * radius**2 * (1.0 - ghost.hole**2)
    x = stars.axis[0] + ghost.offset * (stars.x - stars.axis[0])
    y = stars.axis[1] + ghost.offset * (stars.y - stars.axis[1])
    seen = bright.near_part(x, y, np.full(x.size, radius), corners) & (stars.light * ghost.share / area >= limit)
    return sum(
        bright.mark_ring(flags, corners, x[k], y[k], radius, ghost.hole * radius, int(PixelFlag.GHOST))
        for k in np.flatnonzero(seen)
    )
