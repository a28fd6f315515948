"""The VOTable in which a tool tells what it did: tables of its own, and the settings it was called with.

Resources, names and UCDs are those of the AstrOmatic tools' XML files, so that what reads those goes on reading ours.
"""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from processing.astromatic import Key, Kind, Tool, Values
from processing.provenance import software

_TYPES = {Kind.TEXT: "char", Kind.WHOLE: "int", Kind.NUMBER: "double", Kind.SWITCH: "boolean"}


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool."""

    title: str
    """As its users write it: WeightWatcher."""
    tool: Tool
    values: Values
    arguments: Sequence[str]
    seconds: float
    """That it took."""


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a table."""

    name: str
    kind: str
    """Datatype of the VOTable standard."""
    ucd: str = ""
    size: str = "*"
    """Length of a text."""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table; None is an empty cell."""

    name: str
    about: str
    columns: Sequence[Column]
    rows: Iterable[Sequence[object]] = ()
    counts: Mapping[str, int | tuple[int, ...]] = field(default_factory=dict)
    """Parameters of the table."""


def votable(
    call: Call, tables: Sequence[Table], *, ucds: Mapping[str, str] | None = None, now: datetime | None = None
) -> str:
    """Return the document of a call.

    Parameters
    ----------
    ucds : UCDs of settings by key; the others have obs.param
    now : when the call ended
    """
    end = now or datetime.now(tz=UTC)
    style = call.values.text("XSL_URL")
    name, _, version = software().partition(" ")
    known = ucds or {}
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        *([f'<?xml-stylesheet type="text/xsl" href="{escape(style)}"?>'] if style else []),
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
        f'<RESOURCE ID="{call.title}" name="{call.title}">',
        '<INFO name="QUERY_STATUS" value="OK"/>',
        '<RESOURCE ID="MetaData" name="MetaData">',
        _param("Software", "char", name, "meta.title;meta.software"),
        _param("Version", "char", version, "meta.version;meta.software"),
        _param("NThreads", "int", call.values.text("NTHREADS"), "meta.number;meta.software"),
        _param("Date", "char", f"{end:%Y-%m-%d}", "time.end;meta.software"),
        _param("Time", "char", f"{end:%H:%M:%S}", "time.end;meta.software"),
        _param("Duration", "float", f"{call.seconds:.3f}", "time.duration;meta.software", unit="s"),
        _param("User", "char", os.environ.get("LOGNAME", ""), "meta.curation"),
        _param("Host", "char", platform.node(), "meta.curation"),
        _param("Path", "char", str(Path.cwd()), "meta.dataset"),
    ]
    for table in tables:
        lines += _table(table)
    lines += [
        '<RESOURCE ID="Config" name="Config">',
        _param("Command_Line", "char", " ".join([call.tool.name, *call.arguments]), "obs.param"),
        *(_setting(key, call.values, known.get(key.name, "obs.param")) for key in call.tool.keys),
        *["</RESOURCE>"] * 3,
        "</VOTABLE>",
        "",
    ]
    return "\n".join(lines)


def _table(table: Table) -> list[str]:
    return [
        f'<TABLE ID="{table.name}" name="{table.name}">',
        f"<DESCRIPTION>{escape(table.about)}</DESCRIPTION>",
        *(f'<FIELD name="{escape(each.name)}" datatype="{each.kind}"{_more(each)}/>' for each in table.columns),
        *(_count(name, count) for name, count in table.counts.items()),
        "<DATA><TABLEDATA>",
        *("<TR>" + "".join(f"<TD>{_cell(value)}</TD>" for value in row) + "</TR>" for row in table.rows),
        "</TABLEDATA></DATA></TABLE>",
    ]


def _count(name: str, count: int | tuple[int, ...]) -> str:
    if isinstance(count, int):
        return _param(name, "int", str(count), "meta.number;meta.dataset")
    return _param(name, "int", " ".join(map(str, count)), "meta.number;meta.dataset", size=str(len(count)))


def _more(column: Column) -> str:
    size = f' arraysize="{column.size}"' if column.kind == "char" else ""
    unit = f' unit="{column.unit}"' if column.unit else ""
    return size + unit + (f' ucd="{column.ucd}"' if column.ucd else "")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "FT"[value]
    if isinstance(value, float):
        return f"{value:.8g}"
    return _text(str(value))


def _text(text: str) -> str:
    """`text` for a document; signs that XML does not allow become question marks."""
    return escape("".join(sign if sign.isprintable() else "?" for sign in text))


def _setting(key: Key, values: Values, ucd: str) -> str:
    held = values.as_texts()[key.name].split(",") if values.texts(key.name) else []
    name = "_".join(part.capitalize() for part in key.name.split("_"))
    if key.kind is Kind.TEXT:
        return _param(name, "char", ",".join(held), ucd)
    if key.kind is Kind.SWITCH:
        held = ["T" if value == "Y" else "F" for value in held]
    if not held:
        return _param(name, "char", "", ucd)
    size = str(len(held)) if key.many and len(held) > 1 else ""
    return _param(name, _TYPES[key.kind], " ".join(held), ucd, size=size)


def _param(name: str, kind: str, value: str, ucd: str, *, unit: str = "", size: str = "") -> str:
    length = "*" if kind == "char" else size
    extra = (f' arraysize="{length}"' if length else "") + (f' unit="{unit}"' if unit else "")
    return f'<PARAM name="{name}" datatype="{kind}"{extra} ucd="{ucd}" value="{_text(value)}"/>'
