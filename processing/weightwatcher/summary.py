"""The VOTable that tells what was made: the peer's tables and fields, so that what reads ww.xml goes on reading it."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from processing.astromatic import Key, Kind, Tool, Values
from processing.provenance import software
from processing.weightwatcher.combine import Made

NOT_MEASURED = 9999.0
"""Effective area of a map whose area was not asked for, as the peer has it."""
_TYPES = {Kind.TEXT: "char", Kind.WHOLE: "int", Kind.NUMBER: "double", Kind.SWITCH: "boolean"}
_UCDS = {
    "WEIGHT_NAMES": "meta.id;meta.fits;obs.image", "FLAG_NAMES": "meta.id;meta.fits;obs.image",
    "WEIGHT_OUTFLAGS": "meta.code.class", "FLAG_OUTFLAGS": "meta.code.class", "POLY_OUTFLAGS": "meta.code.class",
    "POLY_NAMES": "meta.id;meta.file", "OUTWEIGHT_NAME": "meta.id;meta.fits", "OUTFLAG_NAME": "meta.id;meta.fits",
    "NTHREADS": "meta.number;meta.software",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Run:
    """One call of the tool."""

    tool: Tool
    values: Values
    arguments: Sequence[str]
    made: Sequence[Made]
    seconds: float
    """That it took."""


def summary(run: Run, now: datetime | None = None) -> str:
    """Return the VOTable of a call; `now` is when it ended."""
    end = now or datetime.now(tz=UTC)
    style = run.values.text("XSL_URL")
    name, _, version = software().partition(" ")
    about = [
        _param("Software", "char", name, "meta.title;meta.software"),
        _param("Version", "char", version, "meta.version;meta.software"),
        _param("NThreads", "int", run.values.text("NTHREADS"), "meta.number;meta.software"),
        _param("Date", "char", f"{end:%Y-%m-%d}", "time.end;meta.software"),
        _param("Time", "char", f"{end:%H:%M:%S}", "time.end;meta.software"),
        _param("Duration", "float", f"{run.seconds:.3f}", "time.duration;meta.software", unit="s"),
        _param("User", "char", os.environ.get("LOGNAME", ""), "meta.curation"),
        _param("Host", "char", platform.node(), "meta.curation"),
        _param("Path", "char", str(Path.cwd()), "meta.dataset"),
    ]
    settings = [_setting(key, run.values) for key in run.tool.keys]
    called = " ".join([run.tool.name, *run.arguments])
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            *([f'<?xml-stylesheet type="text/xsl" href="{escape(style)}"?>'] if style else []),
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
            '<RESOURCE ID="WeightWatcher" name="WeightWatcher">',
            '<INFO name="QUERY_STATUS" value="OK"/>',
            '<RESOURCE ID="MetaData" name="MetaData">',
            *about,
            *_images(run),
            *_warnings(),
            '<RESOURCE ID="Config" name="Config">',
            _param("Command_Line", "char", called, "obs.param"),
            *settings,
            "</RESOURCE>",
            "</RESOURCE>",
            "</RESOURCE>",
            "</VOTABLE>",
            "",
        ]
    )


def _images(run: Run) -> list[str]:
    files = [(run.values.text("OUTWEIGHT_NAME"), "W"), (run.values.text("OUTFLAG_NAME"), "F")]
    measured = run.values.switch("GETAREA")
    rows = [
        f"<TR><TD>{escape(name)}</TD><TD>{kind}</TD><TD>{each.number}</TD>"
        f"<TD>{area if measured else NOT_MEASURED:.8g}</TD></TR>"
        for each in run.made
        for (name, kind), area in zip(files, (each.weight_area, each.flag_area), strict=True)
        if name
    ]
    return [
        '<TABLE ID="OutFields" name="OutFields">',
        "<DESCRIPTION>Images that were made</DESCRIPTION>",
        '<FIELD name="Output_Image_Name" datatype="char" arraysize="*" ucd="meta.id;meta.file;meta.fits"/>',
        '<FIELD name="Output_Image_Type" datatype="char" arraysize="1" ucd="meta.code.class"/>',
        '<FIELD name="Extension" datatype="int" ucd="meta.number;meta.dataset"/>',
        '<FIELD name="Effective_Area" datatype="float" ucd="phys.size;arith.ratio"/>',
        _param("NExtensions", "int", str(len(rows)), "meta.number;meta.dataset"),
        "<DATA><TABLEDATA>",
        *rows,
        "</TABLEDATA></DATA></TABLE>",
    ]


def _warnings() -> list[str]:
    """The peer's table of warnings, without rows: what it warns of is an error here."""
    fields = (("Date", "meta;time.end"), ("Time", "meta;time.end"), ("Msg", "meta"))
    return [
        '<TABLE ID="Warnings" name="Warnings">',
        *(f'<FIELD name="{name}" datatype="char" arraysize="*" ucd="{ucd}"/>' for name, ucd in fields),
        "<DATA><TABLEDATA>",
        "</TABLEDATA></DATA></TABLE>",
    ]


def _setting(key: Key, values: Values) -> str:
    held = values.as_texts()[key.name].split(",") if values.texts(key.name) else []
    name = "_".join(part.capitalize() for part in key.name.split("_"))
    kind = _TYPES[key.kind]
    if key.kind is Kind.TEXT:
        return _param(name, kind, ",".join(held), _UCDS.get(key.name, "obs.param"))
    if key.kind is Kind.SWITCH:
        held = ["T" if value == "Y" else "F" for value in held]
    if not held:
        return _param(name, "char", "", _UCDS.get(key.name, "obs.param"))
    size = str(len(held)) if key.many and len(held) > 1 else ""
    return _param(name, kind, " ".join(held), _UCDS.get(key.name, "obs.param"), size=size)


def _param(name: str, kind: str, value: str, ucd: str, *, unit: str = "", size: str = "") -> str:
    length = "*" if kind == "char" else size
    extra = (f' arraysize="{length}"' if length else "") + (f' unit="{unit}"' if unit else "")
    return f'<PARAM name="{name}" datatype="{kind}"{extra} ucd="{ucd}" value="{escape(value)}"/>'
