"""One CCD of one exposure: its light, the charge that this frees, and what is read and written of it."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from processing.flags import PixelFlag
from processing.kernels import charge as wells
from processing.kernels import noise, tracks
from processing.skymaker.defects import Flaw, defects, mask_of
from processing.skymaker.detector import (
    amplifiers_of,
    flat_of,
    fringe_amplitude,
    fringes_of,
    gain_shares,
    key_of,
    optics_of,
    response_of,
)
from processing.skymaker.effects import FULL, Effects
from processing.skymaker.exposures import Exposure
from processing.skymaker.moon import moonlight
from processing.skymaker.rays import Rays, rays_of
from processing.skymaker.sources import Seen, Stock, add_ghosts, add_sources, seen_by
from processing.skymaker.trails import STEP, Trail, path_on, trails_of
from terapix.instruments import Ccd, Instrument

FAINT = 0.05
"""Light below this share of the sky's noise is not painted."""
FLOOR = -100
"""ADU; the least value that Elixir keeps."""
RAW_SATURATION = 65535
"""ADU, the largest number of the converter."""
MARKED = 1.0
"""Noise of the sky, rms: charge of a ray or light of a trail above which the truth marks a pixel."""
Crossings = list[tuple[Trail, int]]
_NONE = np.empty((0, 0), np.float32)


@dataclass(frozen=True, slots=True)
class Shot:
    """One CCD of one exposure, and all that its pixels follow from."""

    instrument: Instrument
    ccd: Ccd
    exposure: Exposure
    seed: int
    flat_serial: int = 0
    """Number that tells the flat from others."""
    effects: Effects = FULL
    stock: Stock = field(default_factory=Stock)
    """Where the sources come from."""
    threads: int = 1

    @property
    def well(self) -> float:
        """Electrons that a pixel holds: as many as SATURATE says."""
        return saturation_of(self.instrument, self.ccd) * self.ccd.gain


@dataclass(slots=True)
class Exposed:
    """What lies in the pixels of a CCD when the shutter has closed, and how it came there."""

    charge: NDArray[np.float32]
    """(rows, columns) of the illuminated part; electrons expected."""
    flat: NDArray[np.float32]
    """Response in counts, of the same shape."""
    fringes: NDArray[np.float32]
    """Pattern of the fringes; without pixels where the band has none."""
    marks: NDArray[np.uint8]
    """What befell each pixel, as `PixelFlag`."""
    seen: Seen
    rays: Rays
    ray_pixels: NDArray[np.int64]
    """Pixels that each ray marked."""
    trails: Crossings
    """Trails that cross this CCD, with the number of pixels marked."""
    lost: float = 0.0
    """Electrons that ran out at the ends of columns."""


def sky_level(instrument: Instrument, exposure: Exposure, effects: Effects = FULL) -> float:
    """ADU a pixel of the night sky in the middle of the field."""
    area = instrument.pixel_scale**2
    dark = exposure.band.exptime * float(10.0 ** (0.4 * (exposure.band.zero_point - exposure.band.sky))) * area
    return dark * (1.0 + (moonlight(exposure) if effects.sky.on and effects.sky.moon else 0.0))


def saturation_of(instrument: Instrument, ccd: Ccd) -> int:
    """ADU at which pixels of a CCD are saturated in a processed frame."""
    return int(min(instrument.saturation, ccd.saturation))


