"""``terapix weightwatcher``: configuration files and ``-KEY VALUE`` as WeightWatcher takes them."""

import html
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processing.astromatic import Key, Kind, Tool, Values
from processing.errors import BadSetting
from processing.provenance import software
from processing.weightwatcher.combine import Areas, Made, combine
from processing.weightwatcher.watch import FlagRule, WeightRule

_W, _F, _O, _M = "Weights", "Flags", "Output", "Miscellaneous"
TOOL = Tool(
    "weightwatcher",
    "default.ww",
    (
        Key("WEIGHT_NAMES", Kind.TEXT, "weightin.fits", "weight maps; the first gives its values", _W, many=True),
        Key("WEIGHT_MIN", Kind.NUMBER, "0.3", "below it a pixel is bad, one value a map", _W, many=True),
        Key("WEIGHT_MAX", Kind.NUMBER, "1.3", "above it a pixel is bad", _W, many=True),
        Key("WEIGHT_OUTFLAGS", Kind.WHOLE, "1", "flags of bad pixels", _W, many=True),
        Key("FLAG_NAMES", Kind.TEXT, "flagin.fits", "flag maps", _F, many=True),
        Key("FLAG_WMASKS", Kind.WHOLE, "0xff", "bits that null the weight, one mask a map", _F, many=True),
        Key("FLAG_MASKS", Kind.WHOLE, "0x01", "bits that become output flags, one mask a map", _F, many=True),
        Key("FLAG_OUTFLAGS", Kind.WHOLE, "2", "output flag of each bit of the masks, in order", _F, many=True),
        Key("OUTWEIGHT_NAME", Kind.TEXT, "weight.fits", "weight map to write", _O),
        Key("OUTFLAG_NAME", Kind.TEXT, "flag.fits", "flag map to write", _O),
        Key("GETAREA", Kind.SWITCH, "N", "measure effective areas (Y/N)?", _M),
        Key("GETAREA_WEIGHT", Kind.NUMBER, "0.0", "weight above which a pixel counts", _M),
        Key("GETAREA_FLAGS", Kind.WHOLE, "1", "flags with which a pixel does not count", _M, many=True),
        Key("VERBOSE_TYPE", Kind.TEXT, "NORMAL", "QUIET, NORMAL or FULL", _M, choices=("QUIET", "NORMAL", "FULL")),
        Key("WRITE_XML", Kind.SWITCH, "Y", "write a summary as XML (Y/N)?", _M),
        Key("XML_NAME", Kind.TEXT, "ww.xml", "file of the summary", _M),
        Key("NTHREADS", Kind.WHOLE, "0", "threads; 0: one a core", _M),
        Key(
            "POLY_NAMES", Kind.TEXT, "", "DS9 regions; none can be drawn by this version", _M, many=True, extended=True
        ),
        Key("POLY_OUTFLAGS", Kind.WHOLE, "", "goes with POLY_NAMES", _M, many=True, extended=True),
        Key("POLY_OUTWEIGHTS", Kind.NUMBER, "0.0", "goes with POLY_NAMES", _M, many=True, extended=True),
        Key("POLY_INTERSECT", Kind.SWITCH, "Y", "goes with POLY_NAMES", _M, extended=True),
        Key("MEMORY_BUFSIZE", Kind.WHOLE, "256", "taken for compatibility; bands have a fixed size", _M, extended=True),
        Key("XSL_URL", Kind.TEXT, "", "style sheet named in the XML", _M, extended=True),
    ),
)


def weight_rules(values: Values) -> list[WeightRule]:
    """Return one rule a weight map; BadSetting where a list is shorter than that of the maps."""
    count = len(values.texts("WEIGHT_NAMES"))
    for key in ("WEIGHT_MIN", "WEIGHT_MAX", "WEIGHT_OUTFLAGS"):
        _enough(key, len(values.as_texts()[key].split(",")), count, "WEIGHT_NAMES")
    columns = (values.numbers("WEIGHT_MIN"), values.numbers("WEIGHT_MAX"), values.wholes("WEIGHT_OUTFLAGS"))
    return [WeightRule(*row) for row in zip(*(column[:count] for column in columns), strict=True)]


def flag_rules(values: Values) -> list[FlagRule]:
    """Return one rule a flag map; output flags are taken from their list bit after bit, map after map."""
    names = values.texts("FLAG_NAMES")
    nulling, masks, outflags = (values.wholes(key) for key in ("FLAG_WMASKS", "FLAG_MASKS", "FLAG_OUTFLAGS"))
    _enough("FLAG_WMASKS", len(nulling), len(names), "FLAG_NAMES")
    _enough("FLAG_MASKS", len(masks), len(names), "FLAG_NAMES")
    rest = iter(outflags)
    rules = []
    for name, null, mask in zip(names, nulling, masks, strict=False):
        bits = [1 << bit for bit in range(32) if mask >> bit & 1]
        found = list(zip(bits, rest, strict=False))
        if len(found) < len(bits):
            raise BadSetting(
                f"FLAG_OUTFLAGS: no flag for bit {bits[len(found)]:#x} of {name}; one for each bit was expected"
            )
        rules.append(FlagRule(null, tuple(found)))
    return rules


