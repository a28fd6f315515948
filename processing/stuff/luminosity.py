"""Schechter luminosity functions: how many galaxies, and how bright.

Schechter 1976, ApJ 203, 297: with x = 10^(-0.4 (M - M*)), the density of galaxies is
phi* x^alpha exp(-x) dx.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BRIGHT, _FAINT, _STEP = -6.0, 16.0, 0.002


@dataclass(frozen=True, slots=True)
class Schechter:
    """A luminosity function of one slope, with M - M* as its argument."""

    offset: Floats
    """M - M*, magnitudes, growing."""
    total: Floats
    """Galaxies brighter than `offset`, in units of phi*."""

    def brighter(self, offset: Floats) -> Floats:
        """Galaxies brighter than M* + `offset`, in units of phi*; 0 above the table's bright end."""
        number: Floats = np.interp(offset, self.offset, self.total)
        return number

    def draw(self, chance: Floats, bright: Floats, faint: Floats) -> Floats:
        """Offsets between `bright` and `faint` as the function has them, for `chance` uniform in 0 to 1."""
        low, high = self.brighter(bright), self.brighter(faint)
        drawn: Floats = np.interp(low + chance * (high - low), self.total, self.offset)
        return drawn


def schechter(alpha: float) -> Schechter:
    """Tabulate the function from 6 magnitudes brighter than M* to 16 fainter, to 1e-5 of each number."""
    offset = np.arange(_BRIGHT, _FAINT + _STEP, _STEP)
    light = 10.0 ** (-0.4 * offset)
    density = 0.4 * np.log(10.0) * light ** (alpha + 1.0) * np.exp(-light)
    steps = 0.5 * _STEP * (density[1:] + density[:-1])
    return Schechter(offset, np.concatenate((np.zeros(1), np.cumsum(steps))))
