"""Columns of a listing read all at once: cells become fixed lines of bytes, in which a database finds its values.

Each reading says of which rows it holds. It holds only where the value is the
one that `snooppix.listing` reads of the cell alone, which is asked about every
other row. A test holds the two ways against each other.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from snooppix.block import Block

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
Holds = NDArray[np.bool_]

STAMP: Final = 26
"""Letters of a moment with microseconds."""
_ZERO: Final = ord("0")
_SPACE: Final = ord(" ")
_POINT: Final = ord(".")
NUMERATOR: Final = 16
"""Digits of a whole number that a float holds."""
DENOMINATOR: Final = 19
_MANTISSA: Final = 53
"""Bits of that number."""
_POWERS: Final = np.frombuffer(
    b"".join(str(2**shift).zfill(DENOMINATOR).encode() for shift in range(63)), dtype=np.uint8
).reshape(-1, DENOMINATOR)
_EXACT: Final = 15
"""Digits of which a float holds every whole number; divided by a power of ten that a float
holds, too, it gives the nearest float of the decimal."""
_TENS: Final = 10.0 ** np.arange(_EXACT + 1)
_DAYS: Final = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_US_A_DAY: Final = 86_400_000_000.0
_MJD_0: Final = np.datetime64("1858-11-17", "D")
_MOST_DAYS: Final = 100_000
WIDEST: Final = 128
"""Bytes of a column at most."""
_BEHIND: Final = np.arange(WIDEST) >= np.arange(WIDEST + 1)[:, None]
"""Of each length which bytes lie behind it."""
_HEX: Final = np.zeros(256, dtype=bool)
_HEX[list(b"0123456789abcdef")] = True


@dataclass(frozen=True, slots=True)
class Column:
    """Cells of one column."""

    letters: Bytes
    """(rows, width): spaces behind the end of each cell."""
    lengths: Places
    """(rows,): bytes of each cell, which may be more than fit."""


@dataclass(frozen=True, slots=True)
class Decimals:
    """Numbers written without sign or exponent."""

    values: NDArray[np.float64]
    """(rows,): the nearest float, as `float` reads the text; 0 where it does not hold."""
    holds: Holds
    """(rows,): where the cell is such a number; not where it is empty."""


def column(block: Block, at: int, *, width: int) -> Column:
    """Cut a column out of a block; of longer cells only the beginning."""
    starts = block.starts[:, at]
    lengths = block.ends[:, at] - starts
    width = max(1, min(width, int(lengths.max())))
    spans = np.ndarray(shape=(len(block.raw) - width + 1,), dtype=f"V{width}", buffer=block.raw, strides=(1,))
    letters = spans[starts].view(np.uint8).reshape(-1, width)
    if int(lengths.min()) < width:
        np.copyto(letters, _SPACE, where=_BEHIND[np.minimum(lengths, width), :width])
    return Column(letters, lengths)


def words(cells: Column, *, most: int) -> Holds:
    """(rows,): where a cell is text of a length that a column of the database has, of printable ASCII."""
    printable = (cells.letters >= _SPACE) & (cells.letters <= ord("~"))
    return np.asarray(printable.all(axis=1) & (cells.lengths <= most))


def digests(cells: Column) -> Holds:
    """(rows,): where a cell is an MD5 as the archive writes it."""
    if cells.letters.shape[1] != len("md5:") + 32:
        return np.zeros(len(cells.lengths), dtype=bool)
    begun = (cells.letters[:, :4] == np.frombuffer(b"md5:", dtype=np.uint8)).all(axis=1)
    return np.asarray(begun & _HEX[cells.letters[:, 4:]].all(axis=1) & (cells.lengths == len("md5:") + 32))


def decimals(cells: Column) -> Decimals:
    """Read numbers as ``468.332``."""
    digits, points = np.zeros((2, len(cells.lengths)), dtype=np.int64)
    behind, whole = np.zeros((2, len(cells.lengths)), dtype=np.int64)
    for letter in np.ascontiguousarray(cells.letters.T):
        figure = letter - _ZERO
        is_figure = figure < 10
        whole = np.where(is_figure, whole * 10 + figure, whole)
        digits += is_figure
        behind += is_figure & (points > 0)
        points += letter == _POINT
    holds = (digits > 0) & (points <= 1) & (digits + points == cells.lengths)
    exact = holds & (digits <= _EXACT)
    values = np.where(exact, whole, 0) / _TENS[np.where(exact, behind, 0)]
    long = holds & ~exact
    if long.any():
        width = cells.letters.shape[1]
        values[long] = [float(text) for text in cells.letters[long].view(f"S{width}").ravel().tolist()]
    return Decimals(values, np.asarray(holds))


def fractions(values: NDArray[np.float64]) -> tuple[Bytes, Bytes, Holds]:
    """Write floats as one whole number divided by another, a power of two: exact, whatever reads them.

    Returns
    -------
    numerators : (rows, 16)
    denominators : (rows, 19)
    holds : (rows,): not where a value is too small, and not 0
    """
    mantissas, exponents = np.frexp(values)
    shifts = _MANTISSA - exponents
    holds = (values == 0) | ((shifts >= 0) & (shifts < len(_POWERS)))
    numerators = np.where(holds, np.ldexp(mantissas, _MANTISSA), 0).astype(np.int64)
    powers = 10 ** np.arange(NUMERATOR - 1, -1, -1)
    written = (numerators[:, None] // powers % 10 + _ZERO).astype(np.uint8)
    return written, _POWERS[np.where(holds, shifts, 0)], np.asarray(holds)


def stamps(cells: Column) -> tuple[Bytes, Holds]:
    """Read moments as ``2008-08-04T22:44:54.123``, seconds, milliseconds or microseconds, or none.

    Returns
    -------
    letters : (rows, 26), as ``2008-08-04 22:44:54.123000``; spaces where the cell is empty
    holds : (rows,)
    """
    rows, width = cells.letters.shape
    letters = np.full((rows, STAMP), _SPACE, dtype=np.uint8)
    letters[:, : min(width, STAMP)] = cells.letters[:, :STAMP]
    empty = cells.lengths == 0
    holds = np.isin(cells.lengths, (19, 23, STAMP))
    for place, sign in ((4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":")):
        holds &= letters[:, place] == ord(sign)
    holds &= (letters[:, 19] == _POINT) | (cells.lengths == 19)
    letters[:, 10], letters[:, 19] = _SPACE, _POINT
    np.copyto(letters, _ZERO, where=_BEHIND[np.clip(cells.lengths, 20, STAMP), :STAMP])
    figures = letters - _ZERO
    dated = [place for place in range(STAMP) if place not in {4, 7, 10, 13, 16, 19}]
    holds &= (figures[:, dated] < 10).all(axis=1)

    def read(begin: int, end: int) -> Places:
        found = np.zeros(rows, dtype=np.int64)
        for place in range(begin, end):
            found = found * 10 + figures[:, place].astype(np.int64)
        return found

    year, month, day = read(0, 4), read(5, 7), read(8, 10)
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    holds &= (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    holds &= day <= _DAYS[np.clip(month, 0, 12)] + leap
    holds &= (read(11, 13) < 24) & (read(14, 16) < 60) & (read(17, 19) < 60)
    if empty.any():
        letters[empty] = _SPACE
    return letters, np.asarray(holds | empty)


def days(cells: Column) -> tuple[Bytes, Holds]:
    """Read modified Julian dates; what is returned is as of `stamps`, and an empty cell is none of them.

    Microseconds are rounded as `datetime.timedelta` rounds them: half to even.
    """
    numbers = decimals(cells)
    holds = numbers.holds & (numbers.values > 0) & (numbers.values < _MOST_DAYS)
    values = np.where(holds, numbers.values, 1.0)
    part, whole = np.modf(values)
    rest, micro = np.modf(part * _US_A_DAY)
    total = (whole * _US_A_DAY).astype(np.int64) + micro.astype(np.int64)
    total += np.where(rest == 0.5, total & 1, np.rint(rest).astype(np.int64))
    date, time = np.divmod(total, int(_US_A_DAY))
    dates, which = np.unique(date, return_inverse=True)  # few: frames of a night share one
    written = np.datetime_as_string(_MJD_0 + dates, unit="D").astype("S10").view(np.uint8).reshape(-1, 10)
    letters = np.empty((len(total), STAMP), dtype=np.uint8)
    letters[:, :10] = written[which]
    second, micros = (part.astype(np.int32) for part in np.divmod(time, 1_000_000))
    for place, sign in ((10, _SPACE), (13, ord(":")), (16, ord(":")), (19, _POINT)):
        letters[:, place] = sign
    for begin, figures in ((11, second // 3600), (14, second // 60 % 60), (17, second % 60)):
        letters[:, begin], letters[:, begin + 1] = figures // 10 + _ZERO, figures % 10 + _ZERO
    for place in range(STAMP - 1, 19, -1):
        letters[:, place] = micros % 10 + _ZERO
        micros //= 10
    return letters, holds
