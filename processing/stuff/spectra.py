"""Spectra, passbands and extinction laws by name, from the tables of ``etc/spectra`` or from a file of the user.

Names are those of the original's configuration files. A name that is none of them may be
the path of an ASCII file with two columns, wavelength in Angstrom and value.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from terapix.installation import etc_directory

Floats = NDArray[np.float64]
GALAXIES = ("E", "Sbc", "Scd", "Im", "Im_CWW")
PASSBANDS = {"couch/Bj": ("bj", "Bj")} | {
    f"megaprime/{band}": ("megaprime", band)
    for band in ("u", "g", "r", "i", "i2", "z", "u_2015", "g_2015", "r_2015", "i_2015", "z_2015")
}
STANDARDS = ("AB", "Vega")
ZERO_POINTS = {("couch/bj", "vega"): 0.075}
"""Magnitudes by which the original's standard is fainter than ours, as its magnitude limit shows."""
LAWS = {"LMC_Gordon03.ext": "LMC_lists", "LMC_Gordon03_published": "LMC"}
"""The first is what the original does under this name, as its lists show; the second is the table of the paper."""
STARS = {"a5v": 8080.0, "f5v": 6550.0, "g5v": 5660.0, "k5v": 4440.0, "m5v": 3060.0}
"""Effective temperatures, K: Pecaut & Mamajek 2013, ApJS 208, 9. The spectra are black bodies."""
_SECOND_RADIATION = 1.438776877e8
"""Second radiation constant, Angstrom K."""
_FAINTEST_RESPONSE = 1e-4
"""Share of the peak below which a response at either end is left out."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity against wavelength, linear between its points and 0 outside of them."""

    wavelength: Floats
    """Angstrom, growing."""
    value: Floats

    def at(self, wavelength: Floats) -> Floats:
        value: Floats = np.interp(wavelength, self.wavelength, self.value, left=0.0, right=0.0)
        return value


@lru_cache(maxsize=16)
def table(name: str) -> dict[str, Floats]:
    """Columns of one of the shipped tables."""
    path = etc_directory() / "spectra" / f"{name}.ecsv"
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    except OSError as problem:
        raise BadSetting(
            f"{path}: cannot be read ({problem.strerror}); set TERAPIX_ETC to the etc directory"
        ) from problem
    columns = np.array([line.split() for line in lines[1:]], dtype=np.float64).T
    return dict(zip(lines[0].split(), columns, strict=True))


def galaxy(name: str, *, key: str = "SED_GALAXIES") -> Curve:
    """Spectrum of a galaxy: power per unit of wavelength, in a unit of its own."""
    known = _matched(name, GALAXIES)
    return _column("galaxies", known) if known else _own(name, key, GALAXIES)


def star(name: str, *, key: str = "SED_STARS") -> Curve:
    """Black body with the temperature of a spectral type (power per unit of wavelength), or the user's spectrum."""
    known = _matched(name, tuple(STARS))
    if not known:
        return _own(name, key, tuple(STARS))
    wavelength = np.arange(2000.0, 25001.0, 10.0)
    return Curve(wavelength, wavelength**-5.0 / np.expm1(_SECOND_RADIATION / STARS[known] / wavelength) * 1e18)


def passband(name: str, *, key: str = "PASSBAND_OBS") -> Curve:
    """Response of a passband, without what lies outside of it."""
    known = _matched(name, tuple(PASSBANDS))
    curve = _column(*PASSBANDS[known]) if known else _own(name, key, tuple(PASSBANDS))
    inside = np.flatnonzero(curve.value > _FAINTEST_RESPONSE * curve.value.max())
    if not len(inside):
        raise BadSetting(f"{key} = {name}: no response above 0 was found; two columns, Angstrom and response, go in")
    kept = slice(max(inside[0] - 1, 0), inside[-1] + 2)
    return Curve(curve.wavelength[kept], curve.value[kept])


def standard(name: str, *, key: str = "CALIBSED_OBS") -> Curve:
    """Spectrum of magnitude 0, up to a factor for AB (power per unit of wavelength)."""
    known = _matched(name, STANDARDS)
    if known == "Vega":
        return _column("vega", "Vega")
    if known == "AB":
        wavelength = np.arange(500.0, 30001.0, 5.0)
        return Curve(wavelength, wavelength**-2.0)
    return _own(name, key, STANDARDS)


@dataclass(frozen=True, slots=True)
class Law:
    """An extinction law, interpolated in the reciprocal of wavelength."""

    reciprocal: Floats
    """1/Angstrom, growing."""
    value: Floats
    """Magnitudes for each magnitude of DISK_EXTINCT."""

    def at(self, wavelength: Floats) -> Floats:
        value: Floats = np.interp(1.0 / wavelength, self.reciprocal, self.value)
        return value


def law(name: str, *, key: str = "EXTINCT_NAME") -> Law:
    """Extinction law by name; constant beyond its table."""
    known = _matched(name.removesuffix(".ext") + ".ext", tuple(LAWS)) or _matched(name, tuple(LAWS))
    curve = _column("extinction", LAWS[known]) if known else _own(name, key, tuple(LAWS))
    return Law(1.0 / curve.wavelength[::-1], curve.value[::-1])


def _matched(name: str, known: tuple[str, ...]) -> str | None:
    return next((each for each in known if each.lower() == name.lower()), None)


def _column(place: str, column: str) -> Curve:
    held = table(place)
    return Curve(held["wavelength"], held[column])


def _own(name: str, key: str, known: tuple[str, ...]) -> Curve:
    path = Path(name)
    if not path.is_file():
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        raise BadSetting(f"{key} = {name}: neither a known name nor a file; {hint}")
    rows = [line.split("#")[0].split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    try:
        points = np.array([row[:2] for row in rows if row], dtype=np.float64)
    except ValueError:
        points = np.zeros((0, 2))
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != 2 or np.any(np.diff(points[:, 0]) <= 0):
        expected = "two columns, growing wavelength in Angstrom and value, were expected"
        raise BadSetting(f"{key} = {name}: {expected}")
    return Curve(points[:, 0], points[:, 1])
