"""Galaxies of a field: shells of constant comoving depth, filled from luminosity functions by type.

Numbers are Poisson in each shell and type. Only galaxies that can be brighter than the faint
limit are drawn at all; those that are not, once their redshift and inclination are known, are
dropped, which leaves the statistics of the whole as they are.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.stuff import lensing, spectra
from processing.stuff.colours import Band, Colour, Way
from processing.stuff.cosmology import Z_MAX, Cosmology, cosmology
from processing.stuff.luminosity import Schechter, schechter
from processing.stuff.settings import MARGIN, GalaxyType, Settings

Floats = NDArray[np.float64]
STEEPEST = 85.0
"""Degrees; largest inclination of a disc."""
HALF_LIGHT = 1.67834699
"""Half-light radius of an exponential disc over its scale length."""
FLATTENING, SPREAD = 0.65, 0.18
"""Mean and standard deviation of the true axis ratio of bulges; what is above 1 is round.
Binggeli 1980, A&A 82, 289 has such a distribution for ellipticals."""
_SAFETY = 0.3
"""Magnitudes beyond the limits within which galaxies are drawn, for change within a shell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Galaxies:
    """Galaxies; every field is an array over them, the last axis where there are several."""

    x: Floats
    """Degrees from the centre of the field to the right of the image (to the west)."""
    y: Floats
    """Degrees from the centre of the field upwards."""
    magnitudes: Floats
    """(passbands, galaxies)."""
    bulge_fractions: Floats
    """(passbands, galaxies); share of the bulge in the light."""
    bulge_radius: Floats
    """Arcsec; effective radius."""
    bulge_ratio: Floats
    """Axis ratio of the bulge, projected."""
    bulge_angle: Floats
    """Degrees from x over y."""
    disc_radius: Floats
    """Arcsec; scale length."""
    disc_ratio: Floats
    disc_angle: Floats
    z: Floats
    hubble: Floats
    """Revised Hubble type."""

    def __len__(self) -> int:
        return len(self.z)

    def taken(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Galaxies":
        """Return the chosen galaxies."""
        return replace(self, **{each.name: getattr(self, each.name)[..., chosen] for each in fields(self)})

    @classmethod
    def joined(cls, parts: list["Galaxies"]) -> "Galaxies":
        """Return several lists as one."""
        return cls(
            **{each.name: np.concatenate([getattr(part, each.name) for part in parts], axis=-1) for each in fields(cls)}
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """Galaxies before their light is known."""

    kind: NDArray[np.int64]
    """Number of the type."""
    z: Floats
    magnitude: Floats
    """Absolute, reference passband."""


class Population:
    """All that a field's galaxies are drawn from; made once for some settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.universe: Cosmology = cosmology(settings.hubble_constant, settings.omega_matter, settings.omega_lambda)
        self.reference = _band(
            settings.reference_passband,
            settings.reference_standard,
            settings.reference_photons,
            ("PASSBAND_REF", "CALIBSED_REF"),
        )
        count = len(settings.passbands)
        standards = settings.standards * count if len(settings.standards) == 1 else settings.standards
        photons = settings.photons * count if len(settings.photons) == 1 else settings.photons
        self.bands = [
            _band(*each, ("PASSBAND_OBS", "CALIBSED_OBS"))
            for each in zip(settings.passbands, standards, photons, strict=True)
        ]
        self.law = spectra.law(settings.extinction_law)
        self.functions: list[Schechter] = [schechter(kind.alpha) for kind in settings.types]
        self.curves = [spectra.galaxy(name) for name in settings.seds]
        self.most_dust = max((kind.extinction for kind in settings.types), default=0.0) * -np.log10(
            np.cos(np.radians(STEEPEST))
        )
        self.farthest = self._farthest()
        self._ways: dict[int | None, Way] = {}
        self._colours: dict[tuple[int, int | None, bool], Colour] = {}

    def colour(self, sed: int, band: int | None, *, dusty: bool) -> Colour:
        """Colour of a spectrum in a passband by number; None is the reference passband, which hydrogen spares."""
        if band not in self._ways:
            self._ways[band] = Way(
                self.reference if band is None else self.bands[band],
                self.reference,
                farthest=self.farthest,
                law=self.law,
                most_dust=self.most_dust,
                igm=self.settings.igm and band is not None,
            )
        key = (sed, band, dusty)
        if key not in self._colours:
            self._colours[key] = self._ways[band].colour(self.curves[sed], dusty=dusty)
        return self._colours[key]

    def light(self, drawn: Drawn, dust: Floats, band: int | None) -> tuple[Floats, Floats]:
        """Apparent magnitudes, and the shares of the bulges, in one passband."""
        modulus = self.universe.distance_modulus(drawn.z)
        magnitude, share = np.empty(len(modulus)), np.empty(len(modulus))
        for number, kind in enumerate(self.settings.types):
            mine = np.flatnonzero(drawn.kind == number)
            z, fraction = drawn.z[mine], kind.bulge_fraction
            bulge = disc = np.zeros(len(mine))
            dusty = kind.extinction > 0
            if fraction > 0:
                bulge = fraction * 10 ** (-0.4 * self.colour(kind.bulge_sed, band, dusty=dusty).at(z, dust[mine]))
            if fraction < 1:
                disc = (1 - fraction) * 10 ** (-0.4 * self.colour(kind.disc_sed, band, dusty=dusty).at(z, dust[mine]))
            magnitude[mine] = -2.5 * np.log10(bulge + disc)
            share[mine] = bulge / (bulge + disc)
        return magnitude + drawn.magnitude + modulus, share

    def limits(self, kind: GalaxyType, z: Floats) -> tuple[Floats, Floats]:
        """Absolute magnitudes between which galaxies at `z` can lie within the limits, with some room."""
        settings = self.settings
        shift = 5.0 * np.log10(settings.h)
        both = []
        for dust in (0.0, self.most_dust if kind.extinction > 0 else 0.0):
            parts = [
                fraction * 10 ** (-0.4 * self.colour(sed, None, dusty=dust > 0).at(z, np.full(len(z), dust)))
                for fraction, sed in (
                    (kind.bulge_fraction, kind.bulge_sed),
                    (1.0 - kind.bulge_fraction, kind.disc_sed),
                )
                if fraction > 0
            ]
            both.append(-2.5 * np.log10(sum(parts)))
        modulus = self.universe.distance_modulus(z)
        gain = lensing.gain(settings)
        faint = settings.limits[1] + gain - modulus - np.minimum(*both) + _SAFETY
        bright = settings.limits[0] + gain - modulus - np.maximum(*both) - 4 * _SAFETY
        low, high = settings.absolute_limits
        return np.maximum(bright, low + shift), np.minimum(faint, high + shift)

    def numbers(self, z: Floats, *, evolved: bool = True) -> tuple[Floats, Floats, Floats]:
        """For each type and redshift: galaxies a Mpc^3 within reach, and their limits as offsets from M*."""
        shift = 5.0 * np.log10(self.settings.h)
        density, brights, faints = (np.empty((len(self.settings.types), len(z))) for _ in range(3))
        for number, (kind, function) in enumerate(zip(self.settings.types, self.functions, strict=True)):
            knee = kind.m_star + shift + kind.m_evolution * np.log1p(z)
            bright, faint = (limit - knee for limit in self.limits(kind, z))
            bright = np.minimum(bright, faint)
            phi = kind.phi_star * self.settings.h**3 * ((1.0 + z) ** kind.phi_evolution if evolved else 1.0)
            density[number] = phi * (function.brighter(faint) - function.brighter(bright))
            brights[number], faints[number] = bright, faint
        return density, brights, faints

    def _farthest(self) -> float:
        """Redshift beyond which no spectrum has light in the reference passband."""
        shortest = min(curve.wavelength[np.flatnonzero(curve.value > 0)[0]] for curve in self.curves)
        return float(np.clip(self.reference.response.wavelength[-1] / shortest - 1.0, 0.1, Z_MAX - 0.1))


def _band(name: str, calibration: str, photons: bool, keys: tuple[str, str]) -> Band:
    curve = spectra.standard(calibration, key=keys[1])
    shift = spectra.ZERO_POINTS.get((name.lower(), calibration.lower()), 0.0)
    curve = spectra.Curve(curve.wavelength, curve.value * 10.0 ** (-0.4 * shift))
    band = Band(spectra.passband(name, key=keys[0]), curve, photons)
    if not np.all(np.isfinite(band.weights)):
        raise BadSetting(f"{keys[1]} = {calibration}: it has no light in the passband {name}; AB has light everywhere")
    return band


def draw(population: Population, random: np.random.Generator) -> Drawn:
    """Draw the galaxies of the field's shells."""
    settings, universe = population.settings, population.universe
    edges = universe.shells(settings.shell / settings.h, population.farthest)
    middles = 0.5 * (edges[1:] + edges[:-1])
    density, brights, faints = population.numbers(middles)
    width, height = settings.sides
    area = np.radians(width * MARGIN) * np.radians(height * MARGIN) * lensing.source_area(settings)
    counts = random.poisson(density * universe.volumes(edges) * area)
    types, shells = np.nonzero(counts)
    counts = counts[types, shells]
    kind, shell = np.repeat(types, counts), np.repeat(shells, counts)
    near, far = (np.interp(edges[shell + end], universe.z, universe.comoving) for end in (0, 1))
    z = np.interp(near + random.random(len(kind)) * (far - near), universe.comoving, universe.z)
    return Drawn(kind, z, absolute(population, kind, middles[shell], brights[kind, shell], faints[kind, shell], random))


def absolute(
    population: Population,
    kind: NDArray[np.int64],
    z: Floats,
    bright: Floats,
    faint: Floats,
    random: np.random.Generator,
) -> Floats:
    """Draw absolute magnitudes between offsets from M*."""
    chance, magnitude = random.random(len(kind)), np.empty(len(kind))
    shift = 5.0 * np.log10(population.settings.h)
    for number, (each, function) in enumerate(zip(population.settings.types, population.functions, strict=True)):
        mine = np.flatnonzero(kind == number)
        knee = each.m_star + shift + each.m_evolution * np.log1p(z[mine])
        magnitude[mine] = knee + function.draw(chance[mine], bright[mine], faint[mine])
    return magnitude


def dress(population: Population, drawn: Drawn, random: np.random.Generator) -> Galaxies:
    """Give drawn galaxies an inclination, light, sizes and places; drop those outside of the magnitude limits."""
    settings, count = population.settings, len(drawn.z)
    cosine = np.cos(np.radians(STEEPEST) * random.random(count))
    extinction = np.array([kind.extinction for kind in settings.types] or [0.0])
    dust = -extinction[drawn.kind] * np.log10(cosine)
    seen, _ = population.light(drawn, dust, None)
    gain = lensing.gain(settings)
    kept = np.flatnonzero((seen >= settings.limits[0] + gain) & (seen < settings.limits[1] + gain))
    drawn = Drawn(drawn.kind[kept], drawn.z[kept], drawn.magnitude[kept])
    cosine, dust, count = cosine[kept], dust[kept], len(kept)
    light = [population.light(drawn, dust, band) for band in range(len(population.bands))]
    flattening = np.clip(random.normal(FLATTENING, SPREAD, count), 0.0, 1.0)
    bulge, disc = sizes(population, drawn, random)
    angle = random.uniform(-180.0, 180.0, count)
    width, height = settings.sides
    return Galaxies(
        x=width * MARGIN * (random.random(count) - 0.5),
        y=height * MARGIN * (random.random(count) - 0.5),
        magnitudes=np.array([magnitude for magnitude, _ in light]),
        bulge_fractions=np.array([share for _, share in light]),
        bulge_radius=bulge,
        bulge_ratio=np.sqrt(flattening**2 * (1.0 - cosine**2) + cosine**2),
        bulge_angle=angle,
        disc_radius=disc,
        disc_ratio=cosine,
        disc_angle=angle,
        z=drawn.z,
        hubble=np.array([kind.hubble for kind in settings.types] or [0.0])[drawn.kind],
    )


def sizes(population: Population, drawn: Drawn, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Effective radii of bulges and scale lengths of discs, arcsec; 0 where a galaxy has none.

    Both follow luminosity without its evolution. Bulges are divided by h twice, as the original's are.
    """
    settings, laws = population.settings, population.settings.sizes
    shift, h = 5.0 * np.log10(settings.h), settings.h
    columns = [(kind.bulge_fraction, kind.m_star, kind.m_evolution) for kind in settings.types]
    fraction, knee, evolution = np.array(columns or [(0.0, 0.0, 0.0)]).T[:, drawn.kind]
    plain = drawn.magnitude - evolution * np.log1p(drawn.z) - shift
    scale = population.universe.arcsec_per_kpc(drawn.z)
    with np.errstate(divide="ignore", over="ignore"):
        above = plain - 2.5 * np.log10(fraction) - laws.bulge_magnitude
        radius = laws.bulge_radius / h**2 * 10.0 ** np.where(above < 0, -0.3 * above, -0.1 * above)
        bulge = np.where(fraction > 0, radius * (1.0 + drawn.z) ** laws.bulge_evolution * scale, 0.0)
        above = plain - 2.5 * np.log10(1.0 - fraction) - knee
        spread = np.exp(laws.disc_scatter * random.standard_normal(len(plain)))
        radius = laws.disc_radius / HALF_LIGHT / h * 10.0 ** (0.4 * laws.disc_beta * above) * spread
        disc = np.where(fraction < 1, radius * (1.0 + drawn.z) ** laws.disc_evolution * scale, 0.0)
    return bulge, disc
