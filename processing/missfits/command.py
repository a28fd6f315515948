"""``terapix missfits``: configuration files and ``-KEY VALUE`` as MissFITS takes them, and files, sets, directories."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from processing.astromatic import Key, Kind, Tool, Values, files_and_settings
from processing.errors import BadSetting
from processing.missfits.arrange import Naming, Product, SliceKeys, arranged, depth_of, joined
from processing.missfits.checksums import verified
from processing.missfits.completeness import completeness
from processing.missfits.editing import Edits, baked, edited, edits_of, read_head
from processing.missfits.findings import Finding, is_fatal, report
from processing.missfits.pixels import Pixels, processed
from processing.missfits.sets import Layout, Numbering, Source, source_of
from processing.missfits.writing import Save, Writer

_K, _F, _D, _O, _M = "FITS keywords", "FITS properties", "FITS data", "Output filename", "Miscellaneous"
_SUMS = ("NONE", "COMPUTE", "VERIFY", "UPDATE")
TOOL = Tool(
    "missfits",
    "default.missfits",
    (
        Key("REMOVE_KEYWORD", Kind.TEXT, "", "keywords to remove; ? and * are wildcards", _K, many=True),
        Key("REPLACE_KEYWORD", Kind.TEXT, "", "keywords to rename, OLD:NEW", _K, many=True),
        Key("ADD_KEYWORD", Kind.TEXT, "", "keywords to set, KEY:VALUE", _K, many=True),
        Key("SLICE_KEYWORD", Kind.TEXT, "", "keywords of a slice, with a number in a cube", _K, many=True),
        Key("SLICEKEY_FORMAT", Kind.TEXT, "%03d", "format of that number", _K),
        Key("DISPLAY_KEYWORD", Kind.TEXT, "OBJECT", "keywords to show while at work", _K, many=True),
        Key("HEADER_SUFFIX", Kind.TEXT, ".head", "ending of ASCII headers to bake in", _K),
        Key("FIX_WFI", Kind.SWITCH, "N", "mend headers of the WFI camera (Y/N)?", _K),
        Key("PV_AS_TPV", Kind.SWITCH, "N", "write TAN with PV terms as TPV (Y/N)?", _K),
        Key("NEXTENSIONS_MIN", Kind.WHOLE, "0", "extensions that have to be there", _F),
        Key("OUTFILE_TYPE", Kind.TEXT, "SAME", "SAME, MULTI, SPLIT, SLICE, CUBE or DIR", _F, choices=tuple(Layout)),
        Key("SPLIT_SUFFIX", Kind.TEXT, ".%03d.fits", "ending of split files", _F),
        Key("SPLIT_START", Kind.WHOLE, "1", "number of the first extension", _F),
        Key("SLICE_SUFFIX", Kind.TEXT, ".%03d.fits", "ending of slices", _F),
        Key("SLICE_START", Kind.WHOLE, "1", "number of the first slice", _F),
        Key("MEND", Kind.SWITCH, "Y", "mend headers where that needs no guess (Y/N)?", _F),
        Key("PROCESS_TYPE", Kind.TEXT, "NONE", "NONE, TOBITPIX16, RICE, GZIP or UNCOMPRESS", _D, choices=tuple(Pixels)),
        Key("BITPIX16_ZERO", Kind.NUMBER, "0", "BZERO of TOBITPIX16, 32768 for unsigned", _D),
        Key("CHECKSUM_TYPE", Kind.TEXT, "NONE", "NONE, COMPUTE, VERIFY or UPDATE", _D, choices=_SUMS),
        Key("SAVE_TYPE", Kind.TEXT, "BACKUP", "NONE, BACKUP, NEW or REPLACE", _O, choices=tuple(Save)),
        Key("NEW_SUFFIX", Kind.TEXT, ".miss", "put into names by SAVE_TYPE NEW", _O),
        Key("VERBOSE_TYPE", Kind.TEXT, "NORMAL", "QUIET, NORMAL or FULL", _M, choices=("QUIET", "NORMAL", "FULL")),
        Key("WRITE_XML", Kind.SWITCH, "Y", "write a summary as XML (Y/N)?", _M),
        Key("XML_NAME", Kind.TEXT, "missfits.xml", "file of the summary", _M),
        Key("REPORT_NAME", Kind.TEXT, "", "file of the report as a text", _M),
        Key("XSL_URL", Kind.TEXT, "", "style sheet named in the XML", _M, extended=True),
        Key("NTHREADS", Kind.WHOLE, "1", "taken for compatibility", _M, extended=True),
    ),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was written."""

    path: Path
    extensions: int
    """Images in it: extensions, or 1 for a file of one image."""
    depth: int
    """Planes of its images."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one argument."""

    source: Source
    written: tuple[Made, ...]
    findings: tuple[Finding, ...]
    images: int
    """Extensions, or 1 for a file of one image."""
    layout: Layout
    """Of what was written."""
    has_head: bool
    depth: int = 1
    """Planes of the images that were read."""
    shown: tuple[str, ...] = ()
    """Values of DISPLAY_KEYWORD."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the settings ask of every file."""

    layout: Layout
    save: Save
    edits: Edits
    naming: Naming
    keys: SliceKeys
    pixels: Pixels
    zero: float
    sums: str
    least: int
    mend: bool
    head: str
    shown: tuple[str, ...]

    @classmethod
    def of(cls, values: Values) -> "Plan":
        """Read it from the settings; BadSetting where they contradict each other."""
        save = Save(values.text("SAVE_TYPE"))
        form = values.text("SLICEKEY_FORMAT")
        Numbering(form, 1)
        return cls(
            layout=Layout(values.text("OUTFILE_TYPE")),
            save=save,
            edits=edits_of(
                values.texts("REMOVE_KEYWORD"), values.texts("REPLACE_KEYWORD"), values.texts("ADD_KEYWORD"),
                fix_wfi=values.switch("FIX_WFI"), pv_as_tpv=values.switch("PV_AS_TPV"),
            ),
            naming=Naming(
                Numbering(values.text("SPLIT_SUFFIX"), values.whole("SPLIT_START")),
                Numbering(values.text("SLICE_SUFFIX"), values.whole("SLICE_START")),
                values.text("NEW_SUFFIX") if save is Save.NEW else "",
            ),
            keys=SliceKeys(values.texts("SLICE_KEYWORD"), form),
            pixels=Pixels(values.text("PROCESS_TYPE")),
            zero=values.number("BITPIX16_ZERO"),
            sums=values.text("CHECKSUM_TYPE"),
            least=values.whole("NEXTENSIONS_MIN"),
            mend=values.switch("MEND"),
            head=values.text("HEADER_SUFFIX"),
            shown=values.texts("DISPLAY_KEYWORD"),
        )  # fmt: skip

    def do(self, name: str) -> Done:
        """Do it with one file, set or directory; of damaged files nothing is written."""
        source = source_of(
            name, splits=self.naming.splits, slices=self.naming.slices, wanted=self.layout, mend=self.mend
        )
        findings = [finding for scanned in source.files for finding in scanned.findings]
        if not all(scanned.hdus for scanned in source.files):
            return Done(source, (), _unmended(findings), 0, self.layout, has_head=False)
        if self.sums in {"VERIFY", "UPDATE"}:
            renew = self.sums == "UPDATE"
            findings += [each for scanned in source.files for each in verified(scanned.hdus, renew=renew)]
        damaged = is_fatal(findings)
        findings += source.findings
        images = _images(source)
        for hdus in [scanned.hdus for scanned in source.files] if source.layout is Layout.SLICE else [joined(source)]:
            findings += completeness(source.label, hdus, self.least)
        source, has_head = self._baked(source, findings)
        products = arranged(source, self.layout, self.naming, self.keys)
        if self.edits != Edits():
            products = [Product(each.path, tuple(edited(hdu, self.edits) for hdu in each.hdus)) for each in products]
        if self.pixels is not Pixels.NONE:
            products = [Product(self.pixels.name_of(each.path), each.hdus) for each in products]
        written: list[Made] = []
        if not damaged:
            process = partial(processed, kind=self.pixels, zero=self.zero, findings=findings)
            threads = len(os.sched_getaffinity(0)) if self.pixels is Pixels.NONE else 1
            writer = Writer(self.save, process, sums=self.sums in {"COMPUTE", "UPDATE"}, threads=threads)
            paths = writer.write(products, source.paths)
            counts = [(max(len(each.hdus) - 1, 1), depth_of(each.hdus)) for each in products]
            written = [Made(path, *count) for path, count in zip(paths, counts, strict=False)]
        layout = source.kind if self.layout is Layout.SAME else self.layout
        values = products[0].hdus[0].values
        shown = tuple(values.text(key) or values.plain(key) for key in self.shown)
        told = tuple(findings) if written else _unmended(findings)
        return Done(source, tuple(written), told, images, layout, has_head, _depth(source), shown)

    def _baked(self, source: Source, findings: list[Finding]) -> tuple[Source, bool]:
        """Put the .head files over the headers: one block an image, in their order."""
        found = False
        files = []
        for scanned in source.files:
            stem = scanned.path.name.removesuffix(".fz").removesuffix(".fits")
            head = read_head(scanned.path.with_name(stem + self.head)) if self.head else None
            if head is None:
                files.append(scanned)
                continue
            found = True
            findings += head.findings
            first = 0 if len(scanned.hdus) == 1 else 1
            blocks = dict(enumerate(head.blocks, first))
            hdus = tuple(baked(hdu, blocks.get(hdu.number, ())) for hdu in scanned.hdus)
            files.append(replace(scanned, hdus=hdus))
        return replace(source, files=tuple(files)), found


