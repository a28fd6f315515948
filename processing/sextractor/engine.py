"""One image through the engine: background, detection, measures.

An image of moderate size is read once and held without its background; of a larger one, rows are read for each phase.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.sextractor.detection import Thresholds, detect
from processing.sextractor.exposure import Exposure
from processing.sextractor.filtering import filter_with
from processing.sextractor.flagging import flags_of, weights_of
from processing.sextractor.lots import Turn
from processing.sextractor.measuring import measure
from processing.sextractor.records import Detections, Noise, Pixels, Seen, Table
from processing.sextractor.rooms import Rooms
from processing.sextractor.settings import Settings
from processing.sextractor.weighting import Plane, Weighed, plane


class Engine:
    """The phases of one image, each done where the next needs it.

    Parameters
    ----------
    noise : numbers of the image; background and rms are put in here
    turn : to draw the random numbers of deblending
    rooms : where memory is had; `leave` gives it back
    progress : receives the share of detection that is done
    """

    def __init__(
        self,
        exposure: Exposure,
        settings: Settings,
        noise: Noise,
        *,
        turn: Turn,
        progress: Callable[[float], None],
        rooms: Rooms | None = None,
    ) -> None:
        rooms = self._rooms = rooms or Rooms()
        self.flag_maps = exposure.flags
        self.settings = settings
        filled = settings
        if exposure.detection is None:  # gaps of one image are filled as the first kind says
            filled = settings = replace(settings, interp_type=(settings.interp_type[0],) * 2)
        if exposure.detection is None and "MANUAL" in settings.back_type:  # one image has one background
            value = settings.back_value[0]
            filled = replace(settings, back_type=("MANUAL", "MANUAL"), back_value=(value, value))
        searched, twice = filled, exposure.detection is not None or _twice(exposure, settings)
        if twice:  # gaps are filled by the weights of detection only
            filled = replace(filled, interp_type=(settings.interp_type[0], "NONE"))
        self.measured = plane(exposure.rows, exposure.weights[1], filled, 1, rooms=rooms)
        self.detected_in: Plane | Weighed = self.measured
        if exposure.detection is not None:
            if settings.weights_given == 1 and settings.interp_type[0] == "ALL":  # gaps stay in both images then
                searched = replace(searched, interp_type=("VAR_ONLY", "VAR_ONLY"))
            detection = plane(exposure.detection, exposure.weights[0], searched, 0, rooms=rooms)
            if settings.weights_given == 1:
                self.measured.weighed_as(detection, gaps=settings.interp_type[1])
            self.detected_in = detection
        elif settings.weight_type[0] == "NONE" != settings.weight_type[1]:
            self.detected_in = Weighed(self.measured, None)
        elif twice and settings.weight_type[0] != "NONE":
            other = plane(exposure.rows, exposure.weights[0], searched, 0, rooms=rooms)
            self.measured.background = other.background  # the one that is measured last is taken off
            self.detected_in = Weighed(self.measured, other)
        self.background = self.measured.background
        self.thresholds = thresholds(settings, self.detected_in.background.rms, self.background.rms, noise)
        self.noise = replace(
            noise, background=self.background.mean, rms=self.background.rms, threshold=self.thresholds.analysis,
            bad_variance=self.measured.bad,
        )  # fmt: skip
        self.weight_scales = (self.measured.scale, self.detected_in.scale)
        relative = 0.0
        if settings.thresh_type == "RELATIVE" and len(settings.detect_thresh) == 1:
            relative = settings.detect_thresh[0]
        self.detections: Detections = detect(
            self.detected_in.strip, exposure.rows.shape, self.thresholds, settings, relative=relative,
            rms=self.detected_in.background.rms, turn=turn, progress=progress,
        )  # fmt: skip
        self.detected = self.detections.found

    def leave(self) -> None:
        """Give the memory of the pixels back: nothing can be measured any more."""
        self.measured.leave(self._rooms)
        if self.detected_in is not self.measured:
            self.detected_in.leave(self._rooms)

    def filtered(self, first: int, end: int) -> Pixels:
        """Rows of the detection image less its background, filtered."""
        filters = filter_with(self.settings, self.detected_in.background.rms)
        halo = filters.height // 2
        height, width = self.detected_in.rows.shape
        low, high = max(first - halo, 0), min(end + halo, height)
        made = np.empty((end - first, width), np.float32)
        filters.fill(self.detected_in.strip(low, high)[0], first - low, made)
        return made

    def _look(self, first: int, end: int) -> Seen:
        """Rows of a detection image of its own."""
        values, variance = self.detected_in.strip(first, end)
        return Seen(values, variance, self.detected_in.background.rms, self.detected_in.bad)

    def measure(
        self,
        wanted: frozenset[str],
        *,
        known: Table | None = None,
        rows: NDArray[np.int64] | None = None,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Table:
        """Return the columns `wanted`, and others that come with them.

        Parameters
        ----------
        known : columns that were measured before: they are in the table as they are
        rows : the sources that are measured; None: all. Cells of others are 0, and take no memory
        """
        table = measure(
            self.measured.strip, self.measured.rows.shape, self.detections, self.settings, self.noise, wanted,
            level=self.background.at, look=None if self.detected_in is self.measured else self._look,
            rooms=self._rooms, known=known, chosen=rows, progress=progress,
        )  # fmt: skip
        new = wanted - table.keys()
        if any("IMAFLAGS" in name for name in new):
            table |= flags_of(self.detections, self.flag_maps, self.settings.flag_type)
        if any("LOW" in name or name == "FLAGS_WEIGHT" for name in new):
            measured = _filled(self.measured)
            detected = measured if self.detected_in is self.measured else _filled(self.detected_in)
            table |= weights_of(self.detections, measured, detected, (self.measured.bad, self.detected_in.bad))
        return table


def _twice(exposure: Exposure, settings: Settings) -> bool:
    """Whether one image has weights of its own for detection."""
    if settings.weights_given:
        return settings.weights_given == 2
    if settings.weight_type[0] != settings.weight_type[1] or exposure.weights[0] is not exposure.weights[1]:
        return True
    pairs = (settings.weight_thresh, settings.rescale_weights)
    return settings.weight_type[0].startswith("MAP") and any(first != second for first, second in pairs)


@dataclass(frozen=True, slots=True)
class _Variances:
    """Variances of an image after its gaps are filled."""

    plane: Plane | Weighed
    shape: tuple[int, int]

    def read(self, first: int, end: int) -> Pixels:
        """Rows `first` to `end`."""
        variance = self.plane.strip(first, end)[1]
        assert variance is not None
        return variance


def _filled(plane: Plane | Weighed) -> _Variances | None:
    return None if plane.variances is None else _Variances(plane, plane.rows.shape)


def thresholds(settings: Settings, rms: float, measured_rms: float, noise: Noise) -> Thresholds:
    """Return thresholds in ADU, of numbers of standard deviations, of ADU, or of surface brightnesses.

    That of the analysis is for the image that is measured, and so is its noise, `measured_rms`.
    """

    def one(given: tuple[float, ...], kind: str, rms: float) -> float:
        if len(given) == 2:
            return float(noise.pixel_scale**2 * 10.0 ** (-0.4 * (given[0] - given[1])))
        return given[0] * (rms if kind == "RELATIVE" else 1.0)

    kind, analysis = settings.thresh_type, settings.analysis_thresh_type or settings.thresh_type
    return Thresholds(one(settings.detect_thresh, kind, rms), one(settings.analysis_thresh, analysis, measured_rms))
