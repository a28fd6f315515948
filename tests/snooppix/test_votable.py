"""Tables in every serialisation that archives send, written here by astropy, which nobody here wrote."""

import base64
import io
import struct

import numpy as np
import pytest
from astropy.io.votable import from_table, writeto
from astropy.io.votable.tree import Info
from astropy.table import MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from snooppix.votable import TableBroken, TableReader

ROWS = [
    ["cadc:CFHT/979412p.fits.fz", "310000000", "54555.25", "2"],
    ["", "", "", "1"],
    ["cadc:CFHT/é.fits", "0", "-1.5", ""],
]
FORMATS = ("tabledata", "binary", "binary2")


def document(form: str, *, status: str = "OK") -> bytes:
    table = Table(
        {
            "uri": MaskedColumn([row[0] for row in ROWS], dtype=object),
            "contentLength": MaskedColumn([310_000_000, 0, 0], mask=[False, True, False], dtype="i8"),
            "time_bounds_lower": MaskedColumn([54555.25, np.nan, -1.5], dtype="f8"),
            "calibrationLevel": MaskedColumn([2, 1, 0], mask=[False, False, True], dtype="i2"),
        }
    )
    votable = from_table(table)
    if form == "binary":  # which has no other way to leave a number out
        for number in (1, 3):
            votable.get_first_table().fields[number].values.null = -999
    votable.resources[0].infos.append(Info(name="QUERY_STATUS", value=status))
    out = io.BytesIO()
    writeto(votable, out, tabledata_format=form)
    return out.getvalue()


def read(raw: bytes, *, piece: int, columns: int | None = 4) -> tuple[list[list[str]], bool]:
    reader = TableReader(columns)
    rows = []
    for start in range(0, len(raw), piece):
        reader.feed(raw[start : start + piece])
        rows += reader.rows()
    return rows, reader.close()


@pytest.mark.parametrize("piece", [1, 7, 100_000])
@pytest.mark.parametrize("form", FORMATS)
def test_a_table_says_the_same_in_each_serialisation_and_in_pieces_of_any_size(form: str, piece: int) -> None:
    rows, more = read(document(form), piece=piece)
    rows = [[cell.replace("NaN", "") for cell in row] for row in rows]  # as TABLEDATA may say it
    assert rows == ROWS
    assert more is False


@pytest.mark.parametrize("form", FORMATS)
def test_an_overflow_is_told_behind_the_rows_of_each_serialisation(form: str) -> None:
    assert read(document(form, status="OVERFLOW"), piece=100)[1] is True


def test_a_number_that_stands_for_none_is_none() -> None:
    cells = struct.pack(">i", -2147483648) + struct.pack(">i", 7)
    raw = _stream('<FIELD name="level" datatype="int"><VALUES null="-2147483648"/></FIELD>', cells)
    assert read(raw, piece=10, columns=None)[0] == [[""], ["7"]]


@pytest.mark.parametrize(
    ("field", "cells", "why"),
    [
        ('<FIELD name="uri" datatype="char" arraysize="*"/>', struct.pack(">i", 1_000_000) + b"x", "1000000 values"),
        ('<FIELD name="uri" datatype="char" arraysize="*"/>', struct.pack(">i", -1) + b"x", "-1 values"),
        ('<FIELD name="uri" datatype="char" arraysize="*"/>', struct.pack(">i", 5) + b"x", "end within a row"),
        ('<FIELD name="uri" datatype="bit"/>', b"xxxx", "of type 'bit'"),
        ('<FIELD name="uri" datatype="int" arraysize="many"/>', b"xxxx", "array size"),
    ],
)
def test_rows_that_cannot_be_are_refused(field: str, cells: bytes, why: str) -> None:
    with pytest.raises(TableBroken, match=why):
        read(_stream(field, cells), piece=50, columns=None)


