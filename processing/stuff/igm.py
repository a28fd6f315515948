"""Absorption by hydrogen between us and a galaxy: Madau 1995, ApJ 441, 18, equations 12, 15 and footnote 3."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LYMAN_LIMIT = 911.75
"""Angstrom."""
LINES = (1215.67, 1025.72, 972.537, 949.743)
"""Wavelengths of Lyman alpha to delta, Angstrom."""
STRENGTHS = (3.6e-3, 1.7e-3, 1.2e-3, 9.3e-4)


def transmission(wavelength: Floats, z: Floats) -> Floats:
    """Mean share of light that arrives at observed wavelengths (Angstrom) from sources at `z`; arrays broadcast."""
    wavelength, stretch = np.broadcast_arrays(wavelength, 1.0 + z)
    depth = np.zeros(wavelength.shape)
    reached = wavelength < LINES[0] * stretch
    light, ratio = wavelength[reached], stretch[reached]
    lines = np.zeros(light.shape)
    for line, strength in zip(LINES, STRENGTHS, strict=True):
        lines += np.where(light < line * ratio, strength * (light / line) ** 3.46, 0.0)
    c = light / LYMAN_LIMIT
    continuum = (
        0.25 * c**3 * (ratio**0.46 - c**0.46)
        + 9.4 * c**1.5 * (ratio**0.18 - c**0.18)
        - 0.7 * c**3 * (c**-1.32 - ratio**-1.32)
        - 0.023 * (ratio**1.68 - c**1.68)
    )
    depth[reached] = lines + np.where(c < ratio, np.maximum(continuum, 0.0), 0.0)
    share: Floats = np.exp(-depth)
    return share
