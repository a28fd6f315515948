"""Lists of sources as SkyMaker and Stuff write them, one source a line.

====  =====================================================================================================
code  columns behind x, y (pixels from 1, or right ascension and declination in degrees) and magnitude
====  =====================================================================================================
100   star
200   bulge share, effective radius, ratio, angle, disc scale length, ratio, angle, redshift, Hubble type
210   as 200, with the Sersic index of the bulge behind its share
300   raster image: number of the file, width in arcsec, ratio, angle
====  =====================================================================================================
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import FileProblem

Floats = NDArray[np.float64]
STAR, GALAXY, SERSIC, RASTER = 100, 200, 210, 300
COLUMNS = 10
"""Columns kept behind the magnitude: share, index, radius, ratio, angle, scale, ratio, angle, redshift, type."""
_NOTHING = [0.0] * COLUMNS
_DEFAULTS = {
    GALAXY: (1.0, 1.0, 1.0, math.nan, 1.0, 1.0, math.nan, 0.0, 0.0),
    SERSIC: (1.0, 4.0, 1.0, 1.0, math.nan, 1.0, 1.0, math.nan, 0.0, 0.0),
    RASTER: (math.nan, 1.0, 1.0, 0.0),
}
"""Values of columns left out; an angle that is not given is drawn."""


class BadList(FileProblem):
    """A line of a list says what cannot be."""

    def __init__(self, path: Path | str, found: str, *, hdu: int | None = None, remedy: str) -> None:
        super().__init__(path, found, hdu=hdu, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Sources:
    """Sources of a list; arrays over them."""

    code: NDArray[np.int64]
    x: Floats
    """Pixels from 1, or degrees."""
    y: Floats
    mag: Floats
    rest: Floats
    """(n, COLUMNS): see COLUMNS; of a raster its number, width, ratio and angle."""

    def __len__(self) -> int:
        return int(self.code.size)

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "Sources":
        return Sources(self.code[which], self.x[which], self.y[which], self.mag[which], self.rest[which])

    def at(self, x: Floats, y: Floats) -> "Sources":
        """Return the same sources elsewhere."""
        return Sources(self.code, x, y, self.mag, self.rest)

    def turned(self, turn: Callable[[Floats], Floats]) -> "Sources":
        """Return the same sources with other angles."""
        rest = self.rest.copy()
        for column in (4, 7):
            rest[:, column] = turn(rest[:, column])
        raster = self.code == RASTER
        rest[:, 3] = np.where(raster, turn(rest[:, 3]), rest[:, 3])
        return Sources(self.code, self.x, self.y, self.mag, rest)

    @staticmethod
    def stars(x: Floats, y: Floats, mag: Floats) -> "Sources":
        return Sources(np.full(x.size, STAR), x, y, mag, np.zeros((x.size, COLUMNS)))

    def joined(self, other: "Sources") -> "Sources":
        """Return these sources and the others behind them."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__)
        return Sources(*(np.concatenate(pair) for pair in pairs))


