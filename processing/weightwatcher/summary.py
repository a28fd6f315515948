"""The VOTable that tells what was made: the peer's tables and fields, so that what reads ww.xml goes on reading it."""

from collections.abc import Sequence
from datetime import datetime

from processing.summaries import Call, Column, Table, votable
from processing.weightwatcher.combine import Made

NOT_MEASURED = 9999.0
"""Effective area of a map whose area was not asked for, as the peer has it."""
_UCDS = {
    "WEIGHT_NAMES": "meta.id;meta.fits;obs.image", "FLAG_NAMES": "meta.id;meta.fits;obs.image",
    "WEIGHT_OUTFLAGS": "meta.code.class", "FLAG_OUTFLAGS": "meta.code.class", "POLY_OUTFLAGS": "meta.code.class",
    "POLY_NAMES": "meta.id;meta.file", "OUTWEIGHT_NAME": "meta.id;meta.fits", "OUTFLAG_NAME": "meta.id;meta.fits",
    "NTHREADS": "meta.number;meta.software",
}  # fmt: skip
_IMAGES = (
    Column("Output_Image_Name", "char", "meta.id;meta.file;meta.fits"),
    Column("Output_Image_Type", "char", "meta.code.class", size="1"),
    Column("Extension", "int", "meta.number;meta.dataset"),
    Column("Effective_Area", "float", "phys.size;arith.ratio"),
)
_WARNINGS = (
    Column("Date", "char", "meta;time.end"),
    Column("Time", "char", "meta;time.end"),
    Column("Msg", "char", "meta"),
)


def summary(call: Call, made: Sequence[Made], now: datetime | None = None) -> str:
    """Return the VOTable of a call; `now` is when it ended.

    The peer's table of warnings has no rows: what it warns of is an error here.
    """
    files = [(call.values.text("OUTWEIGHT_NAME"), "W"), (call.values.text("OUTFLAG_NAME"), "F")]
    measured = call.values.switch("GETAREA")
    rows = [
        (name, kind, each.number, float(area) if measured else NOT_MEASURED)
        for each in made
        for (name, kind), area in zip(files, (each.weight_area, each.flag_area), strict=True)
        if name
    ]
    images = Table("OutFields", "Images that were made", _IMAGES, rows, {"NExtensions": len(rows)})
    return votable(call, [images, Table("Warnings", "What was doubtful", _WARNINGS)], ucds=_UCDS, now=now)