def test_rows_that_lie_elsewhere_or_are_no_base64_are_refused() -> None:
    field = '<FIELD name="uri" datatype="char" arraysize="*"/>'
    table = f"<VOTABLE><RESOURCE><TABLE>{field}<DATA><BINARY>%s</BINARY></DATA></TABLE></RESOURCE></VOTABLE>"
    for stream, why in (
        ('<STREAM href="http://169.254.169.254/"/>', "lie elsewhere"),
        ('<STREAM encoding="gzip">xxxx</STREAM>', "lie elsewhere"),
        ('<STREAM encoding="base64">,,,,</STREAM>', "no base64"),
    ):
        with pytest.raises(TableBroken, match=why):
            read((table % stream).encode(), piece=50, columns=None)


def _stream(field: str, cells: bytes) -> bytes:
    text = base64.b64encode(cells).decode()
    head = f"<VOTABLE><RESOURCE><TABLE>{field}<DATA><BINARY><STREAM encoding='base64'>{text}"
    return f"{head}</STREAM></BINARY></DATA></TABLE></RESOURCE></VOTABLE>".encode()


CELLS = st.sampled_from(
    [
        *("<TD>a</TD>", "<TD> a b\n</TD>", "<TD></TD>", "<TD/>", "<TD />", "<TD>R&amp;D</TD>", "<TD>&#233;</TD>"),
        *("<TD>é€</TD>", "<TD><![CDATA[<TR>]]></TD>", "<TD>a<!-- </TR> -->b</TD>", "<TD ref='x'>a</TD>", "<td>a</td>"),
        *("<TD>a", "<TD>]]&gt;</TD>", "<TD>&evil;</TD>", "<TD>\x01</TD>", "</TD>", "<TD>a</TD><!-- </TABLEDATA> -->"),
    ]
)
ROWS_OF = st.lists(st.lists(CELLS, min_size=2, max_size=3), max_size=6)


def outcome(raw: bytes, *, piece: int) -> object:
    try:
        return read(raw, piece=piece, columns=None)
    except TableBroken:
        return "broken"


@settings(max_examples=400)
@given(
    rows=ROWS_OF,
    between=st.sampled_from(["", "\n", "<!-- <TR> -->"]),
    head=st.sampled_from(["", "<!-- <TABLEDATA> -->", "<INFO>&lt;TABLEDATA></INFO>"]),
    piece=st.integers(1, 400),
)
def test_plain_rows_are_read_as_the_parser_reads_them(
    rows: list[list[str]], between: str, head: str, piece: int
) -> None:
    """The tag that opens the rows, written with a blank in it, leaves all of them to the parser."""
    body = between.join(f"<TR>{''.join(row)}</TR>" for row in rows)
    fields = "".join(f'<FIELD name="{name}" datatype="char" arraysize="*"/>' for name in "ab")
    plain, parsed = (
        f"<VOTABLE><RESOURCE>{head}<TABLE>{fields}<DATA>{tag}{body}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
        for tag in ("<TABLEDATA>", "<TABLEDATA >")
    )
    assert outcome(plain.encode(), piece=piece) == outcome(parsed.encode(), piece=1000)


def test_another_encoding_is_left_to_the_parser() -> None:
    table = '<TABLE><FIELD name="a"/><DATA><TABLEDATA><TR><TD>é</TD></TR></TABLEDATA></DATA></TABLE>'
    raw = f'<?xml version="1.0" encoding="iso-8859-1"?><VOTABLE><RESOURCE>{table}</RESOURCE></VOTABLE>'
    for piece in (1, 1000):
        assert read(raw.encode("latin-1"), piece=piece, columns=1)[0] == [["é"]]


@pytest.mark.parametrize(
    "raw", [b"<TR><TD>" + b"x" * 300_000, b"<TR>" + b" " * 300_000, b"<TR><TD>%b</TD></TR>" % (b"x" * 30_000)]
)
def test_a_row_without_end_and_a_cell_too_long_are_refused(raw: bytes) -> None:
    with pytest.raises(TableBroken, match="of more than"):
        read(b"<VOTABLE><TABLE><FIELD name='a'/><DATA><TABLEDATA>" + raw, piece=1000, columns=1)
