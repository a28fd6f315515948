"""``terapix weightwatcher``: configuration files and ``-KEY VALUE`` as WeightWatcher takes them."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from processing.astromatic import Key, Kind, Tool
from processing.weightwatcher.kinds import WeightKind

_W, _F, _P, _O, _M = "Weights", "Flags", "Regions", "Output", "Miscellaneous"
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where the maps were made, 1 where a file hindered it, 2 where the settings did."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # nothing here has matrices, and numpy's threads for them take 0.1 s of a core to begin
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if arguments[:1] == ["regions"]:
        from processing.regions import command  # noqa: PLC0415  brings the compiler

        return command.main(arguments[1:])
    if arguments[:1] == ["hot"]:
        from processing.weightwatcher import hot  # noqa: PLC0415  brings the compiler

        return hot.main(arguments[1:])

    def do() -> str:
        begin = time.monotonic()
        values = TOOL.read(arguments)
        from processing.weightwatcher.run import run  # noqa: PLC0415  numpy comes with it, after its threads are set

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
