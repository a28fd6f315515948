"""Columns of growth curves, Gaussian windows and cut-outs."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from processing.kernels import growth, vignet, windowed
from processing.sextractor.isophotal import ellipse, variances
from processing.sextractor.local_sky import MASKS
from processing.sextractor.parameters import shape_of
from processing.sextractor.records import Band, Detections, Group, Table
from processing.sextractor.settings import Settings

SINGULAR = 0.00694
"""Determinant of moments, pixel**4, below which those of a pixel are added: 1/144, rounded as the original's."""
WITHIN = 0.0833333
"""Moment of a pixel, pixel**2: a twelfth, rounded as the original's."""
_NO_CURVES = np.empty((1, 0))
_DOUBLES = (
    "XWIN_IMAGE", "YWIN_IMAGE", "X2WIN_IMAGE", "Y2WIN_IMAGE", "XYWIN_IMAGE", "ERRX2WIN_IMAGE", "ERRY2WIN_IMAGE",
    "ERRXYWIN_IMAGE",
)  # fmt: skip
_SINGLES = (
    "AWIN_IMAGE", "BWIN_IMAGE", "THETAWIN_IMAGE", "CXXWIN_IMAGE", "CYYWIN_IMAGE", "CXYWIN_IMAGE", "ERRAWIN_IMAGE",
    "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE", "ERRCXXWIN_IMAGE", "ERRCYYWIN_IMAGE", "ERRCXYWIN_IMAGE", "FLUX_WIN",
    "FLUXERR_WIN", "SNR_WIN",
)  # fmt: skip


_CURVES = MappingProxyType({"FLUX_GROWTH": "FLUX_GROWTH", "MAG_GROWTH": "FLUX_OF_MAG_GROWTH"})
"""Columns of curves of growth, and those of measured light that they follow; each has its own number of points."""


