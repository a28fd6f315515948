"""Stars of a field: drawn by counts, or taken from a catalogue."""

import warnings
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.stuff import spectra
from processing.stuff.galaxies import Population
from processing.stuff.settings import EQUATORIAL, MARGIN, Settings, Stars

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Points:
    """Stars; every field is an array over them, the last axis where there are several."""

    x: Floats
    """Degrees from the centre of the field to the right of the image (to the west)."""
    y: Floats
    magnitudes: Floats
    """(passbands, stars)."""

    def __len__(self) -> int:
        return len(self.x)


def points(population: Population) -> Points:
    """Return the stars that the settings ask for; none where they ask for none."""
    settings = population.settings
    if settings.stars is None:
        return Points(np.zeros(0), np.zeros(0), np.zeros((len(settings.passbands), 0)))
    if settings.stars.catalogue is not None:
        return from_catalogue(settings, settings.stars.catalogue, settings.stars.columns)
    return drawn(population, settings.stars)


def drawn(population: Population, stars: Stars) -> Points:
    """Draw stars between the magnitude limits of the reference passband, each with one of the spectra."""
    settings = population.settings
    random = np.random.default_rng([stars.seed, 2])
    width, height = (side * MARGIN for side in settings.sides)
    count = int(random.poisson(stars.per_square_degree * width * height))
    bright, faint = settings.limits
    chance = random.random(count)
    if abs(stars.slope) < 1e-9:
        magnitude = bright + chance * (faint - bright)
    else:
        low = 10.0 ** (stars.slope * (bright - faint))
        magnitude = faint + np.log10(low + chance * (1.0 - low)) / stars.slope
    shifts = np.empty((len(population.bands), len(stars.seds)))
    for number, name in enumerate(stars.seds):
        curve = spectra.star(name)
        own = population.reference.flux(curve.at(population.reference.response.wavelength))
        shifts[:, number] = [
            -2.5 * np.log10(band.flux(curve.at(band.response.wavelength)) / own) for band in population.bands
        ]
    kind = random.integers(len(stars.seds), size=count)
    x, y = width * (random.random(count) - 0.5), height * (random.random(count) - 0.5)
    return Points(x, y, magnitude + shifts[:, kind])


def from_catalogue(settings: Settings, path: Path, columns: tuple[str, ...]) -> Points:
    """Take stars from a FITS table, a VOTable or an LDAC catalogue.

    Raises
    ------
    BadSetting
        The file or a column is not there, or the number of columns is not two and one a passband.
    """
    wanted = 2 + len(settings.passbands)
    if len(columns) not in {3, wanted}:
        raise BadSetting(
            f"STAR_COLUMNS = {','.join(columns)}: {wanted} names were expected, two of position and one for each of "
            f"{', '.join(settings.passbands)} (or one magnitude for all)"
        )
    found = _read(path)
    for name in columns:
        if name not in found.colnames:
            near = get_close_matches(name, found.colnames, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(found.colnames[:20])}"
            raise BadSetting(f"STAR_COLUMNS = {name}: {path} has no such column; {hint}")
    first, second, *lights = (np.ma.filled(np.ma.asarray(found[name], dtype=np.float64), np.nan) for name in columns)
    magnitudes = np.array(lights * len(settings.passbands) if len(lights) == 1 else lights)
    x, y = from_centre(settings, first, second)
    width, height = (side * MARGIN / 2.0 for side in settings.sides)
    with np.errstate(invalid="ignore"):
        inside = (np.abs(x) < width) & (np.abs(y) < height) & np.all(np.isfinite(magnitudes), axis=0)
    return Points(x[inside], y[inside], magnitudes[:, inside])


def from_centre(settings: Settings, first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Degrees from the centre of pixels, or of right ascensions and declinations (gnomonic, x to the west)."""
    if settings.coordinates != EQUATORIAL:
        width, height = settings.field_size
        scale = settings.pixel_size / 3600.0
        return (first - width / 2.0) * scale, (second - height / 2.0) * scale
    ra, dec = np.radians(first - settings.centre[0]), np.radians(second)
    dec0 = np.radians(settings.centre[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra)
        depth = np.where(depth > 0, depth, np.nan)
        xi = np.cos(dec) * np.sin(ra) / depth
        eta = (np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra)) / depth
    return -np.degrees(xi), np.degrees(eta)


def _read(path: Path) -> Any:
    from astropy.io import fits  # noqa: PLC0415  slow to import, and seldom needed
    from astropy.table import Table  # noqa: PLC0415

    try:
        with path.open("rb") as stream:
            start = stream.read(9)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if not start.startswith(b"SIMPLE  ="):
                return Table.read(path, format="votable")
            with fits.open(path) as hdus:
                tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
                chosen = [hdu for hdu in tables if hdu.name.upper() != "LDAC_IMHEAD"]
                return Table(chosen[0].data)
    except FileNotFoundError as problem:
        raise BadSetting(f"STAR_CATALOG = {path}: there is no such file; NONE draws stars by counts") from problem
    except Exception as problem:
        found = f"neither a FITS table nor a VOTable ({problem})"
        raise BadSetting(f"STAR_CATALOG = {path}: {found}; FITS, LDAC or VOTable was expected") from problem
