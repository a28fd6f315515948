"""Tables on the wire: VOTable with its QUERY_STATUS, CSV and TSV (which say nothing of rows left off)."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from snooppix.protocol.schema import Column
from snooppix.protocol.tables import Answer

MEDIA = {
    "votable": "application/x-votable+xml",
    "votable/td": "application/x-votable+xml",
    "application/x-votable+xml": "application/x-votable+xml",
    "application/x-votable+xml;serialization=tabledata": "application/x-votable+xml",
    "text/xml": "text/xml",
    "csv": "text/csv",
    "text/csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "text/tab-separated-values": "text/tab-separated-values",
}
"""Content type for each RESPONSEFORMAT that is understood."""

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
    parts = [_HEAD, '<INFO name="QUERY_STATUS" value="OK"/>\n']
    if service:
        parts.append(f"{service}\n")
    if query:
        parts.append(f'<INFO name="QUERY" value="{xml(query)}"/>\n')
    parts.append("<TABLE>\n")
    parts += [_field(column) for column in answer.columns]
    parts.append("<DATA>\n<TABLEDATA>\n")
    parts += [_row(row) for row in answer.rows]
    parts.append("</TABLEDATA>\n</DATA>\n</TABLE>\n")
    if answer.overflow:
        parts.append('<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n')
    parts.append(_TAIL)
    return "".join(parts)


def error(message: str) -> str:
    """Write a refusal."""
    return f'{_HEAD}<INFO name="QUERY_STATUS" value="ERROR">{xml(message)}</INFO>\n{_TAIL}'


def separated(answer: Answer, separator: str) -> str:
    """Write an answer as CSV or TSV, with a line of names; an overflow leaves no trace."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator="\n")
    writer.writerow([column.name for column in answer.columns])
    writer.writerows(answer.rows)
    return text.getvalue()


def _field(column: Column) -> str:
    attributes = "".join(f' {key}="{xml(text)}"' for key, text in column.attributes.items())
    described = f"<DESCRIPTION>{xml(column.meaning)}</DESCRIPTION>" if column.meaning else ""
    return f'<FIELD name="{xml(column.name)}"{attributes}>{described}</FIELD>\n'


def _row(row: Sequence[Any]) -> str:
    return f"<TR>{''.join(_cells(row))}</TR>\n"


def _cells(row: Sequence[Any]) -> Iterable[str]:
    for cell in row:
        if cell is None:
            yield "<TD/>"
        elif isinstance(cell, float):
            yield f"<TD>{cell!r}</TD>"
        else:
            yield f"<TD>{xml(cell)}</TD>"
