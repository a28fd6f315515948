"""Which stars a model fits: median and standard deviation that outliers have no part in."""

import numpy as np

from processing.psfex.sample import Floats

_CLIP = 3.0
"""Standard deviations of the square root of reduced chi2 above the median beyond which a star does not fit."""
_NARROW = 0.1
"""Standard deviation below which clipping ends…"""
_STEADY = 1e-4
"""…or where it changes by less, relative."""


def limit_of(chi: Floats) -> float:
    """Return the largest square root of reduced chi2 of a star that fits.

    Median and deviation are those of stars within 3 deviations on both sides, found again until the deviation stays.
    """
    low, high, before = -np.inf, np.inf, 1.0
    for _ in range(100):
        inside = chi[(chi > low) & (chi < high)]
        if len(inside) < 2:
            break
        middle, spread = float(np.median(inside)), float(inside.std(ddof=1))
        low, high = middle - _CLIP * spread, middle + _CLIP * spread
        if spread < _NARROW or abs(spread / before - 1.0) <= _STEADY:
            break
        before = spread
    return float(high)
