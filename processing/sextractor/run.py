"""One call of the tool: all images of a file, their catalogue, check-images and summary."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from processing.astromatic import Values
from processing.bar import Bar
from processing.errors import BadSetting
from processing.sextractor import compiling
from processing.sextractor.catalogue import begun
from processing.sextractor.configuration import settings_of
from processing.sextractor.exposure import Names, of_files
from processing.sextractor.extract import extract_all
from processing.sextractor.extraction import Extraction
from processing.sextractor.keys import TOOL
from processing.sextractor.parameters import VECTORS, Wanted, read_parameters, text, wanted
from processing.sextractor.settings import Settings


def run(files: Sequence[str], values: Values, arguments: Sequence[str]) -> str:
    """Do what the settings say, and return a line about it."""
    begin = time.monotonic()
    columns = read_parameters(Path(values.text("PARAMETERS_NAME")))
    settings = settings_of(values, columns)
    kinds = wanted(columns, where=values.text("PARAMETERS_NAME"))
    _fitting(kinds, settings)
    names = Names(
        image=files[-1],
        detection=files[0] if len(files) == 2 else "",
        weights=values.texts("WEIGHT_IMAGE"),
        flags=_flag_maps(kinds, values),
        head_suffix=values.text("HEADER_SUFFIX"),
    )
    form, target = values.text("CATALOG_TYPE"), Path(values.text("CATALOG_NAME"))
    if str(target) == "STDOUT" and form.startswith("FITS"):
        raise BadSetting(f"CATALOG_NAME = STDOUT: {form} needs a file; STDOUT takes texts")
    checks = _checks(values)
    written = {"CATALOG_NAME": [target] if form != "NONE" else [], "CHECKIMAGE_NAME": list(checks.values())}
    written["XML_NAME"] = [Path(values.text("XML_NAME"))] if values.switch("WRITE_XML") else []
    for key, paths in written.items():
        _writable(key, paths)
    quiet = values.text("VERBOSE_TYPE") == "QUIET"
    exposures = of_files(names, settings)
    if not quiet and compiling.cold():
        sys.stderr.write("----- Compiling: once on this machine\n")
        compiling.warm(Bar())
    where = sys.stdout.buffer if str(target) == "STDOUT" else target
    with nullcontext(_nowhere) if form == "NONE" else begun(where, form, settings) as add:
        made = extract_all(exposures, settings, checks=checks, progress=None if quiet else Bar(), done=add)
    if not quiet:
        for each in made:
            sys.stderr.write(told(each, files))
    seconds = time.monotonic() - begin
    if values.switch("WRITE_XML") and values.text("XML_NAME"):
        from processing.sextractor.summary import summary  # noqa: PLC0415  not needed without it
        from processing.summaries import Call  # noqa: PLC0415

        document = summary(Call("SExtractor", TOOL, values, arguments, seconds), made)
        Path(values.text("XML_NAME")).write_text(document, encoding="utf-8")
    if quiet:
        return ""
    rows, found = sum(each.rows.shape[0] for each in exposures), sum(each.sources for each in made)
    return f"all done in {seconds:.2f} s: {rows / seconds:.1f} lines/s, {found / seconds:.1f} sources/s"


def _writable(key: str, paths: Sequence[Path]) -> None:
    """Refuse files in directories that are not there, before anything is measured."""
    for path in paths:
        if not path.parent.is_dir():
            raise BadSetting(f"{key} = {path}: there is no directory {path.parent}; make it, or name another one")


def _nowhere(_: Extraction) -> None:
    """Take the sources of an image where no catalogue is wanted."""


def _flag_maps(columns: Sequence[Wanted], values: Values) -> tuple[str, ...]:
    """Flag maps are read where a column asks for one, as in the original."""
    return values.texts("FLAG_IMAGE") if any("IMAFLAGS" in each.name for each in columns) else ()


def _fitting(columns: Sequence[Wanted], settings: Settings) -> None:
    """Refuse vectors longer than the setting that fills them."""
    lengths = {"APER": ("PHOT_APERTURES", len(settings.phot_apertures))}
    lengths["RADIUS"] = ("PHOT_FLUXFRAC", len(settings.phot_fluxfrac))
    for each in columns:
        key, length = lengths.get(each.name.split("_")[1] if each.name in VECTORS else "", ("", 0))
        if key and each.size > length:
            raise BadSetting(f"{text(each)}: {key} has {length} values; give as many as the column has")


def _checks(values: Values) -> Mapping[str, Path]:
    """Files of check-images by their kinds."""
    kinds, names = values.texts("CHECKIMAGE_TYPE"), values.texts("CHECKIMAGE_NAME")
    if set(kinds) == {"NONE"}:
        return {}
    if len(names) < len(kinds):
        raise BadSetting(f"CHECKIMAGE_NAME: {len(names)} files for {len(kinds)} check-images; one each was expected")
    return {kind: Path(name) for kind, name in zip(kinds, names, strict=False) if kind != "NONE"}


def told(each: Extraction, files: Sequence[str]) -> str:
    """Return what users of the original look for on their terminal."""
    numbers = each.statistics
    place = f" [{each.number}/{each.count}]" if each.count > 1 else ""
    head = "(M+D)" if len(files) == 1 else "(M)"
    levels = (
        f"Background: {numbers.background:<10.6g} RMS: {numbers.rms:<10.6g} / Threshold: {numbers.threshold:<10.6g}"
    )
    cautions = "".join(f"> WARNING: {caution}\n" for caution in each.warnings)
    return (
        f"----- Measuring from: {each.file}{place}\n{cautions}"
        f"{head} {levels}\n"
        f"      Objects: detected {numbers.detected:<8d} / sextracted {each.sources:<8d}\n"
    )
