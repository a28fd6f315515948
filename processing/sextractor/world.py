"""World coordinates of a CCD, without astropy where a header has one of the usual projections.

Azimuthal projections (TAN, with PV terms or as TPV, SIN, ARC, STG, ZEA; Calabretta & Greisen 2002,
A&A 395, 1077) are computed here; for others astropy.wcs is imported. Positions agree with astropy's
to 1e-9 degree.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues, descriptive

Floats = NDArray[np.float64]
_CTYPE = re.compile(r"(RA--|DEC-|[GEHS]L[OA][NT]|GLON|GLAT)-([A-Z]{3})(?:-SIP)? *")
_EQUATORIAL = ("RA", "DEC")
_DEGREE = np.pi / 180.0
_PV = re.compile(r"PV([12])_(\d{1,2})")
_STEP = 0.5
"""Pixels to either side, for derivatives: an error below 1e-8 of them on any CCD."""
FAR = 5.0
"""Degrees from an image within which its pixels are looked for."""
_TURNS = 12
"""Of Newton's method, which from 5 degrees away needs half of them."""
_CLOSE = 1e-4
"""Pixels from which a place was found."""


def _cosine_powers(terms: Mapping[int, float], x: Floats, y: Floats) -> Floats:
    """Polynomial of the TPV convention: number to coefficient; 3, 11, 23 and 39 are odd powers of r."""
    total = np.zeros_like(x)
    number = 0
    for degree in range(8):
        for power in range(degree + 1):
            if coefficient := terms.get(number, 0.0):
                total += coefficient * x ** (degree - power) * y**power
            number += 1
        if degree % 2 == 1:
            if coefficient := terms.get(number, 0.0):
                total += coefficient * np.hypot(x, y) ** degree
            number += 1
    return total


_RADII: dict[str, Callable[[Floats], Floats]] = {
    "TAN": np.arctan,
    "TPV": np.arctan,
    "SIN": np.arcsin,
    "ARC": lambda r: r,
    "STG": lambda r: 2.0 * np.arctan(0.5 * r),
    "ZEA": lambda r: 2.0 * np.arcsin(0.5 * r),
}
"""Angle from the pole of the projection, by its distance in the plane; radians."""


def _vector(longitude: float, latitude: float) -> Floats:
    across, angle = np.cos(latitude * _DEGREE), longitude * _DEGREE
    return np.array([across * np.cos(angle), across * np.sin(angle), np.sin(latitude * _DEGREE)])


def _rotation(pole: tuple[float, float], north: float) -> Floats:
    """Rotation to a system, from one whose pole lies there, and in whose longitude `north` that one's pole lies."""
    up = _vector(*pole)
    near = _vector(pole[0] + 180.0, 90.0 - pole[1])
    aside = np.cross(up, near)
    sine, cosine = np.sin(north * _DEGREE), np.cos(north * _DEGREE)
    return np.stack([cosine * near - sine * aside, sine * near + cosine * aside, up], axis=1)


_GALACTIC = _rotation((192.85948123, 27.12825120), 122.93191857)
_EQUATORIAL_OF: dict[str, Floats] = {
    "G": _GALACTIC,
    "E": _rotation((270.0, 66.56070889), 90.0),
    "S": _GALACTIC @ _rotation((47.37, 6.32), 90.0),
}
"""From galactic (ESA 1997, The Hipparcos Catalogue, 1.5.3), ecliptic and supergalactic coordinates at J2000."""


