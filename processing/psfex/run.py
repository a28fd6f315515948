"""One call of the tool: models of all catalogues, and what tells about them."""

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

from processing import psf_model
from processing.astromatic import Values
from processing.bar import Bar
from processing.errors import BadSetting
from processing.ldac import read
from processing.placing import placed
from processing.psfex import checkimages, homogenisation, stars
from processing.psfex.diagnostics import Diagnosis, diagnose
from processing.psfex.exposures import Exposure, models_of_all, shared
from processing.psfex.field import Field
from processing.psfex.keys import TOOL
from processing.psfex.model import Made
from processing.psfex.sample import NoStars
from processing.psfex.settings import Settings

_DEVICES = {"NULL", "XWIN", "TK", "PS", "PSC", "XFIG", "PNG", "JPEG", "AQT", "PDF", "SVG"}
"""What the original draws on; here each of them but NULL is an SVG file, so that existing configurations go on."""
_HEADER = "   catalogue       image    stars     sampling  chi2   FWHM         ellipticity residuals asymmetry\n"


def run(paths: Sequence[Path], values: Values, settings: Settings, arguments: Sequence[str]) -> str:
    """Do what the settings say, and return a line about it."""
    begin = time.monotonic()
    quiet = values.text("VERBOSE_TYPE") == "QUIET"
    checks = checks_of(values)
    drawn = plots_of(values)
    wanted = not quiet or values.switch("WRITE_XML") or bool(checks or drawn)
    bar = Bar(shown=not quiet)
    fields = []
    _looked_over(paths, checks, values, settings, quiet=quiet)
    for number, (exposure, made) in enumerate(_models(paths, settings, quiet=quiet)):
        path = exposure.path
        fields.append(_field(exposure, made, settings, partial(_part, bar, number, len(paths)), look=wanted))
        models = [each.model for each in fields[-1].made]
        psf_model.write(_out(path, values), models)
        if settings.homogenisation:
            homogenisation.write(_out(path, values, "HOMOKERNEL"), models, settings.homogenisation)
        for kind, name in checks.items():
            target = name.with_name(f"{name.stem}_{path.stem}.fits")
            checkimages.write(target, kind, fields[-1], settings, cube=values.switch("CHECKIMAGE_CUBE"))
        fields[-1] = _drawn(fields[-1], drawn, settings)
    _list(fields, values, settings)
    if not quiet:
        sys.stderr.write("".join(line for each in fields for line in lowered(each, settings)))
        sys.stderr.write(_HEADER + "".join(line for each in fields for line in told(each)))
    seconds = time.monotonic() - begin
    if values.switch("WRITE_XML") and values.text("XML_NAME"):
        from processing.psfex.summary import summary  # noqa: PLC0415  not needed without it
        from processing.summaries import Call  # noqa: PLC0415

        document = summary(Call("PSFEx", TOOL, values, arguments, seconds), fields)
        write_text(Path(values.text("XML_NAME")), document)
    for each in fields:
        if all(made.verdict for made in each.made):
            raise NoStars(each.path, each.made[0].verdict, remedy="loosen the SAMPLE_ settings or look at the image")
    images = sum(len(each.made) for each in fields)
    return "" if quiet else f"{len(fields)} catalogues, {images} images in {time.monotonic() - begin:.2f} s"


