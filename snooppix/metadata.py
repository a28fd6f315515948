"""What the database keeps of a frame, read from its headers."""

import importlib
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from snooppix.errors import Rejection
from snooppix.headers import Header, Headers
from terapix.identity import FrameId, UnsafeName

_MJD_0: Final = datetime(1858, 11, 17, tzinfo=UTC)
_WCS: Final = re.compile(r"CTYPE[12]|CRVAL[12]|CRPIX[12]|CD[12]_[12]|PV[12]_\d{1,2}|CUNIT[12]")
_ELIXIR: Final = re.compile(r"EL_\w+|IIWIVER|DATEPROC|PROCDATE|IMRED_\w+|PHOT_\w+")
_TEXTS: Final = {
    "runid": ("RUNID", 20),
    "crunid": ("CRUNID", 20),
    "qrunid": ("QRUNID", 20),
    "object": ("OBJECT", 80),
    "filter": ("FILTER", 40),
    "instrument": ("INSTRUME", 40),
}
"""Keywords, and characters of the database's columns."""

FARTHEST: Final = math.radians(5.0)
"""Radians from the middle of the mosaic; MegaCam's corners are at 0.8 degrees, and no camera of ours sees 5."""
FLOAT: Final = 4
"""Bytes of a weight map's pixel before compression."""
SOURCES: Final = 0.04
"""Bytes of catalogue and PSF for each pixel of the frame: 0.02 on painted frames, twice that to be sure."""
BYTE: Final = 1
"""Bytes of a flag map's pixel before compression."""


def describe(
    headers: Headers, *, size: int, compression: float, placed: bool = True, maps: bool = True
) -> dict[str, Any]:
    """Return the metadata columns of a frame that was accepted.

    Parameters
    ----------
    headers : of the file
    size : bytes of the file
    compression : share of its unpacked size that a compressed map takes, 0 to 1
    placed : whether its WCS says where on the sky it is
    maps : whether weight and flag maps will be made of it

    Returns
    -------
    dict
        Columns of `dbclient.schema.Frame`; angles in degrees, times in UTC and seconds; None where unknown.

    Raises
    ------
    Rejection
        If a calibration is named in a way that no file can be.
    """
    primary = headers.primary
    columns: dict[str, Any] = dict(texts(headers))
    centre, corners = footprint(headers) if placed else ((None, None), None)
    return columns | {
        "exposure_time": headers.number("EXPTIME"),
        "airmass": headers.number("AIRMASS"),
        "observed_at": observed_at(headers),
        "ra": centre[0],
        "dec": centre[1],
        "corners": corners,
        "ccds": len(headers.images),
        "flat": calibration(headers, "IMRED_FF"),
        "mask": calibration(headers, "IMRED_MK"),
        "elixir": {key: value for key, value in sorted(primary.values.items()) if _ELIXIR.fullmatch(key)},
        "needs": needs(headers, size=size, compression=compression, maps=maps),
    }


def texts(headers: Headers) -> dict[str, str | None]:
    """Return the columns that are words of the headers, cut as the database keeps them; None where there is none."""
    return {column: headers.text(keyword)[:longest] or None for column, (keyword, longest) in _TEXTS.items()}


def get_ready() -> None:
    """Load the libraries that the first file would otherwise wait for."""
    for name in ("astropy.io.fits", "astropy.wcs", "fitsio"):
        importlib.import_module(name)


def calibration(headers: Headers, keyword: str) -> str | None:
    """Name of the calibration that a keyword gives, as 08Am03.flat.r.36.02 for 08Am03.flat.r.36.02.fits[ccd00]."""
    text = headers.text(keyword).partition("[")[0].strip()
    if not text:
        return None
    try:
        return FrameId.of_file(text).name
    except UnsafeName as problem:
        raise Rejection("header", f"{keyword} = {text!r} cannot be the name of a calibration") from problem


def observed_at(headers: Headers) -> datetime | None:
    """Start of the exposure: DATE-OBS and UTC-OBS to the hundredth of a second, else MJD-OBS."""
    date, time = headers.text("DATE-OBS"), headers.text("UTC-OBS") or headers.text("UTIME")
    found = re.fullmatch(r"(\d{1,2}):(\d{1,2}):(\d{1,2}(?:\.\d+)?)", time)
    try:
        if found and re.fullmatch(r"\d{4}-\d\d-\d\d", date):
            hours, minutes, seconds = int(found[1]), int(found[2]), float(found[3])
            passed = timedelta(hours=hours, minutes=minutes, seconds=seconds)
            return datetime.fromisoformat(date).replace(tzinfo=UTC) + passed
        if "T" in date:
            return datetime.fromisoformat(date).replace(tzinfo=UTC)
    except ValueError:
        pass
    days = headers.number("MJD-OBS")
    return _MJD_0 + timedelta(days=days) if days is not None and 0 < days < 100_000 else None


