"""Catalogues as files: the original's forms, and tables with units and UCDs for today's readers.

FITS_LDAC and FITS_1.0 have a table an image; the texts, ECSV and Parquet have all images in one. Rows are in
the order of NUMBER.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import IO

from processing.cards import Entry, text_of
from processing.errors import BadSetting
from processing.ldac import header_bytes
from processing.placing import placed
from processing.provenance import software
from processing.sextractor.columns import VOTABLE_TYPES
from processing.sextractor.extraction import Extraction
from processing.sextractor.image_header import header_cards, told_of
from processing.sextractor.parameters import Wanted
from processing.sextractor.settings import Settings
from processing.sextractor.table_header import PRIMARY, column_cards, filling, header, rows_of, table_hdu

_SKYCAT = (
    "QueryResult\n\n# Config entry for original catalog server:\nserv_type: catalog\nlong_name: SExtractor catalog\n"
    "short_name: SExCat\nsymbol: id diamond  8.0\n# End config entry\n\n"
)
_VOTABLE_TAIL = "</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
_SIGNED = re.compile(r"DELTA|THETA\w*_(SKY|J2000|B1950)$")
"""Columns whose texts have a sign always."""
_ECSV_TYPES = {"I": "int16", "J": "int32", "E": "float32", "D": "float64"}


def write(path: Path, form: str, extractions: Sequence[Extraction], settings: Settings) -> None:
    """Write the sources of all images of a file.

    Parameters
    ----------
    form : one of `FORMS`
    path : of the catalogue; it is there complete, or not at all

    Raises
    ------
    BadSetting
        Where such a form is not written.
    """
    with begun(path, form, settings) as add:
        for extraction in extractions:
            add(extraction)


@contextmanager
def begun(target: Path | IO[bytes], form: str, settings: Settings) -> Iterator[Callable[[Extraction], None]]:
    """Give what takes the images of a catalogue one by one, as `write` does all at once, in the same order.

    A table that is an image's own is written at once, while others are still at work.
    """
    if form not in FORMS:
        raise BadSetting(f"CATALOG_TYPE = {form}: one of {', '.join(FORMS)} was expected")
    with placed(target) if isinstance(target, Path) else nullcontext(target) as stream:
        if form in _APART:
            stream.write(PRIMARY)
            yield lambda extraction: _APART[form](stream, extraction, settings)
            return
        together: list[Extraction] = []
        yield together.append
        _TOGETHER[form](stream, together, settings)


def _table(stream: IO[bytes], name: str, extraction: Extraction, more: Sequence[Entry], *, ours: bool) -> None:
    columns = extraction.wanted
    rows = rows_of(columns, [extraction.table])
    cards = [*column_cards(columns, standard=ours), *more]
    stream.write(table_hdu(name, rows.dtype.itemsize, len(rows), cards, fields=len(columns)))
    rows.tofile(stream)
    stream.write(filling(rows.nbytes))


def _ldac(stream: IO[bytes], extraction: Extraction, settings: Settings) -> None:
    stream.write(header_bytes(extraction.cards + text_of(header_cards(extraction, settings))))
    _table(stream, "LDAC_OBJECTS", extraction, (), ours=False)


def _fits_1_0(stream: IO[bytes], extractions: Sequence[Extraction], settings: Settings) -> None:
    primary: list[Entry] = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True), ("ORIGIN", "SExtractor")]
    stream.write(header(text_of([*primary, *header_cards(extractions[-1], settings)])))
    for extraction in extractions:
        _table(stream, "OBJECTS", extraction, (), ours=False)


def _fits(stream: IO[bytes], extraction: Extraction, settings: Settings) -> None:
    more: list[Entry] = [("EXTVER", extraction.number), *header_cards(extraction, settings)]
    _table(stream, "SOURCES", extraction, more, ours=True)


def _format(each: Wanted, between: str = " ") -> str:
    """Format of Python for what Fortran calls F8.4, E18.10, G12.7 or I10."""
    display = each.column.display
    sign = "+" if _SIGNED.match(each.name) else ""
    kind = {"I": "d", "F": "f", "E": "e", "G": "g"}[display[0]]
    return between.join([f"%{sign}{display[1:]}{kind}"] * each.size)


def _lines(extractions: Sequence[Extraction], template: str) -> Iterator[str]:
    """Rows of all images, each put into `template`, whose places are numbers of all cells in order."""
    for extraction in extractions:
        flat = [
            extraction.table[each.name].reshape(extraction.sources, each.size).tolist() for each in extraction.wanted
        ]
        for cells in zip(*flat, strict=True):
            yield template % tuple(number for cell in cells for number in cell)


def _ascii(stream: IO[bytes], extractions: Sequence[Extraction], _: Settings) -> None:
    template = " ".join(_format(each) for each in extractions[0].wanted) + "\n"
    stream.writelines(line.encode("ascii") for line in _lines(extractions, template))


def _ascii_head(stream: IO[bytes], extractions: Sequence[Extraction], settings: Settings) -> None:
    number = 1
    for each in extractions[0].wanted:
        unit = f"[{each.column.unit}]" if each.column.unit else ""
        stream.write(f"# {number:3d} {each.name:<22} {each.column.meaning[:58]:<58} {unit}\n".encode("ascii"))
        number += each.size
    _ascii(stream, extractions, settings)


def _skycat(stream: IO[bytes], extractions: Sequence[Extraction], _: Settings) -> None:
    columns = extractions[0].wanted
    if len(columns) < 4 or not columns[1].name.startswith("ALPHA") or not columns[2].name.startswith("DELTA"):
        raise BadSetting(
            "CATALOG_TYPE = ASCII_SKYCAT: columns NUMBER, ALPHA_J2000, DELTA_J2000, MAG_AUTO were expected first"
        )
    names = ["id", "ra", "dec", "mag", *(each.name for each in columns[4:])]
    stream.write((_SKYCAT + "\t".join(names) + "\n------------------\n").encode("ascii"))
    template = " \t".join(_format(each, " \t") for each in columns) + "\n"
    stream.writelines(line.encode("ascii") for line in _lines(extractions, template))
    stream.write(b"[EOD]")


def _votable_head(extractions: Sequence[Extraction], settings: Settings, *, flat: bool = False) -> str:
    """Return the beginning of a VOTable: what is told of the images, and the columns; of cells `flat` the length."""
    columns = extractions[0].wanted
    told = "\n".join(
        f'<PARAM name="{key}_{extraction.number}" datatype="char" arraysize="*" value="{escape(str(value))}"/>'
        for extraction in extractions
        for key, value in told_of(extraction, settings).items()
    )
    lines = [
        f"""<?xml version="1.0" encoding="UTF-8"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">
