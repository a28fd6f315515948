"""``terapix weightwatcher``: configuration files and ``-KEY VALUE`` as WeightWatcher takes them."""

import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processing.astromatic import Key, Kind, Tool, Values
from processing.errors import BadSetting
from processing.weightwatcher.combine import Areas, Inputs, Made, Outputs, combine
from processing.weightwatcher.maps import WeightKind
from processing.weightwatcher.watch import FlagRule, RegionRule, Rules, WeightRule

_W, _F, _P, _O, _M = "Weights", "Flags", "Regions", "Output", "Miscellaneous"
_TOLD = ("WEIGHT_", "FLAG_", "POLY_", "OUTWEIGHT_TYPE")
"""Settings whose values are told in the headers."""
_PRECISIONS = ("SINGLE", "DOUBLE")
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
        Key("POLY_NAMES", Kind.TEXT, "", "files of DS9 regions", _P, many=True),
        Key("POLY_OUTFLAGS", Kind.WHOLE, "", "flags where a region lies, one value a file", _P, many=True),
        Key("POLY_OUTWEIGHTS", Kind.NUMBER, "0.0", "the weight is multiplied by it there", _P, many=True),
        Key("POLY_INTERSECT", Kind.SWITCH, "Y", "overlaps are covered (Y), or not (N)", _P),
        Key("POLY_PRECISION", Kind.TEXT, "SINGLE", "of corners; SINGLE as the original", _P, choices=_PRECISIONS),
        Key("OUTWEIGHT_NAME", Kind.TEXT, "weight.fits", "weight map to write; .fits.fz: compressed", _O),
        Key("OUTWEIGHT_TYPE", Kind.TEXT, "WEIGHT", "WEIGHT, VARIANCE or RMS", _O, choices=tuple(WeightKind)),
        Key("OUTWEIGHT_STEP", Kind.NUMBER, "0", "step of compressed weights; 0: error below 1e-3", _O, extended=True),
        Key("OUTFLAG_NAME", Kind.TEXT, "flag.fits", "flag map to write; .fits.fz: compressed", _O),
        Key("GETAREA", Kind.SWITCH, "N", "measure effective areas (Y/N)?", _M),
        Key("GETAREA_WEIGHT", Kind.NUMBER, "0.0", "weight above which a pixel counts", _M),
        Key("GETAREA_FLAGS", Kind.WHOLE, "1", "flags with which a pixel does not count", _M, many=True),
        Key("VERBOSE_TYPE", Kind.TEXT, "NORMAL", "QUIET, NORMAL or FULL", _M, choices=("QUIET", "NORMAL", "FULL")),
        Key("WRITE_XML", Kind.SWITCH, "Y", "write a summary as XML (Y/N)?", _M),
        Key("XML_NAME", Kind.TEXT, "ww.xml", "file of the summary", _M),
        Key("NTHREADS", Kind.WHOLE, "0", "threads; 0: one a core", _M),
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


def region_rules(values: Values) -> list[RegionRule]:
    """Return one rule a file of regions; weights that are not given are 0, as the peer has them."""
    count = len(values.texts("POLY_NAMES"))
    outflags, outweights = values.wholes("POLY_OUTFLAGS"), values.numbers("POLY_OUTWEIGHTS")
    _enough("POLY_OUTFLAGS", len(outflags), count, "POLY_NAMES")
    padded = [*outweights, *[0.0] * count][:count]
    return [RegionRule(outflag, weight) for outflag, weight in zip(outflags[:count], padded, strict=True)]


def rules(values: Values) -> Rules:
    """Return what is made of all inputs."""
    return Rules(tuple(weight_rules(values)), tuple(flag_rules(values)), tuple(region_rules(values)))


def flag_kind(outflags: Sequence[int]) -> np.dtype[np.integer]:
    """Type of the flag map: the smallest signed one, or uint8, that holds the largest output flag."""
    largest, least = max(outflags, default=0), min(outflags, default=0)
    if largest >= 2**31 or least < 0:
        raise BadSetting(f"output flag {least if least < 0 else largest}: 0 to {2**31 - 1} was expected")
    if largest >= 2**15:
        return np.dtype(np.int32)
    return np.dtype(np.int16 if largest >= 2**7 else np.uint8)


def _enough(key: str, found: int, count: int, names: str) -> None:
    if found < count:
        raise BadSetting(f"{key}: {found} given, but {names} names {count} files; one for each was expected")


def run(values: Values) -> list[Made]:
    """Do what the settings say."""
    verbose = values.text("VERBOSE_TYPE") != "QUIET"
    areas = None
    if values.switch("GETAREA"):
        areas = Areas(values.number("GETAREA_WEIGHT"), int(np.bitwise_or.reduce(values.wholes("GETAREA_FLAGS"))))
    if not 0 <= values.number("OUTWEIGHT_STEP") < math.inf:
        raise BadSetting(f"OUTWEIGHT_STEP = {values.number('OUTWEIGHT_STEP')}: 0 or a number above it was expected")

    def told(made: Made) -> None:
        if verbose and areas is not None:
            shares = f"weight {made.weight_area:.4f}, flag {made.flag_area:.4f}"
            _say(f"extension {made.number}: share of good pixels {shares}")

    wanted = rules(values)
    inputs = Inputs(
        weights=[Path(name) for name in values.texts("WEIGHT_NAMES")],
        flags=[Path(name) for name in values.texts("FLAG_NAMES")],
        regions=[Path(name) for name in values.texts("POLY_NAMES")],
        union=values.switch("POLY_INTERSECT"),
        single=values.text("POLY_PRECISION") == "SINGLE",
    )
    outputs = Outputs(
        weight=_path(values.text("OUTWEIGHT_NAME")),
        flag=_path(values.text("OUTFLAG_NAME")),
        flag_kind=flag_kind(wanted.outflags),
        weight_kind=WeightKind(values.text("OUTWEIGHT_TYPE")),
        step=values.number("OUTWEIGHT_STEP"),
        areas=areas,
        provenance={key: text for key, text in values.as_texts().items() if key.startswith(_TOLD) and text},
    )
    threads = values.whole("NTHREADS") or len(os.sched_getaffinity(0))
    return combine(inputs, wanted, outputs, threads=threads, told=told)


def _path(name: str) -> Path | None:
    return Path(name) if name else None


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the maps were made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["regions"]:
        from processing.regions import command  # noqa: PLC0415  brings the compiler

        return command.main(arguments[1:])
    if arguments[:1] == ["hot"]:
        from processing.weightwatcher import hot  # noqa: PLC0415  brings the compiler

        return hot.main(arguments[1:])

    def do() -> str:
        begin = time.monotonic()
        values = TOOL.read(arguments)
        made = run(values)
        seconds = time.monotonic() - begin
        if values.switch("WRITE_XML") and values.text("XML_NAME"):
            from processing.summaries import Call  # noqa: PLC0415  not needed without it
            from processing.weightwatcher.summary import summary  # noqa: PLC0415

            told = summary(Call("WeightWatcher", TOOL, values, arguments, seconds), made)
            Path(values.text("XML_NAME")).write_text(told, encoding="utf-8")
        return "" if values.text("VERBOSE_TYPE") == "QUIET" else f"{len(made)} extensions in {seconds:.2f} s"

    more = (
        "weightwatcher regions --help   flag maps and masks as DS9 regions and MOCs\n"
        "weightwatcher hot --help       what is hot or dead all over a run, as a mask\n"
    )
    return TOOL.call(arguments, do, more=more)


if __name__ == "__main__":
    raise SystemExit(main())