@dataclass(frozen=True, slots=True)
class World:
    """What the pixels of one image mean on the sky; pixels count from 1 here, as in headers."""

    projection: str
    """Three letters, or empty where the header tells no celestial system: world coordinates are linear then."""
    reference: Floats
    """(2,) CRPIX."""
    matrix: Floats
    """(2, 2) CD, degrees a pixel."""
    values: Floats
    """(2,) CRVAL."""
    longitude: int = 0
    """Axis that is the longitude, 0 or 1."""
    system: str = "FK5"
    """FK5, FK4, ICRS, or the letter of another system (H)."""
    equinox: float = 2000.0
    pv: tuple[Mapping[int, float], Mapping[int, float]] = ({}, {})
    turn: float = 0.0
    """180 less LONPOLE, degrees."""
    equatorial: Floats | None = field(default=None, compare=False)
    """(3, 3) rotation of galactic, ecliptic or supergalactic coordinates to FK5 at J2000, which are told instead."""
    other: Any = field(default=None, compare=False)
    """An astropy WCS, for projections that are not computed here."""

    @property
    def celestial(self) -> bool:
        """Whether right ascensions and declinations can be told."""
        return bool(self.projection)

    def plane(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return coordinates in the plane of the projection, before PV terms; degrees where celestial."""
        across, along = x - self.reference[0], y - self.reference[1]
        (xx, xy), (yx, yy) = self.matrix
        return xx * across + xy * along, yx * across + yy * along

    def world(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return world coordinates of both axes, degrees where celestial; NaN off the sky."""
        if self.other is not None:
            first, second = self.other.all_pix2world(x, y, 1)
            return self._turned(np.asarray(first, np.float64), np.asarray(second, np.float64))
        first, second = self.plane(x, y)
        if not self.projection:
            return self.values[0] + first, self.values[1] + second
        if self.pv[0] or self.pv[1]:
            first, second = _cosine_powers(self.pv[0], first, second), _cosine_powers(self.pv[1], second, first)
        sky = self._deprojected(*((first, second) if self.longitude == 0 else (second, first)))
        return self._turned(*(sky if self.longitude == 0 else (sky[1], sky[0])))

    def _turned(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        """World coordinates in the equatorial system, where the header has another one."""
        if self.equatorial is None:
            return first, second
        longitude, latitude = (angle * _DEGREE for angle in self._poles(first, second))
        across = np.cos(latitude)
        native = np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)])
        u, v, w = np.tensordot(self.equatorial, native, 1)
        sky = np.mod(np.arctan2(v, u) / _DEGREE, 360.0), np.arctan2(w, np.hypot(u, v)) / _DEGREE
        return self._poles(*sky)

    def _deprojected(self, east: Floats, north: Floats) -> tuple[Floats, Floats]:
        """Longitudes and latitudes of places in the plane."""
        if self.turn:
            sine, cosine = np.sin(self.turn * _DEGREE), np.cos(self.turn * _DEGREE)
            east, north = east * cosine - north * sine, north * cosine + east * sine
        alpha, delta = self.values[self.longitude] * _DEGREE, self.values[1 - self.longitude] * _DEGREE
        radius = np.hypot(east, north)
        with np.errstate(invalid="ignore", divide="ignore"):
            away = _RADII[self.projection](radius * _DEGREE)
            scale = np.where(radius > 0, np.sin(away) / radius, _DEGREE)
        u, v, w = east * scale, north * scale, np.cos(away)
        # v points north and w to the reference point; turned so that w lies at its declination
        depth = w * np.cos(delta) - v * np.sin(delta)
        height = w * np.sin(delta) + v * np.cos(delta)
        longitude = np.mod((alpha + np.arctan2(u, depth)) / _DEGREE, 360.0)
        return longitude, np.arctan2(height, np.hypot(u, depth)) / _DEGREE

    def sky(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return longitude and latitude, degrees."""
        first, second = self.world(x, y)
        return self._poles(first, second)

    def pixels(self, first: Floats, second: Floats, near: tuple[float, float]) -> tuple[Floats, Floats]:
        """Return the pixels of world coordinates, by Newton's method from the pixel `near` on.

        Places far from it, FAR degrees where celestial, and those to which the method does not lead are NaN.
        """
        x, y = np.full(first.shape, near[0]), np.full(first.shape, near[1])
        seen = np.ones(first.shape, np.bool_)
        if self.celestial:
            seen = _apart(self._poles(first, second), self._poles(*self.world(x, y))) < FAR
        east, north = np.full(first.shape, np.nan), np.full(first.shape, np.nan)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            for _ in range(_TURNS):
                east, north = self._from(first, second, x, y)
                xx, xy, yx, yy = self.derivatives(x, y)
                size = xx * yy - xy * yx
                x, y = x + (yy * east - xy * north) / size, y + (xx * north - yx * east) / size
            east, north = self._from(first, second, x, y)
            xx, xy, yx, yy = self.derivatives(x, y)
            fine = seen & (east * east + north * north < _CLOSE**2 * np.abs(xx * yy - xy * yx))
        return np.where(fine, x, np.nan), np.where(fine, y, np.nan)

    def _from(self, first: Floats, second: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """World coordinates less those of pixels, longitudes times the cosine of latitude."""
        here = self.world(x, y)
        away = [first - here[0], second - here[1]]
        if self.celestial:
            turn = away[self.longitude]
            latitude = here[1 - self.longitude] * _DEGREE
            away[self.longitude] = (turn - 360.0 * np.rint(turn / 360.0)) * np.cos(latitude)
        return away[0], away[1]

    def _poles(self, first: Floats, second: Floats) -> tuple[Floats, Floats]:
        """Longitudes and latitudes of world coordinates."""
        return (first, second) if self.longitude == 0 else (second, first)

    def derivatives(self, x: Floats, y: Floats) -> Floats:
        """Return (4, n): d first/dx, d first/dy, d second/dx, d second/dy; longitudes times the cosine of latitude."""
        right, left = self.world(x + _STEP, y), self.world(x - _STEP, y)
        upper, lower = self.world(x, y + _STEP), self.world(x, y - _STEP)
        found = np.stack([
            right[0] - left[0], upper[0] - lower[0], right[1] - left[1], upper[1] - lower[1],
        ]) / (2.0 * _STEP)  # fmt: skip
        if self.celestial:
            rows = slice(0, 2) if self.longitude == 0 else slice(2, 4)
            turns = 360.0 / (2.0 * _STEP)
            found[rows] -= turns * np.rint(found[rows] / turns)
            found[rows] *= np.cos(self.sky(x, y)[1] * _DEGREE)
        return found

    def scale(self, shape: tuple[int, int]) -> float:
        """Return arcseconds a pixel in the middle of an image of `shape` (ny, nx)."""
        middle = np.array([(shape[1] + 1) / 2.0]), np.array([(shape[0] + 1) / 2.0])
        xx, xy, yx, yy = self.derivatives(*middle)[:, 0]
        return float(np.sqrt(abs(xx * yy - xy * yx)) * 3600.0)


def _apart(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Floats:
    """Degrees between places on the sky."""
    (a, b), (c, d) = ((longitude * _DEGREE, latitude * _DEGREE) for longitude, latitude in (one, other))
    square = np.sin(0.5 * (b - d)) ** 2 + np.cos(b) * np.cos(d) * np.sin(0.5 * (a - c)) ** 2
    return np.asarray(2.0 * np.arcsin(np.sqrt(np.clip(square, 0.0, 1.0))) / _DEGREE)


def world_of(cards: str) -> World | None:
    """Return the world coordinates that a header tells; None where it tells none, or none that make sense.

    Parameters
    ----------
    cards : card images, one behind the other
    """
    told = CardValues(cards)
    kinds = [_CTYPE.fullmatch(told.text(f"CTYPE{axis}").ljust(8)) for axis in (1, 2)]
    matrix = _matrix(told)
    if matrix is None or abs(np.linalg.det(matrix)) == 0.0:
        return None
    reference = np.array([told.number("CRPIX1") or 0.0, told.number("CRPIX2") or 0.0])
    values = np.array([told.number("CRVAL1") or 0.0, told.number("CRVAL2") or 0.0])
    first, second = kinds
    if first is None or second is None or first[2] != second[2]:
        return World("", reference, matrix, values) if "CRPIX1" in told.raw else None
    longitude = 0 if first[1] == "RA--" or first[1].endswith("LON") else 1
    system = first[1][0] if first[1] not in {"RA--", "DEC-"} else _frame(told)
    equinox = told.number("EQUINOX") or told.number("EPOCH") or (1950.0 if system.startswith("FK4") else 2000.0)
    pv = _distortion(told, first[2])
    plain = _RADII.keys() >= {first[2]} and not (first[2] == "SIN" and any(pv))
    # 0 where the reference point is the pole itself: Calabretta & Greisen 2002, section 2.2
    pole = told.number("LONPOLE")
    turn = 180.0 - (pole if pole is not None else 0.0 if values[1 - longitude] >= 90.0 else 180.0)
    other = None if plain and "A_ORDER" not in told.raw else _by_astropy(cards)
    if other is None and not plain:
        return None
    equatorial = _EQUATORIAL_OF.get(system)
    if equatorial is not None:
        system, equinox = "FK5", 2000.0
    return World(first[2], reference, matrix, values, longitude, system, equinox, pv, turn, equatorial, other)


def _frame(told: CardValues) -> str:
    frame = told.text("RADESYS") or told.text("RADECSYS")
    if frame:
        return frame.upper()
    equinox = told.number("EQUINOX") or told.number("EPOCH")
    return "FK4" if equinox is not None and equinox < 1984.0 else "FK5" if equinox is not None else "ICRS"


def _matrix(told: CardValues) -> Floats | None:
    """CD, or PC or CROTA2 times CDELT; None where the header has none of them."""
    if any(f"CD{row}_{column}" in told.raw for row in (1, 2) for column in (1, 2)):
        return np.array([[told.number(f"CD{row}_{column}") or 0.0 for column in (1, 2)] for row in (1, 2)])
    steps = [told.number("CDELT1"), told.number("CDELT2")]
    if steps[0] is None or steps[1] is None:
        return None
    turn = np.eye(2)
    if any(f"PC{row}_{column}" in told.raw for row in (1, 2) for column in (1, 2)):
        for row in (0, 1):
            for column in (0, 1):
                given = told.number(f"PC{row + 1}_{column + 1}")
                turn[row, column] = float(row == column) if given is None else given
    elif angle := told.number("CROTA2"):
        sine, cosine = np.sin(angle * _DEGREE), np.cos(angle * _DEGREE)
        ratio = steps[1] / steps[0]
        turn = np.array([[cosine, -sine * ratio], [sine / ratio, cosine]])
    return np.array([[steps[0]], [steps[1]]]) * turn


def _distortion(told: CardValues, projection: str) -> tuple[dict[int, float], dict[int, float]]:
    """PV terms of a TPV, or of a TAN with a TPV's terms; none where they change nothing."""
    terms: tuple[dict[int, float], dict[int, float]] = ({}, {})
    for keyword in told.raw:
        found = _PV.fullmatch(keyword)
        if found and projection in {"TAN", "TPV", "SIN"}:
            terms[int(found[1]) - 1][int(found[2])] = told.number(keyword) or 0.0
    if projection != "SIN":
        for axis in terms:
            if axis or any(terms):
                axis.setdefault(1, 1.0)
    identity = {1: 1.0}
    used = [{number: value for number, value in axis.items() if value} for axis in terms]
    return (used[0], used[1]) if any(axis not in ({}, identity) for axis in used) else ({}, {})


def _by_astropy(cards: str) -> Any:
    import warnings  # noqa: PLC0415  with astropy only

    from astropy.io.fits import Header  # noqa: PLC0415  slow to import, for rare projections only
    from astropy.wcs import WCS  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = WCS(Header.fromstring(descriptive(cards)))
            found.wcs.set()
        except (ValueError, KeyError, TypeError, ArithmeticError):
            return None
    return found.celestial if found.has_celestial else None
