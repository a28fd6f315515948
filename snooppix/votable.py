"""Tables as the archive sends them: VOTable in any serialisation but FITS, read as it comes and in constant memory.

CSV is never asked for: it ends at the row limit without a word, a VOTable says OVERFLOW.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

from snooppix.binary_rows import LONGEST_CELL, BinaryRows, Field, TableBroken
from snooppix.block import Block
from snooppix.plain_rows import BEGIN, PlainRows, is_utf8

__all__ = ["TableBroken", "TableReader", "TableRefused"]


class TableRefused(ValueError):
    """The service says in the table that the query failed."""


class _Target:
    """Takes the parser's events and keeps the rows until they are drawn."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.rows: list[list[str]] = []
        self.status = ""
        self.message = ""
        self._row: list[str] | None = None
        self._text: list[str] | None = None
        self._length = 0
        self._query_status = False
        self._declaring = False
        self._binary: BinaryRows | None = None
        self._streaming = False
        self.at_rows = False
        """Whether the last thing that was read is the tag in front of the rows of TABLEDATA."""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.at_rows = tag.rsplit("}", 1)[-1] == "TABLEDATA"
        match tag.rsplit("}", 1)[-1]:
            case "TD":
                self._text, self._length = [], 0
            case "TR":
                self._row = []
            case "FIELD":
                names = ("name", "datatype", "arraysize")
                self.fields.append(Field(*(attributes.get(name, "") for name in names)))
                self._declaring = True
            case "VALUES" if self._declaring and attributes.get("null"):
                self.fields[-1] = replace(self.fields[-1], null=attributes["null"])
            case "INFO" if attributes.get("name", "").upper() == "QUERY_STATUS":
                self.status = attributes.get("value", "").upper()
                self._query_status, self._text, self._length = True, [], 0
            case "BINARY" | "BINARY2" as serialisation:
                self._binary = BinaryRows(self.fields, masked=serialisation == "BINARY2")
            case "STREAM" if self._binary is not None:
                if attributes.get("href") or attributes.get("encoding", "base64") != "base64":
                    raise TableBroken("its rows lie elsewhere, or are not written in base64")
                self._streaming = True
            case "FITS":
                raise TableBroken("its rows are written as FITS")

    def data(self, text: str) -> None:
        if self._streaming and self._binary is not None:
            self.rows += self._binary.feed(text)
        if self._text is not None:
            self._length += len(text)
            if self._length > LONGEST_CELL:
                raise TableBroken(f"a cell of more than {LONGEST_CELL} characters")
            self._text.append(text)

    def end(self, tag: str) -> None:
        match tag.rsplit("}", 1)[-1]:
            case "TD" if self._row is not None and self._text is not None:
                self._row.append("".join(self._text).strip())
                self._text = None
            case "TR" if self._row is not None:
                self.rows.append(self._row)
                self._row = None
            case "FIELD":
                self._declaring = False
            case "STREAM" if self._streaming and self._binary is not None:
                self._binary.close()
                self._streaming = False
            case "INFO" if self._query_status:
                self.message = "".join(self._text or []).strip()
                self._query_status, self._text = False, None

    def close(self) -> None:
        """End of the document."""


class TableReader:
    """Reads one table; `feed` what comes, draw `rows` in between, `close` at the end.

    Of how many columns it has to have is told to it; None if the table itself shall tell.
    """

    def __init__(self, columns: int | None) -> None:
        self._columns = columns
        self._target = _Target()
        self._parser: Any = DefusedXMLParser(target=self._target, forbid_dtd=True)
        self._plain: PlainRows | None = None
        self._head = b""
        """What came so far, until the rows begin."""
        self._first = b""
        """First bytes of the document, which may name its encoding."""
        self._ready: list[Sequence[list[str]]] = []
        """Plain rows that were not drawn yet; those of the parser come behind them."""
        self._begun = False
        """The rows were met, or will not be read as plain ones."""
        self.count = 0
        """Rows drawn so far."""

    @property
    def names(self) -> list[str]:
        """Names of its columns, as far as they were read."""
        return [field.name for field in self._target.fields]

    def feed(self, chunk: bytes) -> None:
        """Read a piece of the document.

        Raises
        ------
        TableBroken
            If it is no XML, no table, or asks for what a table has no use for (entities, document types).
        """
        if self._plain is not None:
            self._read_plain(chunk)
        elif self._begun:
            self._parse(chunk)
        else:
            self._look_for_rows(chunk)

    def _look_for_rows(self, chunk: bytes) -> None:
        """Read on to the tag in front of the rows; those behind it may be plain."""
        self._first = (self._first + chunk)[:200]
        self._head += chunk
        before, tag, behind = self._head.partition(BEGIN)
        if not tag:
            # what may be the beginning of the tag waits for its end
            self._parse(self._head[: -len(BEGIN)])
            self._head = self._head[-len(BEGIN) :]
            return
        self._begun, self._head = True, b""
        self._parse(before + tag)
        if self._target.at_rows and is_utf8(self._first):
            self._plain = PlainRows(len(self._target.fields))
            self._read_plain(behind)
        else:
            self._parse(behind)

    def _read_plain(self, chunk: bytes) -> None:
        assert self._plain is not None
        rows, rest = self._plain.feed(chunk)
        if len(rows):
            self._ready.append(rows)
        if rest is not None:
            self._plain = None
            self._parse(rest)

    def _parse(self, raw: bytes) -> None:
        try:
            self._parser.feed(raw)
        except (ParseError, DefusedXmlException) as problem:
            raise TableBroken(str(problem)) from problem

    def rows(self) -> Iterator[list[str]]:
        """Give the rows read since the last call."""
        for piece in self.pieces():
            yield from piece

    def pieces(self) -> Iterator[Sequence[list[str]]]:
        """Give the rows read since the last call, as many at once as were read at once."""
        ready, self._ready = self._ready, []
        parsed, self._target.rows = self._target.rows, []
        wanted = len(self._target.fields) if self._columns is None else self._columns
        for piece in (*ready, parsed):
            for row in piece[:1] if isinstance(piece, Block) else piece:
                if len(row) != wanted:
                    raise TableBroken(f"a row of {len(row)} cells where {wanted} columns were asked for")
            self.count += len(piece)
            if len(piece):
                yield piece

    def close(self) -> bool:
        """End the document; True if the service says that there is more than it sent.

        Raises
        ------
        TableRefused
            With the service's own words, if the query failed.
        TableBroken
            If the document ends early or has no table.
        """
        self._parse(self._plain.end() if self._plain is not None else self._head)
        try:
            self._parser.close()
        except (ParseError, DefusedXmlException) as problem:
            raise TableBroken(f"it ends early: {problem}") from problem
        if self._target.status == "ERROR":
            raise TableRefused(self._target.message or "no reason given")
        if len(self._target.fields) != (self._columns or len(self._target.fields) or None):
            raise TableBroken(f"{len(self._target.fields)} columns came where {self._columns} were asked for")
        return self._target.status == "OVERFLOW"
