"""Bits of the 8-bit flag map; they never change their meaning."""

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


ALL_FLAGS: Final = int(~PixelFlag(0))
"""Every named bit."""
BITS: Final = 8
"""Bits of a flag."""
