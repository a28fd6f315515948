"""Columns of what lies within the isophote: shapes, positions and their errors, fluxes, areas, flags."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.kernels import isophote
from processing.sextractor.local_sky import NAME, levels
from processing.sextractor.records import Band, Detections, Group, Table
from processing.sextractor.settings import Settings

SATURATED = 4
"""Flag of an object with a saturated pixel."""
NO_WEIGHT = 1e30
"""Variance of a pixel without any weight; what WEIGHT_THRESH calls bad counts within an isophote as it is."""
_NOTHING = np.empty((0, 0), np.float32)
_AREAS = tuple(f"ISO{level}" for level in range(8))
_FLOATS = (
    "X2_IMAGE", "Y2_IMAGE", "XY_IMAGE", "ERRX2_IMAGE", "ERRY2_IMAGE", "ERRXY_IMAGE", "X_IMAGE_DBL", "Y_IMAGE_DBL",
    "ANALYSIS_THRESHOLD",
)  # fmt: skip
_SINGLES = (
    "X_IMAGE", "Y_IMAGE", "A_IMAGE", "B_IMAGE", "THETA_IMAGE", "CXX_IMAGE", "CYY_IMAGE", "CXY_IMAGE", "ERRA_IMAGE",
    "ERRB_IMAGE", "ERRTHETA_IMAGE", "ERRCXX_IMAGE", "ERRCYY_IMAGE", "ERRCXY_IMAGE", "FLUX_ISO", "FLUXERR_ISO",
    "FLUX_ISOCOR", "FLUXERR_ISOCOR", "FLUX_MAX", "THRESHOLD", "BACKGROUND", "FWHM_IMAGE",
)  # fmt: skip
_WHOLES = (
    "NUMBER", "ID_PARENT", "XMIN_IMAGE", "XMAX_IMAGE", "YMIN_IMAGE", "YMAX_IMAGE", "XPEAK_IMAGE", "YPEAK_IMAGE",
    "ISOAREA_IMAGE", "ISOAREAF_IMAGE", *_AREAS,
)  # fmt: skip


def _gives(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {
        **dict.fromkeys(_FLOATS, ("f8", ())),
        **dict.fromkeys(_SINGLES, ("f4", ())),
        **dict.fromkeys(_WHOLES, ("i4", ())),
        "FLAGS": ("i2", ()),
    }


def variances(variance: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return the array as kernels take it: (0, 0) where there is none."""
    return _NOTHING if variance is None else variance


def seen(band: Band) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Values and variances of the detection image, and the variance from which one is bad, as kernels take them."""
    return band.detection.values, variances(band.detection.variance), band.detection.bad_variance


def ellipse(
    x2: NDArray[np.float64], y2: NDArray[np.float64], xy: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Semi-axes and angle (degrees) of second moments; 45 degrees of a circle, 0 where there is nothing."""
    unlike = x2 - y2
    root = np.sqrt(0.25 * unlike**2 + xy**2)
    middle = 0.5 * (x2 + y2)
    angle = np.where(
        unlike != 0.0, 0.5 * np.arctan2(2.0 * xy, unlike), np.where((xy != 0.0) | (middle != 0.0), np.pi / 4, 0.0)
    )
    return np.sqrt(middle + root), np.sqrt(np.maximum(middle - root, 0.0)), np.degrees(angle)


def measure(band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table) -> None:
    """Fill the cells of `rows`."""
    chosen = detections.objects[rows]
    found = np.empty((len(rows), isophote.FIELDS))
    noise = band.noise
    sky = np.zeros(len(rows)) if not levels(table).size else levels(table)[rows].astype(np.float64)
    background = band.level(chosen["x"], chosen["y"]) + sky
    factor = _factor(band, settings)
    thresholds = _thresholds(band, detections, rows, factor)
    isophote.isophote(
        band.values, variances(band.variance), max(noise.bad_variance, NO_WEIGHT), noise.rms**2,
        band.detection.rms**2, noise.gain, noise.weight_gain and band.variance is not None, band.first, rows,
        detections.starts, chosen["own"].astype(np.int64), detections.x, detections.y, detections.filtered,
        detections.centres[rows], np.ascontiguousarray(chosen["singular"]),
        chosen["a"].astype(np.float64) * chosen["b"], noise.saturation - background,
        thresholds, factor, sky, found,
    )  # fmt: skip
    _shape(chosen, found, rows, table)
    _light(chosen, thresholds - sky, found, rows, table)
    table["BACKGROUND"][rows] = background
    flags = chosen["flags"].astype(np.int16)
    full = found[:, isophote.PEAK] + table["BACKGROUND"][rows] >= noise.saturation
    table["FLAGS"][rows] = flags | np.where(full, SATURATED, 0)


