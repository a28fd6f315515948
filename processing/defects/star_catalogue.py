"""Bright stars from a catalogue of the reader's own: FITS, LDAC, VOTable, ECSV or CSV."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues
from processing.defects.stars import StarsOnCcd
from processing.errors import BadCatalogue, BadHeader

Floats = NDArray[np.float64]
LARGEST = 500_000_000
"""Bytes of a catalogue: ten million stars."""
_RA = ("ra", "raj2000", "ra_icrs", "alpha_j2000", "alphawin_j2000", "x_world", "alpha", "_raj2000", "_ra", "ra_deg")
_DEC = ("dec", "dej2000", "de_icrs", "delta_j2000", "deltawin_j2000", "y_world", "delta", "_dej2000", "_de", "dec_deg")
_MAG = (
    "mag", "magnitude", "phot_g_mean_mag", "gmag", "vtmag", "vt_mag", "mag_vt", "vmag", "mag_auto", "rmag",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StarCatalogue:
    """Stars on the sky; arrays over them."""

    ra: Floats
    """Degrees."""
    dec: Floats
    """Degrees."""
    magnitude: Floats

    def within(self, degrees: float, ra: float, dec: float) -> NDArray[np.bool_]:
        """Say which stars lie nearer than `degrees` to a place."""
        return _separation(self.ra, self.dec, ra, dec) < degrees


def read_stars(
    path: Path, *, ra: str = "", dec: str = "", magnitude: str = "", faintest: float = math.inf
) -> StarCatalogue:
    """Read the stars of a table that are not fainter than `faintest`.

    Parameters
    ----------
    path : Path
        FITS (the LDAC of SExtractor too), VOTable, ECSV, or CSV with a line of names.
    ra, dec, magnitude : str
        Names of the columns; the usual ones are known, and capitals do not count.

    Raises
    ------
    BadCatalogue
        If the file is no table, is too large, or lacks a column of numbers. Rows without a number are left out, as
        are those beyond the poles.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
    except OSError as problem:
        raise BadCatalogue(path, f"cannot be read ({problem.strerror})", remedy="give the path of a table") from problem
    if size > LARGEST:
        raise BadCatalogue(path, f"has {size} bytes", remedy=f"cut it to bright stars: {LARGEST} bytes at most")
    table = _table(path)
    columns = [
        _column(path, table, name, known)
        for name, known in ((ra, _RA), (dec, _DEC), (magnitude, _MAG))
    ]  # fmt: skip
    good = np.isfinite(columns).all(axis=0)
    good &= (np.abs(columns[1]) <= 90.0) & (np.abs(columns[0]) <= 720.0) & (columns[2] <= faintest) & (columns[2] > -30)
    return StarCatalogue(columns[0][good] % 360.0, columns[1][good], columns[2][good])


def _table(path: Path) -> Any:
    from astropy.table import Table  # noqa: PLC0415  slow to import, and only catalogues need it

    with path.open("rb") as stream:
        head = stream.read(4096)
    options: dict[str, Any]
    if head.startswith(b"SIMPLE  ="):
        options = {"format": "fits", "hdu": _table_hdu(path)}
    elif b"<VOTABLE" in head or b":VOTABLE" in head:
        options = {"format": "votable"}
    elif head.startswith(b"# %ECSV"):
        options = {"format": "ascii.ecsv"}
    else:
        options = {"format": "ascii.csv" if b"," in head.split(b"\n", 1)[0] else "ascii.basic", "guess": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Table.read(path, **options)
    except Exception as problem:
        what = f"is no table ({type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''})"
        remedy = "FITS, VOTable, ECSV, or CSV with a line of names was expected"
        raise BadCatalogue(path, what, remedy=remedy) from problem


def _table_hdu(path: Path) -> int:
    """Number of the first HDU with a table of stars: in an LDAC that is the one behind the header's."""
    from astropy.io import fits  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(path, memmap=True) as opened:
                names = [
                    (k, hdu.name) for k, hdu in enumerate(opened) if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)
                ]
    except Exception as problem:
        raise BadCatalogue(path, f"is damaged ({problem})", remedy="fetch it again") from problem
    found = [k for k, name in names if name != "LDAC_IMHEAD"]
    if not found:
        raise BadCatalogue(path, "has no table in it", remedy="a catalogue with RA, Dec and magnitude was expected")
    return found[0]


