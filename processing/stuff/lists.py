"""Lists as the original writes them, one line an object, and SkyMaker reads them.

A galaxy is ``200 x y mag B/T r_bulge AR PA r_disc AR PA z Hubble``, a star ``100 x y mag``; the
columns have the widths of C's printf formats. What is the same in all passbands is formatted once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

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
    rest: NDArray[Any] = scaled.astype(np.uint32 if room < 10 else np.int64)
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


class _Lines:
    """Lines of one kind of object; only the columns that change are written anew for the next passband."""

    def __init__(self, code: str, columns: Sequence[Format], count: int) -> None:
        self.code, self.forms, self.count = code, columns, count
        width = len(code) + sum(1 + form.width for form in columns) + 1
        self.letters = np.full((count, width), _BLANK, np.uint8)
        self.letters[:, : len(code)] = np.frombuffer(code.encode("ascii"), np.uint8)
        self.letters[:, -1] = ord("\n")
        self.plain = True
        self.values: dict[int, Floats] = {}

    def put(self, number: int, values: Floats) -> None:
        """Set one column."""
        self.values[number] = values
        column = fixed(values, self.forms[number])
        if column is None:
            self.plain = False
            return
        at = len(self.code) + 1 + sum(1 + form.width for form in self.forms[:number])
        self.letters[:, at : at + column.shape[1]] = column

    def write(self, stream: BinaryIO) -> None:
        """Write all lines; where a number does not fit its column, the line becomes longer, as printf has it."""
        if self.plain:
            stream.write(self.letters.data)
            return
        line = self.code + "".join(f" {form.text}" for form in self.forms) + "\n"
        rows = zip(*(self.values[number] for number in range(len(self.forms))), strict=True)
        stream.write("".join(line % row for row in rows).encode("ascii"))


def write_lists(sky: Sky, paths: Sequence[Path | None]) -> None:
    """Write a list a passband; None leaves one out."""
    place = DEGREES if sky.settings.coordinates == EQUATORIAL else PIXELS
    galaxies, stars = sky.galaxies, sky.stars
    shapes = (RADIUS, RATIO, ANGLE)
    lines = _Lines("200", (place, place, MAGNITUDE, SHARE, *shapes, *shapes, REDSHIFT, HUBBLE), len(galaxies))
    points = _Lines("100", (place, place, MAGNITUDE), len(stars))
    same = (
        *sky.places(galaxies.x, galaxies.y),
        *(galaxies.bulge_radius, galaxies.bulge_ratio, galaxies.bulge_angle),
        *(galaxies.disc_radius, galaxies.disc_ratio, galaxies.disc_angle),
        *(galaxies.z, galaxies.hubble),
    )
    for number, values in zip((0, 1, *range(4, 12)), same, strict=True):
        lines.put(number, values)
    for number, values in enumerate(sky.places(stars.x, stars.y)):
        points.put(number, values)
    for band, path in enumerate(paths):
        if path is None:
            continue
        points.put(2, stars.magnitudes[band])
        lines.put(2, galaxies.magnitudes[band])
        lines.put(3, galaxies.bulge_fractions[band])
        with path.open("wb") as stream:
            points.write(stream)
            lines.write(stream)