def _looked_over(
    paths: Sequence[Path], checks: Mapping[str, Path], values: Values, settings: Settings, *, quiet: bool
) -> None:
    """Refuse what cannot be drawn or written before models are made, and tell what has no effect."""
    targets = [("PSF_DIR", _out(path, values)) for path in paths]
    targets += [("CHECKIMAGE_NAME", name) for name in checks.values()]
    if settings.homogenisation:
        targets += [("HOMOKERNEL_DIR", _out(path, values, "HOMOKERNEL")) for path in paths]
    if values.text("OUTCAT_TYPE") != "NONE":
        targets.append(("OUTCAT_NAME", Path(values.text("OUTCAT_NAME"))))
    if values.switch("WRITE_XML"):
        targets.append(("XML_NAME", Path(values.text("XML_NAME"))))
    for key, target in targets:
        if not target.parent.is_dir():
            told = f"{key}: there is no directory {target.parent}; make it, or name another one"
            raise BadSetting(told)
    if "GREAT10" in checks:
        for path in paths:
            checkimages.listed(path)
    if settings.distorted and not quiet:
        sys.stderr.write("psfex: PSF_DGEOCORRECT has no effect: no catalogue has VIGNET_DGEOX and VIGNET_DGEOY\n")


def checks_of(values: Values) -> Mapping[str, Path]:
    """Return files of check-images by their kinds.

    Raises
    ------
    BadSetting
        Where a kind is not known, or has no file.
    """
    return _paired(values, "CHECKIMAGE", checkimages.KINDS)


def _paired(values: Values, what: str, known: Collection[str]) -> Mapping[str, Path]:
    """Return names by kinds, each at the place of its kind; a NONE keeps its name to itself, as in the original."""
    kinds, names = [kind.upper() for kind in values.texts(f"{what}_TYPE")], values.texts(f"{what}_NAME")
    wanted = [(place, kind) for place, kind in enumerate(kinds) if kind != "NONE"]
    for place, kind in wanted:
        if kind not in known:
            raise BadSetting(f"{what}_TYPE = {kind}: one of NONE, {', '.join(known)} was expected")
        if place >= len(names):
            raise BadSetting(
                f"{what}_NAME: {len(names)} files for {len(kinds)} check-{what[5:].lower()}s; one each was expected"
            )
    return {kind: Path(names[place]) for place, kind in wanted}


def plots_of(values: Values) -> Mapping[str, Path]:
    """Return files of check-plots by their kinds; none where CHECKPLOT_DEV is NULL.

    Raises
    ------
    BadSetting
        Where a kind or a device is not known, or a kind has no file.
    """
    devices = {device.upper() for device in values.texts("CHECKPLOT_DEV")}
    if devices <= {"NULL"} or {kind.upper() for kind in values.texts("CHECKPLOT_TYPE")} <= {"NONE"}:
        return {}
    for device in sorted(devices - _DEVICES):
        raise BadSetting(f"CHECKPLOT_DEV = {device}: one of {', '.join(sorted(_DEVICES))} was expected")
    if "SVG" not in devices and values.text("VERBOSE_TYPE") != "QUIET":
        told = ",".join(sorted(devices - {"NULL"}))
        sys.stderr.write(f"psfex: CHECKPLOT_DEV = {told}: plots are drawn as SVG here; set it to SVG or NULL\n")
    from processing.psfex.plots import KINDS  # noqa: PLC0415  not needed without them

    return _paired(values, "CHECKPLOT", KINDS)


def _drawn(field: Field, wanted: Mapping[str, Path], settings: Settings) -> Field:
    """Draw check-plots, and return the catalogue with their names."""
    if not wanted:
        return field
    from processing.psfex.plots import plot  # noqa: PLC0415  not needed without them

    targets = {
        kind: name.with_name(f"{name.name.removesuffix('.svg')}_{field.path.stem}.svg") for kind, name in wanted.items()
    }
    for kind, target in targets.items():
        write_text(target, plot(kind, field, settings))
    return replace(field, plots=targets)


def _list(fields: Sequence[Field], values: Values, settings: Settings) -> None:
    """Write the list of sources where one is wanted."""
    form, path = values.text("OUTCAT_TYPE"), Path(values.text("OUTCAT_NAME"))
    if form == "NONE":
        return
    rows = stars.rows_of(fields, settings)
    if form == "FITS_LDAC":
        stars.write(path, rows)
    elif str(path) == "STDOUT":
        sys.stdout.write(stars.text(rows, header=form == "ASCII_HEAD"))
    else:
        write_text(path, stars.text(rows, header=form == "ASCII_HEAD"))


