"""Rows of TABLEDATA as they lie in the bytes that came: where each cell begins and ends is found for all at once.

No text is made of a cell before somebody asks for it: ten thousand rows are
looked over in 10 ms, bench_listing.py. What is taken is checked to be nothing
but rows and their cells; a row with an entity is read by the XML parser.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self, overload

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring
from numpy.typing import NDArray

from snooppix.binary_rows import LONGEST_CELL, TableBroken

_OPENING: Final = ord("<")
_CLOSING: Final = ord(">")
_SPACE: Final = ord(" ")
_ASCII: Final = 128
_WHITE: Final = np.zeros(256, dtype=bool)
_WHITE[[9, 10, 13, 32]] = True
_WIDEST_GAP: Final = 64
"""Bytes between two tags that are looked at, one after the other for all rows."""
_PAD: Final = bytes(128)
"""Behind the last row, so that a column may be cut out wider than its last cell is."""
_NEVER: Final = (b"\xef\xbf\xbe", b"\xef\xbf\xbf")
"""Characters that no XML document has, in UTF-8."""


def _word(tag: bytes) -> int:
    return int.from_bytes(tag[:4], "little")


class Block(Sequence[list[str]]):
    """Rows, each read when it is asked for; made by `of`."""

    def __init__(
        self,
        raw: bytes,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        odd: NDArray[np.bool_],
        careful: Mapping[int, list[str]],
    ) -> None:
        self.raw = raw
        """The rows, and some zeros behind them."""
        self.starts = starts
        """(rows, columns): where each cell begins."""
        self.ends = ends
        """(rows, columns): behind its last byte."""
        self.odd = odd
        """(rows,): rows of which a cell begins or ends with space, or has letters other than ASCII or an entity."""
        self._careful = careful
        """Cells of rows that the XML parser has read."""

    @classmethod
    def of(cls, raw: bytes, columns: int) -> Self | None:
        """Find the cells of whole rows; none if they are not written plainly.

        Parameters
        ----------
        raw : from behind ``<TABLEDATA>`` or ``</TR>`` to behind another ``</TR>``, in UTF-8
        columns : cells that each row has to have

        Raises
        ------
        TableBroken
            If a row has an entity that nobody knows.
        """
        raw += _PAD
        places = _tags(raw, columns)
        if places is None:
            whole = raw.replace(b"<TD />", b"<TD></TD>").replace(b"<TD/>", b"<TD></TD>")
            return None if whole == raw else cls.of(whole[: -len(_PAD)], columns)
        starts, ends = places[:, 1:-2:2] + 4, np.ascontiguousarray(places[:, 2:-1:2])
        if int((ends - starts).max()) > LONGEST_CELL or not _apart(raw, places, ends):
            return None
        letters = np.frombuffer(raw, dtype=np.uint8)
        padded = (letters[starts] <= _SPACE) | (letters[ends - 1] <= _SPACE)
        odd: NDArray[np.bool_] = np.asarray(padded.any(axis=1))
        if not raw.isascii():
            odd[_rows_at(places, np.flatnonzero(letters >= _ASCII))] = True
        careful: dict[int, list[str]] = {}
        if b"&" in raw:
            for row in np.unique(_rows_at(places, np.flatnonzero(letters == ord("&")))).tolist():
                odd[row] = True
                careful[row] = unescaped(raw[int(places[row, 0]) : int(places[row, -1]) + 5].decode())
        return cls(raw, starts, ends, odd, careful)

    def __len__(self) -> int:
        return len(self.odd)

    @overload
    def __getitem__(self, at: int) -> list[str]: ...

    @overload
    def __getitem__(self, at: slice) -> list[list[str]]: ...

    def __getitem__(self, at: int | slice) -> list[str] | list[list[str]]:
        if isinstance(at, slice):
            return [self[row] for row in range(*at.indices(len(self)))]
        row = range(len(self))[at]
        if row in self._careful:
            return list(self._careful[row])
        spans = zip(self.starts[row].tolist(), self.ends[row].tolist(), strict=True)
        return [self.raw[start:end].decode().strip() for start, end in spans]

    def __iter__(self) -> Iterator[list[str]]:
        if not self.raw.isascii():
            yield from (self[row] for row in range(len(self)))
            return
        text = self.raw.decode()
        spans = zip(self.starts.tolist(), self.ends.tolist(), self.odd.tolist(), strict=True)
        for row, (starts, ends, odd) in enumerate(spans):
            yield self[row] if odd else [text[start:end] for start, end in zip(starts, ends, strict=True)]


def forbidden(raw: bytes) -> bool:
    """Whether there are characters that no XML document has."""
    low = int(np.count_nonzero(np.frombuffer(raw, dtype=np.uint8) < _SPACE))
    low -= raw.count(b"\n")
    if low and low != raw.count(b"\r") + raw.count(b"\t"):
        return True
    return not raw.isascii() and any(letter in raw for letter in _NEVER)


def unescaped(row: str) -> list[str]:
    """Read a row in which signs are written as entities.

    Raises
    ------
    TableBroken
        If one of them is unknown.
    """
    try:
        cells = fromstring(row.strip(), forbid_dtd=True)
    except (ParseError, DefusedXmlException) as problem:
        raise TableBroken(str(problem)) from problem
    return [(cell.text or "").strip() for cell in cells]


def _tags(raw: bytes, columns: int) -> NDArray[np.int64] | None:
    """Find where each tag begins, (rows, 2 + 2 columns); none if there are others than those of rows and cells."""
    letters = np.frombuffer(raw, dtype=np.uint8)
    found = np.flatnonzero(letters == _OPENING)
    each = 2 + 2 * columns
    if not columns or not len(found) or len(found) % each:
        return None
    places = found.reshape(-1, each)
    words = np.ndarray(shape=(len(raw) - 3,), dtype="<u4", buffer=raw, strides=(1,))
    wanted = np.array([_word(b"<TR>"), *[_word(b"<TD>"), _word(b"</TD")] * columns, _word(b"</TR")], dtype=np.uint32)
    closing = np.concatenate([places[:, 2:-1:2].ravel(), places[:, -1]])
    if not (words[places] == wanted).all() or not (letters[closing + 4] == _CLOSING).all():
        return None
    return places


def _apart(raw: bytes, places: NDArray[np.int64], ends: NDArray[np.int64]) -> bool:
    """Whether nothing but white space stands between cells and between rows."""
    letters = np.frombuffer(raw, dtype=np.uint8)
    behind_rows = np.concatenate([[0], places[:-1, -1] + 5])
    begin = np.concatenate([behind_rows, places[:, 0] + 4, (ends + 5).ravel()])
    end = np.concatenate([places[:, 0], places[:, 1], places[:, 3::2].ravel()])
    # behind each cell comes the next one, and behind the last of a row its end
    width = end - begin
    if int(width.max()) > _WIDEST_GAP:
        return False
    wide = np.flatnonzero(width)
    for step in range(int(width.max())):
        wide = wide[width[wide] > step]
        if not _WHITE[letters[begin[wide] + step]].all():
            return False
    return True


def _rows_at(places: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows in which places in the bytes lie."""
    return np.searchsorted(places[:, 0], at, side="right") - 1
