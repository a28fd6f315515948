"""What a field of Stuff is made from: the sky it covers, the galaxies and the stars in it."""

from dataclasses import dataclass, field
from pathlib import Path

from processing.errors import BadSetting

EQUATORIAL, PIXEL = "EQUATORIAL", "PIXEL"
MARGIN = 1.1
"""Side of the sky that is filled, over that of the field: what lies just outside still reaches into an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalaxyType:
    """One Hubble type with its luminosity function, in absolute magnitudes of the reference passband."""

    hubble: float
    """Revised Hubble type, -6 (E) to 10 (Im)."""
    bulge_fraction: float
    """Share of the bulge in the light of the reference passband."""
    bulge_sed: int
    """Number of its spectrum in `Settings.seds`, from 0."""
    disc_sed: int
    phi_star: float
    """Galaxies a (Mpc/h)^3, at redshift 0."""
    m_star: float
    """Magnitude, less 5 log h."""
    alpha: float
    phi_evolution: float
    """Power of 1+z by which `phi_star` changes."""
    m_evolution: float
    """Magnitudes by which `m_star` changes per unit of ln(1+z)."""
    extinction: float
    """Magnitudes of the disc per unit of -log10 cos(inclination), where the extinction law is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Laws of sizes."""

    disc_beta: float = -0.214
    """Slope of ln(size) against luminosity, of de Jong & Lacey 2000, ApJ 545, 781."""
    disc_radius: float = 3.85
    """Half-light radius of a disc of M*, kpc/h."""
    disc_evolution: float = -0.4
    """Power of 1+z."""
    disc_scatter: float = 0.36
    """Standard deviation of the natural logarithm."""
    bulge_magnitude: float = -20.0
    """Magnitude, less 5 log h, where the law of Binggeli et al. 1984, AJ 89, 64 bends."""
    bulge_radius: float = 1.58
    """Effective radius there, kpc/h."""
    bulge_evolution: float = -0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stars:
    """Stars drawn by counts, or taken from a catalogue."""

    per_square_degree: float = 3e4
    """Stars between the magnitude limits."""
    slope: float = 0.2
    """Decimal logarithm of the growth of counts a magnitude."""
    seds: tuple[str, ...] = ("a5v", "f5v", "g5v", "k5v", "m5v")
    catalogue: Path | None = None
    """FITS table, VOTable or LDAC; taken instead of drawn stars."""
    columns: tuple[str, ...] = ()
    """Columns of the catalogue: two of position, then the magnitude of each passband."""
    seed: int = 1


def _default_types() -> tuple[GalaxyType, ...]:
    columns = (
        (-6.0, -2.0, 2.0, 4.0, 6.0, 10.0),
        (1.0, 0.57, 0.32, 0.16, 0.049, 0.0),
        (0, 0, 0, 0, 0, 0),
        (0, 0, 1, 1, 2, 3),
        (4.95e-3, 4.95e-3, 7.2e-3, 5.0e-3, 1.2e-3, 1.2e-3),
        (-19.58, -19.58, -19.53, -19.17, -19.15, -19.15),
        (-0.54, -0.54, -0.99, -1.24, -1.50, -1.50),
        (-1.7, -1.7, -1.2, -1.2, -1.2, 1.9),
        (-1.0, -1.0, -1.0, -1.0, -1.0, -1.5),
        (0.0, 0.75, 1.23, 1.47, 1.47, 1.23),
    )
    names = (
        "hubble",
        "bulge_fraction",
        "bulge_sed",
        "disc_sed",
        "phi_star",
        "m_star",
        "alpha",
        "phi_evolution",
        "m_evolution",
        "extinction",
    )
    return tuple(GalaxyType(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A field; the defaults are those of the original, with a field of 2048 x 2048 pixels."""

    field_size: tuple[float, float] = (2048.0, 2048.0)
    """Width and height: pixels, or degrees where `coordinates` is EQUATORIAL."""
    pixel_size: float = 0.2
    """Arcsec."""
    coordinates: str = PIXEL
    centre: tuple[float, float] = (0.0, 0.0)
    """Right ascension and declination, degrees; read where `coordinates` is EQUATORIAL."""
    limits: tuple[float, float] = (16.0, 26.0)
    """Apparent magnitudes of the reference passband, which absorption between galaxies does not touch."""
    absolute_limits: tuple[float, float] = (-27.0, -13.0)
    """Magnitudes, less 5 log h."""
    reference_passband: str = "couch/Bj"
    reference_standard: str = "Vega"
    reference_photons: bool = False
    """Whether the reference passband weighs photons; else energy."""
    passbands: tuple[str, ...] = ("megaprime/g", "megaprime/r", "megaprime/i")
    standards: tuple[str, ...] = ("AB",)
    """One for all passbands, or one each."""
    photons: tuple[bool, ...] = (True,)
    hubble_constant: float = 70.0
    """km/s/Mpc."""
    omega_matter: float = 0.3
    omega_lambda: float = 0.7
    shell: float = 5.0
    """Comoving depth of a shell, Mpc/h."""
    seds: tuple[str, ...] = ("E", "Sbc", "Scd", "Im")
    types: tuple[GalaxyType, ...] = field(default_factory=_default_types)
    sizes: Sizes = Sizes()
    extinction_law: str = "LMC_Gordon03.ext"
    igm: bool = True
    """Whether hydrogen between the galaxies absorbs (Madau 1995, ApJ 441, 18)."""
    kappa: float = 0.0
    gamma: tuple[float, float] = (0.0, 0.0)
    clusters: Path | None = None
    seed: int = 1
    galaxies: bool = True
    stars: Stars | None = None

    def __post_init__(self) -> None:
        """Refuse what has no meaning.

        Raises
        ------
        BadSetting
            Names the key of the configuration file, the value and what was expected.
        """
        _wanted(min(self.field_size) > 0, "FIELD_SIZE", self.field_size, "two sizes above 0")
        _wanted(self.pixel_size > 0, "PIXEL_SIZE", self.pixel_size, "arcseconds above 0")
        _wanted(
            self.limits[0] < self.limits[1], "MAG_LIMITS", self.limits, "the bright limit first, then the faint one"
        )
        _wanted(
            self.absolute_limits[0] < self.absolute_limits[1],
            "LF_MAGLIMITS",
            self.absolute_limits,
            "the bright limit first, then the faint one",
        )
        _wanted(self.hubble_constant > 0, "H_0", self.hubble_constant, "km/s/Mpc above 0")
        _wanted(self.omega_matter >= 0, "OMEGA_M", self.omega_matter, "0 or above")
        _wanted(self.shell > 0, "DISTANCE_STEP", self.shell, "Mpc/h above 0")
        _wanted(bool(self.passbands), "PASSBAND_OBS", self.passbands, "at least one passband")
        for key, values in (("CALIBSED_OBS", self.standards), ("OBSDETECT_TYPE", self.photons)):
            _wanted(len(values) in {1, len(self.passbands)}, key, values, f"one value, or {len(self.passbands)}")
        g1, g2 = self.gamma
        _wanted(
            (1 - self.kappa) ** 2 - g1**2 - g2**2 > 0 and self.kappa < 1,
            "LENS_KAPPA and LENS_GAMMA",
            (self.kappa, g1, g2),
            "a weak lens, (1-kappa)^2 > gamma^2",
        )
        if self.coordinates == EQUATORIAL:
            _wanted(abs(self.centre[1]) <= 90, "COORD_CENTER", self.centre, "a declination from -90 to 90")
            _wanted(max(self.field_size) <= 20, "FIELD_SIZE", self.field_size, "degrees, 20 at most")
        for kind in self.types:
            _wanted(0 <= kind.bulge_fraction <= 1, "BULGE_FRACTION", kind.bulge_fraction, "a share from 0 to 1")
            _wanted(kind.alpha > -2, "LF_ALPHA", kind.alpha, "a slope above -2")
            _wanted(kind.phi_star >= 0, "LF_PHISTAR", kind.phi_star, "0 or above")
            for key, number in (("SEDINDEX_BULGE", kind.bulge_sed), ("SEDINDEX_DISK", kind.disc_sed)):
                _wanted(
                    0 <= number < len(self.seds), key, number + 1, f"1 to {len(self.seds)}, as SED_GALAXIES has them"
                )

    @property
    def h(self) -> float:
        """Hubble constant over 100 km/s/Mpc."""
        return self.hubble_constant / 100.0

    @property
    def sides(self) -> tuple[float, float]:
        """Width and height of the field, degrees."""
        width, height = self.field_size
        scale = 1.0 if self.coordinates == EQUATORIAL else self.pixel_size / 3600.0
        return width * scale, height * scale


def _wanted(good: bool, key: str, found: object, expected: str) -> None:
    if not good:
        raise BadSetting(f"{key} = {found}: {expected} was expected")
