"""The list of wanted columns: ``NAME``, ``NAME(n)`` or ``NAME(nx,ny)``, one a line.

What stands behind it after a space is a comment, with ``#`` or without: lines of ``-dp`` whose ``#`` was taken away.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from processing.errors import BadSetting
from processing.sextractor.columns import Column, column, measured

_LINE = re.compile(r"(\w+)\s*(?:[(\[]\s*(\d+)\s*(?:,\s*(\d+)\s*)?[)\]])?(?:(?<=[\s)\]])(.*))?")
VECTORS = frozenset(
    {f"{quantity}_APER" for quantity in ("FLUX", "FLUXERR", "MAG", "MAGERR")}
    | {"FLUX_GROWTH", "MAG_GROWTH", "FLUX_RADIUS", "VECTOR_ASSOC", "IMAFLAGS_ISO", "NIMAFLAGS_ISO"}
)
LISTED = frozenset(f"{name}PSF_IMAGE" for name in "XY").union(
    f"{quantity}_PSF" for quantity in ("FLUX", "FLUXERR", "MAG", "MAGERR")
)
"""Of which a size is taken and left, as in the original: several PSFs of a source are rows, not elements."""
IMAGES = frozenset({"VIGNET", "VIGNET_SHIFT"})
LARGEST_CELL = 2**20
"""Numbers of one cell."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A column with the shape of its cells."""

    column: Column
    shape: tuple[int, ...] = ()
    """() of a number, (n,), or (ny, nx); the file has them in the opposite order."""

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def size(self) -> int:
        """Numbers a cell."""
        return math.prod(self.shape)


def wanted(lines: Iterable[str], *, where: str = "columns") -> tuple[Wanted, ...]:
    """Return the columns that `lines` ask for, in their order, each once.

    Raises
    ------
    BadSetting
        A line is none, a column is unknown or not measured, or its size makes no sense; names file and line.
    """
    found: dict[str, Wanted] = {}
    names = measured().keys()
    for number, line in enumerate(lines, 1):
        bare = line.split("#")[0].strip()
        if not bare:
            continue
        place = f"{where}:{number}"
        match = _LINE.fullmatch(bare)
        if not match:
            raise BadSetting(f"{place}: {bare!r}: NAME, NAME(n) or NAME(nx,ny) was expected")
        known = column(match[1], place)
        behind = match[4] or ""
        sized = match[1] in VECTORS | IMAGES
        if (sized and behind[:1] in {"(", "["}) or behind.split("(")[0].strip() in names:
            raise BadSetting(f"{place}: {bare!r}: NAME, NAME(n) or NAME(nx,ny) was expected, one a line")
        sizes = tuple(int(size) for size in match.groups()[1:3] if size is not None)
        found.setdefault(known.name, Wanted(known, _shape(known.name, sizes, place)))
    if not found:
        raise BadSetting(f"{where}: no column is asked for; name at least one")
    return tuple(found.values())


def _shape(name: str, sizes: tuple[int, ...], place: str) -> tuple[int, ...]:
    if name in LISTED and len(sizes) <= 1:
        return ()
    axes = 2 if name in IMAGES else 1 if name in VECTORS else 0
    if len(sizes) > axes and sizes != (1,):
        raise BadSetting(f"{place}: {name} has {('no size', 'one size', 'two sizes')[axes]}, {sizes} is given")
    if axes == 0 or not sizes:
        return (1, 1) if axes == 2 else ()
    padded = (*sizes, *[1] * (axes - len(sizes)))
    if not 0 < math.prod(padded) <= LARGEST_CELL:
        raise BadSetting(f"{place}: {name}{sizes}: 1 to {LARGEST_CELL} numbers in all were expected")
    return tuple(reversed(padded))


def shape_of(name: str, lines: Iterable[str]) -> tuple[int, ...] | None:
    """Return the shape of a column's cells as `lines` ask for it, () of a number; None where they do not."""
    for line in lines:
        match = _LINE.fullmatch(line.split("#")[0].strip())
        if match and match[1] == name:
            return _shape(name, tuple(int(size) for size in match.groups()[1:3] if size is not None), line)
    return None


def read_parameters(path: Path) -> tuple[str, ...]:
    """Return the lines of a file of wanted columns, checked, for `Settings.columns`; BadSetting where it is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as problem:
        raise BadSetting(f"{path}: cannot be read ({problem.strerror}); PARAMETERS_NAME names it") from problem
    return tuple(text(each) for each in wanted(lines, where=str(path)))


def text(each: Wanted) -> str:
    """Line of a file of wanted columns."""
    return each.name + (f"({','.join(str(size) for size in reversed(each.shape))})" if each.shape else "")