def _part(bar: Bar, number: int, count: int, share: float) -> None:
    bar((number + share) / count)


def _models(paths: Sequence[Path], settings: Settings, *, quiet: bool) -> Iterator[tuple[Exposure, Sequence[Made]]]:
    """Read catalogues and make their models: one after the other, or at once where they share something."""
    if not shared(settings):
        for path in paths:
            exposure = Exposure(path, read(path))
            yield exposure, models_of_all([exposure], settings)[0]
        return
    reason = "of one catalogue" if len(paths) < 2 else "with MEF_TYPE COMMON" if settings.common else ""
    if settings.hidden and not quiet and (reason or not settings.sequence):
        reason = reason or "without STABILITY_TYPE SEQUENCE, but for one sampling of all"
        sys.stderr.write(f"psfex: hidden dependencies have no effect {reason}\n")
    exposures = [Exposure(path, read(path)) for path in paths]
    yield from zip(exposures, models_of_all(exposures, settings), strict=True)


def _field(
    exposure: Exposure, made: Sequence[Made], settings: Settings, progress: Callable[[float], None], *, look: bool
) -> Field:
    progress(0.6)
    seen: list[Diagnosis] = []
    if look:
        with ThreadPoolExecutor(max(settings.threads, 1)) as pool:
            found = pool.map(
                lambda pair: diagnose(pair[0].model, pair[1].cards, settings.snapshots),
                zip(made, exposure.catalogues, strict=True),
            )
            for each in found:
                seen.append(each)
                progress(0.6 + 0.4 * len(seen) / (len(made) + 1))
    progress(1.0)
    return Field(exposure.path, exposure.catalogues, made, seen)


def lowered(field: Field, settings: Settings) -> list[str]:
    """Return a line for each image whose sources are too few for the degrees of the settings."""
    if settings.hidden or not any(settings.degrees):
        return []
    asked = ",".join(str(degree) for degree in settings.degrees)
    lines = []
    for number, each in enumerate(field.made, 1):
        degrees = each.model.variation.degrees
        if not each.verdict and degrees != settings.degrees:
            left = ",".join(str(degree) for degree in degrees) or "a constant PSF"
            what = f"too few sources for PSFVAR_DEGREES {asked}: {left} instead"
            lines.append(f"psfex: {field.path.name}[{number}]: {what}\n")
    return lines


def told(field: Field) -> list[str]:
    """Return a line an image, as users of the original look for it."""
    lines = []
    for number, each in enumerate(field.made, 1):
        model = each.model
        image = f"[{number}/{len(field.made)}]" if len(field.made) > 1 else ""
        stars = f"{model.accepted}/{model.loaded}"
        line = (
            f"{field.path.name if number == 1 else '':<18.18} {image:<8} {stars:<11}{model.step:6.2f}{model.chi2:8.2f}"
        )
        if each.verdict:
            line += f"   {each.verdict}"
        elif field.seen:
            seen = field.seen[number - 1]
            width = f"{seen.plain.fwhm[seen.centre]:.2f} px"
            if "FWHM_WCS" in seen.ranges:
                width += f" {seen.ranges['FWHM_WCS'].mean:.2f}″"
            line += f"   {width:<14}{seen.plain.ellipticity[seen.centre]:8.3f}"
            line += f"{seen.free.residuals[seen.centre]:11.3f}{seen.asymmetry[seen.centre]:10.3f}"
        lines.append(line + "\n")
    return lines


def _out(catalogue: Path, values: Values, what: str = "PSF") -> Path:
    directory = values.text(f"{what}_DIR")
    return (Path(directory) if directory else catalogue.parent) / (catalogue.stem + values.text(f"{what}_SUFFIX"))


def write_text(path: Path, text: str) -> None:
    """Write a text; it is there complete, or not at all."""
    with placed(path) as stream:
        stream.write(text.encode())
