"""The VOTable that tells what was done: the peer's table and fields, and a table of what was found."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from processing.summaries import Call, Column, Table, votable

if TYPE_CHECKING:
    from processing.missfits.command import Done

_IMAGES = (
    Column("Output_Image_Name", "char"), Column("Input_Image_Type", "char"), Column("Input_Extensions", "int"),
    Column("Input_Naxis3", "int"), Column("Output_Image_Type", "char"), Column("Output_Extensions", "int"),
    Column("Output_Naxis3", "int"), Column("HeadFlag", "boolean"),
)  # fmt: skip
"""The peer's; behind them stands a field for each DISPLAY_KEYWORD."""
_FINDINGS = (
    Column("File", "char"), Column("Hdu", "int"), Column("Card", "int"), Column("Gravity", "char"),
    Column("Kind", "char"), Column("Found", "char"), Column("Remedy", "char"), Column("Mended", "boolean"),
)  # fmt: skip


def summary(call: Call, done: Sequence["Done"], now: datetime | None = None) -> str:
    """Return the VOTable of a call; `now` is when it ended."""
    images = [
        (
            made.path, each.source.kind, each.images, each.depth, each.layout, made.extensions, made.depth,
            each.has_head, *each.shown,
        )
        for each in done
        for made in each.written
    ]  # fmt: skip
    shown = [Column(name, "char") for name in call.values.texts("DISPLAY_KEYWORD")]
    findings = [
        (found.file, found.hdu, found.card, found.gravity, found.kind, found.found, found.remedy, found.mended)
        for each in done
        for found in each.findings
    ]
    tables = [
        Table("OutFields", "Files that were written", (*_IMAGES, *shown), images),
        Table("Findings", "What is wrong with the files, and what was mended", _FINDINGS, findings),
    ]
    return votable(call, tables, now=now)
