"""The response of the detectors and their interference fringes, with the calibrations that tell of them."""

import math

import numpy as np
from numpy.typing import NDArray

from processing.kernels import charge
from processing.skymaker.defects import Flaw, defects
from processing.skymaker.effects import Effects, Fringes, Response
from processing.skymaker.exposures import Band
from terapix.instruments import Ccd, Instrument

Pixels = NDArray[np.float32]


def optics_of(instrument: Instrument, ccd: Ccd, response: Response) -> NDArray[np.float64]:
    """Smooth response of the illuminated part of a CCD, as `kernels.charge.response_at` takes it; about 1."""
    random = np.random.default_rng([2004, ccd.index])
    half_x, half_y = instrument.mosaic_width / 2, instrument.mosaic_height / 2
    corner = math.hypot(half_x, half_y)
    sense = -1.0 if ccd.flipped else 1.0
    first_x = ccd.column + (instrument.ccd_width - 1 if ccd.flipped else 0)
    first_y = ccd.row + (instrument.ccd_height - 1 if ccd.flipped else 0)
    slope_x, slope_y = random.normal(0.0, response.slopes, 2)
    level = 1.03 + float(random.normal(0.0, response.levels))
    place = [(first_x - half_x) / corner, sense / corner, (first_y - half_y) / corner, sense / corner]
    if not response.on:
        return np.array([*place, 0.0, 0.0, 1.0, 0.0, 0.0])
    slopes = [float(slope_x) / instrument.ccd_width, float(slope_y) / instrument.ccd_height]
    return np.array([*place, response.second, response.fourth, level, *slopes])


def amplifiers_of(ccd: Ccd, effects: Effects) -> NDArray[np.float64]:
    """Gain (electrons an ADU) and read noise (electrons) of amplifier A, then of B."""
    noise_a, noise_b = ccd.read_noise_a, ccd.read_noise_b
    if not (effects.noise.on and effects.noise.reading):
        noise_a = noise_b = 0.0
    return np.array([ccd.gain_a, noise_a, ccd.gain_b, noise_b])


def gain_shares(ccd: Ccd) -> tuple[float, float]:
    """By how much a flat is higher in each half than the response: counts go as one over the gain."""
    return ccd.gain / ccd.gain_a, ccd.gain / ccd.gain_b


def key_of(*words: int) -> np.uint64:
    """Key of the noise of one image, from what tells it from all others."""
    return np.uint64(np.random.SeedSequence(list(words)).generate_state(1, np.uint64)[0])


def response_of(instrument: Instrument, ccd: Ccd, effects: Effects, *, seed: int, serial: int) -> Pixels:
    """Flat field of the illuminated part of a CCD; see `flat_of`."""
    x0, x1, y0, y1 = instrument.datasec
    response = effects.response
    seen = np.empty((y1 - y0, x1 - x0), np.float32)
    grain = response.grain if response.on else 0.0
    charge.respond(
        optics_of(instrument, ccd, response), grain, key_of(seed, 3, serial, ccd.index),
        instrument.amplifier_boundary - x0, *gain_shares(ccd), seen,
    )  # fmt: skip
    random = np.random.default_rng([seed, 4, serial, ccd.index])
    rings = int(random.poisson(response.dust)) if response.on else 0
    charge.shade_rings(
        seen,
        random.uniform(0.0, seen.shape[1], rings),
        random.uniform(0.0, seen.shape[0], rings),
        random.uniform(30.0, 110.0, rings),
        random.uniform(0.02, 0.07, rings),
    )
    for bad in defects(instrument, ccd, effects.defects):
        if bad.flaw is Flaw.DEAD:
            seen[max(bad.y0 - y0, 0) : bad.y1 - y0, bad.x0 - x0 : bad.x1 - x0] *= np.float32(effects.defects.response)
    return seen


def flat_of(instrument: Instrument, ccd: Ccd, effects: Effects, *, seed: int, serial: int) -> Pixels:
    """Flat field of a CCD.

    Parameters
    ----------
    serial : int
        Number that tells this flat from the others of the run.

    Returns
    -------
    flat : (height, width) float32, about 1, in counts: what the amplifiers' gains differ stands in it; near 0.1 in
        bad columns, exactly 0 in the overscan
    """
    flat = np.zeros((instrument.height, instrument.width), np.float32)
    x0, x1, y0, y1 = instrument.datasec
    flat[y0:y1, x0:x1] = response_of(instrument, ccd, effects, seed=seed, serial=serial)
    return flat


def fringe_amplitude(fringes: Fringes, band: Band) -> float:
    """Share of the sky from the mean to a crest; 0 where the band shows no fringes."""
    return fringes.amplitude.get(band.name[0], 0.0) if fringes.on else 0.0


def fringes_of(instrument: Instrument, ccd: Ccd) -> Pixels:
    """Pattern of a CCD's illuminated part: two layers of varying thickness; mean near 0, from -1 to 1."""
    random = np.random.default_rng([2005, ccd.index])
    turns = 2.0 * math.pi
    phases = np.empty((2, 12))
    for layer in phases:
        layer[0] = random.uniform(0.0, turns)
        layer[1:3] = random.normal(0.0, 14.0, 2) * turns
        layer[3:6] = random.normal(0.0, 9.0, 3) * turns
        for at in (6, 9):
            layer[at : at + 3] = (
                random.uniform(0.2, 1.2) * turns,
                random.uniform(1.0, 3.0) * turns,
                random.uniform(0, 6),
            )
    pattern = np.empty((instrument.ccd_height, instrument.ccd_width), np.float32)
    charge.fill_fringes(phases, pattern)
    return pattern


def fringe_frame(instrument: Instrument, ccd: Ccd, effects: Effects, band: Band) -> Pixels:
    """Fringe pattern of a filter: share of the sky, (height, width) float32, exactly 0 in the overscan."""
    frame = np.zeros((instrument.height, instrument.width), np.float32)
    x0, x1, y0, y1 = instrument.datasec
    frame[y0:y1, x0:x1] = np.float32(fringe_amplitude(effects.fringes, band)) * fringes_of(instrument, ccd)
    return frame
