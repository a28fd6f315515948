"""Columns of the PSF fitted to each source, and of how much wider than the PSF a source is."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues
from processing.errors import BadSetting
from processing.kernels import psf_fit
from processing.sextractor import star_locus
from processing.sextractor.extraction import Caution, Warned
from processing.sextractor.isophotal import ellipse, variances
from processing.sextractor.local_sky import MASKS
from processing.sextractor.point_spread import PointSpread
from processing.sextractor.psf_choice import chosen
from processing.sextractor.records import Band, Detections, Group, Table
from processing.sextractor.settings import Settings

Floats = NDArray[np.float64]
_DOUBLES = ("XPSF_IMAGE", "YPSF_IMAGE", "ERRX2PSF_IMAGE", "ERRY2PSF_IMAGE", "ERRXYPSF_IMAGE")
_SINGLES = (
    "ERRAPSF_IMAGE", "ERRBPSF_IMAGE", "ERRTHETAPSF_IMAGE", "ERRCXXPSF_IMAGE", "ERRCYYPSF_IMAGE", "ERRCXYPSF_IMAGE",
    "CHI2_PSF",
)  # fmt: skip


def _points(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {
        **dict.fromkeys(("FLUX_PSF", "FLUXERR_PSF"), ("f4", (1,))),
        **dict.fromkeys(_DOUBLES, ("f8", ())),
        **dict.fromkeys(_SINGLES, ("f4", ())),
        "NITER_PSF": ("i2", ()),
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
    told = np.empty((len(rows), psf_fit.FIELDS))
    psf_fit.points(
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first, rows,
        detections.centres, bounds, _bright(band, detections, rows), model.images, model.basis(table, rows), model.step,
        model.fwhm * model.step, told,
    )  # fmt: skip
    table["FLUX_PSF"][rows, 0], table["FLUXERR_PSF"][rows, 0] = told[:, psf_fit.FLUX], told[:, psf_fit.ERROR]
    table["XPSF_IMAGE"][rows], table["YPSF_IMAGE"][rows] = told[:, psf_fit.X] + 1.0, told[:, psf_fit.Y] + 1.0
    table["CHI2_PSF"][rows], table["NITER_PSF"][rows] = told[:, psf_fit.CHI2], told[:, psf_fit.TURNS]
    x2, y2, xy = told[:, psf_fit.EX2], told[:, psf_fit.EY2], told[:, psf_fit.EXY]
    for name, values in (("X2", x2), ("Y2", y2), ("XY", xy)):
        table[f"ERR{name}PSF_IMAGE"][rows] = values
    for name, values in zip(("A", "B", "THETA"), ellipse(x2, y2, xy), strict=True):
        table[f"ERR{name}PSF_IMAGE"][rows] = values
    determinant = x2 * y2 - xy * xy
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for name, values in (("CXX", y2), ("CYY", x2), ("CXY", -2.0 * xy)):
            table[f"ERR{name}PSF_IMAGE"][rows] = np.where(determinant > 0.0, values / determinant, 0.0)


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
    if settings.backphoto_type == "LOCAL":
        raise BadSetting("BACKPHOTO_TYPE = LOCAL: a PSF is fitted above the GLOBAL one only; take out its columns")
    model = settings.psf or chosen(settings.psf_name, number, told, fitted_together=settings.psf_nmax)
    cautions = []
    if model.blank:
        what = f"the PSF of image {number} was made of no star: none is fitted; its columns say so"
        cautions.append(Caution(Warned.NO_PSF, what))
    return replace(settings, psf=model), cautions
