"""The VOTable that tells what was done: the peer's tables and fields, and a table of what was found."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from processing.astromatic import Tool, Values
from processing.provenance import software

if TYPE_CHECKING:
    from processing.missfits.command import Done

_IMAGES = (
    ("Output_Image_Name", "char"), ("Input_Image_Type", "char"), ("Input_Extensions", "int"), ("Input_Naxis3", "int"),
    ("Output_Image_Type", "char"), ("Output_Extensions", "int"), ("Output_Naxis3", "int"), ("HeadFlag", "boolean"),
)  # fmt: skip
"""The peer's; behind them stands a field for each DISPLAY_KEYWORD."""
_FINDINGS = (
    ("File", "char"), ("Hdu", "int"), ("Card", "int"), ("Gravity", "char"), ("Kind", "char"), ("Found", "char"),
    ("Remedy", "char"), ("Mended", "boolean"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One call of the tool."""

    tool: Tool
    values: Values
    arguments: Sequence[str]
    done: Sequence["Done"]
    seconds: float
    """That it took."""


def summary(run: Run, now: datetime | None = None) -> str:
    """Return the VOTable of a call; `now` is when it ended."""
    end = now or datetime.now(tz=UTC)
    style = run.values.text("XSL_URL")
    name, _, version = software().partition(" ")
    images = [
        (
            made.path, done.source.kind, done.images, done.depth, done.layout, made.extensions, made.depth,
            "FT"[done.has_head], *done.shown,
        )
        for done in run.done
        for made in done.written
    ]  # fmt: skip
    shown = [(name, "char") for name in run.values.texts("DISPLAY_KEYWORD")]
    findings = [
        (each.file, each.hdu, each.card, each.gravity, each.kind, each.found, each.remedy, "FT"[each.mended])
        for done in run.done
        for each in done.findings
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            *([f'<?xml-stylesheet type="text/xsl" href="{escape(style)}"?>'] if style else []),
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
            '<RESOURCE ID="MissFITS" name="MissFITS">',
            '<INFO name="QUERY_STATUS" value="OK"/>',
            '<RESOURCE ID="MetaData" name="MetaData">',
            _param("Software", name),
            _param("Version", version),
            _param("Date", f"{end:%Y-%m-%d}"),
            _param("Time", f"{end:%H:%M:%S}"),
            _param("Duration", f"{run.seconds:.3f}", "float"),
            *_table("OutFields", "Files that were written", (*_IMAGES, *shown), images),
            *_table("Findings", "What is wrong with the files, and what was mended", _FINDINGS, findings),
            '<RESOURCE ID="Config" name="Config">',
            _param("Command_Line", " ".join([run.tool.name, *run.arguments])),
            *(_param(key.title(), text) for key, text in run.values.as_texts().items()),
            "</RESOURCE>",
            "</RESOURCE>",
            "</RESOURCE>",
            "</VOTABLE>",
            "",
        ]
    )


def _table(name: str, about: str, fields: Sequence[tuple[str, str]], rows: Iterable[Sequence[object]]) -> list[str]:
    return [
        f'<TABLE ID="{name}" name="{name}">',
        f"<DESCRIPTION>{about}</DESCRIPTION>",
        *(f'<FIELD name="{field}" datatype="{kind}"{_size(kind)}/>' for field, kind in fields),
        "<DATA><TABLEDATA>",
        *("<TR>" + "".join(f"<TD>{_cell(value)}</TD>" for value in row) + "</TR>" for row in rows),
        "</TABLEDATA></DATA></TABLE>",
    ]


def _cell(value: object) -> str:
    return "" if value is None else escape("".join(sign if sign.isprintable() else "?" for sign in str(value)))


def _size(kind: str) -> str:
    return ' arraysize="*"' if kind == "char" else ""


def _param(name: str, value: str, kind: str = "char") -> str:
    return f'<PARAM name="{name}" datatype="{kind}"{_size(kind)} value="{escape(value)}"/>'