def _shape(chosen: NDArray[Any], found: NDArray[np.float64], rows: NDArray[np.int64], table: Table) -> None:
    """Fill in positions, moments and ellipses, and their errors."""
    for axis, letter in (("x", "X"), ("y", "Y")):
        table[f"{letter}_IMAGE"][rows] = table[f"{letter}_IMAGE_DBL"][rows] = chosen[axis] + 1.0
        table[f"{letter}2_IMAGE"][rows] = chosen[f"{axis}2"]
        for end in ("min", "max"):
            table[f"{letter}{end.upper()}_IMAGE"][rows] = chosen[f"{axis}_{end}"] + 1
    table["XY_IMAGE"][rows] = chosen["xy"]
    for name in ("a", "b", "theta", "cxx", "cyy", "cxy"):
        table[f"{name.upper()}_IMAGE"][rows] = chosen[name]
    x2, y2, xy = (found[:, column] for column in (isophote.EX2, isophote.EY2, isophote.EXY))
    for name, moment in (("X2", x2), ("Y2", y2), ("XY", xy)):
        table[f"ERR{name}_IMAGE"][rows] = moment
    for name, values in zip(("A", "B", "THETA"), ellipse(x2, y2, xy), strict=True):
        table[f"ERR{name}_IMAGE"][rows] = values
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        determinant = x2 * y2 - xy * xy
        for name, values in (("CXX", y2), ("CYY", x2), ("CXY", -2.0 * xy)):
            table[f"ERR{name}_IMAGE"][rows] = values / determinant


def _factor(band: Band, settings: Settings) -> float:
    """Threshold of the analysis in standard deviations of each pixel; 0 where there are no weights.

    One in ADU, or of a surface brightness, is that of a pixel as noisy as the background.
    """
    if band.variance is None:
        return 0.0
    kind = settings.analysis_thresh_type or settings.thresh_type
    relative = kind == "RELATIVE" and len(settings.analysis_thresh) == 1
    return settings.analysis_thresh[0] if relative else band.noise.threshold / band.noise.rms


def _thresholds(band: Band, detections: Detections, rows: NDArray[np.int64], factor: float) -> NDArray[np.float64]:
    """Threshold of the analysis of each object, ADU: of its least noisy pixel where there are weights."""
    thresholds = detections.objects["threshold"][rows].astype(np.float64)
    if band.variance is None or factor == 0.0:
        return thresholds
    least = np.empty(len(rows), np.float32)
    own = detections.objects["own"][rows].astype(np.int64)
    isophote.least(band.variance, band.first, rows, detections.starts, own, detections.x, detections.y, least)
    good = least < NO_WEIGHT
    thresholds[good] = factor * np.sqrt(least[good], dtype=np.float64)
    return thresholds


def _light(
    chosen: NDArray[Any],
    thresholds: NDArray[np.float64],
    found: NDArray[np.float64],
    rows: NDArray[np.int64],
    table: Table,
) -> None:
    """Fill in fluxes, areas, thresholds and peaks."""
    flux, error = found[:, isophote.FLUX], np.sqrt(found[:, isophote.VARIANCE])
    table["FLUX_ISO"][rows], table["FLUXERR_ISO"][rows] = flux, error
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = chosen["npix"] * chosen["detection_threshold"].astype(np.float64) / flux
        share = np.where(flux > 0, np.clip(share, 0.0, 1.0), 0.0)
        table["FLUX_ISOCOR"][rows] = flux / (1.0 - 0.196099 * share - 0.751208 * share**2)
        steep = 0.196099 + 2.0 * 0.751208 * share
        deep = chosen["npix"] * chosen["detection_threshold"].astype(np.float64) ** 2
        deep = np.where(share < 1.0, deep, flux**2 / chosen["npix"])  # less light than the threshold's
        extra = np.sqrt(error**2 * (1.0 + (share * steep) ** 2) + deep * steep**2)
        table["FLUXERR_ISOCOR"][rows] = np.where(flux > 0, extra, error)
    table["FLUX_MAX"][rows] = found[:, isophote.PEAK]
    table["THRESHOLD"][rows] = chosen["detection_threshold"]
    table["ANALYSIS_THRESHOLD"][rows] = thresholds
    table["FWHM_IMAGE"][rows] = found[:, isophote.FWHM]
    table["XPEAK_IMAGE"][rows] = chosen["x_peak"] + 1
    table["YPEAK_IMAGE"][rows] = chosen["y_peak"] + 1
    table["ISOAREA_IMAGE"][rows] = found[:, isophote.AREA]
    table["ISOAREAF_IMAGE"][rows] = chosen["npix"]
    for level, name in enumerate(_AREAS):
        table[name][rows] = found[:, isophote.LEVELS + level]
    table["NUMBER"][rows] = rows + 1
    table["ID_PARENT"][rows] = chosen["parent"]


GROUPS = (Group("isophotal", _gives, (NAME,), measure),)
