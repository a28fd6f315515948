"""Rows that are split mean what the XML parser reads; what is not plain is left to it."""

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snooppix.block import Block
from snooppix.votable import TableBroken, TableReader

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE><RESOURCE><TABLE>'
TAIL = "</TABLE><INFO name='QUERY_STATUS' value='OK'/></RESOURCE></VOTABLE>"
CELL = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=12)
SHAPES = (
    ("<TR>", "", "</TR>\n", "<TD/>"),
    ("<TR>\n  ", "\n  ", "\n</TR>\n", "<TD />"),
    ("<TR>", " ", "</TR>", "<TD></TD>"),
)


def table(rows: str, columns: int) -> bytes:
    fields = "".join(f'<FIELD name="c{n}" datatype="char" arraysize="*"/>' for n in range(columns))
    return f"{HEAD}{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA>{TAIL}".encode()


def read(content: bytes, *, step: int, columns: int = 3) -> list[list[str]]:
    reader = TableReader(columns)
    found: list[list[str]] = []
    for start in range(0, len(content), step):
        reader.feed(content[start : start + step])
        found += reader.rows()
    reader.close()
    return [*found, *reader.rows()]


@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=6),
    shape=st.sampled_from(SHAPES),
    step=st.sampled_from([1, 7, 100, 10**6]),
)
def test_rows_are_read_whatever_their_shape_and_wherever_they_are_cut(
    rows: list[list[str]], shape: tuple[str, str, str, str], step: int
) -> None:
    begin, apart, end, empty = shape
    lines = [begin + apart.join(f"<TD>{escape(c)}</TD>" if c else empty for c in row) + end for row in rows]
    as_parsed = table("<!-- left to the parser -->" + "".join(lines), 3)
    expected = [[cell.strip() for cell in row] for row in rows]
    assert read(table("".join(lines), 3), step=step) == read(as_parsed, step=10**6) == expected


def test_the_usual_shapes_are_found_at_once() -> None:
    table = "\n<TR><TD>a</TD><TD/></TR>\n<TR><TD>é</TD><TD> b</TD></TR><TR><TD>R&amp;D</TD><TD> </TD></TR>"
    assert found(table) == [["a", ""], ["é", "b"], ["R&D", ""]]
    assert found("<TR>\n <TD>a</TD>\n <TD />\n</TR>") == [["a", ""]]


@given(rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=6), at=st.integers(0, 5))
def test_a_row_alone_reads_as_it_does_among_all(rows: list[list[str]], at: int) -> None:
    block = Block.of("".join(f"<TR><TD>{escape(a)}</TD><TD>{escape(b)}</TD></TR>" for a, b in rows).encode(), 2)
    assert block is not None
    assert list(block) == block[:] == [[cell.strip() for cell in row] for row in rows]
    assert block[at % len(rows)] == list(block)[at % len(rows)]


@pytest.mark.parametrize(
    "text",
    [
        "<TR><TD>a</TD></TR>",
        "<TR><TD>a</TD><TD>b</TD></TR><TR><TD>a</TD></TR>",
        "<TR><TD>a</TD></TR><TR><TD>a</TD><TD>b</TD><TD>c</TD></TR>",
        "<TR><TD>a</TD><TD>b<!-- c --></TD></TR>",
        "<TR><TD>a</TD><TD><![CDATA[b]]></TD></TR>",
        "<TR><TD>a</TD><TD>b</TD></TR><TR ID='x'><TD>a</TD><TD>b</TD></TR>",
        "<TR><TD>a</TD><TD encoding='base64'>b</TD></TR>",
        "<TR><TD>a</TD><TD><B>b</B></TD></TR>",
        "<TR><TD>a</TD><TD>" + "b" * 30_000 + "</TD></TR>",
        "<TR><TD>a</TD>&amp;<TD>b</TD></TR>",
        "<TR><TD>a</TD><TD>b</TD></TR>, <TR><TD>a</TD><TD>b</TD></TR>",
        "<TR><TD>a</TD x><TD>b</TD></TR>",
        "<TR><TD>a</TD><TD>b</TD>" + " " * 100 + "</TR>",
        "rows</TR>",
    ],
)
def test_what_is_not_plain_is_no_block(text: str) -> None:
    assert Block.of(text.encode(), 2) is None


def found(text: str) -> list[list[str]] | None:
    block = Block.of(text.encode(), 2)
    return None if block is None else list(block)


@pytest.mark.parametrize("step", [5, 10**6])
@pytest.mark.parametrize(
    "rows",
    [
        "<TR><TD>&evil;</TD></TR>",
        "<TR><TD>a</TD><TD>b</TD></TR>",
        "<TR><TD>a</TD></TR><TR></TR>",
        "<TR><TD>a</TD></TR><TR><TD>" + "b" * 30_000 + "</TD></TR>",
        "<TR><TD>a</TR></TD>",
        "<TR><TD>a</TD></TR></DATA>",
        "<TR><TD>a\x01</TD></TR>",
    ],
)
def test_hostile_rows_break_the_table(rows: str, step: int) -> None:
    with pytest.raises(TableBroken):
        read(table(rows, 1), step=step, columns=1)


@pytest.mark.parametrize("step", [3, 10**6])
def test_a_comment_that_pretends_to_begin_or_end_the_rows_deceives_nobody(step: int) -> None:
    rows = "<TR><TD>a</TD></TR><!-- </TABLEDATA> <TR><TD>no</TD></TR> --><TR><TD>b</TD></TR>"
    assert read(table(rows, 1), step=step, columns=1) == [["a"], ["b"]]
