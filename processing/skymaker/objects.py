"""Lists of sources on the sky: SkyMaker's own, and tables as ``terapix stuff`` writes them."""

import gzip
import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.skymaker.catalogue import Catalogue, radians_from_north

STAR, GALAXY, SERSIC = 100, 200, 210
"""Codes of lists: a point; a de Vaucouleurs bulge with an exponential disc; one Sersic profile."""
_WIDTHS = {STAR: 4, GALAXY: 11, SERSIC: 8}
"""Words that a line of each code has at least."""
_WANTED = ("RA", "DEC", "MAG")
_COLUMNS = (
    "CODE", "RA", "DEC", "MAG", "BULGE_SHARE", "BULGE_RADIUS", "BULGE_RATIO", "BULGE_ANGLE", "DISC_RADIUS",
    "DISC_RATIO", "DISC_ANGLE", "INDEX",
)  # fmt: skip
"""Columns of a list, in the order of the words of a line with code 200."""
_FILL = {"CODE": math.nan, "BULGE_RATIO": 1.0, "DISC_RATIO": 1.0, "INDEX": 4.0}
_SPELT = {
    "BULGE_SHARE": ("BULGE_FRACTION",),
    "BULGE_RATIO": ("BULGE_AXIS_RATIO",),
    "DISC_RATIO": ("DISC_AXIS_RATIO",),
}
"""Other names of columns, as the tables of Stuff have them."""
_BY_BAND = ("MAG", "BULGE_SHARE")
"""Columns of which a table may have one for each band."""
Floats = NDArray[np.float64]


@lru_cache(maxsize=4)
def read_objects(path: Path, band: str = "") -> Catalogue:
    """Read a list of sources.

    Parameters
    ----------
    path : Path
        A text list (also compressed by gzip) whose lines are: code RA Dec magnitude, and for galaxies (code 200) share
        of the bulge, its radius, axis ratio and angle, radius, axis ratio and angle of the disc, for code 210 index,
        radius, ratio and angle; or a FITS table with columns RA, DEC and MAG, and CODE, BULGE_SHARE, BULGE_RADIUS,
        BULGE_RATIO, BULGE_ANGLE, DISC_RADIUS, DISC_RATIO, DISC_ANGLE where there are galaxies. Degrees, magnitudes
        and arcsec; angles counter-clockwise from x with north up and east to the left. Tables of Stuff are taken too.
    band : str
        Filter, of which a table may have a magnitude of its own (mag_g, mag_r …).

    Raises
    ------
    BadSetting
        If the file is not there, a line or a column is wrong, or coordinates are none of the sky.
    """
    if not path.is_file():
        raise BadSetting(f"--list {path}: there is no such file")
    columns = _table(path, band or "r") if _is_fits(path) else _text(path)
    ra, dec, code = columns["RA"], columns["DEC"], columns["CODE"]
    if not ra.size:
        raise BadSetting(f"--list {path}: it has no sources")
    if not (np.isfinite(ra + dec + columns["MAG"]).all() and (np.abs(dec) <= 90).all() and (np.abs(ra) <= 360).all()):
        raise BadSetting(f"--list {path}: RA and Dec in degrees were expected; pixels are for terapix skymaker -c")
    galaxy = code != STAR
    order = np.argsort(galaxy, kind="stable")
    bulge = np.where(galaxy, columns["BULGE_SHARE"], 0.0)
    return Catalogue(
        ra=ra[order],
        dec=dec[order],
        magnitudes={"": columns["MAG"][order]},
        scale=np.where(galaxy, columns["DISC_RADIUS"], 0.0)[order],
        ratio=_ratios(columns["DISC_RATIO"], galaxy)[order],
        angle=radians_from_north(np.where(galaxy, columns["DISC_ANGLE"], 0.0))[order],
        bulge=np.clip(bulge, 0.0, 1.0)[order],
        bulge_radius=np.where(galaxy, columns["BULGE_RADIUS"], 0.0)[order],
        bulge_ratio=_ratios(columns["BULGE_RATIO"], galaxy)[order],
        code=code[order].astype(np.int16),
        bulge_angle=radians_from_north(np.where(galaxy, columns["BULGE_ANGLE"], 0.0))[order],
        index=np.where(code == SERSIC, columns["INDEX"], 4.0)[order],
    )


def _ratios(ratio: Floats, galaxy: NDArray[np.bool_]) -> Floats:
    return np.where(galaxy & (ratio > 0.0) & (ratio <= 1.0), ratio, 1.0)


def _is_fits(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(6) == b"SIMPLE"


def _text(path: Path) -> dict[str, Floats]:
    rows: list[tuple[float, ...]] = []
    content = path.read_bytes()
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode("ascii", "replace")
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].split()
        if words:
            rows.append(_row(words, f"--list {path}: line {number}"))
    table = np.array(rows, np.float64).reshape(-1, len(_COLUMNS))
    return {name: table[:, k] for k, name in enumerate(_COLUMNS)}


def _row(words: list[str], where: str) -> tuple[float, ...]:
    try:
        values = [float(word) for word in words[:11]]
    except ValueError as problem:
        raise BadSetting(f"{where}: numbers were expected, found {' '.join(words)!r:.60}") from problem
    code = int(values[0])
    if code not in _WIDTHS:
        raise BadSetting(f"{where}: code {words[0]}: 100 (star), 200 or 210 (galaxy) was expected")
    if len(values) < _WIDTHS[code]:
        raise BadSetting(f"{where}: {len(values)} words, code {code} has {_WIDTHS[code]} at least")
    if code == STAR:
        return (*values[:4], 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 4.0)
    if code == SERSIC:
        index, radius, ratio, angle = values[4:8]
        return (*values[:4], 1.0, radius, ratio, angle, 0.0, 1.0, 0.0, index)
    return (*values[:11], 4.0)


def _table(path: Path, band: str) -> dict[str, Floats]:
    with fits.open(path) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
        if not tables:
            raise BadSetting(f"--list {path}: it has no table")
        data: Any = tables[0].data
        known = {name.upper(): name for name in tables[0].columns.names}
        found = {name: np.full(len(data), _FILL.get(name, 0.0)) for name in _COLUMNS}
        for name in _COLUMNS:
            spelt = _column(name, band, tuple(known))
            if spelt:
                found[name] = np.asarray(data[known[spelt]], np.float64)
            elif name in _WANTED:
                raise BadSetting(f"--list {path}: no column {name} (band {band}); it has {', '.join(known)}")
    sized = (found["BULGE_RADIUS"] > 0.0) | (found["DISC_RADIUS"] > 0.0)
    found["CODE"] = np.where(np.isnan(found["CODE"]), np.where(sized, GALAXY, STAR), found["CODE"])
    return found


def _column(name: str, band: str, known: tuple[str, ...]) -> str | None:
    """Find a column as tables spell it: by its own name, by that of the filter, or by the only one there is."""
    for spelling in (name, *_SPELT.get(name, ())):
        spelt: list[str] = [
            spelling,
            f"{spelling}_{re.sub(r'[^A-Z0-9]+', '_', band.upper())}",
            f"{spelling}_{band[0].upper()}",
        ]
        for each in spelt:
            if each in known:
                return each
        code = band.upper().rpartition(".")[2]
        near = [each for each in known if each.startswith(f"{spelling}_")]
        chosen = (
            [each for each in near if code in each]
            or [each for each in near if each.endswith(f"_{band[0].upper()}")]
            or near
        )
        if name in _BY_BAND and len(chosen) == 1:
            return chosen[0]
    return None
