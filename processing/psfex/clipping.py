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

    The deviation is that of stars within 3 deviations of the median on both sides, found again until it stays. As in
    the original stars that went do not come back, and the median is that of all that the round begins with.
    """
    low, high, spread, before, left = -np.inf, np.inf, np.inf, 1.0, chi
    for _ in range(100):
        if spread < _NARROW or abs(spread / before - 1.0) <= _STEADY:
            break
        before = spread
        middle = float(np.median(left))
        left = left[(left > low) & (left < high)]
        if len(left) < 2:
            break
        spread = float(left.std(ddof=1))
        low, high = middle - _CLIP * spread, middle + _CLIP * spread
    return float(high)
