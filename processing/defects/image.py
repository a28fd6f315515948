"""One CCD as those who look for its defects see it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area

Pixels = NDArray[np.float32]
Flags = NDArray[np.int16]
"""Bits of `processing.flags.PixelFlag`."""


@dataclass(frozen=True, slots=True)
class Amplifier:
    """What reads a block of columns."""

    x0: int
    """First column, from 0."""
    x1: int
    """One behind the last column."""
    gain: float
    """Electrons an ADU."""
    read_noise: float
    """Electrons rms."""


@dataclass(frozen=True, slots=True)
class CcdImage:
    """Pixels of a CCD with what its headers tell about them."""

    pixels: Pixels
    """(ny, nx) float32, ADU, as read out: the overscan too. May hold NaN."""
    inside: Area
    """Part that saw the sky."""
    amplifiers: tuple[Amplifier, ...]
    """In the order of their columns; together they cover `inside`."""
    saturation: float
    """ADU from which a pixel is saturated; infinite where no header tells."""
    pixel_scale: float
    """Arcsec a pixel."""
    name: str
    """As errors should call it: file and HDU."""
