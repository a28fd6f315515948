"""Bits of the flag map; they never change their meaning."""

from collections.abc import Iterable
from enum import IntFlag
from typing import Final


class PixelFlag(IntFlag):
    """Why a pixel gives no information, or is to be used with care."""

    BAD = 1  #: ruled out by the detector's mask
    OVERSCAN = 2  #: outside the illuminated part of the CCD (DATASEC)
    SATURATED = 4  #: at or above the CCD's saturation level, or no number
    LOW_RESPONSE = 8  #: flat field below the recipe's lower bound, or no number
    HIGH_RESPONSE = 16  #: flat field above the recipe's upper bound
    COSMIC = 32  #: hit by a cosmic ray
    SATELLITE = 64  #: crossed by a satellite or an aeroplane
    BLEED = 128  #: in the trail that charge from a saturated core left along its columns
    HALO = 256  #: in the halo of a bright star
    SPIKE = 512  #: in a diffraction spike of a bright star
    GHOST = 1024  #: in the reflected image of a bright star
    HOT = 2048  #: in a column or pixel that is hot all over a run
    DEAD = 4096  #: in a CCD, or half of one, that shows no sky
    EDGE = 8192  #: too near the edge of the illuminated part
    HAND = 16384  #: marked by a person


CALIBRATION: Final = PixelFlag.BAD | PixelFlag.OVERSCAN | PixelFlag.LOW_RESPONSE | PixelFlag.HIGH_RESPONSE
"""What flat, mask and header tell, the same for all frames of a run."""
ALL_FLAGS: Final = int(~PixelFlag(0))
"""Every named bit."""
BITS: Final = 15
"""Bits of a flag; one less than a signed integer of 16 bits holds."""


def flags_named(names: Iterable[str]) -> PixelFlag:
    """Give the flags of these names together.

    Raises
    ------
    ValueError
        Names the one that is no flag, and those that are.
    """
    found = PixelFlag(0)
    for name in names:
        if name not in PixelFlag.__members__:
            raise ValueError(f"{name} is none of {', '.join(PixelFlag.__members__)}")
        found |= PixelFlag[name]
    return found