def flag_kind(values: Values) -> np.dtype[np.integer]:
    """Type of the flag map: the smallest signed one, or uint8, that holds the largest output flag."""
    largest = max((*values.wholes("WEIGHT_OUTFLAGS"), *values.wholes("FLAG_OUTFLAGS"), 0))
    if largest >= 2**31 or min((*values.wholes("WEIGHT_OUTFLAGS"), *values.wholes("FLAG_OUTFLAGS"), 0)) < 0:
        raise BadSetting(f"output flag {largest}: 0 to {2**31 - 1} was expected")
    if largest >= 2**15:
        return np.dtype(np.int32)
    return np.dtype(np.int16 if largest >= 2**7 else np.uint8)


def _enough(key: str, found: int, count: int, names: str) -> None:
    if found < count:
        raise BadSetting(f"{key}: {found} given, but {names} names {count} maps; one for each was expected")


def run(values: Values) -> list[Made]:
    """Do what the settings say."""
    if values.texts("POLY_NAMES"):
        raise BadSetting("POLY_NAMES: regions cannot be drawn by this version; give them as a flag map in FLAG_NAMES")
    verbose = values.text("VERBOSE_TYPE") != "QUIET"
    areas = None
    if values.switch("GETAREA"):
        areas = Areas(values.number("GETAREA_WEIGHT"), int(np.bitwise_or.reduce(values.wholes("GETAREA_FLAGS"))))

    def told(made: Made) -> None:
        if verbose and areas is not None:
            shares = f"weight {made.weight_area:.4f}, flag {made.flag_area:.4f}"
            _say(f"extension {made.number}: share of good pixels {shares}")

    return combine(
        [Path(name) for name in values.texts("WEIGHT_NAMES")],
        [Path(name) for name in values.texts("FLAG_NAMES")],
        weight_rules=weight_rules(values),
        flag_rules=flag_rules(values),
        flag_kind=flag_kind(values),
        outweight=_path(values.text("OUTWEIGHT_NAME")),
        outflag=_path(values.text("OUTFLAG_NAME")),
        areas=areas,
        threads=values.whole("NTHREADS") or len(os.sched_getaffinity(0)),
        told=told,
    )


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _summary(values: Values, made: Sequence[Made]) -> str:
    """VOTable of the extensions made, with the configuration."""
    names = ("OUTWEIGHT_NAME", "W"), ("OUTFLAG_NAME", "F")
    rows = [
        f"<TR><TD>{html.escape(values.text(key))}</TD><TD>{kind}</TD><TD>{each.number}</TD><TD>{area:.8g}</TD></TR>"
        for each in made
        for (key, kind), area in zip(names, (each.weight_area, each.flag_area), strict=True)
        if values.text(key)
    ]
    settings = [
        f'<PARAM name="{key.title()}" datatype="char" arraysize="*" value="{html.escape(text)}"/>'
        for key, text in values.as_texts().items()
    ]
    style = values.text("XSL_URL")
    columns = (("Output_Image_Name", "char", "*"), ("Output_Image_Type", "char", "1"), ("Extension", "int", ""))
    fields = [
        f'<FIELD name="{name}" datatype="{kind}"' + (f' arraysize="{size}"/>' if size else "/>")
        for name, kind, size in (*columns, ("Effective_Area", "float", ""))
    ]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            *([f'<?xml-stylesheet type="text/xsl" href="{html.escape(style)}"?>'] if style else []),
            '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">',
            '<RESOURCE name="WeightWatcher">',
            f'<INFO name="Software" value="{software()}"/>',
            *settings,
            '<TABLE ID="OutFields" name="OutFields">',
            *fields,
            "<DATA><TABLEDATA>",
            *rows,
            "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>",
            "",
        ]
    )


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the maps were made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def do() -> str:
        begin = time.monotonic()
        values = TOOL.read(arguments)
        made = run(values)
        if values.switch("WRITE_XML") and values.text("XML_NAME"):
            Path(values.text("XML_NAME")).write_text(_summary(values, made), encoding="utf-8")
        if values.text("VERBOSE_TYPE") == "QUIET":
            return ""
        return f"{len(made)} extensions in {time.monotonic() - begin:.2f} s"

    return TOOL.call(arguments, do)


if __name__ == "__main__":
    raise SystemExit(main())
