"""Columns of the PSF fitted to each source, and of how much wider than the PSF a source is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues
from processing.errors import BadSetting
from processing.kernels import psf_fit, psf_joint
from processing.sextractor import star_locus
from processing.sextractor.extraction import Caution, Warned
from processing.sextractor.filtering import kernel
from processing.sextractor.isophotal import ellipse, variances
from processing.sextractor.local_sky import MASKS
from processing.sextractor.point_spread import PointSpread
from processing.sextractor.psf_choice import chosen
from processing.sextractor.records import Band, Detections, Group, Pixels, Table
from processing.sextractor.settings import Settings

Floats = NDArray[np.float64]
MOST = 9
"""PSFs fitted together at most, as in the original."""
SEVERAL, NUMBER = "PSFS", "PSF_NUMBER"
"""All PSFs that were fitted together to a source, and how many; no columns of a catalogue."""
_DOUBLES = ("XPSF_IMAGE", "YPSF_IMAGE", "ERRX2PSF_IMAGE", "ERRY2PSF_IMAGE", "ERRXYPSF_IMAGE")
_SINGLES = (
    "ERRAPSF_IMAGE", "ERRBPSF_IMAGE", "ERRTHETAPSF_IMAGE", "ERRCXXPSF_IMAGE", "ERRCYYPSF_IMAGE", "ERRCXYPSF_IMAGE",
    "CHI2_PSF",
)  # fmt: skip


def _points(settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    most = settings.psf_nmax
    return {
        **dict.fromkeys(("FLUX_PSF", "FLUXERR_PSF"), ("f4", ())),
        **dict.fromkeys(_DOUBLES, ("f8", ())),
        **dict.fromkeys(_SINGLES, ("f4", ())),
        "NITER_PSF": ("i2", ()),
        **({SEVERAL: ("f8", (most, psf_fit.FIELDS)), NUMBER: ("i8", ())} if most > 1 else {}),
    }


def _model(settings: Settings) -> PointSpread:
    if settings.psf is None:
        raise BadSetting("PSF_NAME: the columns of the PSF need a model; give it, or take them out")
    return settings.psf


def _bright(band: Band, detections: Detections, rows: NDArray[np.int64]) -> Floats:
    """Levels above the background at which pixels of sources are saturated."""
    objects = detections.objects[rows]
    return band.noise.saturation - band.level(objects["x"], objects["y"])


def measure_points(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in flux, position and errors of the fitted PSF; no flux and the barycentre where none could be fitted."""
    model, noise, objects = _model(settings), band.noise, detections.objects[rows]
    bounds = np.stack([objects[name].astype(np.int64) for name in ("x_min", "y_min", "x_max", "y_max")], axis=1)
    shared = (
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first, rows,
        detections.centres, bounds, _bright(band, detections, rows), model.images, model.basis(table, rows), model.step,
        model.fwhm * model.step,
    )  # fmt: skip
    if settings.psf_nmax == 1:
        told = np.empty((len(rows), psf_fit.FIELDS))
        psf_fit.points(*shared, told)
    else:
        several, kept = np.empty((len(rows), settings.psf_nmax, psf_fit.FIELDS)), np.empty(len(rows), np.int64)
        filters = kernel(settings.filter, normalised=settings.filter_normalised)
        psf_joint.together(*shared, filters, several, kept)
        table[SEVERAL][rows], table[NUMBER][rows], told = several, kept, several[:, 0]
    for name, values in _columns(told).items():
        table[name][rows] = values


def _columns(told: Floats) -> Table:
    """Return the columns of fitted PSFs, (n, FIELDS)."""
    x2, y2, xy = told[:, psf_fit.EX2], told[:, psf_fit.EY2], told[:, psf_fit.EXY]
    a, b, theta = ellipse(x2, y2, xy)
    determinant = x2 * y2 - xy * xy
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        cxx, cyy, cxy = (np.where(determinant > 0.0, each / determinant, 0.0) for each in (y2, x2, -2.0 * xy))
    return {
        "FLUX_PSF": told[:, psf_fit.FLUX], "FLUXERR_PSF": told[:, psf_fit.ERROR],
        "XPSF_IMAGE": told[:, psf_fit.X] + 1.0, "YPSF_IMAGE": told[:, psf_fit.Y] + 1.0,
        "CHI2_PSF": told[:, psf_fit.CHI2], "NITER_PSF": told[:, psf_fit.TURNS],
        "ERRX2PSF_IMAGE": x2, "ERRY2PSF_IMAGE": y2, "ERRXYPSF_IMAGE": xy,
        "ERRAPSF_IMAGE": a, "ERRBPSF_IMAGE": b, "ERRTHETAPSF_IMAGE": theta,
        "ERRCXXPSF_IMAGE": cxx, "ERRCYYPSF_IMAGE": cyy, "ERRCXYPSF_IMAGE": cxy,
    }  # fmt: skip


def first_rows(base: Table, sources: int) -> NDArray[np.int64]:
    """Return the row at which each source begins, and their number: one row a PSF, and one of a source without any."""
    each = np.maximum(base[NUMBER], 1) if NUMBER in base else np.ones(sources, np.int64)
    return np.concatenate([[0], np.cumsum(each)])


