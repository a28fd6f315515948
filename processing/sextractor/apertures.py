"""Columns of light within circles and within ellipses of Kron's and of Petrosian's radius."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from processing.kernels import aperture, kron, petrosian
from processing.sextractor.isophotal import seen, variances
from processing.sextractor.local_sky import MASKS, levels
from processing.sextractor.records import Band, Detections, Group, Table
from processing.sextractor.settings import Settings


def _circles(settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    number = len(settings.phot_apertures)
    return {"FLUX_APER": ("f4", (number,)), "FLUXERR_APER": ("f4", (number,))}


def measure_circles(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in fluxes within PHOT_APERTURES."""
    noise = band.noise
    aperture.circles(
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first,
        detections.held, rows, detections.middles, np.array(settings.phot_apertures, np.float64), levels(table),
        table["FLUX_APER"], table["FLUXERR_APER"], table["FLAGS"],
    )  # fmt: skip


def _ellipses(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return dict.fromkeys(("FLUX_AUTO", "FLUXERR_AUTO", "KRON_RADIUS"), ("f4", ()))


def measure_ellipses(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in AUTO fluxes, their errors and KRON_RADIUS."""
    noise = band.noise
    kron.ellipses(
        *seen(band),
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first,
        detections.held, rows, detections.middles, detections.shapes, levels(table), *settings.phot_autoparams,
        *settings.phot_autoapers, table["KRON_RADIUS"], table["FLUX_AUTO"], table["FLUXERR_AUTO"], table["FLAGS"],
    )  # fmt: skip


def _petrosian(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return dict.fromkeys(("FLUX_PETRO", "FLUXERR_PETRO", "PETRO_RADIUS"), ("f4", ()))


def measure_petrosian(
    band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table
) -> None:
    """Fill in PETRO fluxes, their errors and PETRO_RADIUS."""
    noise = band.noise
    petrosian.ellipses(
        *seen(band),
        band.values, band.labels, variances(band.variance), noise.bad_variance, noise.rms**2, noise.gain,
        noise.weight_gain and band.variance is not None, MASKS[settings.mask_type], band.first,
        detections.held, rows, detections.middles, detections.shapes, levels(table), *settings.phot_petroparams,
        *settings.phot_autoapers, table["PETRO_RADIUS"], table["FLUX_PETRO"], table["FLUXERR_PETRO"], table["FLAGS"],
    )  # fmt: skip


def _best(_: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return dict.fromkeys(("FLUX_BEST", "FLUXERR_BEST"), ("f4", ()))


def measure_best(_: Band, __: Detections, rows: NDArray[np.int64], ___: Settings, table: Table) -> None:
    """Fill in AUTO fluxes, or corrected isophotal ones where others crowd the aperture."""
    crowded = (table["FLAGS"][rows] & kron.CROWDED) != 0
    for kind in ("FLUX", "FLUXERR"):
        table[f"{kind}_BEST"][rows] = np.where(crowded, table[f"{kind}_ISOCOR"][rows], table[f"{kind}_AUTO"][rows])


GROUPS = (
    Group("aperture", _circles, ("FLAGS",), measure_circles),
    Group("auto", _ellipses, ("FLAGS",), measure_ellipses),
    Group("petrosian", _petrosian, ("FLAGS",), measure_petrosian),
    Group("best", _best, ("FLAGS", "FLUX_AUTO", "FLUX_ISOCOR"), measure_best),
)
