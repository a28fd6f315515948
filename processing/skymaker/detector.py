"""What the detectors do to the light: response, bad columns, dust, and the part that sees no light."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.kernels import paint
from terapix.instruments import Ccd, Instrument

VIGNETTING = (0.09, 0.04)
"""Light lost in the corner of the mosaic, in the second and in the fourth order of the distance from the axis."""
GRAIN = 0.03
"""Rms of the response from pixel to pixel."""
BAD_RESPONSE = 0.12
"""Response of bad columns."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A rectangle of bad pixels, half-open, from 0, in the frame as read out."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def section(self) -> str:
        """As the header of a mask has it."""
        return f"[{self.x0 + 1}:{self.y0 + 1},{self.x1}:{self.y1}]"


def defects(instrument: Instrument, ccd: Ccd) -> tuple[Defect, ...]:
    """Bad columns of a CCD, always the same ones: a defect begins somewhere and goes on to the far end, as read out."""
    random = np.random.default_rng([2003, ccd.index])
    x0, x1, y0, y1 = instrument.datasec
    found = []
    for _ in range(int(random.poisson(4.0)) + 1):
        column = int(random.integers(x0 + 4, x1 - 4))
        first = 0 if random.random() < 0.4 else int(random.integers(y0, y1 - 200))
        found.append(Defect(column, column + 1 + int(random.random() < 0.25), first, y1))
    patch_x, patch_y = int(random.integers(x0 + 50, x1 - 100)), int(random.integers(y0 + 50, y1 - 100))
    found.append(Defect(patch_x, patch_x + 24, patch_y, patch_y + 18))
    return tuple(found)


def blind_parts(instrument: Instrument) -> tuple[Defect, ...]:
    """The overscan: columns to the left and right, rows on top."""
    x0, x1, y0, y1 = instrument.datasec
    parts = (
        Defect(0, x0, 0, instrument.height),
        Defect(x1, instrument.width, 0, instrument.height),
        Defect(x0, x1, y1, instrument.height),
        Defect(x0, x1, 0, y0),
    )
    return tuple(part for part in parts if part.x0 < part.x1 and part.y0 < part.y1)


def mask_of(instrument: Instrument, ccd: Ccd) -> NDArray[np.int16]:
    """Mask of a CCD.

    Returns
    -------
    mask : (height, width) int16; 1 where the pixel is good, 0 where it is bad or sees no light
    """
    mask = np.ones((instrument.height, instrument.width), np.int16)
    for part in blind_parts(instrument) + defects(instrument, ccd):
        mask[part.y0 : part.y1, part.x0 : part.x1] = 0
    return mask


def optics_of(instrument: Instrument, ccd: Ccd) -> NDArray[np.float64]:
    """Smooth response of the illuminated part of a CCD, as `kernels.paint.response_at` takes it; about 1."""
    random = np.random.default_rng([2004, ccd.index])
    half_x, half_y = instrument.mosaic_width / 2, instrument.mosaic_height / 2
    corner = math.hypot(half_x, half_y)
    sense = -1.0 if ccd.flipped else 1.0
    first_x = ccd.column + (instrument.ccd_width - 1 if ccd.flipped else 0)
    first_y = ccd.row + (instrument.ccd_height - 1 if ccd.flipped else 0)
    slope_x, slope_y = random.normal(0.0, 0.01, 2)
    return np.array(
        [
            (first_x - half_x) / corner, sense / corner, (first_y - half_y) / corner, sense / corner,
            VIGNETTING[0], VIGNETTING[1], 1.03 + float(random.normal(0.0, 0.02)),
            float(slope_x) / instrument.ccd_width, float(slope_y) / instrument.ccd_height,
        ]
    )  # fmt: skip


def amplifiers_of(ccd: Ccd) -> NDArray[np.float64]:
    """Gain (electrons an ADU) and read noise (electrons) of amplifier A, then of B."""
    return np.array([ccd.gain_a, ccd.read_noise_a, ccd.gain_b, ccd.read_noise_b])


def key_of(*words: int) -> np.uint64:
    """Key of the noise of one image, from what tells it from all others."""
    return np.uint64(np.random.SeedSequence(list(words)).generate_state(1, np.uint64)[0])


def flat_of(instrument: Instrument, ccd: Ccd, *, seed: int, serial: int) -> NDArray[np.float32]:
    """Flat field of a CCD.

    Parameters
    ----------
    serial : int
        Number that tells this flat from the others of the run.

    Returns
    -------
    flat : (height, width) float32, about 1; near 0.1 in bad columns, exactly 0 in the overscan
    """
    flat = np.zeros((instrument.height, instrument.width), np.float32)
    x0, x1, y0, y1 = instrument.datasec
    seen = np.zeros((y1 - y0, x1 - x0), np.float32)
    paint.respond(optics_of(instrument, ccd), GRAIN, key_of(seed, 3, serial, ccd.index), seen)
    random = np.random.default_rng([seed, 4, serial, ccd.index])
    rings = int(random.poisson(3.0))
    paint.shade_rings(
        seen,
        random.uniform(0.0, seen.shape[1], rings),
        random.uniform(0.0, seen.shape[0], rings),
        random.uniform(30.0, 110.0, rings),
        random.uniform(0.02, 0.07, rings),
    )
    flat[y0:y1, x0:x1] = seen
    for bad in defects(instrument, ccd):
        flat[bad.y0 : bad.y1, bad.x0 : bad.x1] *= np.float32(BAD_RESPONSE)
    return flat
