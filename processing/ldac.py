"""LDAC catalogues: for each image a table of its header's cards, LDAC_IMHEAD, and one of its sources, LDAC_OBJECTS.

The layout is that of SExtractor's FITS_LDAC, which PSFEx and SCAMP read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CARD, RECORD, CardValues, Entry, padding
from processing.errors import BadCatalogue, NotFits, Truncated
from processing.placing import placed
from processing.sextractor.table_header import PRIMARY, filling, table_hdu

Rows = NDArray[np.void]
_FORM = re.compile(r"(\d*)([LBIJKAED])$")
_KINDS = {"L": "u1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}
_LETTERS = {"u1": "B", "i2": "I", "i4": "J", "i8": "K", "f4": "E", "f8": "D"}
_REMEDY = "give a binary table as SExtractor or PSFEx write it"


@dataclass(frozen=True, slots=True)
class BinaryTable:
    """A binary table as it lies in a file."""

    hdu: int
    """Number of the HDU, the primary one being 0."""
    name: str
    """EXTNAME."""
    cards: str = field(repr=False)
    """Card images of its header."""
    rows: Rows = field(repr=False)
    """Mapped from the file, in its order of bytes."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Sources of one image."""

    cards: str = field(repr=False)
    """Card images of the image's header, END left out."""
    sources: Rows = field(repr=False)
    """A row a source, fields named as columns."""
    units: Mapping[str, str] = field(default_factory=dict)
    """By column, where it has one."""
    displays: Mapping[str, str] = field(default_factory=dict)
    """TDISP by column."""
    hdu: int = 0
    """Number of the sources' HDU in the file it was read from."""


def tables(path: Path) -> Iterator[BinaryTable]:
    """Go through the binary tables of a file; their rows are read when they are used.

    Raises
    ------
    NotFits, Truncated, BadCatalogue
        Name file, HDU and what was found.
    """
    try:
        data = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as problem:
        raise NotFits(path, f"cannot be read ({problem})", remedy="give a FITS file") from problem
    if data[:9].tobytes() != b"SIMPLE  =":
        raise NotFits(path, "no FITS file", remedy="give a FITS_LDAC catalogue or a .psf model")
    offset, hdu = 0, 0
    while offset < len(data):
        cards, begin = _header(path, data, offset, hdu)
        values = CardValues(cards)
        axes = [_whole(path, hdu, values, f"NAXIS{axis + 1}") for axis in range(int(values.number("NAXIS") or 0))]
        items = int(np.prod(axes, dtype=np.int64)) if axes else 0
        size = (items + int(values.number("PCOUNT") or 0)) * abs(int(values.number("BITPIX") or 8)) // 8
        if begin + size > len(data):
            raise Truncated(path, f"{len(data)} bytes instead of {begin + size}", hdu=hdu, remedy="make it again")
        if values.text("XTENSION") == "BINTABLE":
            kind = _kind(path, hdu, values)
            if kind.itemsize != axes[0]:
                found = f"columns of {kind.itemsize} bytes in rows of {axes[0]}"
                raise BadCatalogue(path, found, hdu=hdu, remedy=_REMEDY)
            yield BinaryTable(hdu, values.text("EXTNAME"), cards, data[begin : begin + items].view(kind))
        offset, hdu = begin + size + padding(size), hdu + 1


def _header(path: Path, data: NDArray[np.uint8], offset: int, hdu: int) -> tuple[str, int]:
    pieces: list[str] = []
    for begin in range(offset, len(data), RECORD):
        text = data[begin : begin + RECORD].tobytes().decode("ascii", errors="replace")
        for place_ in range(0, len(text), CARD):
            if text[place_ : place_ + 8] == "END     ":
                return "".join([*pieces, text[:place_]]), begin + RECORD
        pieces.append(text)
    raise NotFits(path, "a header without end", hdu=hdu, remedy="the file is damaged: make it again")


def _whole(path: Path, hdu: int, values: CardValues, keyword: str) -> int:
    value = values.number(keyword)
    if value is None or value < 0:
        raise BadCatalogue(path, f"{keyword} = {values.plain(keyword) or 'nothing'}", hdu=hdu, remedy=_REMEDY)
    return int(value)


