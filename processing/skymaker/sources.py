"""The sources that shed light on a CCD, from the seed's own sky or from a list, where the camera sees them."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.kernels import charge
from processing.skymaker.catalogue import HALF_SIDE, Catalogue, sky
from processing.skymaker.detector import optics_of
from processing.skymaker.distortion import project, refracted
from processing.skymaker.effects import Effects
from processing.skymaker.exposures import FIELD_DEC, FIELD_RA, Exposure
from processing.skymaker.field import psf_on
from processing.skymaker.objects import read_objects
from processing.skymaker.scene import Scene, paint_scene
from terapix.instruments import Ccd, Instrument

MARGIN = 300.0
"""Pixels round a CCD within which objects may still shed light on it."""
MIDDLE_COLOUR = 0.75
"""g - r of the sources that refraction lifts as much as the guide star."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Stock:
    """Where the sources come from."""

    ra: float = FIELD_RA
    """Degrees; middle of the seed's sky, if no list is given."""
    dec: float = FIELD_DEC
    half_side: float = HALF_SIDE
    """Degrees."""
    lists: tuple[tuple[str, Path], ...] = ()
    """Lists of sources by filter; the empty name stands for every filter."""

    def catalogue(self, exposure: Exposure, *, seed: int) -> Catalogue:
        """Read or make the objects."""
        chosen = dict(self.lists)
        path = chosen.get(exposure.band.filter) or chosen.get(exposure.band.name) or chosen.get("")
        if path is not None:
            return read_objects(path, exposure.band.filter)
        return sky(seed, self.ra, self.dec, self.half_side)


@dataclass(frozen=True, slots=True)
class Seen:
    """Sources that a CCD sees or that lie beside it; arrays over them."""

    number: NDArray[np.int64]
    """Place in the catalogue."""
    x: Floats
    """Pixels of the illuminated part, from 0."""
    y: Floats
    flux: Floats
    """ADU of a processed frame."""
    objects: Catalogue

    @property
    def stars(self) -> NDArray[np.bool_]:
        point: NDArray[np.bool_] = self.objects.stars[self.number]
        return point


def natural_magnitudes(exposure: Exposure, objects: Catalogue) -> Floats:
    """Magnitudes of all objects as this filter sees them: without the colour term of PHOT_X."""
    known = objects.magnitudes
    if "" in known:
        return known[""]
    first, second = exposure.band.colour
    main: Floats = known[exposure.band.name[0]]
    return main - exposure.band.colour_term * (known[first] - known[second])


def place_of(
    instrument: Instrument, ccd: Ccd, exposure: Exposure, effects: Effects, objects: Catalogue
) -> tuple[Floats, Floats]:
    """Pixels of the frame as read out, from 0, on which all objects fall; far ones roughly."""
    known = objects.magnitudes
    colour: Floats | float = 0.0 if "" in known else known["g"] - known["r"] - MIDDLE_COLOUR
    ra, dec = refracted(effects.refraction, exposure, objects.ra, objects.dec, colour)
    x, y = project(instrument, ccd, exposure, ra, dec, distortion=effects.distortion)
    return x, y


def seen_by(instrument: Instrument, ccd: Ccd, exposure: Exposure, effects: Effects, stock: Stock, *, seed: int) -> Seen:
    """Find the sources on a CCD and within MARGIN of it."""
    objects = stock.catalogue(exposure, seed=seed)
    x, y = place_of(instrument, ccd, exposure, effects, objects)
    x0, x1, y0, y1 = instrument.datasec
    near = (x > x0 - MARGIN) & (x < x1 + MARGIN) & (y > y0 - MARGIN) & (y < y1 + MARGIN)
    number = np.flatnonzero(near)
    flux = exposure.adu_at_zero * 10.0 ** (-0.4 * natural_magnitudes(exposure, objects)[number])
    return Seen(number, x[number] - x0, y[number] - y0, flux, objects)


def add_sources(
    light: NDArray[np.float32],
    seen: Seen,
    instrument: Instrument,
    ccd: Ccd,
    exposure: Exposure,
    effects: Effects,
    *,
    faint: float,
    threads: int,
) -> None:
    """Add the sources to `light`, in electrons."""
    objects, number = seen.objects, seen.number
    disc, bulge = (
        np.degrees(on_ccd(ccd, angle[number])) % 180.0 for angle in (objects.angle, objects.bulge_angles)
    )  # fmt: skip
    scene = Scene(
        seen.x, seen.y, seen.flux * ccd.gain, objects.bulge[number], objects.bulge_radius[number],
        objects.bulge_ratio[number], bulge, objects.scale[number], objects.ratio[number], disc,
        objects.index[number] if objects.index.size else objects.index,
    )  # fmt: skip
    psf = psf_on(instrument, ccd, exposure, effects)
    paint_scene(light, scene, psf, pixel_scale=instrument.pixel_scale, faint=faint, threads=threads)


_EVEN = Effects().plain().response


def on_ccd(ccd: Ccd, angle: Floats) -> Floats:
    """Angle in radians from the rows of the CCD of an axis at `angle` from north over east."""
    north, east = math.copysign(1.0, ccd.cd2_2), math.copysign(1.0, ccd.cd1_1)
    return np.arctan2(north * np.cos(angle), east * np.sin(angle))


def add_ghosts(
    light: NDArray[np.float32],
    instrument: Instrument,
    ccd: Ccd,
    exposure: Exposure,
    effects: Effects,
    stock: Stock,
    *,
    seed: int,
) -> None:
    """Add the ghosts of the bright stars of the whole field to `light`, in electrons."""
    objects = stock.catalogue(exposure, seed=seed)
    magnitudes = natural_magnitudes(exposure, objects)
    bright = objects.stars & (magnitudes < effects.ghosts.faintest)
    if not bright.any():
        return
    flux = exposure.adu_at_zero * 10.0 ** (-0.4 * magnitudes[bright]) * ccd.gain
    few = Catalogue(
        objects.ra[bright], objects.dec[bright], {"": magnitudes[bright]}, *(np.zeros(int(bright.sum())),) * 6
    )
    x, y = place_of(instrument, ccd, exposure, effects, few)
    x0, _, y0, _ = instrument.datasec
    u0, du, v0, dv = optics_of(instrument, ccd, _EVEN)[:4]
    axis_x, axis_y = -u0 / du, -v0 / dv
    ghosts = effects.ghosts
    for share, radius, offset in (
        (ghosts.near, ghosts.near_radius, ghosts.near_offset),
        (ghosts.far, ghosts.far_radius, ghosts.far_offset),
    ):
        at_x, at_y = axis_x + offset * (x - x0 - axis_x), axis_y + offset * (y - y0 - axis_y)
        size = np.full(at_x.size, radius)
        charge.add_rings(light, at_x, at_y, size, np.full(at_x.size, ghosts.obstruction), flux * share)
