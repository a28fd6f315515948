"""Tables as the archive sends them: VOTable with TABLEDATA, read as it comes and in constant memory.

CSV is never asked for: it ends at the row limit without a word, a VOTable says OVERFLOW.
"""

from collections.abc import Iterator
from typing import Any, Final

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, ParseError

LONGEST_CELL: Final = 20_000
"""Characters; the longest cell we ask for is an address."""


class TableBroken(ValueError):
    """What came is no table that we can read."""


class TableRefused(ValueError):
    """The service says in the table that the query failed."""


class _Target:
    """Takes the parser's events and keeps the rows until they are drawn."""

    def __init__(self) -> None:
        self.fields: list[str] = []
        self.rows: list[list[str]] = []
        self.status = ""
        self.message = ""
        self._row: list[str] | None = None
        self._text: list[str] | None = None
        self._length = 0
        self._query_status = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        match tag.rsplit("}", 1)[-1]:
            case "TD":
                self._text, self._length = [], 0
            case "TR":
                self._row = []
            case "FIELD":
                self.fields.append(attributes.get("name", ""))
            case "INFO" if attributes.get("name", "").upper() == "QUERY_STATUS":
                self.status = attributes.get("value", "").upper()
                self._query_status, self._text, self._length = True, [], 0
            case "BINARY" | "BINARY2" | "FITS":
                raise TableBroken("its rows are not written as TABLEDATA")

    def data(self, text: str) -> None:
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
            case "INFO" if self._query_status:
                self.message = "".join(self._text or []).strip()
                self._query_status, self._text = False, None

    def close(self) -> None:
        """End of the document."""


class TableReader:
    """Reads one table; `feed` what comes, draw `rows` in between, `close` at the end."""

    def __init__(self, columns: int) -> None:
        self._columns = columns
        self._target = _Target()
        self._parser: Any = DefusedXMLParser(target=self._target, forbid_dtd=True)
        self.count = 0
        """Rows drawn so far."""

    def feed(self, chunk: bytes) -> None:
        """Read a piece of the document.

        Raises
        ------
        TableBroken
            If it is no XML, no table, or asks for what a table has no use for (entities, document types).
        """
        try:
            self._parser.feed(chunk)
        except (ParseError, DefusedXmlException) as problem:
            raise TableBroken(str(problem)) from problem

    def rows(self) -> Iterator[list[str]]:
        """Give the rows read since the last call."""
        ready, self._target.rows = self._target.rows, []
        for row in ready:
            if len(row) != self._columns:
                raise TableBroken(f"a row of {len(row)} cells where {self._columns} columns were asked for")
            self.count += 1
            yield row

    def close(self) -> bool:
        """End the document; True if the service says that there is more than it sent.

        Raises
        ------
        TableRefused
            With the service's own words, if the query failed.
        TableBroken
            If the document ends early or has no table.
        """
        try:
            self._parser.close()
        except (ParseError, DefusedXmlException) as problem:
            raise TableBroken(f"it ends early: {problem}") from problem
        if self._target.status == "ERROR":
            raise TableRefused(self._target.message or "no reason given")
        if len(self._target.fields) != self._columns:
            raise TableBroken(f"{len(self._target.fields)} columns came where {self._columns} were asked for")
        return self._target.status == "OVERFLOW"