def _unmended(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings about files of which nothing was written: what could be mended was not."""
    return tuple(replace(finding, mended=False) for finding in findings)


def _images(source: Source) -> int:
    """Extensions of a file or a set; a file of one image has one."""
    if source.layout is Layout.SLICE:
        return len(source.files)
    return max(len(joined(source)) - 1, 1)


def _depth(source: Source) -> int:
    return len(source.files) if source.layout is Layout.SLICE else max(depth_of(each.hdus) for each in source.files)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def run(names: Sequence[str], values: Values, told: Callable[[str], None] = lambda _: None) -> list[Done]:
    """Do what the settings say with every file, in their order."""
    if not names:
        raise BadSetting("no file was named; missfits FILE… [-c FILE] [-KEY VALUE]… was expected")
    plan = Plan.of(values)
    every = []
    for name in names:
        done = plan.do(name)
        told(f"{done.source.label} {' '.join(done.shown)}: {done.images} images, {len(done.written)} files written")
        every.append(done)
    return every


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool; 0 where all is right or mended, 1 where a file is wrong, 2 where the settings are."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # numpy, where it comes to sums, has no matrices here, and threads for them take 0.1 s of a core to begin
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    wrong = False

    def do() -> str:
        nonlocal wrong
        begin = time.monotonic()
        names, settings = files_and_settings(arguments)
        values = TOOL.read(settings)
        quiet = values.text("VERBOSE_TYPE") == "QUIET"
        every = run(names, values, (lambda _: None) if quiet else _say)
        seconds = time.monotonic() - begin
        findings = [finding for done in every for finding in done.findings]
        text = report(findings, sum(len(done.source.files) for done in every))
        if values.text("REPORT_NAME"):
            Path(values.text("REPORT_NAME")).write_text(text + "\n", encoding="utf-8")
        if values.switch("WRITE_XML") and values.text("XML_NAME"):
            from processing.missfits.summary import summary  # noqa: PLC0415  not needed without it
            from processing.summaries import Call  # noqa: PLC0415

            told = summary(Call("MissFITS", TOOL, values, arguments, seconds), every)
            Path(values.text("XML_NAME")).write_text(told, encoding="utf-8")
        wrong = is_fatal(findings)
        return "" if quiet and not wrong else f"{text} in {seconds:.2f} s"

    usage = "missfits FILE… [-c FILE] [-KEY VALUE]…   FILE: a file, a directory, or what the names of a set begin with"
    return TOOL.call(arguments, do, usage=usage) or int(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
