"""One image through the engine: background, detection, measures.

An image of moderate size is read once and held without its background; of a larger one, rows are read for each phase.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from processing.kernels import convolve
from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.exposure import Exposure
from processing.sextractor.filtering import kernel
from processing.sextractor.flagging import flags_of, weights_of
from processing.sextractor.measuring import measure
from processing.sextractor.records import Detections, Noise, Pixels, Table
from processing.sextractor.settings import Settings
from processing.sextractor.weighting import BAD, plane


class Engine:
    """The phases of one image, each done where the next needs it.

    Parameters
    ----------
    noise : numbers of the image; background and rms are put in here
    progress : receives the share of detection that is done
    """

    def __init__(
        self, exposure: Exposure, settings: Settings, noise: Noise, *, progress: Callable[[float], None]
    ) -> None:
        self.flag_maps = exposure.flags
        self.settings = settings
        self.measured = plane(exposure.rows, exposure.weights[1], settings, 1)
        self.detected_in = self.measured
        if exposure.detection is not None or settings.weight_type[0] != settings.weight_type[1]:
            self.detected_in = plane(exposure.detection or exposure.rows, exposure.weights[0], settings, 0)
        self.background = self.measured.background
        bad = float(BAD) if self.measured.variances is not None else np.inf
        self.noise = replace(noise, background=self.background.mean, rms=self.background.rms, bad_variance=bad)
        self.thresholds = thresholds(settings, self.detected_in.background.rms, noise)
        self.weight_scales = (self.measured.scale, self.detected_in.scale)
        relative = 0.0
        if settings.thresh_type == "RELATIVE" and len(settings.detect_thresh) == 1:
            relative = settings.detect_thresh[0]
        self.detections: Detections = detect(
            self.detected_in.strip, exposure.rows.shape, self.thresholds, settings, relative=relative, progress=progress
        )
        self.detected = len(self.detections.objects)

    def filtered(self, first: int, end: int) -> Pixels:
        """Rows of the detection image less its background, filtered."""
        filters = kernel(self.settings.filter, normalised=self.settings.filter_normalised)
        halo = filters.shape[0] // 2
        height, width = self.detected_in.rows.shape
        low, high = max(first - halo, 0), min(end + halo, height)
        made = np.empty((end - first, width), np.float32)
        convolve.convolve(self.detected_in.strip(low, high)[0], filters, first - low, made)
        return made

    def measure(self, wanted: frozenset[str], *, progress: Callable[[float], None]) -> Table:
        """Return the columns `wanted`, and others that come with them."""
        table = measure(
            self.measured.strip, self.measured.rows.shape, self.detections, self.settings, self.noise, wanted,
            level=self.background.at, progress=progress,
        )  # fmt: skip
        if any("IMAFLAGS" in name for name in wanted):
            table |= flags_of(self.detections, self.flag_maps, self.settings.flag_type)
        if any("LOW" in name or name == "FLAGS_WEIGHT" for name in wanted):
            table |= weights_of(self.detections, self.measured.variances, self.detected_in.variances, float(BAD))
        return table


def thresholds(settings: Settings, rms: float, noise: Noise) -> Thresholds:
    """Return thresholds in ADU, of numbers of standard deviations, of ADU, or of surface brightnesses."""

    def one(given: tuple[float, ...]) -> float:
        if len(given) == 2:
            return float(noise.pixel_scale**2 * 10.0 ** (-0.4 * (given[0] - given[1])))
        return given[0] * (rms if settings.thresh_type == "RELATIVE" else 1.0)

    return Thresholds(one(settings.detect_thresh), one(settings.analysis_thresh))
