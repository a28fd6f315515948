"""The list of sources that were stars to the model, or why they were not: OUTCAT."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing import ldac
from processing.cards import text_of
from processing.ldac import Catalogue, Rows
from processing.psfex.field import Field
from processing.psfex.model import Made
from processing.psfex.sample import column, context_of, cuts_of, has_value
from processing.psfex.settings import Settings


class Unfit(IntFlag):
    """Why a source has no part in the model: FLAGS_PSF, bits as in the original."""

    CHI2 = 1  #: the model does not fit it
    FLAGS = 2
    FLAGS_WEIGHT = 4
    IMAFLAGS = 8
    FAINT = 16
    WIDTH = 32  #: no stellar FWHM
    ELONGATED = 64
    PIXELS = 128  #: too many bad pixels, or no flux, position or context


_CUTS = {
    "faint": Unfit.FAINT, "flagged": Unfit.FLAGS, "elongated": Unfit.ELONGATED, "FLAGS_WEIGHT": Unfit.FLAGS_WEIGHT,
    "IMAFLAGS_ISO": Unfit.IMAFLAGS, "out of the range of FWHM": Unfit.WIDTH,
}  # fmt: skip
"""Bits by the names of cuts."""


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    kind: str
    shown: str
    """Format of C, and by it of TDISP."""
    meaning: str
    unit: str = ""


COLUMNS = (
    _Column("SOURCE_NUMBER", "i4", "%10d", "source in its catalogue, from 1"),
    _Column("EXTENSION", "i2", "%4d", "extension, from 1"),
    _Column("CATALOG_NUMBER", "i4", "%7d", "catalogue, from 1"),
    _Column("FLAGS_PSF", "i4", "%7d", "why it has no part in the model"),
    _Column("VECTOR_CONTEXT", "f8", "%12.6g", "contexts of the model"),
    _Column("X_IMAGE", "f8", "%11.4f", "position along x", "pixel"),
    _Column("Y_IMAGE", "f8", "%11.4f", "position along y", "pixel"),
    _Column("DELTAX_IMAGE", "f4", "%11.4f", "offset from the middle pixel along x", "pixel"),
    _Column("DELTAY_IMAGE", "f4", "%11.4f", "offset from the middle pixel along y", "pixel"),
    _Column("NORM_PSF", "f4", "%12.6g", "flux by which it was divided", "count"),
    _Column("FWHM_PSF", "f4", "%8.2f", "twice the half-light radius", "pixel"),
    _Column("ELLIP_PSF", "f4", "%7.5f", "(A-B)/(A+B)"),
    _Column("SNR_PSF", "f4", "%10.4g", "ratio of signal to noise"),
    _Column("CHI2_PSF", "f4", "%12.6g", "chi2 a degree of freedom under the model; 0 where not compared"),
    _Column("RESI_PSF", "f4", "%12.6g", "mean difference from the model, relative; 0 where not compared"),
)


def flags_of(path: Path, catalogue: Catalogue, made: Made, settings: Settings) -> NDArray[np.int32]:
    """Return bits of `Unfit` of all sources of an image."""
    choice, fwhm = settings.selection, made.sample.fwhm
    flags = np.zeros(len(catalogue.sources), np.int32)
    for name, passed in cuts_of(path, catalogue, choice).items():
        flags[~passed] |= int(_CUTS.get(name, Unfit.PIXELS))
    if choice.automatic and fwhm:
        widths, wide = 2.0 * column(path, catalogue, "FLUX_RADIUS"), np.sqrt(1.0 + choice.variability)
        flags[(widths < fwhm / wide) | (widths > fwhm * wide)] |= int(Unfit.WIDTH)
    if choice.bad_pixels is not None:
        bad = np.count_nonzero(~has_value(np.asarray(catalogue.sources["VIGNET"])), axis=(1, 2))
        flags[bad > choice.bad_pixels] |= int(Unfit.PIXELS)
    loaded = np.zeros(len(flags), np.bool_)
    loaded[made.sample.rows] = True
    flags[~loaded & (flags == 0)] |= int(Unfit.PIXELS)
    flags[made.sample.rows[~made.residuals.accepted]] |= int(Unfit.CHI2)
    return flags


def rows_of(fields: Sequence[Field], settings: Settings) -> Rows:
    """Return a row a source of all catalogues and extensions, in their order."""
    contexts = settings.contexts if any(settings.degrees) else ()
    width = len(contexts)
    kind = np.dtype(
        [
            (each.name, each.kind, (width,) if each.name == "VECTOR_CONTEXT" else ())
            for each in COLUMNS
            if each.name != "VECTOR_CONTEXT" or width
        ]
    )
    parts = [
        _part(kind, field.path, catalogue, made, settings, (number, extension))
        for number, field in enumerate(fields, 1)
        for extension, (catalogue, made) in enumerate(zip(field.catalogues, field.made, strict=True), 1)
    ]
    return np.concatenate(parts)


def _part(
    kind: np.dtype[np.void], path: Path, catalogue: Catalogue, made: Made, settings: Settings, place: tuple[int, int]
) -> Rows:
    sample, seen = made.sample, made.residuals
    rows = np.zeros(len(catalogue.sources), kind)
    rows["SOURCE_NUMBER"] = np.arange(1, len(rows) + 1)
    rows["CATALOG_NUMBER"], rows["EXTENSION"] = place
    rows["FLAGS_PSF"] = flags_of(path, catalogue, made, settings)
    for index, name in enumerate(settings.contexts if any(settings.degrees) else ()):
        rows["VECTOR_CONTEXT"][:, index] = context_of(path, catalogue, name)
    for axis, name in enumerate(settings.centre):
        value = column(path, catalogue, name)
        rows[("X_IMAGE", "Y_IMAGE")[axis]] = value
        offsets = ("DELTAX_IMAGE", "DELTAY_IMAGE")[axis]
        rows[offsets] = value - np.floor(value + 0.49999)
        rows[offsets][sample.rows] = sample.offsets[:, axis]
    rows["NORM_PSF"] = column(path, catalogue, settings.flux)
    rows["FWHM_PSF"] = 2.0 * column(path, catalogue, "FLUX_RADIUS")
    elongations = column(path, catalogue, "ELONGATION")
    rows["ELLIP_PSF"] = (elongations - 1.0) / (elongations + 1.0)
    rows["SNR_PSF"] = column(path, catalogue, "SNR_WIN")
    rows["CHI2_PSF"][sample.rows], rows["RESI_PSF"][sample.rows] = seen.chi2, seen.relative
    return rows


def text(rows: Rows, *, header: bool) -> str:
    """Return the list as a text, with the names of columns before it or without."""
    out = io.StringIO()
    formats, number = [], 1
    for each in COLUMNS:
        if each.name not in (rows.dtype.names or ()):
            continue
        width = int(np.prod(rows.dtype[each.name].shape, dtype=int))
        if header:
            unit = f" [{each.unit}]" if each.unit else ""
            out.write(f"# {number:3d} {each.name:<22} {each.meaning:<58}{unit}\n")
        formats += [each.shown] * width
        number += width
    flat = [rows[name].reshape(len(rows), -1).astype(np.float64) for name in rows.dtype.names or ()]
    np.savetxt(out, np.concatenate(flat, axis=1), fmt=" ".join(formats))
    return out.getvalue()


def write(path: Path, rows: Rows) -> None:
    """Write the list as FITS_LDAC."""
    units = {each.name: each.unit for each in COLUMNS if each.unit}
    displays: Mapping[str, str] = {
        each.name: f"{each.shown[-1].upper().replace('D', 'I')}{each.shown[1:-1]}" for each in COLUMNS
    }
    cards = text_of([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)])
    ldac.write(path, [Catalogue(cards, rows, units, displays)])