def read_list(path: Path, *, limits: tuple[float, float] = (-99.0, 99.0), seed: int = 0) -> Sources:
    """Read a list.

    Parameters
    ----------
    path : Path
    limits : (bright, faint)
        Magnitudes; sources outside are left out.
    seed : int
        Of angles that the list does not give.

    Raises
    ------
    BadList
        Names file, line, column, value, and what was expected.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise BadList(path, f"cannot be read ({problem.strerror})", remedy="give an existing list") from problem
    chance = np.random.default_rng([seed, 7])
    codes, rows = [], []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        row = _plain(words) or _row(words, f"{path}:{number}", chance)
        if limits[0] <= row[3] <= limits[1]:
            codes.append(int(row[0]))
            rows.append(row)
    table = np.array(rows, np.float64).reshape(len(rows), 4 + COLUMNS)
    return Sources(np.array(codes, np.int64), table[:, 1], table[:, 2], table[:, 3], table[:, 4:])


def _plain(words: list[str]) -> list[float] | None:
    """Row of a complete and good line; None where a closer look is needed."""
    try:
        row = list(map(float, words))
    except ValueError:
        return None
    if words[0] == "200" and len(row) >= 13:
        row.insert(5, 4.0)
    elif words[0] == "100" and len(row) == 4:
        return row + _NOTHING if math.isfinite(row[1] + row[2] + row[3]) else None
    row = row[: 4 + COLUMNS]
    if len(row) != 4 + COLUMNS or words[0] not in {"200", "210"} or not math.isfinite(sum(row)):
        return None
    good = 0.0 <= row[4] <= 1.0 and 0.3 <= row[5] <= 10.0
    good = good and row[6] > 0.0 and 0.0 < row[7] <= 1.0 and row[9] > 0.0 and 0.0 < row[10] <= 1.0
    return row if good else None


def _row(words: list[str], where: str, chance: np.random.Generator) -> list[float]:
    """Code, place, magnitude and the rest of a line, or what is wrong with it."""
    code, values = _numbers(words, where)
    if code == STAR:
        return [STAR, *values[:3], *_NOTHING]
    defaults = _DEFAULTS[code]
    given = values[3 : 3 + len(defaults)]
    rest = [*given, *defaults[len(given) :]]
    if code == GALAXY:
        rest.insert(1, 4.0)
    if code == RASTER:
        _checked_raster(rest, where)
        return [RASTER, *values[:3], *rest, *([0.0] * (COLUMNS - len(rest)))]
    for column in (4, 7):
        if math.isnan(rest[column]):
            rest[column] = chance.uniform(-180.0, 180.0)
    _checked_galaxy(rest, where)
    return [code, *values[:3], *rest]


def _numbers(words: list[str], where: str) -> tuple[int, list[float]]:
    """Code and values of a line."""
    if words[0] not in {"100", "200", "210", "300"}:
        raise BadList(where, f"code {words[0]}", remedy="100, 200, 210 or 300 was expected")
    values = []
    for column, word in enumerate(words[1:], 2):
        try:
            values.append(float(word))
        except ValueError:
            raise BadList(where, f"{word!r} in column {column}", remedy="a number was expected") from None
        if not math.isfinite(values[-1]):
            raise BadList(where, f"{word} in column {column}", remedy="a finite number was expected")
    if len(values) < 3:
        raise BadList(where, f"{len(words)} columns", remedy="code, x, y and magnitude are the least")
    return int(words[0]), values


def _checked_raster(rest: list[float], where: str) -> None:
    if not (rest[0] >= 1.0 and rest[0] == int(rest[0])):
        raise BadList(where, f"raster {rest[0]}", remedy="the number of a file, from 1, was expected")
    if not (rest[1] > 0.0 and rest[2] > 0.0):
        raise BadList(where, f"width {rest[1]}, ratio {rest[2]}", remedy="numbers above 0 were expected")


def _checked_galaxy(rest: list[float], where: str) -> None:
    share = rest[0]
    for name, value, good, expected in (
        ("bulge share", share, 0.0 <= share <= 1.0, "0 to 1"),
        ("Sersic index", rest[1], 0.3 <= rest[1] <= 10.0, "0.3 to 10"),
        ("bulge radius", rest[2], rest[2] > 0.0 or share == 0.0, "a length above 0 in arcsec"),
        ("bulge ratio", rest[3], 0.0 < rest[3] <= 1.0 or share == 0.0, "above 0, up to 1"),
        ("disc scale length", rest[5], rest[5] > 0.0 or share == 1.0, "a length above 0 in arcsec"),
        ("disc ratio", rest[6], 0.0 < rest[6] <= 1.0 or share == 1.0, "above 0, up to 1"),
    ):
        if not good:
            raise BadList(where, f"{name} {value}", remedy=f"{expected} was expected")


def lines_of(sources: Sources, area: Floats) -> list[str]:
    """Lines of sources with their positions in pixels from 1; `area` is that of galaxies' noise, pixels."""
    table = np.column_stack([sources.code, sources.x, sources.y, sources.mag, sources.rest, area]).tolist()
    return [_FORMS[row[0]](row) for row in table]


def _star_line(row: list[float]) -> str:
    form = "%3d %11.4f %11.4f %8.4f\n"
    return form % (*row[:4],)


def _galaxy_line(row: list[float]) -> str:
    form = "%3d %11.4f %11.4f %8.4f %5.3f %9.3f %5.3f %+7.2f %9.3f %5.3f %+7.2f %8.5f %+4.1f %11.2f\n"
    return form % (*row[:5], *row[6:])


def _sersic_line(row: list[float]) -> str:
    form = "%3d %11.4f %11.4f %8.4f %5.3f %4.2f %9.3f %5.3f %+7.2f %9.3f %5.3f %+7.2f %8.5f %+4.1f %11.2f\n"
    return form % (*row,)


def _raster_line(row: list[float]) -> str:
    form = "%3d %11.4f %11.4f %8.4f %6d %9.3f %5.3f %+7.2f\n"
    return form % (*row[:8],)


_FORMS = {STAR: _star_line, GALAXY: _galaxy_line, SERSIC: _sersic_line, RASTER: _raster_line}