def _column(path: Path, table: Any, name: str, known: tuple[str, ...]) -> Floats:
    by_small = {str(column).lower(): column for column in table.colnames}
    wanted = (name.lower(),) if name else known
    chosen = next((by_small[small] for small in wanted if small in by_small), None)
    if chosen is None:
        has = ", ".join(map(str, table.colnames[:12]))
        raise BadCatalogue(path, f"has no column {' or '.join(wanted[:4])}", remedy=f"it has {has}: name the right one")
    column = table[chosen]
    try:
        values = np.asarray(np.ma.filled(np.ma.asarray(column).astype(np.float64), np.nan))
    except (TypeError, ValueError) as problem:
        raise BadCatalogue(path, f"column {chosen} holds no numbers", remedy="name one that does") from problem
    if values.ndim != 1:
        raise BadCatalogue(path, f"column {chosen} holds {values.shape[1:]} numbers a row", remedy="name a plain one")
    unit = str(getattr(column, "unit", "") or "")
    return np.degrees(values) if unit in {"rad", "radian"} else values


def zero_point(ccd: CardValues, primary: CardValues) -> float | None:
    """Magnitude of 1 ADU in the whole exposure, as Elixir tells it (PHOT_C, PHOT_K, AIRMASS, EXPTIME); None if not."""

    def number(keyword: str) -> float | None:
        found = ccd.number(keyword)
        return primary.number(keyword) if found is None else found

    zero, seconds = number("PHOT_C"), number("EXPTIME")
    if zero is None or seconds is None or seconds <= 0.0:
        return None
    return zero + (number("PHOT_K") or 0.0) * ((number("AIRMASS") or 1.0) - 1.0) + 2.5 * math.log10(seconds)


def stars_on(
    catalogue: StarCatalogue, cards: str, *, where: str, zero: float, axis: tuple[float, float], turned: bool
) -> StarsOnCcd:
    """Put the stars of a catalogue on a CCD by the world coordinates of its header.

    Parameters
    ----------
    catalogue : StarCatalogue
    cards : str
        Card images of the CCD's header.
    where : str
        File and HDU, for errors.
    zero : float
        Magnitude of 1 ADU in the whole exposure.
    axis, turned :
        As `stars.axis_on` gives them.

    Raises
    ------
    BadHeader
        If the header has no celestial coordinates that can be used.
    """
    from astropy.io.fits import Header  # noqa: PLC0415
    from astropy.wcs import WCS  # noqa: PLC0415

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(Header.fromstring(cards)).celestial
            if wcs.naxis != 2:
                raise ValueError("no celestial axes")  # noqa: TRY301
            middle = wcs.wcs.crval
            near = catalogue.within(5.0, float(middle[0]), float(middle[1]))
            x, y = wcs.wcs_world2pix(catalogue.ra[near], catalogue.dec[near], 0)
    except Exception as problem:
        found = f"no world coordinates ({str(problem).splitlines()[0] if str(problem) else type(problem).__name__})"
        raise BadHeader(
            where, found, remedy="haloes of a catalogue's stars need CTYPE, CRVAL, CRPIX and CD"
        ) from problem
    known = np.isfinite(x) & np.isfinite(y)
    light = 10.0 ** (-0.4 * (catalogue.magnitude[near][known] - zero))
    return StarsOnCcd(x[known], y[known], light, axis, turned)


def _separation(ra: Floats, dec: Floats, ra0: float, dec0: float) -> Floats:
    """Degrees between points on the sky."""
    a, b, c = np.radians(dec), math.radians(dec0), np.radians(ra - ra0)
    cosine = np.sin(a) * math.sin(b) + np.cos(a) * math.cos(b) * np.cos(c)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
