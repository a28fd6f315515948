"""One image through the engine: background, detection, measures.

Pixels are read where they are needed; a background is drawn from its meshes again for each pass.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from processing.errors import BadSetting
from processing.kernels import convolve
from processing.sextractor import background as sky
from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.exposure import Exposure
from processing.sextractor.filtering import kernel
from processing.sextractor.measuring import measure
from processing.sextractor.records import Detections, Noise, Pixels, Rows, Table
from processing.sextractor.settings import Settings


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
        if settings.weight_type != ("NONE", "NONE"):
            raise BadSetting(f"WEIGHT_TYPE = {','.join(settings.weight_type)}: weights are not taken yet; NONE is")
        self.rows = exposure.rows
        self.flag_maps = exposure.flags
        self.settings = settings
        self.background = _background(exposure.rows, settings, 1)
        self.detection_rows = exposure.detection or exposure.rows
        self.detection_background = self.background
        if exposure.detection is not None:
            self.detection_background = _background(exposure.detection, settings, 0)
        self.noise = replace(noise, background=self.background.mean, rms=self.background.rms)
        self.thresholds = thresholds(settings, self.detection_background.rms, noise)
        self.weight_scales = (0.0, 0.0)
        self.detections: Detections = detect(self.strip, self.rows.shape, self.thresholds, settings, progress=progress)
        self.detected = len(self.detections.objects)

    def strip(self, first: int, end: int) -> tuple[Pixels, Pixels | None]:
        """Rows of the detection image less its background, and their variances where there are weights."""
        pixels = self.detection_rows.read(first, end)
        pixels = pixels - self.detection_background.rows(first, end)
        return pixels, None

    def filtered(self, first: int, end: int) -> Pixels:
        """Rows of the detection image less its background, filtered."""
        filters = kernel(self.settings.filter, normalised=self.settings.filter_normalised)
        halo = filters.shape[0] // 2
        low, high = max(first - halo, 0), min(end + halo, self.rows.shape[0])
        made = np.empty((end - first, self.rows.shape[1]), np.float32)
        convolve.convolve(self.strip(low, high)[0], filters, first - low, made)
        return made

    def measure(self, wanted: frozenset[str], *, progress: Callable[[float], None]) -> Table:
        """Return the columns `wanted`."""
        return measure(
            self.measured_strip, self.rows.shape, self.detections, self.settings, self.noise, wanted,
            flag_maps=self.flag_maps, progress=progress,
        )  # fmt: skip

    def measured_strip(self, first: int, end: int) -> tuple[Pixels, Pixels, Pixels | None]:
        """Rows of the measurement image less its background, that background, and their variances."""
        level = self.background.rows(first, end)
        return self.rows.read(first, end) - level, level, None


def _background(rows: Rows, settings: Settings, place: int) -> sky.Background:
    """Background of the detection (0) or the measurement image (1)."""
    if settings.back_type[place] == "MANUAL":
        found = _measured(rows, settings)
        return sky.flat(settings.back_value[place], found.rms, rows.shape)
    return _measured(rows, settings)


def _measured(rows: Rows, settings: Settings) -> sky.Background:
    return sky.measure(
        rows, size=settings.back_size, filtered=settings.back_filtersize, threshold=settings.back_filtthresh
    )


def thresholds(settings: Settings, rms: float, noise: Noise) -> Thresholds:
    """Return thresholds in ADU, of numbers of standard deviations, of ADU, or of surface brightnesses."""

    def one(given: tuple[float, ...]) -> float:
        if len(given) == 2:
            return float(noise.pixel_scale**2 * 10.0 ** (-0.4 * (given[0] - given[1])))
        return given[0] * (rms if settings.thresh_type == "RELATIVE" else 1.0)

    return Thresholds(one(settings.detect_thresh), one(settings.analysis_thresh))
