"""Columns of the original: name, type, unit, format, UCD and meaning, declared once in etc/sextractor/columns.tsv.

Files, VOTables, documentation and errors take them from here. Columns of the original
that are not measured (fits of galaxy models, self-organising maps, differential
geometry maps) are known by name, so that who asks for one is told so.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType

import numpy as np

from processing.errors import BadSetting
from terapix.installation import etc_directory

KINDS = MappingProxyType({"I": "i2", "J": "i4", "E": "f4", "D": "f8"})
"""Types of numpy by those of FITS."""
VOTABLE_TYPES = MappingProxyType({"I": "short", "J": "int", "E": "float", "D": "double"})
_UNITS = {"count": "ct", "pixel": "pix", "m**(-6)": "um"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is declared."""

    name: str
    type: str
    """I, J, E or D as in FITS."""
    unit: str
    """As the original writes it; empty where there is none."""
    display: str
    """Format of Fortran's kind, such as F8.4."""
    ucd: str
    meaning: str

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of a cell's numbers."""
        return np.dtype(KINDS[self.type])

    @property
    def vounit(self) -> str:
        """Unit by the VOUnits standard."""
        parts = (re.fullmatch(r"(\w+?)(?:\*\*\(?(-?\d+)\)?)?", part) for part in self.unit.split(" * "))
        if self.unit in _UNITS or not self.unit:
            return _UNITS.get(self.unit, "")
        return ".".join(_UNITS.get(part[1], part[1]) + (part[2] or "") for part in parts if part)


@lru_cache(maxsize=1)
def _read() -> tuple[dict[str, Column], frozenset[str]]:
    path = etc_directory() / "sextractor" / "columns.tsv"
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError as problem:
        found = f"{path}: cannot be read ({problem.strerror}); set TERAPIX_ETC to the etc directory"
        raise BadSetting(found) from problem
    rows = [line.split("\t") for line in lines if not line.startswith(("#", "name\t"))]
    return {row[0]: Column(*row) for row in rows if len(row) > 1}, frozenset(row[0] for row in rows if len(row) == 1)


def measured() -> MappingProxyType[str, Column]:
    """All columns that can be measured, by name, in the order of the original's list."""
    return MappingProxyType(_read()[0])


def not_measured() -> frozenset[str]:
    """Names of the original's columns that are left out."""
    return _read()[1]


def column(name: str, where: str = "column") -> Column:
    """Return a column.

    Raises
    ------
    BadSetting
        Says `where` it was asked for, and either that it is not measured or which name is near.
    """
    known, left_out = _read()
    if name in known:
        return known[name]
    if name in left_out:
        raise BadSetting(f"{where}: {name} is not measured here; take it out, or take the original's catalogue for it")
    near = get_close_matches(name.upper(), known, n=1)
    hint = f"did you mean {near[0]}?" if near else "-dp prints all columns"
    raise BadSetting(f"{where}: there is no column {name}; {hint}")
