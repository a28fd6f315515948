"""Rows of TABLEDATA where they are written plainly: found all at once, or with one pattern a row, and not by a parser.

Archives write a million rows all alike, which `snooppix.block` takes as they
lie. Where a row is at least nothing but ``<TR>`` and its cells, one match
takes it; whatever else may stand there in XML (comments, CDATA, prefixes,
attributes) is left to the parser, which reads on from there.
"""

import functools
import re
from collections.abc import Sequence
from typing import Final

from snooppix.binary_rows import LONGEST_CELL, TableBroken
from snooppix.block import Block, forbidden, unescaped

BEGIN: Final = b"<TABLEDATA>"
_END_OF_ROW: Final = b"</TR>"
_ENCODING: Final = re.compile(rb"""^<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


@functools.lru_cache(maxsize=16)
def _pattern(columns: int) -> re.Pattern[str]:
    """Pattern of a row; an empty cell may be written as one tag."""
    return re.compile(r"\s*+<TR>" + r"\s*+<TD(?:>([^<]*+)</TD>|\s*+/>)" * columns + r"\s*+</TR>")


def is_utf8(head: bytes) -> bool:
    """Tell from its first bytes whether a document is written in UTF-8, as one is that does not say."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    found = _ENCODING.match(head)
    return found is None or found[1].lower() in {b"utf-8", b"us-ascii"}


class PlainRows:
    """Takes what stands behind ``<TABLEDATA>`` and gives its rows, as long as they are plain."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._pattern = _pattern(columns)
        self._most = (LONGEST_CELL + 20) * (columns + 1)
        """Bytes of a row at most."""
        self._held = b""

    def feed(self, chunk: bytes) -> tuple[Sequence[list[str]], bytes | None]:
        """Read a piece; where the plain rows end, give beside the last of them what is left for the parser.

        Raises
        ------
        TableBroken
            If a row is longer than any we ask for, or holds what no XML document can.
        """
        raw = self._held + chunk
        whole = raw.rfind(_END_OF_ROW) + len(_END_OF_ROW)
        if whole < len(_END_OF_ROW):
            return self._no_row_yet(raw)
        lines = raw[:whole]
        try:
            text = "" if lines.isascii() else lines.decode()
        except UnicodeDecodeError as problem:
            raise TableBroken(f"its text is no UTF-8: {problem.reason}") from problem
        if forbidden(lines):
            raise TableBroken("not well-formed: a character that XML does not have")
        block = Block.of(lines, self._columns)
        if block is not None:
            self._held = raw[whole:]
            return block, None
        rows, place, text = [], 0, text or lines.decode()
        match = self._pattern.match
        while found := match(text, place):
            rows.append(self._cells(found))
            place = found.end()
        if place < len(text):
            return rows, text[place:].encode() + raw[whole:]
        self._held = raw[whole:]
        return rows, None

    def _no_row_yet(self, raw: bytes) -> tuple[Sequence[list[str]], bytes | None]:
        begun = raw.lstrip()
        if begun and not begun.startswith(b"<TR>"[: len(begun)]):
            return [], raw
        if len(raw) > self._most:
            raise TableBroken(f"a row of more than {self._most} characters")
        self._held = raw
        return [], None

    def end(self) -> bytes:
        """Give what was held back for the rest of a row."""
        held, self._held = self._held, b""
        return held

    def _cells(self, found: re.Match[str]) -> list[str]:
        cells = [cell.strip() if cell else "" for cell in found.groups()]
        if found.end() - found.start() > LONGEST_CELL and max(map(len, cells)) > LONGEST_CELL:
            raise TableBroken(f"a cell of more than {LONGEST_CELL} characters")
        return unescaped(found[0]) if "&" in found[0] else cells
