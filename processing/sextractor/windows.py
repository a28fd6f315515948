"""Columns of growth curves, Gaussian windows and cut-outs."""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadSetting
from processing.kernels import growth, vignet, windowed
from processing.sextractor.isophotal import ellipse, variances
from processing.sextractor.local_sky import MASKS
from processing.sextractor.records import Band, Detections, Group, Table
from processing.sextractor.settings import Settings

_NO_CURVES = np.empty((1, 0), np.float32)
_DOUBLES = (
    "XWIN_IMAGE", "YWIN_IMAGE", "X2WIN_IMAGE", "Y2WIN_IMAGE", "XYWIN_IMAGE", "ERRX2WIN_IMAGE", "ERRY2WIN_IMAGE",
    "ERRXYWIN_IMAGE",
)  # fmt: skip
_SINGLES = (
    "AWIN_IMAGE", "BWIN_IMAGE", "THETAWIN_IMAGE", "CXXWIN_IMAGE", "CYYWIN_IMAGE", "CXYWIN_IMAGE", "ERRAWIN_IMAGE",
    "ERRBWIN_IMAGE", "ERRTHETAWIN_IMAGE", "ERRCXXWIN_IMAGE", "ERRCYYWIN_IMAGE", "ERRCXYWIN_IMAGE", "FLUX_WIN",
    "FLUXERR_WIN", "SNR_WIN",
)  # fmt: skip


_CURVE = re.compile(r"(?:FLUX|MAG)_GROWTH(?:STEP)?(?:\((\d+)\))?")
"""Wanted columns of curves of growth, with their points."""


def _radii(settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    columns = {"FLUX_RADIUS": ("f4", (len(settings.phot_fluxfrac),)), "HALF_LIGHT_RADIUS": ("f4", ())}
    found = {line: _CURVE.fullmatch(re.sub(r"\s", "", line)) for line in settings.columns}
    lengths = {int(each[1] or 1) for line, each in found.items() if each and "STEP" not in line}
    if len(lengths) > 1:
        raise BadSetting(f"FLUX_GROWTH and MAG_GROWTH have {sorted(lengths)} points: one length for both was expected")
    if any(found.values()):
        columns |= {"FLUX_GROWTH": ("f4", (max(lengths, default=1),)), "FLUX_GROWTHSTEP": ("f4", ())}
    return columns


def measure_radii(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in FLUX_RADIUS for each of PHOT_FLUXFRAC, and the half-light radius that windows start from."""
    noise = band.noise
    growth.radii(
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2,
        MASKS[settings.mask_type], band.first, rows, detections.centres, detections.shapes,
        settings.phot_autoapers[1] / 2.0, table["FLUX_AUTO"], np.array(settings.phot_fluxfrac, np.float64),
        detections.held, table["FLUX_RADIUS"], table["HALF_LIGHT_RADIUS"], table.get("FLUX_GROWTH", _NO_CURVES),
        table.get("FLUX_GROWTHSTEP", _NO_CURVES[0]), table["FLAGS"],
    )  # fmt: skip


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
        detections.centres, table["HALF_LIGHT_RADIUS"], isophotal, detections.held, told,
        table["FLAGS_WIN"], table["FLAGS"],
    )  # fmt: skip
    table["XWIN_IMAGE"][rows], table["YWIN_IMAGE"][rows] = told[:, windowed.X] + 1.0, told[:, windowed.Y] + 1.0
    table["NITER_WIN"][rows] = told[:, windowed.TURNS]
    table["FLUX_WIN"][rows], table["FLUXERR_WIN"][rows] = told[:, windowed.FLUX], told[:, windowed.ERROR]
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


def _cut(settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    wanted = [line for line in settings.columns if line.startswith("VIGNET(")]
    if not wanted:
        return {}
    wide, tall = (int(part) for part in wanted[0].removeprefix("VIGNET(").rstrip(")").split(","))
    return {"VIGNET": ("f4", (tall, wide))}


def measure_cut(band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table) -> None:
    """Fill in the pixels around each object."""
    vignet.vignets(
        band.values, band.labels, variances(band.variance), band.noise.bad_variance, MASKS[settings.mask_type],
        band.first, rows, detections.centres, table["VIGNET"],
    )  # fmt: skip


GROUPS = (
    Group("growth", _radii, ("FLUX_AUTO", "FLAGS"), measure_radii),
    Group("windowed", _windowed, ("HALF_LIGHT_RADIUS", "X2_IMAGE", "ERRX2_IMAGE"), measure_windowed),
    Group("vignet", _cut, (), measure_cut),
)