def _radii(settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    columns = {"FLUX_RADIUS": ("f4", (len(settings.phot_fluxfrac),)), "HALF_LIGHT_RADIUS": ("f4", ())}
    for wanted, light in _CURVES.items():
        shape, step = (shape_of(name, settings.columns) for name in (wanted, f"{wanted}STEP"))
        if shape is not None or step is not None:
            columns |= {light: ("f4", shape or (1,)), f"{light}STEP": ("f4", ())}
            columns |= {"GROWTH": ("f8", (growth.STEPS,)), "GROWTH_STEP": ("f8", ())}
    return columns


def measure_radii(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in FLUX_RADIUS for each of PHOT_FLUXFRAC, the half-light radius that windows start from, and curves."""
    noise = band.noise
    growth.radii(
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2,
        MASKS[settings.mask_type], band.first, rows, detections.centres, detections.shapes,
        settings.phot_autoapers[0], table["FLUX_AUTO"], np.array(settings.phot_fluxfrac, np.float64),
        detections.held, table["FLUX_RADIUS"], table["HALF_LIGHT_RADIUS"], table.get("GROWTH", _NO_CURVES),
        table.get("GROWTH_STEP", _NO_CURVES[0]), table["FLAGS"],
    )  # fmt: skip
    for light in set(_CURVES.values()) & table.keys():
        points = table[light].shape[1]
        table[f"{light}STEP"][rows] = table["GROWTH_STEP"][rows] * growth.STEPS / points
        table[light][rows] = _drawn(table["GROWTH"][rows], points)


def _drawn(curves: NDArray[np.float64], points: int) -> NDArray[np.float64]:
    """Draw curves (n, steps) straight between their steps from 0 on: light within `points` equal parts of the reach."""
    steps = curves.shape[1]
    begun = np.pad(curves, ((0, 0), (1, 1)), mode="constant")
    at = np.arange(1, points + 1) * steps / points
    whole = np.minimum(at.astype(np.int64), steps)
    rise = np.where(whole < steps, begun[:, whole + 1] - begun[:, whole], 0.0)
    drawn: NDArray[np.float64] = begun[:, whole] + (at - whole) * rise
    return drawn


def _windowed(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {
        **dict.fromkeys(_DOUBLES, ("f8", ())),
        **dict.fromkeys(_SINGLES, ("f4", ())),
        **dict.fromkeys(("FLAGS_WIN", "NITER_WIN"), ("i2", ())),
    }


def measure_windowed(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in positions, shapes, errors and light under the window."""
    noise = band.noise
    names = ("X2_IMAGE", "Y2_IMAGE", "XY_IMAGE", "ERRX2_IMAGE", "ERRY2_IMAGE", "ERRXY_IMAGE")
    isophotal = np.stack([table[name][rows] for name in names], axis=1)
    told = np.empty((len(rows), windowed.FIELDS))
    windowed.windowed(
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first, rows,
        detections.centres, detections.shapes, table["HALF_LIGHT_RADIUS"], isophotal, detections.held, told,
        table["FLAGS_WIN"], table["FLAGS"],
    )  # fmt: skip
    table["XWIN_IMAGE"][rows], table["YWIN_IMAGE"][rows] = told[:, windowed.X] + 1.0, told[:, windowed.Y] + 1.0
    table["NITER_WIN"][rows] = told[:, windowed.TURNS]
    table["FLUX_WIN"][rows], table["FLUXERR_WIN"][rows] = told[:, windowed.FLUX], told[:, windowed.ERROR]
    narrow = told[:, windowed.X2] * told[:, windowed.Y2] - told[:, windowed.XY] ** 2 < SINGULAR
    told[narrow, windowed.X2] += WITHIN
    told[narrow, windowed.Y2] += WITHIN
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = told[:, windowed.FLUX] / told[:, windowed.ERROR]
        table["SNR_WIN"][rows] = np.where(told[:, windowed.ERROR] > 0.0, ratio, 1e30)
        for prefix, begin in (("", windowed.X2), ("ERR", windowed.EX2)):
            x2, y2, xy = told[:, begin], told[:, begin + 1], told[:, begin + 2]
            for name, moment in (("X2", x2), ("Y2", y2), ("XY", xy)):
                table[f"{prefix}{name}WIN_IMAGE"][rows] = moment
            for name, values in zip(("A", "B", "THETA"), ellipse(x2, y2, xy), strict=True):
                table[f"{prefix}{name}WIN_IMAGE"][rows] = values
            determinant = x2 * y2 - xy * xy
            for name, values in (("CXX", y2), ("CYY", x2), ("CXY", -2.0 * xy)):
                table[f"{prefix}{name}WIN_IMAGE"][rows] = values / determinant


def _cut(name: str, settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    shape = shape_of(name, settings.columns)
    return {} if shape is None else {name: ("f4", shape)}


def measure_cut(band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table) -> None:
    """Fill in the pixels around each object."""
    vignet.vignets(
        band.values, band.labels, variances(band.variance), band.noise.bad_variance, MASKS[settings.mask_type],
        band.first, rows, detections.centres, table["VIGNET"],
    )  # fmt: skip


def measure_shifted(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in the pixels around each object as they are with its barycentre on the middle one."""
    vignet.shifted(
        band.values, band.labels, variances(band.variance), band.noise.bad_variance, MASKS[settings.mask_type],
        band.first, rows, detections.centres, table["VIGNET_SHIFT"],
    )  # fmt: skip


GROUPS = (
    Group("growth", _radii, ("FLUX_AUTO", "FLAGS"), measure_radii),
    Group("windowed", _windowed, ("HALF_LIGHT_RADIUS", "X2_IMAGE", "ERRX2_IMAGE"), measure_windowed),
    Group("vignet", partial(_cut, "VIGNET"), (), measure_cut),
    Group("shifted vignet", partial(_cut, "VIGNET_SHIFT"), (), measure_shifted),
)
