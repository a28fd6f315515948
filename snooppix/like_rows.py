"""Rows that are all written alike, split at once: 2 us a row where a pattern takes 7. bench_listing.py.

The first row shows what stands between cells and between rows. What is taken
is checked to be nothing else: as many cells in each row as there are columns,
and no other tag, comment, CDATA or entity.
"""

import re
from typing import Final

_FIRST: Final = re.compile(r"<TR>(\s*+)<TD>[^<]*+</TD>(\s*+)<(?:TD>|/TR>)")
_BETWEEN: Final = re.compile(r"</TD>\s*+</TR>\s*+<TR>\s*+<TD>")
_LAST: Final = re.compile(r"</TD>\s*</TR>\Z")
_PADDED: Final = ("\t", "\r", "<TD> ", " </TD>", "<TD>\n", "\n</TD>")
"""What shows that cells may begin or end with space."""


def split(text: str, columns: int, *, longest: int) -> list[list[str]] | None:
    """Split whole rows into cells; none if they are not written alike.

    Parameters
    ----------
    text : from behind ``<TABLEDATA>`` or ``</TR>`` to behind another ``</TR>``, without what XML forbids
    columns : cells that each row has to have
    longest : characters of a cell at most
    """
    text = text.strip().replace("<TD />", "<TD></TD>").replace("<TD/>", "<TD></TD>")
    first, last = _FIRST.match(text), _LAST.search(text, max(0, len(text) - 1000))
    if first is None or last is None or "&" in text or "<!" in text or "<?" in text:
        return None
    between = _BETWEEN.search(text)
    body = text[len(first[1]) + len("<TR><TD>") : last.start()]
    lines = body.split(between[0]) if between else [body]
    apart = f"</TD>{first[2]}<TD>"
    rows = [line.split(apart) for line in lines]
    if text.count("<") != len(rows) * (2 + 2 * columns) or set(map(len, rows)) != {columns}:
        return None
    if max(map(len, lines)) > longest:
        return None
    if not text.isascii() or any(padding in text for padding in _PADDED):
        return [[cell.strip() for cell in row] for row in rows]
    return rows
