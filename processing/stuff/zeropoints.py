"""Zero-points of passbands: magnitudes of what gives one unit of the image a second."""

import numpy as np

from processing.stuff import spectra
from processing.stuff.settings import Settings

_AB = 3.631e-20 * 2.99792458e18
"""erg/s/cm2 times Angstrom: power of magnitude 0 (AB) per unit of wavelength, times its square."""
_PHOTON = 1.98644586e-8
"""erg Angstrom: energy of a photon times its wavelength."""


def zero_points(settings: Settings, *, area: float, gain: float) -> dict[str, float]:
    """Zero-point of each passband with a standard of known power (AB, Vega).

    Parameters
    ----------
    settings : Settings
    area : float
        Collecting area, m2.
    gain : float
        Electrons a unit of the image.
    """
    found = {}
    count = len(settings.passbands)
    standards = settings.standards * count if len(settings.standards) == 1 else settings.standards
    for name, standard in zip(settings.passbands, standards, strict=True):
        band = spectra.passband(name)
        power = {"AB": _AB * band.wavelength**-2.0, "VEGA": spectra.standard("Vega").at(band.wavelength) / 10.0}
        if standard.upper() in power:
            caught = band.value * power[standard.upper()] * band.wavelength / _PHOTON
            electrons = float(caught @ np.gradient(band.wavelength)) * area * 1e4
            found[name] = 2.5 * float(np.log10(electrons / gain))
    return found