def light_of(
    shot: Shot, marks: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.float32], Seen, list[tuple[Trail, int]]]:
    """Paint the light that falls on the illuminated part of a CCD, without noise.

    Returns
    -------
    light : (rows, columns) of the illuminated part, float32, electrons of a CCD of even response
    seen : the sources
    trails : those that cross it, with the number of pixels that they mark in `marks`
    """
    instrument, ccd, effects = shot.instrument, shot.ccd, shot.effects
    level = sky_level(instrument, shot.exposure, effects) * ccd.gain
    light = np.empty((instrument.ccd_height, instrument.ccd_width), np.float32)
    random = np.random.default_rng([shot.seed, 5, shot.exposure.index])
    slopes = random.normal(0.0, effects.sky.gradient, 2)
    glow, slope_u, slope_v = (effects.sky.glow, *slopes) if effects.sky.on else (0.0, 0.0, 0.0)
    wells.fill_sky(level, glow, slope_u, slope_v, optics_of(instrument, ccd, effects.response), light)
    noise_rms = math.sqrt(level + ccd.read_noise**2)
    seen = seen_by(instrument, ccd, shot.exposure, effects, shot.stock, seed=shot.seed)
    add_sources(light, seen, instrument, ccd, shot.exposure, effects, faint=FAINT * noise_rms, threads=shot.threads)
    if effects.ghosts.on:
        add_ghosts(light, instrument, ccd, shot.exposure, effects, shot.stock, seed=shot.seed)
    crossing = _add_trails(shot, light, marks, noise_rms)
    return light, seen, crossing


def _add_trails(shot: Shot, light: NDArray[np.float32], marks: NDArray[np.uint8] | None, rms: float) -> Crossings:
    scale = shot.instrument.pixel_scale
    if marks is None:
        marks = np.zeros(light.shape, np.uint8)
    crossing = []
    for trail in trails_of(shot.effects.trails, shot.exposure, shot.instrument, seed=shot.seed):
        step = max(STEP, trail.width / scale)
        x, y, shine = path_on(trail, shot.instrument, shot.ccd, shot.exposure, shot.effects, step=step)
        adu = 10.0 ** (0.4 * (shot.exposure.band.zero_point - trail.light)) * shot.exposure.transparency
        electrons = adu * scale * shot.ccd.gain
        width = trail.width / scale / (2.0 * math.sqrt(2.0 ** (2.0 / 5.0) - 1.0))
        peak = 0.75 * electrons / width
        reach = width * math.sqrt(max((peak / (0.3 * rms)) ** 0.4 - 1.0, 0.0)) + 1.0
        count = tracks.add_trail(
            light, marks, int(PixelFlag.SATELLITE), MARKED * rms, x, y, electrons * shine, width, min(reach, 1500.0)
        )
        if count:
            crossing.append((trail, count))
    return crossing


def expose(shot: Shot) -> Exposed:
    """Gather the charge of a CCD over an exposure."""
    instrument, ccd, effects, exposure = shot.instrument, shot.ccd, shot.effects, shot.exposure
    x0, x1, y0, y1 = instrument.datasec
    boundary = instrument.amplifier_boundary - x0
    marks = np.zeros((y1 - y0, x1 - x0), np.uint8)
    light, seen, crossing = light_of(shot, marks)
    level = sky_level(instrument, exposure, effects) * ccd.gain
    fringes = _NONE
    amplitude = fringe_amplitude(effects.fringes, exposure.band)
    if amplitude > 0.0:
        fringes = fringes_of(instrument, ccd)
        wells.add_scaled(light, fringes, amplitude * level)
    flat = response_of(instrument, ccd, effects, seed=shot.seed, serial=shot.flat_serial)
    seconds = exposure.band.exptime
    dark = ccd.dark_current / 3600.0 * seconds if effects.dark.on else 0.0
    wells.collect(light, flat, boundary, *gain_shares(ccd), dark)
    for bad in defects(instrument, ccd, effects.defects):
        part = slice(max(bad.y0 - y0, 0), bad.y1 - y0), slice(bad.x0 - x0, bad.x1 - x0)
        if bad.flaw is Flaw.HOT:
            light[part] += np.float32(effects.defects.hot_charge * seconds)
        marks[part] |= int(PixelFlag.BAD)
    rays = rays_of(
        effects.cosmic_rays, shape=light.shape, seconds=seconds, zenith=math.degrees(math.acos(1.0 / exposure.airmass)),
        random=np.random.default_rng([shot.seed, 9, exposure.index, ccd.index]),
    )  # fmt: skip
    counts = np.zeros(rays.ends.size, np.int64)
    least = MARKED * math.sqrt(level + ccd.read_noise**2)
    tracks.add_paths(
        light, marks, int(PixelFlag.COSMIC), least, rays.ends, rays.path_x, rays.path_y, rays.path_charge, counts
    )
    lost = 0.0
    if effects.blooming.on:
        lost = float(wells.bleed(light, shot.well)[1])
    else:
        np.minimum(light, np.float32(shot.well), out=light)
    tracks.mark_full(light, shot.well, int(PixelFlag.SATURATED), marks)
    return Exposed(light, flat, fringes, marks, seen, rays, counts, crossing, lost)