def a_row_each(base: Table) -> Table:
    """Return a row for each of the PSFs that were fitted together, numbered from 1; as it is where one is fitted.

    Rows of one source differ in what the PSF tells only, as the original's do.
    """
    if SEVERAL not in base:
        return base
    begins = first_rows(base, len(base[NUMBER]))
    sources = np.repeat(np.arange(len(begins) - 1), np.diff(begins))
    made = {name: values[sources] for name, values in base.items() if name not in {SEVERAL, NUMBER}}
    for name, values in _columns(base[SEVERAL][sources, np.arange(len(sources)) - begins[sources]]).items():
        made[name] = values.astype(base[name].dtype)
    if "NUMBER" in made:
        made["NUMBER"] = np.arange(1, len(sources) + 1, dtype=base["NUMBER"].dtype)
    return made


@dataclass(frozen=True, slots=True)
class Fitted:
    """The PSFs that were fitted to the sources of an image."""

    model: PointSpread
    places: Floats
    """(n, 2): x and y, counted from 0."""
    fluxes: Floats
    basis: Floats
    """(n, terms)."""

    def paint(self, values: Pixels, first: int) -> None:
        """Add them to rows of the image from `first` on."""
        psf_fit.paint(values, first, self.places, self.fluxes, self.model.images, self.basis, self.model.step)


def fitted(base: Table, settings: Settings) -> Fitted | None:
    """Return all fitted PSFs; None where no column asked for them."""
    if settings.psf is None or "FLUX_PSF" not in base:
        return None
    rows = a_row_each(base)
    places = np.stack([rows["XPSF_IMAGE"] - 1.0, rows["YPSF_IMAGE"] - 1.0], axis=1)
    basis = settings.psf.basis(rows, np.arange(len(places)))
    return Fitted(settings.psf, places, rows["FLUX_PSF"].astype(np.float64), basis)


def _spreads(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return dict.fromkeys(("SPREAD_MODEL", "SPREADERR_MODEL"), ("f4", ()))


def measure_spreads(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in SPREAD_MODEL and its error, about the place of the fitted PSF."""
    model, noise = _model(settings), band.noise
    places = np.stack([table["XPSF_IMAGE"][rows] - 1.0, table["YPSF_IMAGE"][rows] - 1.0], axis=1)
    psf_fit.spreads(
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first, rows, places,
        _bright(band, detections, rows), model.images, model.wider, model.basis(table, rows), model.step,
        table["SPREAD_MODEL"], table["SPREADERR_MODEL"],
    )  # fmt: skip


def _widths(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {"FWHMPSF_IMAGE": ("f4", ())}


def measure_widths(_: Band, __: Detections, rows: NDArray[np.int64], settings: Settings, table: Table) -> None:
    """Fill in the width of the PSF model where each source lies."""
    model, width = _model(settings), np.empty(len(rows))
    psf_fit.widths(model.images, model.basis(table, rows), model.step, width)
    table["FWHMPSF_IMAGE"][rows] = width


GROUPS = (
    Group("points", _points, (), measure_points),
    Group("psf width", _widths, (), measure_widths),
    Group("spread", _spreads, ("XPSF_IMAGE",), measure_spreads),
)
NAMES = frozenset(
    {"FLUX_PSF", "FLUXERR_PSF", "NITER_PSF", *_DOUBLES, *_SINGLES, "FWHMPSF_IMAGE", "SPREAD_MODEL", "SPREADERR_MODEL"}
)
"""Base columns for which a model of the PSF is needed."""


def followed(needed: frozenset[str], settings: Settings) -> frozenset[str]:
    """Columns `needed`, with those that the fitted PSF and STAR_PROB follow from."""
    if star_locus.NAME in needed:
        needed |= star_locus.NEEDS
    return needed | set(settings.psf.contexts) if settings.psf is not None and needed & NAMES else needed


def with_psf(
    settings: Settings, needed: frozenset[str], number: int, told: CardValues
) -> tuple[Settings, list[Caution]]:
    """Settings with the PSF of image `number`, where columns `needed` ask for it.

    The caution is of a model without stars: fluxes and widths are 0, magnitudes 99, SPREAD_MODEL and its error 1,
    STAR_PROB NaN.

    Raises
    ------
    BadSetting, BadCatalogue
        There is no model, or it cannot be used for this image, or backgrounds are local.
    """
    if not followed(needed, settings) & NAMES:
        return settings, []
    if not 1 <= settings.psf_nmax <= MOST:
        raise BadSetting(f"PSF_NMAX = {settings.psf_nmax}: 1 to {MOST} were expected")
    if settings.backphoto_type == "LOCAL":
        raise BadSetting("BACKPHOTO_TYPE = LOCAL: a PSF is fitted above the GLOBAL one only; take out its columns")
    model = settings.psf or chosen(settings.psf_name, number, told)
    cautions = []
    if model.blank:
        what = f"the PSF of image {number} was made of no star: none is fitted; its columns say so"
        cautions.append(Caution(Warned.NO_PSF, what))
    return replace(settings, psf=model), cautions
