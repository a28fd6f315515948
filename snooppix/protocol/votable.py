"""Tables on the wire: VOTable with its QUERY_STATUS, CSV and TSV (which say nothing of rows left off)."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from snooppix.protocol.binary import encoded
from snooppix.protocol.schema import Column
from snooppix.protocol.tables import Answer

BINARY2 = "application/x-votable+xml;serialization=binary2"
MEDIA = {
    "votable": "application/x-votable+xml",
    "votable/td": "application/x-votable+xml",
    "application/x-votable+xml": "application/x-votable+xml",
    "application/x-votable+xml;serialization=tabledata": "application/x-votable+xml",
    "votable/b2": "application/x-votable+xml",
    BINARY2: "application/x-votable+xml",
    "text/xml": "text/xml",
    "csv": "text/csv",
    "text/csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "text/tab-separated-values": "text/tab-separated-values",
}
"""Content type for each RESPONSEFORMAT that is understood."""

_BETWEEN = "\x1f"
"""Stands between cells until they are written; XML can not carry it, so no cell has it once it is escaped."""
_PLAIN = re.compile(r"[\x1f\x20-\x21\x23-\x25\x28-\x3b=\x3f-\x7e]*")
_ILLEGAL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.4">\n<RESOURCE type="results">\n'
)
_TAIL = "</RESOURCE>\n</VOTABLE>\n"


def xml(text: object) -> str:
    """Escape a text for XML; characters that XML can not carry become a question mark."""
    return escape(_ILLEGAL.sub("?", str(text)), quote=True)


def votable(answer: Answer, *, query: str = "", service: str = "") -> str:
    """Write an answer; the second QUERY_STATUS, behind the table, tells of an overflow."""
    return "".join(votable_parts(answer, query=query, service=service))


def votable_parts(answer: Answer, *, query: str = "", service: str = "", binary: bool = False) -> Iterator[str]:
    """Write an answer piece by piece, some thousand rows each; `binary` as BINARY2 in place of TABLEDATA."""
    head = [_HEAD, '<INFO name="QUERY_STATUS" value="OK"/>\n']
    if service:
        head.append(f"{service}\n")
    if query:
        head.append(f'<INFO name="QUERY" value="{xml(query)}"/>\n')
    head.append("<TABLE>\n")
    head += [_field(column) for column in answer.columns]
    head.append('<DATA>\n<BINARY2>\n<STREAM encoding="base64">\n' if binary else "<DATA>\n<TABLEDATA>\n")
    yield "".join(head)
    if binary:
        yield from encoded(answer)
    else:
        for block in answer.blocks():
            yield "".join([_row(row) for row in block])
    yield "</STREAM>\n</BINARY2>\n" if binary else "</TABLEDATA>\n"
    overflow = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n' if answer.overflow else ""
    yield f"</DATA>\n</TABLE>\n{overflow}{_TAIL}"


def error(message: str) -> str:
    """Write a refusal."""
    return f'{_HEAD}<INFO name="QUERY_STATUS" value="ERROR">{xml(message)}</INFO>\n{_TAIL}'


def separated(answer: Answer, separator: str) -> str:
    """Write an answer as CSV or TSV, with a line of names; an overflow leaves no trace."""
    return "".join(separated_parts(answer, separator))


def separated_parts(answer: Answer, separator: str) -> Iterator[str]:
    """Write an answer as CSV or TSV piece by piece."""
    yield _lines([[column.name for column in answer.columns]], separator)
    for block in answer.blocks():
        yield _lines(block, separator)


def _lines(rows: Iterable[Sequence[Any]], separator: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _field(column: Column) -> str:
    attributes = "".join(f' {key}="{xml(text)}"' for key, text in column.attributes.items())
    described = f"<DESCRIPTION>{xml(column.meaning)}</DESCRIPTION>" if column.meaning else ""
    return f'<FIELD name="{xml(column.name)}"{attributes}>{described}</FIELD>\n'


def _row(row: Sequence[Any]) -> str:
    cells = ["" if cell is None else cell if type(cell) is str else repr(cell) for cell in row]
    joined = _BETWEEN.join(cells)
    # nearly all rows are plain ASCII, and are written three times as fast
    if not _PLAIN.fullmatch(joined) or joined.count(_BETWEEN) != len(cells) - 1:
        joined = _BETWEEN.join(map(xml, cells))
    return f"<TR><TD>{joined.replace(_BETWEEN, '</TD><TD>')}</TD></TR>\n".replace("<TD></TD>", "<TD/>")