def _read(shot: Shot, exposed: Exposed) -> NDArray[np.float32]:
    """Read a CCD: ADU above the bias."""
    levels = np.empty_like(exposed.charge)
    effects = shot.effects
    boundary = shot.instrument.amplifier_boundary - shot.instrument.datasec[0]
    departure = effects.nonlinearity.departure if effects.nonlinearity.on else 0.0
    noise.read_out(
        exposed.charge, amplifiers_of(shot.ccd, effects), boundary, shot.well, departure,
        effects.noise.on, key_of(shot.seed, 6, shot.exposure.index, shot.ccd.index), levels,
    )  # fmt: skip
    return levels


def processed(shot: Shot) -> tuple[NDArray[np.int32], Exposed]:
    """Paint a CCD as Elixir leaves it.

    Returns
    -------
    pixels : (height, width) int32, ADU, flat-fielded, without bias (and without sky where the camera's pipeline
        subtracts it); 0 in the overscan and in bad pixels, as multiplied by the mask; SATURATE in saturated pixels
    exposed : what the pixels came from
    """
    instrument = shot.instrument
    pixels = np.zeros((instrument.height, instrument.width), np.int32)
    x0, x1, y0, y1 = instrument.datasec
    exposed = expose(shot)
    fringes = shot.effects.fringes
    level = sky_level(instrument, shot.exposure, shot.effects)
    scale = fringe_amplitude(fringes, shot.exposure.band) * level * (1.0 - fringes.residual)
    ceiling = saturation_of(instrument, shot.ccd)
    noise.flatten(
        _read(shot, exposed), exposed.flat, exposed.charge, shot.well, exposed.fringes, scale, FLOOR, ceiling,
        pixels[y0:y1, x0:x1],
    )  # fmt: skip
    lift = shot.effects.bias.kept - (round(level) if "SKYSUBTR" in instrument.acceptance.done else 0)
    if lift:
        part = pixels[y0:y1, x0:x1]
        part += np.where(part < ceiling, lift, 0).astype(np.int32)
        np.minimum(part, ceiling, out=part)
    pixels *= mask_of(instrument, shot.ccd, shot.effects.defects)
    return pixels, exposed


def raw(shot: Shot) -> NDArray[np.uint16]:
    """Paint a CCD as the camera read it: with its bias and response, and with an overscan that tells the bias.

    Returns
    -------
    pixels : (height, width) uint16, ADU
    """
    instrument, ccd, bias = shot.instrument, shot.ccd, shot.effects.bias
    shape = (instrument.height, instrument.width)
    boundary = instrument.amplifier_boundary
    levels = np.empty(shape, np.float32)
    noise.read_out(
        np.zeros(shape, np.float32), amplifiers_of(ccd, shot.effects), boundary, 1.0, 0.0, False,
        key_of(shot.seed, 7, shot.exposure.index, ccd.index), levels,
    )  # fmt: skip
    x0, x1, y0, y1 = instrument.datasec
    levels[y0:y1, x0:x1] = _read(shot, expose(shot))
    if bias.on:
        levels += (bias.drift * np.exp(-np.arange(shape[0]) / bias.rows)).astype(np.float32)[:, None]
        levels[:, :boundary] += np.float32(bias.level_a)
        levels[:, boundary:] += np.float32(bias.level_b)
    np.clip(np.rint(levels, out=levels), 0, RAW_SATURATION, out=levels)
    return levels.astype(np.uint16)


def flat_frame(shot: Shot) -> NDArray[np.float32]:
    """Flat field that a CCD of an exposure is divided by."""
    return flat_of(shot.instrument, shot.ccd, shot.effects, seed=shot.seed, serial=shot.flat_serial)
