"""What a call did, as the tables of the original's XML file."""

from collections.abc import Sequence
from datetime import UTC, datetime

from processing.cards import CardValues
from processing.sextractor.extraction import Extraction
from processing.summaries import Call, Column, Table, votable

_DATA = (
    Column("Extension", "int", "meta.record"),
    Column("Date", "char", "meta.record;time.end"),
    Column("Time", "char", "meta.record;time.end"),
    Column("Duration", "float", "time.duration"),
    Column("NDetect", "int", "meta.number;src.sample"),
    Column("NSextracted", "int", "meta.number;src.sample"),
    Column("Image_Ident", "char", "meta.id;obs"),
    Column("Background_Mean", "float", "instr.skyLevel;obs.image;stat.median"),
    Column("Background_StDev", "float", "stat.stdev;obs.image;stat.median"),
    Column("Threshold", "float", "instr.sensitivity;obs.image;stat.median"),
    Column("Weight_Scaling", "float", "arith.factor;obs.image;stat.median"),
    Column("Pixel_Scale", "float", "instr.scale;obs.image;stat.mean"),
    Column("Gain", "float", "instr.param;obs.param"),
    Column("Satur_Level", "float", "instr.saturation;phot.count"),
)
_WARNINGS = (
    Column("Extension", "int", "meta.record"),
    Column("Kind", "char", "meta.code"),
    Column("Msg", "char", "meta"),
)


def summary(call: Call, extractions: Sequence[Extraction]) -> str:
    """Return the document of a call."""
    now = datetime.now(tz=UTC)
    rows = [
        (
            each.number, f"{now:%Y-%m-%d}", f"{now:%H:%M:%S}", each.statistics.seconds, each.statistics.detected,
            each.sources, CardValues(each.cards).text("OBJECT"), each.statistics.background, each.statistics.rms,
            each.statistics.threshold, each.statistics.weight_scales[0], each.statistics.pixel_scale,
            each.statistics.gain, each.statistics.saturation,
        )
        for each in extractions
    ]  # fmt: skip
    told = [(each.number, str(caution.kind), caution.told) for each in extractions for caution in each.warnings]
    counts = {"NExtensions": len(extractions), "CurrExtension": len(extractions)}
    tables = (
        Table("Extension_Data", "What was found in every image", _DATA, rows, counts),
        Table("Warnings", "What an image lacked", _WARNINGS, told),
    )
    return votable(call, tables, now=now)
