"""Bright stars of the reader's own catalogues, on each CCD of a frame, by the frame's coordinates and zero point."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processing.areas import Area
from processing.cards import CardValues
from processing.defects.star_catalogue import StarCatalogue, read_stars, stars_on, zero_point
from processing.defects.stars import Floats, StarsOnCcd, axis_on
from processing.errors import BadCatalogue, BadHeader
from processing.reading import Extension
from processing.weightwatcher.inputs import unzipped

REACH = 3.0
"""Degrees from the mosaic's reference point: a field of 1 degree, and the ghosts of stars beside it."""

KEPT = 64
"""Catalogues whose stars are kept from frame to frame."""
_kept: dict[tuple[Path, int, int, float], StarCatalogue] = {}


def catalogue_stars(
    catalogues: Sequence[Path],
    frame: Path,
    primary: str,
    extensions: Sequence[Extension],
    areas: tuple[Sequence[Area], Sequence[Area], Area],
    *,
    faintest: float,
    work: Path,
) -> tuple[list[StarsOnCcd] | None, list[str]]:
    """Put the stars of catalogues on the CCDs of a frame.

    Parameters
    ----------
    catalogues : tables with positions and magnitudes, gzipped or not
    frame : for errors
    primary : cards of the primary header
    extensions : of the CCDs
    areas : their illuminated parts, their places on the mosaic, and the whole of that
    faintest : magnitude
    work : directory for what has to be unpacked

    Returns
    -------
    stars : of each CCD, also those beside it; None where the catalogues cannot tell: the frame has no zero point or no
        coordinates, or they have no star near it. Saturated cores have to tell then.
    notes : why not

    Raises
    ------
    BadCatalogue
        A catalogue is no table of stars.
    """
    if not catalogues:
        return None, []
    header, zeros = CardValues(primary), [zero_point(each.values, CardValues(primary)) for each in extensions]
    middle = [extensions[0].values.number(key) or header.number(key) for key in ("CRVAL1", "CRVAL2")]
    parts = [_near(_read(path, faintest, work), middle) for path in catalogues]
    stars = StarCatalogue(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    if not stars.ra.size:
        return None, ["the star catalogues have no star near the frame; its saturated cores tell of haloes"]
    insides, places, mosaic = areas
    found = []
    for extension, zero, inside, place in zip(extensions, zeros, insides, places, strict=True):
        if zero is None:
            return None, ["no PHOT_C or EXPTIME; saturated cores tell of haloes, not the star catalogues"]
        axis, turned = axis_on(inside, place, mosaic)
        where = f"{frame}[{extension.hdu}]"
        try:
            found.append(stars_on(stars, extension.cards, where=where, zero=zero, axis=axis, turned=turned))
        except BadHeader as problem:
            return None, [f"{problem}; saturated cores tell of haloes, not the star catalogues"]
    return found, []


def _near(stars: StarCatalogue, middle: Sequence[float | None]) -> tuple[Floats, Floats, Floats]:
    """Columns of the stars near a place; of all where there is none."""
    ra, dec = middle
    if ra is None or dec is None:
        return stars.ra, stars.dec, stars.magnitude
    near = stars.within(REACH, ra, dec)
    return stars.ra[near], stars.dec[near], stars.magnitude[near]


def _read(path: Path, faintest: float, work: Path) -> StarCatalogue:
    """Stars of a catalogue, read once for a path, a size and a time of modification."""
    try:
        told = path.stat()
    except OSError as problem:
        remedy = "processing.star_catalogues has to name tables that are there"
        raise BadCatalogue(path, f"cannot be read ({problem.strerror})", remedy=remedy) from problem
    key = (path, told.st_size, told.st_mtime_ns, faintest)
    if key not in _kept:
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = read_stars(unzipped(path, work), faintest=faintest)
    return _kept[key]
