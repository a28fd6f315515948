"""Magnitudes of spectra in passbands against redshift and dust: the k-corrections of a field.

A component (bulge or disc) of absolute magnitude M in the reference passband has the apparent
magnitude M + distance modulus + colour(z, dust). The colour holds the k-correction, the step
from the reference passband to the observed one, dust in the galaxy and hydrogen on the way:

    colour = -2.5 log [ S(f(w/(1+z)) e(w/(1+z)) t(w, z)) / S(c) ] + 2.5 log [ S0(f e) / S0(c0) ]

with f the spectrum, e = 10^(-0.4 dust k) the dust, t the hydrogen, c the standard of magnitude 0,
and S a sum over the passband, weighing photons or energy. Dust leaves the light in the reference
passband, at rest, as it is: luminosity functions are measured on galaxies as they are seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.stuff.igm import LINES, transmission
from processing.stuff.spectra import Curve, Law

Floats = NDArray[np.float64]
_STEP = 0.005
"""In ln(1+z): colours are linear between to 0.002 mag."""
NODES = 4
"""Amounts of dust at which colours are computed; cubic between."""
_NATURAL = -0.4 * np.log(10.0)
_FAINTEST = 1e-12
"""Share of the light at redshift 0 below which there is none: the spectrum has ended."""


@dataclass(frozen=True, slots=True)
class Band:
    """A passband with its standard."""

    response: Curve
    standard: Curve
    photons: bool

    def flux(self, light: Floats) -> Floats:
        """Sum over the last axis of `light`, given at the wavelengths of the response; 1 for the standard."""
        weight = self.weights
        total: Floats = light @ weight
        return total

    @property
    def weights(self) -> Floats:
        wavelength = self.response.wavelength
        weight = self.response.value * np.gradient(wavelength) * (wavelength if self.photons else 1.0)
        normed: Floats = weight / (weight @ self.standard.at(wavelength))
        return normed


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour of one spectrum in one passband."""

    stretch: Floats
    """ln(1+z)."""
    terms: Floats
    """(NODES, z), or (1, z) without dust: the powers of dust, from 0."""

    def at(self, z: Floats, dust: Floats) -> Floats:
        """Return magnitudes to add to M + distance modulus; 99 and more where the spectrum has ended.

        `dust` is -DISK_EXTINCT log10 cos(inclination), magnitudes.
        """
        place = np.log1p(z) / _STEP
        left = np.clip(place.astype(np.int64), 0, len(self.stretch) - 2)
        share = place - left
        value = np.zeros(len(z))
        for term in self.terms[::-1]:
            value = value * dust + term[left] + share * (term[left + 1] - term[left])
        return value


class Way:
    """What happens to light on its way from any redshift into one passband: dust at home, then hydrogen."""

    def __init__(self, band: Band, reference: Band, *, farthest: float, law: Law, most_dust: float, igm: bool) -> None:
        self.band, self.reference = band, reference
        self.stretch = np.arange(0.0, np.log1p(farthest) + 2 * _STEP, _STEP)
        self.factor = np.exp(-self.stretch)[:, None]
        seen, z = band.response.wavelength, np.expm1(self.stretch)[:, None]
        self.rest = seen * self.factor
        passed = np.ones(self.rest.shape)
        if igm:
            absorbed = np.flatnonzero(seen[0] < LINES[0] * (1.0 + z[:, 0]))
            passed[absorbed] = transmission(seen, z[absorbed])
        self.amounts = np.linspace(0.0, most_dust, NODES) if most_dust > 0 else np.zeros(1)
        depth, own_depth = law.at(self.rest), law.at(reference.response.wavelength)
        self.passed = [passed * (np.exp(_NATURAL * dust * depth) if dust else 1.0) for dust in self.amounts]
        self.own = [np.exp(_NATURAL * dust * own_depth) for dust in self.amounts]

    def colour(self, spectrum: Curve, *, dusty: bool) -> Colour:
        """Tabulate the colour of a spectrum against redshift, with dust or without."""
        light, own = spectrum.at(self.rest) * self.factor, spectrum.at(self.reference.response.wavelength)
        count = len(self.amounts) if dusty else 1
        values = np.empty((count, len(self.stretch)))
        for row, passed, kept in zip(values, self.passed, self.own, strict=False):
            here, there = self.band.flux(light * passed), self.reference.flux(own * kept)
            row[:] = -2.5 * np.log10(np.maximum(here / there, 1e-40))
        values[:, values[0] > values[0, 0] - 2.5 * np.log10(_FAINTEST)] = 99.0
        powers = np.linalg.inv(np.vander(self.amounts[:count], increasing=True))
        return Colour(self.stretch, powers @ values)