def _kind(path: Path, hdu: int, values: CardValues) -> np.dtype[Any]:
    fields: list[tuple[str, Any, tuple[int, ...]]] = []
    for number in range(1, _whole(path, hdu, values, "TFIELDS") + 1):
        name, form = values.text(f"TTYPE{number}"), values.text(f"TFORM{number}")
        found = _FORM.match(form)
        if not found or not name:
            raise BadCatalogue(path, f"column {number} {name!r} of form {form!r}", hdu=hdu, remedy=_REMEDY)
        count = int(found[1] or 1)
        if found[2] == "A":
            fields.append((name, f"S{count}", ()))
            continue
        sides = [int(side) for side in re.findall(r"\d+", values.text(f"TDIM{number}"))][::-1]
        shape = tuple(sides) if sides and int(np.prod(sides)) == count else ((count,) if count != 1 else ())
        fields.append((name, _KINDS[found[2]], shape))
    return np.dtype(fields)


def read(path: Path) -> list[Catalogue]:
    """Read the catalogues of all images of a file.

    Raises
    ------
    BadCatalogue
        Where tables of headers and of sources do not alternate; see also `tables`.
    """
    found: list[Catalogue] = []
    head = ""
    for table in tables(path):
        if table.name == "LDAC_IMHEAD" and len(table.rows) == 1:
            text = table.rows[0][0].decode("ascii", errors="replace")
            head = "".join(
                text[at : at + CARD].ljust(CARD) for at in range(0, len(text), CARD) if text[at : at + 8] != "END     "
            )
        elif table.name == "LDAC_OBJECTS":
            if not head:
                raise BadCatalogue(path, "sources without their image's header", hdu=table.hdu, remedy=_REMEDY)
            values = CardValues(table.cards)
            numbered = list(enumerate(table.rows.dtype.names or (), 1))
            units = {name: unit for number, name in numbered if (unit := values.text(f"TUNIT{number}"))}
            displays = {name: shown for number, name in numbered if (shown := values.text(f"TDISP{number}"))}
            found.append(Catalogue(head, table.rows, units, displays, table.hdu))
            head = ""
    if not found:
        raise BadCatalogue(path, "no LDAC_OBJECTS", remedy="make the catalogue with CATALOG_TYPE FITS_LDAC")
    return found


def table_bytes(name: str, rows: Rows, cards: Sequence[Entry] = (), *, catalogue: Catalogue | None = None) -> bytes:
    """Return the HDU of a binary table with `rows`; `catalogue` tells units and displays."""
    kind = rows.dtype
    stored = np.dtype([(each, kind[each].base.newbyteorder(">"), kind[each].shape) for each in kind.names or ()])
    entries: list[Entry] = []
    for number, each in enumerate(kind.names or (), 1):
        base, shape = kind[each].base, kind[each].shape
        count = int(np.prod(shape)) if shape else 1
        form = f"{base.itemsize}A" if base.kind == "S" else f"{count}{_LETTERS[f'{base.kind}{base.itemsize}']}"
        entries += [(f"TTYPE{number}", each), (f"TFORM{number}", form)]
        if len(shape) > 1:
            entries.append((f"TDIM{number}", "(" + ", ".join(str(side) for side in reversed(shape)) + ")"))
        for word, texts in (("TUNIT", catalogue and catalogue.units), ("TDISP", catalogue and catalogue.displays)):
            if texts and each in texts:
                entries.append((f"{word}{number}", texts[each]))
    data = rows.astype(stored, copy=False).tobytes()
    fields = len(kind.names or ())
    return table_hdu(name, stored.itemsize, len(rows), [*cards, *entries], fields=fields) + data + filling(len(data))


def header_bytes(cards: str) -> bytes:
    """Return the table of an image's header; `cards` are card images behind each other, without END."""
    cards += "END".ljust(CARD)
    head: list[Entry] = [
        ("TTYPE1", "Field Header Card"), ("TFORM1", f"{len(cards)}A"), ("TDIM1", f"({CARD}, {len(cards) // CARD})"),
    ]  # fmt: skip
    text = cards.encode("ascii", errors="replace")
    return table_hdu("LDAC_IMHEAD", len(text), 1, head, fields=1) + text + filling(len(text))


def catalogue_bytes(catalogue: Catalogue) -> bytes:
    """Return the two HDUs of an image."""
    return header_bytes(catalogue.cards) + table_bytes("LDAC_OBJECTS", catalogue.sources, catalogue=catalogue)


def write(path: Path, catalogues: Sequence[Catalogue]) -> None:
    """Write a catalogue; it is there complete, or not at all."""
    write_tables(path, [catalogue_bytes(catalogue) for catalogue in catalogues])


def write_tables(path: Path, hdus: Sequence[bytes]) -> None:
    """Write an empty primary HDU and `hdus`; the file is there complete, or not at all."""
    with placed(path) as stream:
        stream.write(PRIMARY)
        stream.writelines(hdus)
