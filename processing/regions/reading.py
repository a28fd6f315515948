"""Region files as DS9 saves them, read with the suspicion that files from outside deserve.

Lines hold commands, separated by ``;``: a coordinate system, ``global`` with
attributes, ``tile N`` with the image of a file that what follows belongs to, or a
shape, ``-`` before it where it is excluded, attributes behind ``#``. WeightWatcher's
own files are of this kind.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from processing.errors import BadRegions
from processing.regions.shapes import Length, Region, System, Unit

LONGEST_FILE = 1 << 28
"""Bytes."""
LARGEST = 1e12
"""Of a position or a length: no image has so many pixels."""
_SYSTEMS = {
    **{system.value: system for system in System},
    "j2000": System.FK5, "b1950": System.FK4, "eq": System.FK5,
}  # fmt: skip
_NO_SYSTEMS = frozenset(
    {"amplifier", "detector", "linear", "wcs", *(f"wcs{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")}
)
"""Systems of DS9 that the headers here do not tell."""
_SHAPES = {"polygon", "circle", "ellipse", "box", "rotbox", "annulus"}
_WITHOUT_AREA = {"point", "text", "line", "vector", "ruler", "compass", "projection", "segment"} | {
    f"{mark}point" for mark in ("circle", "box", "diamond", "cross", "x", "arrow", "boxcircle")
} | {"composite"}  # fmt: skip
"""What a person draws to point at something; no pixel lies in it."""
_UNITS = {
    '"': (Unit.DEGREE, 1 / 3600), "'": (Unit.DEGREE, 1 / 60), "d": (Unit.DEGREE, 1.0),
    "r": (Unit.DEGREE, math.degrees(1)), "p": (Unit.PHYSICAL, 1.0), "i": (Unit.IMAGE, 1.0),
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_SEXAGESIMAL = re.compile(r"([+-]?)(\d{1,3})[:hd](\d{1,2})(?:[:m](\d{1,2}(?:\.\d*)?)s?|m)?", re.IGNORECASE)
_COMMAND = re.compile(r"([+-]?)\s*([A-Za-z][A-Za-z0-9]*)\s*(.*)", re.DOTALL)
_ATTRIBUTE = re.compile(r"([A-Za-z][A-Za-z0-9_]*)\s*=\s*(\{[^}]*\}|\"[^\"]*\"|'[^']*'|[^\s=]+(?:\s+[\d.]+(?=\s|$))*)")
_EXPECTED = "polygon, circle, ellipse, box or annulus with its numbers was expected"


def read_regions(path: Path) -> list[Region]:
    """Read all regions of a file, in its order.

    Returns
    -------
    regions : shapes that have an area; points, lines and texts are passed over

    Raises
    ------
    BadRegions
        Names the file, the line, what was found and what was expected.
    """
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise BadRegions(path, "more than 256 MB", remedy="no person drew so many regions")
        content = path.read_bytes()
    except OSError as problem:
        raise BadRegions(
            path, f"cannot be read ({problem.strerror})", remedy="a file of DS9 regions was expected"
        ) from problem
    if b"\0" in content:
        raise BadRegions(path, "no text", remedy="a file of DS9 regions was expected")
    regions = regions_of(content.decode("utf-8-sig", errors="replace"), path)
    if regions and all(region.excluded for region in regions):
        found = f"line {regions[0].line}: only excluded regions"
        raise BadRegions(path, found, remedy="draw the region from which they are cut out as well")
    return regions


def regions_of(text: str, path: Path) -> list[Region]:
    """Read the text of a region file; `path` is what errors call it."""
    reader = _Reader(path)
    for number, line in enumerate(text.splitlines(), 1):
        reader.line = number
        body, comment = _parted(line)
        tile = re.match(r"\s*tile\s+(\d+)", comment)
        if not body.strip() and tile:
            reader.tile(tile[1])
        commands = [command.strip() for command in body.split(";")]
        commands = [command for command in commands if command]
        for command in commands:
            reader.command(command, comment if command is commands[-1] else "")
    return reader.regions


def _parted(line: str) -> tuple[str, str]:
    """Split at the ``#`` that begins attributes; those of ``global`` stand without one."""
    if line.lstrip().startswith("global"):
        return line, ""
    body, _, comment = line.partition("#")
    return body, comment


