"""Binary tables of FITS: header and rows of a catalogue's columns."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from processing.cards import RECORD, Entry, padding, text_of
from processing.sextractor.parameters import Wanted
from processing.sextractor.records import Table


def rows_of(columns: Sequence[Wanted], tables: Sequence[Table]) -> NDArray[np.void]:
    """Return the rows of `tables`, behind each other, as they lie in a file."""
    kind = np.dtype([(each.name, each.column.dtype.newbyteorder(">"), each.shape) for each in columns])
    lengths = [len(next(iter(table.values()))) for table in tables]
    rows = np.empty(sum(lengths), kind)
    begin = 0
    for table, length in zip(tables, lengths, strict=True):
        for each in columns:
            rows[each.name][begin : begin + length] = table[each.name].reshape(length, *each.shape)
        begin += length
    return rows


def column_cards(columns: Iterable[Wanted], *, standard: bool) -> list[Entry]:
    """Return what a header says of its columns.

    Parameters
    ----------
    standard : units by the VOUnits standard, and UCDs; otherwise units as the original has them
    """
    cards: list[Entry] = []
    for number, each in enumerate(columns, 1):
        declared = each.column
        cards += [
            (f"TTYPE{number}", declared.name, declared.meaning),
            (f"TFORM{number}", f"{each.size}{declared.type}"),
        ]
        if len(each.shape) == 2:
            cards.append((f"TDIM{number}", f"({each.shape[1]},{each.shape[0]})"))
        if unit := declared.vounit if standard else declared.unit:
            cards.append((f"TUNIT{number}", unit))
        cards.append((f"TDISP{number}", declared.display))
        if standard and declared.ucd:
            cards.append((f"TUCD{number}", declared.ucd))
    return cards


def table_hdu(name: str, row_bytes: int, rows: int, cards: Sequence[Entry], *, fields: int) -> bytes:
    """Return the header of a binary table."""
    text = text_of([
        ("XTENSION", "BINTABLE", "binary table"), ("BITPIX", 8), ("NAXIS", 2),
        ("NAXIS1", row_bytes, "bytes a row"), ("NAXIS2", rows, "rows"), ("PCOUNT", 0), ("GCOUNT", 1),
        ("TFIELDS", fields, "columns"), ("EXTNAME", name), *cards,
    ])  # fmt: skip
    return header(text)


def header(text: str) -> bytes:
    """Return card images with END, filled to whole records."""
    ended = (text + "END".ljust(80)).encode("ascii", errors="replace")
    return ended + b" " * padding(len(ended))


def filling(length: int) -> bytes:
    """Return what fills the last record of `length` bytes of data."""
    return bytes(padding(length))


PRIMARY = header(text_of([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]))
assert len(PRIMARY) == RECORD
