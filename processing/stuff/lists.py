"""Lists as the original writes them, one line an object, and SkyMaker reads them.

A galaxy is ``200 x y mag B/T r_bulge AR PA r_disc AR PA z Hubble``, a star ``100 x y mag``; the
columns have the widths of C's printf formats. What is the same in all passbands is formatted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.stuff.settings import EQUATORIAL
from processing.stuff.sky import Sky

Floats = NDArray[np.float64]
Letters = NDArray[np.uint8]
_BLANK, _ZERO, _POINT, _PLUS, _MINUS = b" 0.+-"


@dataclass(frozen=True, slots=True)
class Format:
    """A column: C's ``%[+]width.decimals f``."""

    width: int
    decimals: int
    signed: bool = False

    @property
    def text(self) -> str:
        return f"%{'+' if self.signed else ''}{self.width}.{self.decimals}f"


PIXELS, DEGREES, MAGNITUDE, SHARE = Format(11, 4), Format(11, 7), Format(8, 4), Format(5, 3)
RADIUS, RATIO, ANGLE, REDSHIFT, HUBBLE = (
    Format(9, 3),
    Format(5, 3),
    Format(7, 2, signed=True),
    Format(8, 5),
    Format(5, 1, signed=True),
)


def fixed(values: Floats, form: Format) -> Letters | None:
    """Write numbers in columns of letters, (n, width); None where one is too long or no number."""
    count = len(values)
    letters = np.full((count, form.width), _BLANK, np.uint8)
    if not count:
        return letters
    scaled = np.rint(np.abs(values) * 10.0**form.decimals)
    room = form.width - 1 - int(form.signed or bool(np.any(values < 0)))
    if not np.all(scaled < 10.0 ** min(room, 18)):
        return None
    rest = scaled.astype(np.int64)
    columns = [place for place in range(form.width - 1, -1, -1) if place != form.width - 1 - form.decimals]
    letters[:, form.width - 1 - form.decimals] = _POINT
    digits = np.full(count, form.decimals + 1)
    for number, place in enumerate(columns):
        if number > form.decimals:
            left = rest > 0
            if not left.any():
                break
            rest, digit = np.divmod(rest, 10)
            letters[:, place] = np.where(left, digit + _ZERO, _BLANK)
            digits += left
        else:
            rest, digit = np.divmod(rest, 10)
            letters[:, place] = digit + _ZERO
    marked = np.flatnonzero(np.signbit(values)) if not form.signed else np.arange(count)
    sign = np.where(np.signbit(values[marked]), _MINUS, _PLUS)
    letters[marked, form.width - 2 - digits[marked]] = sign
    return letters


def _rows(code: str, columns: Sequence[tuple[Floats, Format]], kept: dict[int, Letters]) -> bytes:
    """Lines of one kind of object; `kept` holds columns already formatted, by their place."""
    count = len(columns[0][0])
    parts: list[Letters] = []
    for place, (values, form) in enumerate(columns):
        letters = kept.get(place)
        if letters is None:
            letters = fixed(values, form)
        if letters is None:
            line = code + "".join(f" {each.text}" for _, each in columns) + "\n"
            return "".join(line % row for row in zip(*(each for each, _ in columns), strict=True)).encode("ascii")
        kept[place] = letters
        parts.append(letters)
    width = len(code) + sum(1 + part.shape[1] for part in parts) + 1
    lines = np.full((count, width), _BLANK, np.uint8)
    lines[:, : len(code)] = np.frombuffer(code.encode("ascii"), np.uint8)
    lines[:, -1] = ord("\n")
    at = len(code) + 1
    for part in parts:
        lines[:, at : at + part.shape[1]] = part
        at += part.shape[1] + 1
    return lines.tobytes()


def write_lists(sky: Sky, paths: Sequence[Path | None]) -> None:
    """Write a list a passband; None leaves one out."""
    place = DEGREES if sky.settings.coordinates == EQUATORIAL else PIXELS
    galaxies, stars = sky.galaxies, sky.stars
    x, y = sky.places(galaxies.x, galaxies.y)
    star_x, star_y = sky.places(stars.x, stars.y)
    kept: dict[int, Letters] = {}
    kept_stars: dict[int, Letters] = {}
    for band, path in enumerate(paths):
        if path is None:
            continue
        for held, changing in ((kept, (2, 3)), (kept_stars, (2,))):
            for column in changing:
                held.pop(column, None)
        columns = [
            (x, place),
            (y, place),
            (galaxies.magnitudes[band], MAGNITUDE),
            (galaxies.bulge_fractions[band], SHARE),
            (galaxies.bulge_radius, RADIUS),
            (galaxies.bulge_ratio, RATIO),
            (galaxies.bulge_angle, ANGLE),
            (galaxies.disc_radius, RADIUS),
            (galaxies.disc_ratio, RATIO),
            (galaxies.disc_angle, ANGLE),
            (galaxies.z, REDSHIFT),
            (galaxies.hubble, HUBBLE),
        ]
        points = [(star_x, place), (star_y, place), (stars.magnitudes[band], MAGNITUDE)]
        with path.open("wb") as stream:
            stream.write(_rows("100", points, kept_stars))
            stream.write(_rows("200", columns, kept))