def needs(headers: Headers, *, size: int, compression: float, maps: bool = True) -> dict[str, int]:
    """Room that the frame and its maps and catalogue, if there will be any, take on a node, in bytes.

    The scratch holds the maps of single CCDs, each a file of its own, until they are put together.
    """
    counts = [header.shape[0] * header.shape[1] * header.slices for header in headers.images]
    pixels = sum(counts)
    unpacked = sum(n * abs(header.bitpix or 0) // 8 for n, header in zip(counts, headers.images, strict=True))
    weight, flag = [math.ceil(pixels * each * compression) if maps else 0 for each in (FLOAT, BYTE)]
    sources = math.ceil(pixels * SOURCES) if maps else 0
    scratch = weight + flag
    return {
        "frame": size, "unpacked": unpacked, "weight": weight, "flag": flag, "sources": sources, "scratch": scratch
    }  # fmt: skip


def footprint(headers: Headers) -> tuple[tuple[float, float], list[list[float]]]:
    """Centre of the mosaic and the four corners of the box around it on the tangent plane there, in degrees.

    Raises
    ------
    Rejection
        If a CCD's WCS gives no place on the sky.
    """
    points = np.concatenate([_sky_corners(header, number) for number, header in enumerate(headers.images, start=1)])
    vectors = _vectors(points)
    middle = vectors.mean(axis=0)
    ra, dec = _angles(middle[None, :] / np.linalg.norm(middle))[0]
    xi, eta = _project(points, ra, dec)
    x = (xi.min() + xi.max()) / 2
    y = (eta.min() + eta.max()) / 2
    centre = _deproject(np.array([x]), np.array([y]), ra, dec)[0]
    box_x = np.array([xi.min(), xi.max(), xi.max(), xi.min()])
    box_y = np.array([eta.min(), eta.min(), eta.max(), eta.max()])
    corners = [[round(float(a), 7), round(float(d), 7)] for a, d in _deproject(box_x, box_y, ra, dec)]
    return (round(float(centre[0]), 7), round(float(centre[1]), 7)), corners


def _sky_corners(header: Header, number: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    width, height = header.shape
    pixels = np.array([[0.5, 0.5], [width + 0.5, 0.5], [width + 0.5, height + 0.5], [0.5, height + 0.5]])
    cards = dict(_wcs_cards(header))
    sky = _plain_sky(cards, pixels) if _is_plain(cards) else _any_sky(cards, pixels, number, header.name)
    if not np.isfinite(sky).all():
        raise Rejection("wcs", f"HDU {number} ({header.name}): the WCS gives no place on the sky")
    return sky


def _is_plain(cards: Mapping[str, Any]) -> bool:
    """Whether a WCS is no more than a linear step to the tangent plane: so Elixir writes it."""
    steps = [cards.get(f"CD{i}_{j}", 0.0) for i in (1, 2) for j in (1, 2)]
    figures = [*steps, *(cards.get(f"{word}{axis}") for word in ("CRVAL", "CRPIX") for axis in (1, 2))]
    return (
        [cards.get(f"CTYPE{axis}") for axis in (1, 2)] == ["RA---TAN", "DEC--TAN"]
        and all(cards.get(f"CUNIT{axis}", "deg") == "deg" for axis in (1, 2))
        and not any(keyword.startswith("PV") for keyword in cards)
        and all(isinstance(figure, int | float) and not isinstance(figure, bool) for figure in figures)
        and any(steps)
        and abs(cards["CRVAL2"]) <= 90.0
    )


def _plain_sky(cards: Mapping[str, Any], pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Do what wcslib does for such a WCS, to 1e-12 degrees; a hundredth of the time of making its object."""
    matrix = np.array([[float(cards.get(f"CD{i}_{j}", 0.0)) for j in (1, 2)] for i in (1, 2)])
    plane = np.radians((pixels - [cards["CRPIX1"], cards["CRPIX2"]]) @ matrix.T)
    return _deproject(plane[:, 0], plane[:, 1], float(cards["CRVAL1"]), float(cards["CRVAL2"]))


def _any_sky(
    cards: Mapping[str, Any], pixels: np.ndarray[Any, Any], number: int, name: str
) -> np.ndarray[Any, np.dtype[np.float64]]:
    from astropy.io import fits  # noqa: PLC0415 - half a second that most `terapix` commands need not wait for
    from astropy.wcs import WCS  # noqa: PLC0415 - as above

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy tells of repairs to keywords that were checked before
        try:
            return np.asarray(WCS(fits.Header(list(cards.items()))).all_pix2world(pixels, 1), dtype=np.float64)
        except Exception as problem:  # wcslib's errors have no common ancestor
            raise Rejection("wcs", f"HDU {number} ({name}): the WCS cannot be used: {problem}") from problem


def _wcs_cards(header: Header) -> Iterator[tuple[str, Any]]:
    for keyword, value in header.values.items():
        if _WCS.fullmatch(keyword):
            yield keyword, value.strip() if isinstance(value, str) else value


def _vectors(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    ra, dec = np.radians(points).T
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)


def _angles(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    x, y, z = vectors.T
    return np.stack([np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arcsin(np.clip(z, -1, 1)))], axis=1)


def _project(points: np.ndarray[Any, Any], ra: float, dec: float) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Gnomonic projection about (ra, dec), in radians."""
    a, d = np.radians(points).T
    a0, d0 = math.radians(ra), math.radians(dec)
    cosine = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a - a0)
    if (cosine <= math.cos(FARTHEST)).any():
        raise Rejection("wcs", f"its CCDs lie more than {math.degrees(FARTHEST):.0f} degrees from their middle")
    xi = np.cos(d) * np.sin(a - a0) / cosine
    eta = (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a - a0)) / cosine
    return xi, eta


def _deproject(xi: np.ndarray[Any, Any], eta: np.ndarray[Any, Any], ra: float, dec: float) -> np.ndarray[Any, Any]:
    a0, d0 = math.radians(ra), math.radians(dec)
    east = np.array([-math.sin(a0), math.cos(a0), 0.0])
    north = np.array([-math.sin(d0) * math.cos(a0), -math.sin(d0) * math.sin(a0), math.cos(d0)])
    out = np.array([math.cos(d0) * math.cos(a0), math.cos(d0) * math.sin(a0), math.sin(d0)])
    vectors = out + xi[:, None] * east + eta[:, None] * north
    return _angles(vectors / np.linalg.norm(vectors, axis=1)[:, None])