<RESOURCE name="{escape(extractions[0].file)}">
<DESCRIPTION>Sources found by {escape(software())}</DESCRIPTION>
<COOSYS ID="J2000" equinox="J2000" system="eq_FK5"/>
<TABLE ID="Source_List" name="Source_List">
{told}
"""
    ]
    for each in columns:
        size = "x".join(str(length) for length in reversed((each.size,) if flat and each.shape else each.shape))
        shape = f' arraysize="{size}"' if size else ""
        reference = ' ref="J2000"' if each.name.endswith("_J2000") else ""
        declared = each.column
        kind = f'name="{declared.name}" datatype="{VOTABLE_TYPES[declared.type]}"{shape}'
        meaning = f"<DESCRIPTION>{escape(declared.meaning)}</DESCRIPTION>"
        more = f'unit="{declared.vounit}" ucd="{declared.ucd}"{reference}'
        lines.append(f"<FIELD {kind} {more}>{meaning}</FIELD>\n")
    return "".join(lines)


def _votable(stream: IO[bytes], extractions: Sequence[Extraction], settings: Settings) -> None:
    stream.write(_votable_head(extractions, settings).encode())
    stream.write(b"<DATA><TABLEDATA>\n")
    cells = {"I": "%d", "J": "%d", "E": "%.9g", "D": "%.17g"}
    row = "".join(f"<TD>{' '.join([cells[each.column.type]] * each.size)}</TD>" for each in extractions[0].wanted)
    stream.writelines(line.replace("nan", "NaN").encode() for line in _lines(extractions, f"<TR>{row}</TR>\n"))
    stream.write(f"</TABLEDATA></DATA>\n{_VOTABLE_TAIL}".encode())


def _parquet(stream: IO[bytes], extractions: Sequence[Extraction], settings: Settings) -> None:
    from processing.sextractor import parquet  # noqa: PLC0415  its library is large, and few want it

    parquet.write(stream, extractions, _votable_head(extractions, settings, flat=True) + _VOTABLE_TAIL)


def _ecsv(stream: IO[bytes], extractions: Sequence[Extraction], settings: Settings) -> None:
    lines = ["# %ECSV 1.0", "# ---", "# datatype:"]
    for each in extractions[0].wanted:
        kind = _ECSV_TYPES[each.column.type]
        shape = json.dumps(each.shape) if each.shape else ""
        typed = f"datatype: string, subtype: '{kind}{shape}'" if shape else f"datatype: {kind}"
        unit = f", unit: {each.column.vounit}" if each.column.vounit else ""
        meaning = json.dumps(each.column.meaning)
        lines.append(
            f"# - {{name: {each.name}, {typed}{unit}, description: {meaning}, meta: {{ucd: {each.column.ucd or '~'}}}}}"
        )
    lines += ["# meta:", f"#   software: {json.dumps(software())}", "#   images:"]
    for extraction in extractions:
        lines.append(f"#   - {json.dumps(told_of(extraction, settings))}")
    lines.append(" ".join(each.name for each in extractions[0].wanted))
    stream.write(("\n".join(lines) + "\n").encode())
    for extraction in extractions:
        columns = [
            [
                repr(cell) if not each.shape else json.dumps(json.dumps(cell))
                for cell in extraction.table[each.name].tolist()
            ]
            for each in extraction.wanted
        ]
        stream.writelines((" ".join(cells) + "\n").encode() for cells in zip(*columns, strict=True))


_APART: Mapping[str, Callable[[IO[bytes], Extraction, Settings], None]] = MappingProxyType(
    {"FITS_LDAC": _ldac, "FITS": _fits}
)
_TOGETHER: Mapping[str, Callable[[IO[bytes], Sequence[Extraction], Settings], None]] = MappingProxyType(
    {
        "ASCII": _ascii,
        "ASCII_HEAD": _ascii_head,
        "ASCII_SKYCAT": _skycat,
        "ASCII_VOTABLE": _votable,
        "FITS_1.0": _fits_1_0,
        "ECSV": _ecsv,
        "PARQUET": _parquet,
    }
)
OURS = ("FITS", "ECSV", "PARQUET")
"""Forms of a catalogue that the original does not have."""
FORMS = (*sorted({*_APART, *_TOGETHER} - set(OURS)), *OURS)