@dataclass
class _Reader:
    """What lines read so far mean for the next one."""

    path: Path
    line: int = 0
    system: System = System.IMAGE
    number: int = 1
    common: dict[str, str] = field(default_factory=dict)
    regions: list[Region] = field(default_factory=list)

    def bad(self, found: str, remedy: str = _EXPECTED) -> BadRegions:
        return BadRegions(self.path, f"line {self.line}: {found}", remedy=remedy)

    def tile(self, text: str) -> None:
        if not re.fullmatch(r"\d{1,5}", text) or int(text) == 0:
            raise self.bad(f"tile {text[:20]}", "tile and the number of an image, from 1, was expected")
        self.number = int(text)

    def command(self, text: str, comment: str) -> None:
        """Take one command; a system before a shape on the same line may stand without ``;``."""
        while text:
            text = self._take(text, comment)

    def _take(self, text: str, comment: str) -> str:
        """Take one command; return what follows a system."""
        parts = _COMMAND.fullmatch(text)
        if not parts:
            raise self.bad(repr(text[:40]))
        sign, word, rest = parts[1], parts[2].lower(), parts[3].strip()
        if word == "global":
            self.common |= dict(_attributes(rest))
        elif word == "tile":
            self.tile(rest)
        elif word in _SYSTEMS and not sign:
            self.system = _SYSTEMS[word]
            return rest
        elif word in _NO_SYSTEMS:
            raise self.bad(f"coordinates in {word}", f"one of {', '.join(System)} was expected")
        elif word in _WITHOUT_AREA:
            return ""
        elif word in _SHAPES:
            self.regions.append(self._region(word, rest, comment, excluded=sign == "-"))
        else:
            near = get_close_matches(word, [*_SHAPES, *_SYSTEMS], n=1)
            raise self.bad(repr(text[:40]), f"did you mean {near[0]}?" if near else _EXPECTED)
        return ""

    def _region(self, shape: str, rest: str, comment: str, *, excluded: bool) -> Region:
        values = [value for value in re.split(r"[\s,()]+", rest.removesuffix("||")) if value]
        if "(" in rest and ")" not in rest:
            raise self.bad(f"{shape} without its )")
        attributes = self.common | dict(_attributes(comment))
        tags = tuple(value for key, value in _attributes(comment) if key == "tag")
        attributes.pop("tag", None)
        text = attributes.pop("text", "")
        if attributes.pop("include", "1") == "0":
            excluded = True
        points, lengths, angle = self._geometry(shape, values)
        return Region(
            {"rotbox": "box"}.get(shape, shape), self.system, points, lengths, angle, self.number, excluded,
            text, tags, tuple(attributes.items()), self.path, self.line,
        )  # fmt: skip

    def _geometry(
        self, shape: str, values: list[str]
    ) -> tuple[tuple[tuple[float, float], ...], tuple[tuple[Length, Length], ...], float]:
        if shape == "polygon":
            if len(values) % 2 or len(values) < 6:
                raise self.bad(f"polygon of {len(values)} numbers", "x and y of three corners at least were expected")
            return self._corners(values), (), 0.0
        if len(values) < 3:
            raise self.bad(f"{shape} of {len(values)} numbers")
        centre = self._point(values[0], values[1])
        if shape in {"circle", "annulus"}:
            radii = [self._length(value) for value in values[2:]]
            if shape == "circle" and len(radii) != 1:
                raise self.bad(f"circle of {len(values)} numbers", "x, y and a radius were expected")
            if shape == "annulus" and len(radii) < 2:
                raise self.bad(f"annulus of {len(values)} numbers", "x, y and two radii were expected")
            pairs = [(radius, radius) for radius in (radii if shape == "circle" else (radii[0], radii[-1]))]
            return (centre,), tuple(pairs), 0.0
        sides = [self._length(value) for value in values[2 : len(values) - (len(values) % 2)]]
        if len(sides) < 2:
            raise self.bad(f"{shape} of {len(values)} numbers", "x, y, two lengths and an angle were expected")
        angle = self._plain(values[-1].rstrip("d")) if len(values) % 2 else 0.0
        half = 0.5 if shape in {"box", "rotbox"} else 1.0
        couples = [
            (Length(a.value * half, a.unit), Length(b.value * half, b.unit))
            for a, b in zip(sides[::2], sides[1::2], strict=True)
        ]
        return (centre,), tuple(couples if len(couples) < 2 else (couples[0], couples[-1])), angle

    def _corners(self, values: list[str]) -> tuple[tuple[float, float], ...]:
        """Corners of a polygon: at once where all of them are plain numbers, as most are."""
        try:
            numbers = list(map(float, values))
        except ValueError:
            numbers = [math.nan]
        plain = sum(map(abs, numbers)) <= LARGEST and not any("_" in value for value in values)
        on_sky = plain and min(numbers) >= -90 and max(numbers) <= 360 and max(numbers[1::2]) <= 90
        if plain and (on_sky or not self.system.on_the_sky):
            return tuple(zip(numbers[::2], numbers[1::2], strict=True))
        return tuple(self._point(*pair) for pair in zip(values[::2], values[1::2], strict=True))

    def _plain(self, text: str) -> float:
        if not _NUMBER.fullmatch(text) or abs(float(text)) > LARGEST:
            raise self.bad(f"{text[:40]!r} where a number should be", f"a number up to {LARGEST:g} was expected")
        return float(text)

    def _point(self, first: str, second: str) -> tuple[float, float]:
        if not self.system.on_the_sky:
            return self._plain(first.rstrip("ip")), self._plain(second.rstrip("ip"))
        hours = self.system not in {System.GALACTIC, System.ECLIPTIC}
        longitude, latitude = self._degrees(first, hours=hours), self._degrees(second, hours=False)
        if not (-360 <= longitude <= 720 and -90 <= latitude <= 90):
            found = f"position {first[:20]} {second[:20]} in {self.system}"
            raise self.bad(found, "degrees from 0 to 360 and from -90 to 90, or sexagesimal, were expected")
        return longitude, latitude

    def _degrees(self, text: str, *, hours: bool) -> float:
        parts = _SEXAGESIMAL.fullmatch(text)
        if not parts:
            if text[-1:] == "r":
                return math.degrees(self._plain(text[:-1]))
            return self._plain(text.removesuffix("d"))
        minutes, seconds = float(parts[3]), float(parts[4] or 0)
        if minutes >= 60 or seconds > 60:
            raise self.bad(repr(text[:40]), "minutes and seconds below 60 were expected")
        value = float(parts[2]) + minutes / 60 + seconds / 3600
        in_hours = hours if ":" in text else "h" in text.lower()
        return (-value if parts[1] == "-" else value) * (15 if in_hours else 1)

    def _length(self, text: str) -> Length:
        unit, factor = _UNITS.get(text[-1:], (None, 1.0))
        value = self._plain(text[:-1] if unit else text) * factor
        if value < 0:
            raise self.bad(f"length {text[:40]}", "a length not below 0 was expected")
        if unit is None:
            unit = (
                Unit.DEGREE
                if self.system.on_the_sky
                else Unit.PHYSICAL
                if self.system is System.PHYSICAL
                else Unit.IMAGE
            )
        return Length(value, unit)


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for found in _ATTRIBUTE.finditer(text):
        value = found[2]
        yield found[1].lower(), value[1:-1] if value[:1] in "{\"'" else value
