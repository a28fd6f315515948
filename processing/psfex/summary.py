"""What the models say, as the tables of the original's XML file: a row a catalogue, and a row an extension of all."""

from collections.abc import Callable, Sequence

import numpy as np

from processing.cards import CardValues
from processing.psfex.diagnostics import Diagnosis, Range
from processing.psfex.field import Field
from processing.psfex.model import Made
from processing.summaries import Call, Column, Table, votable

_SIZE, _SHAPE, _FIT = "phys.size.diameter", "src.ellipticity", "stat.fit.residual"
_QUANTITIES = (
    ("FWHM_FromFluxRadius", _SIZE, "pix"), ("Sampling", "arith.factor;instr.pixel", "pix"),
    ("Chi2", "stat.fit.chi2", ""), ("FWHM", _SIZE, "pix"), ("FWHM_WCS", _SIZE, "arcsec"),
    ("Ellipticity", _SHAPE, ""), ("Ellipticity1", _SHAPE, ""), ("Ellipticity2", _SHAPE, ""),
    ("MoffatBeta", "stat.param", ""), ("Residuals", _FIT, ""), ("FWHM_PixelFree", _SIZE, "pix"),
    ("FWHM_PixelFree_WCS", _SIZE, "arcsec"), ("Ellipticity_PixelFree", _SHAPE, ""),
    ("Ellipticity1_PixelFree", _SHAPE, ""), ("Ellipticity2_PixelFree", _SHAPE, ""),
    ("MoffatBeta_PixelFree", "stat.param", ""), ("Residuals_PixelFree", _FIT, ""), ("Asymmetry", _FIT, ""),
    ("Area_Noise", "phys.area", "pix2"), ("PixelScale_WCS", "instr.scale", "arcsec"),
)  # fmt: skip
"""Names, UCDs and units, in the original's order."""
_MIDDLES: tuple[tuple[str, str, str, Callable[[Diagnosis], float]], ...] = (
    ("FWHM_Centre", _SIZE, "pix", lambda seen: float(seen.plain.fwhm[seen.centre])),
    ("FWHM_PixelFree_Centre", _SIZE, "pix", lambda seen: float(seen.free.fwhm[seen.centre])),
    ("Ellipticity_Centre", _SHAPE, "", lambda seen: float(seen.plain.ellipticity[seen.centre])),
    ("Theta_Centre", "pos.posAng", "deg", lambda seen: float(seen.plain.theta[seen.centre])),
    ("MoffatBeta_Centre", "stat.param", "", lambda seen: float(seen.plain.beta[seen.centre])),
)
"""In the middle of the field, which the original does not tell."""


def _columns(first: Sequence[Column]) -> list[Column]:
    columns = list(first)
    for count in ("Loaded", "Accepted"):
        columns += [
            Column(f"NStars_{count}_Total", "int", "meta.number;meta.dataset"),
            Column(f"NStars_{count}_Min", "int", "meta.number;stat.min;meta.dataset"),
            Column(f"NStars_{count}_Mean", "float", "meta.number;stat.mean;meta.dataset"),
            Column(f"NStars_{count}_Max", "int", "meta.number;stat.max;meta.dataset"),
        ]
    for name, ucd, unit in _QUANTITIES:
        last = "instr.pixel" if name == "PixelScale_WCS" else "instr.det.psf"
        columns += [
            Column(f"{name}_{what}", "float", f"{ucd};stat.{what.lower()};{last}", unit=unit)
            for what in ("Min", "Mean", "Max")
        ]
    columns += [Column(name, "float", f"{ucd};instr.det.psf", unit=unit) for name, ucd, unit, _ in _MIDDLES]
    return columns


_WORDS = {"FWHM": "FWHM"}
_FIELD = (
    Column("Catalog_Name", "char", "meta.id;meta.table;meta.file"), Column("Image_Ident", "char", "meta.id;obs.field"),
    Column("NExtensions", "int", "meta.number"),
)  # fmt: skip
_WARNINGS = (
    Column("Catalog_Name", "char", "meta.id;meta.table;meta.file"), Column("Extension", "int", "meta.record"),
    Column("Msg", "char", "meta"),
)  # fmt: skip
_EXTENSION = (Column("Extension", "int", "meta.record"),)


def summary(call: Call, fields: Sequence[Field]) -> str:
    """Return the document of a call."""
    extensions = max((len(each.made) for each in fields), default=0)
    drawn = list(dict.fromkeys(kind for each in fields for kind in each.plots))
    axes = max((each.contexts.shape[1] for one in fields for each in one.seen), default=0)
    rows = [
        (each.path.name, CardValues(each.catalogues[0].cards).text("OBJECT") or "no ident", len(each.made),
         *_row(list(zip(each.made, each.seen, strict=True))), *(each.plots.get(kind) for kind in drawn))
        for each in fields
    ]  # fmt: skip
    across = [
        (number + 1, *_row([(each.made[number], each.seen[number]) for each in fields if number < len(each.made)]))
        for number in range(extensions)
    ]
    plots = [
        Column("_".join(["Plot", *(_WORDS.get(word, word.capitalize()) for word in kind.split("_"))]), "char",
               "meta.id;meta.file")
        for kind in drawn
    ]  # fmt: skip
    counts: dict[str, int | tuple[int, ...]] = {"NFields": len(fields), "CurrField": len(fields)}
    if axes:
        counts["NSnapshots"] = (fields[0].seen[0].snapshots,) * axes
    doubtful = [
        (each.path.name, number, made.verdict)
        for each in fields
        for number, made in enumerate(each.made, 1)
        if made.verdict
    ]
    tables = (
        Table("PSF_Fields", "The PSF of every catalogue", [*_columns(_FIELD), *plots], rows, counts),
        Table("PSF_Extensions", "The PSF of every extension, over all catalogues", _columns(_EXTENSION), across,
              {"NExtensions": extensions}),
        Table("Warnings", "Images without a model", _WARNINGS, doubtful),
    )  # fmt: skip
    return votable(call, tables)


def _row(images: Sequence[tuple[Made, Diagnosis]]) -> list[object]:
    """Return the cells that tell about several images; those without stars count as such only."""
    cells: list[object] = []
    for counts in ([made.model.loaded for made, _ in images], [made.model.accepted for made, _ in images]):
        cells += [sum(counts), min(counts), float(np.mean(counts)), max(counts)]
    told = [(made, seen) for made, seen in images if not made.model.empty]
    for name, _, _ in _QUANTITIES:
        found = [each for made, seen in told if (each := _range(name, made, seen)) is not None]
        if not found:
            cells += [None] * 3
            continue
        mean = float(np.mean([each.mean for each in found]))
        cells += [min(each.least for each in found), mean, max(each.most for each in found)]
    cells += [float(np.mean([value(seen) for _, seen in told])) if told else None for *_, value in _MIDDLES]
    return cells


def _range(name: str, made: Made, seen: Diagnosis) -> Range | None:
    model = made.model
    single = {"FWHM_FromFluxRadius": model.fwhm, "Sampling": model.step, "Chi2": model.chi2}.get(name)
    return seen.ranges.get(name) if single is None else Range(single, single, single)
