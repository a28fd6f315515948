"""The data dictionary: every table, column and word, read from the schema where it is declared.

``python -m dbclient.dictionary docs/data-model.md`` writes the tables into the
document anew; a test keeps the two equal.
"""

import ast
import enum
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Column, LargeBinary
from sqlalchemy.sql.schema import Table

from dbclient.schema import Base
from dbclient.schema.base import Document, Figure, Instant, Text, Word

BEGIN = "<!-- tables: written by python -m dbclient.dictionary -->"
END = "<!-- end of tables -->"
UNTOLD = {"id": "Row number.", "created_at": "When the row was made."}
"""Columns that mean the same in every table and are not told each time."""


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    name: str
    kind: str
    """What it holds: text, number, moment, …"""
    optional: bool
    meaning: str


@dataclass(frozen=True, slots=True)
class TableEntry:
    name: str
    meaning: str
    columns: tuple[ColumnEntry, ...]
    words: dict[str, tuple[tuple[str, str], ...]]
    """Words that a column may hold, with their meaning, by column."""


def tables() -> list[TableEntry]:
    """Describe all tables, in the order in which the package lists them."""
    mapped = {mapper.class_.__name__: mapper.class_ for mapper in Base.registry.mappers}
    return [_table(mapped[name]) for name in sorted(mapped, key=lambda name: mapped[name].__tablename__)]


def _table(mapped: type[Base]) -> TableEntry:
    module = sys.modules[mapped.__module__]
    told = _docstrings(mapped)
    columns, words = [], {}
    table = mapped.__table__
    assert isinstance(table, Table)
    for column in table.columns:
        if isinstance(column.type, Word):
            words[column.name] = tuple(members(column.type.words))
        columns.append(
            ColumnEntry(column.name, _kind(column), bool(column.nullable), told.get(column.name) or _plain(column))
        )
    meaning = inspect.cleandoc(mapped.__doc__ or module.__doc__ or "").splitlines()[0]
    return TableEntry(str(mapped.__tablename__), meaning, tuple(columns), words)


def _plain(column: Column[Any]) -> str:
    if isinstance(column.type, Word):
        return "One of the words below."
    target = next((key.column.table.name for key in column.foreign_keys), None)
    return f"Row of `{target}`." if target else UNTOLD.get(column.name, "")


def _kind(column: Column[Any]) -> str:
    match column.type:
        case Word():
            return "word"
        case Instant():
            return "moment"
        case Text():
            return f"text, at most {column.type.length}" if getattr(column.type, "length", None) else "text"
        case Figure():
            return "number"
        case Document():
            return "document"
        case LargeBinary():
            return "bytes"
        case _:
            return "yes or no" if column.type.python_type is bool else "whole number"


def _docstrings(of: type) -> dict[str, str]:
    """Read the lines under the fields of a class."""
    body = ast.parse(inspect.cleandoc("\n" + inspect.getsource(of))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for field, line in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(line, ast.Expr):
            found[field.target.id] = (
                inspect.cleandoc(str(getattr(line.value, "value", ""))).replace("\n", " ").replace("<", "&lt;")
            )
    return found


def members(of: type[enum.StrEnum]) -> Iterator[tuple[str, str]]:
    """Give each word of an enumeration with the meaning that stands behind it in the source."""
    source = inspect.getsource(of)
    for member in of:
        found = re.search(rf'^\s+{member.name} = "[^"]*"(?:\s+#: (?P<meaning>.*))?$', source, re.MULTILINE)
        yield member.value, (found["meaning"] or "") if found else ""


def as_markdown() -> str:
    """Write the dictionary as it stands in docs/data-model.md."""
    parts: list[str] = []
    for table in tables():
        parts += [f"### {table.name}", "", table.meaning, "", "| column | holds | meaning |", "|---|---|---|"]
        for column in table.columns:
            holds = column.kind + (" or nothing" if column.optional else "")
            parts.append(f"| `{column.name}` | {holds} | {column.meaning} |")
        for column_name, words in table.words.items():
            parts += ["", f"`{column_name}` is one of:", ""]
            parts += [f"- `{word}`{f': {meaning}' if meaning else ''}" for word, meaning in words]
        parts.append("")
    return "\n".join(parts)


def renewed(document: str) -> str:
    """Give a document with the tables between its two marks written anew."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{as_markdown()}\n{END}{after}"


def main(argv: list[str]) -> int:
    """Write the tables into the document that is named."""
    path = Path(argv[0])
    path.write_text(renewed(path.read_text()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
