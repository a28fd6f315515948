"""Rows of a VOTable in its BINARY and BINARY2 serialisations, given as the texts that TABLEDATA would have.

Archives differ in what they send when a VOTable is asked for: CADC writes
TABLEDATA, DaCHS writes BINARY. Asking for one of them by name is no help, since
the names of formats are not the same everywhere; so all three are read.
"""

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LONGEST_CELL: Final = 20_000
"""Characters; the longest cell we ask for is an address."""

_NUMBERS: Final[Mapping[str, struct.Struct]] = {
    "unsignedByte": struct.Struct(">B"),
    "short": struct.Struct(">h"),
    "int": struct.Struct(">i"),
    "long": struct.Struct(">q"),
    "float": struct.Struct(">f"),
    "double": struct.Struct(">d"),
}
_LETTERS: Final[Mapping[str, tuple[int, str]]] = {"char": (1, "utf-8"), "unicodeChar": (2, "utf-16-be")}
"""Bytes a letter, and how they are written."""
_TRUTHS: Final = {"T": "true", "t": "true", "1": "true", "F": "false", "f": "false", "0": "false"}
_LENGTH: Final = struct.Struct(">i")


class TableBroken(ValueError):
    """What came is no table that we can read."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column as the head of the table declares it."""

    name: str
    datatype: str = "char"
    arraysize: str = ""
    """Empty or 1: one value; a number: as many; with * at its end: as many as each cell says."""
    null: str = ""
    """Number that stands for no value; empty if there is none."""

    @property
    def varies(self) -> bool:
        return self.arraysize.endswith("*")

    @property
    def count(self) -> int:
        """Values in a cell, where that does not vary."""
        size = 1
        for word in self.arraysize.split("x") if self.arraysize else ():
            if not word.isdigit():
                raise TableBroken(f"column {self.name} has an array size of {self.arraysize!r}")
            size *= int(word)
        return size


class _Incomplete(Exception):
    """The row goes on in the next piece."""


class BinaryRows:
    """Takes the text of a STREAM as it comes, and gives whole rows."""

    def __init__(self, fields: list[Field], *, masked: bool) -> None:
        self._fields = fields
        self._mask = (len(fields) + 7) // 8 if masked else 0
        """Bytes in front of each row whose bits say which of its cells are empty: BINARY2 has them."""
        self._text = ""
        self._bytes = b""

    def feed(self, text: str) -> list[list[str]]:
        """Decode a piece of base64; return the rows that are whole now.

        Raises
        ------
        TableBroken
            If it is no base64, or a cell is longer than any we ask for.
        """
        text = self._text + "".join(text.split())
        whole = len(text) // 4 * 4
        self._text = text[whole:]
        try:
            self._bytes += base64.b64decode(text[:whole], validate=True)
        except binascii.Error as problem:
            raise TableBroken(f"its rows are no base64: {problem}") from problem
        rows: list[list[str]] = []
        place = 0
        while place < len(self._bytes):
            try:
                row, place = self._row(place)
            except _Incomplete:
                break
            rows.append(row)
        self._bytes = self._bytes[place:]
        return rows

    def close(self) -> None:
        """End the stream.

        Raises
        ------
        TableBroken
            If it ends within a row.
        """
        if self._text or self._bytes:
            raise TableBroken("its rows end within a row")

    def _row(self, place: int) -> tuple[list[str], int]:
        mask = self._take(place, self._mask)
        place += self._mask
        cells = []
        for number, field in enumerate(self._fields):
            text, place = self._cell(field, place)
            empty = bool(mask) and bool(mask[number // 8] & (0x80 >> number % 8))
            cells.append("" if empty else text)
        return cells, place

    def _cell(self, field: Field, place: int) -> tuple[str, int]:
        count = 1
        if field.varies:
            count = _LENGTH.unpack(self._take(place, _LENGTH.size))[0]
            place += _LENGTH.size
        elif field.arraysize:
            count = field.count
        if not 0 <= count <= LONGEST_CELL:
            raise TableBroken(f"a cell of {count} values in column {field.name}")
        if letters := _LETTERS.get(field.datatype):
            size, encoding = letters
            raw = self._take(place, size * count)
            return raw.decode(encoding, errors="replace").partition("\0")[0].strip(), place + size * count
        if field.datatype == "boolean":
            raw = self._take(place, count)
            return " ".join(_TRUTHS.get(letter, "") for letter in raw.decode("latin-1")), place + count
        number = _NUMBERS.get(field.datatype)
        if number is None:
            raise TableBroken(f"column {field.name} is of type {field.datatype!r}, which is not read")
        raw = self._take(place, number.size * count)
        return " ".join(_written(value, field) for (value,) in number.iter_unpack(raw)), place + number.size * count

    def _take(self, place: int, size: int) -> bytes:
        if place + size > len(self._bytes):
            raise _Incomplete
        return self._bytes[place : place + size]


def _written(value: float, field: Field) -> str:
    text = "" if isinstance(value, float) and math.isnan(value) else repr(value)
    return "" if text == field.null else text
