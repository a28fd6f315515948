"""One image whose pixels are in memory: its sources are detected once, columns of them measured one after the other."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.sextractor import association, star_locus
from processing.sextractor.deriving import Place, base_columns, derive
from processing.sextractor.engine import Engine
from processing.sextractor.exposure import Exposure
from processing.sextractor.extraction import Caution, Extraction, Statistics, Warned
from processing.sextractor.images import FiniteRows, FiniteWeights, OddPixels, not_numbers
from processing.sextractor.lots import Turn
from processing.sextractor.parameters import Wanted
from processing.sextractor.point_sources import a_row_each, followed
from processing.sextractor.point_spread import PointSpread
from processing.sextractor.records import Noise, Pixels, Rows, Table
from processing.sextractor.rooms import Rooms
from processing.sextractor.settings import Settings
from processing.sextractor.world import World, world_of

_LOOK = 256
"""Rows that are looked at together for a weight above 0."""


class Session:
    """The sources of one image, from their detection on until `leave`.

    Parameters
    ----------
    turn : to draw the random numbers of deblending
    rooms : where memory is had
    progress : receives the share of detection that is done
    """

    def __init__(
        self,
        exposure: Exposure,
        settings: Settings,
        *,
        turn: Turn,
        progress: Callable[[float], None],
        rooms: Rooms | None = None,
    ) -> None:
        self._begin = time.monotonic()
        self._files = exposure
        self._world, noise, self._cautions = _facts(exposure, settings)
        start = partial(Engine, noise=noise, turn=turn, rooms=rooms, progress=progress)
        self.engine, self.exposure, self.settings, found = _begun(exposure, settings, start)
        self._cautions += [*found, *_lacks(self.engine, self.exposure, self.settings)]
        self.base: Table = {}
        """What was measured up to now."""

    def extraction(
        self,
        columns: Sequence[Wanted],
        *,
        psf: PointSpread | None = None,
        progress: Callable[[float], None] = lambda _: None,
    ) -> Extraction:
        """Return columns of all sources; what was measured before is not measured again.

        Parameters
        ----------
        psf : for columns that need one; None: that of the settings
        """
        exposure, engine = self.exposure, self.engine
        if psf is not None:
            engine.settings = self.settings = replace(self.settings, psf=psf)
        needed = followed(base_columns(each.name for each in columns), self.settings)
        self.base |= engine.measure(needed, known=self.base, progress=progress)
        known = self.settings.psf is None or not self.settings.psf.blank
        base = star_locus.with_probability(self.base, needed, known=known)
        if any(each.name in association.NAMES for each in columns):
            objects = engine.detections.objects
            base = association.associated(
                base, columns, objects["x"] + 1.0, objects["y"] + 1.0, self.settings, self._world
            )
        base = {**base, "EXT_NUMBER": np.full(len(engine.detections.objects), exposure.number, np.int16)}
        base = a_row_each(association.selected(base, self.settings))
        place = Place(self._world or _LINEAR, engine.noise.zero_point, self.settings.pixel_scale)
        made = derive(base, [each.name for each in columns], place)
        table = {each.name: _fitted(values, each) for each, values in zip(columns, made.values(), strict=True)}
        return Extraction(
            exposure.number, exposure.count, exposure.file, exposure.cards, tuple(columns), table, self._statistics(),
            (*exposure.cautions, *self._cautions),
        )  # fmt: skip

    def vignettes(self, rows: NDArray[np.int64]) -> Pixels:
        """Cut out the pixels around the sources `rows`, (rows, ny, nx), as the settings' VIGNET has them."""
        cut: Pixels = self.engine.measure(frozenset({"VIGNET"}), rows=rows)["VIGNET"][rows]
        return cut

    def leave(self) -> None:
        """Give all memory back: nothing can be measured any more."""
        self.engine.leave()
        self._files.leave()

    def _statistics(self) -> Statistics:
        engine = self.engine
        return Statistics(
            background=engine.noise.background,
            rms=engine.noise.rms,
            threshold=engine.thresholds.detection,
            analysis_threshold=engine.thresholds.analysis,
            pixel_scale=engine.noise.pixel_scale,
            gain=engine.noise.gain,
            saturation=engine.noise.saturation,
            weight_scales=engine.weight_scales,
            detected=engine.detected,
            groups=engine.detections.groups,
            seconds=time.monotonic() - self._begin,
        )


def _lacks(engine: Engine, exposure: Exposure, settings: Settings) -> list[Caution]:
    """What the pixels of an image turned out to lack."""
    found, noise = [], engine.noise
    if any(_nothing(rows, kind) for kind, rows in zip(settings.weight_type, exposure.weights, strict=True)):
        found.append(Caution(Warned.NO_WEIGHT, "no pixel has a weight: none takes part, and nothing is detected"))
    if noise.background >= noise.saturation:
        told = f"the background, {noise.background:.6g}, is above the level of saturation, {noise.saturation:.6g}"
        found.append(Caution(Warned.SATURATED, told))
    if not len(engine.detections.objects):
        found.append(Caution(Warned.EMPTY, f"nothing is above the threshold, {engine.thresholds.detection:.6g}"))
    return found


def _fitted(values: NDArray[Any], each: Wanted) -> NDArray[Any]:
    """Cells of a vector as long as they are wanted, from its beginning."""
    if values.ndim == 2 and each.shape != values.shape[1:]:
        values = values[:, : each.size] if each.shape else values[:, 0]
    return np.ascontiguousarray(values)


_LINEAR = World("", np.ones(2), np.eye(2), np.zeros(2))
"""World coordinates of an image without any: pixels from 0, as the original has them."""


def _facts(exposure: Exposure, settings: Settings) -> tuple[World | None, Noise, list[Caution]]:
    """World coordinates and numbers of an image, and what it lacks of them."""
    told, cautions = exposure.told, []
    world = world_of(exposure.cards)
    if world is None or not world.celestial:
        cautions.append(Caution(Warned.NO_WCS, "no world coordinates: right ascensions and declinations are NaN"))
    gain = told.number(settings.gain_key) if settings.gain_key else None
    gain = settings.gain if gain is None else gain
    if not gain > 0:
        key = f"keyword {settings.gain_key} and GAIN give none"
        cautions.append(Caution(Warned.NO_GAIN, f"{key}: errors are those of the background alone"))
    saturation = told.number(settings.satur_key) if settings.satur_key else None
    scale = settings.pixel_scale
    if not scale:
        scale = world.scale(exposure.rows.shape) if world is not None and world.celestial else 1.0
    noise = Noise(
        gain=max(gain, 0.0),
        saturation=settings.satur_level if saturation is None else saturation,
        zero_point=settings.mag_zeropoint,
        pixel_scale=scale,
        background=0.0,
        rms=0.0,
        threshold=0.0,
        weight_gain=settings.weight_gain,
        bad_variance=np.inf,
    )
    return world, noise, cautions


def _nothing(rows: Rows | None, kind: str) -> bool:
    """Whether no pixel of a weight map counts; read until one does."""
    if rows is None or kind != "MAP_WEIGHT":
        return False
    height = rows.shape[0]
    return not any((rows.read(at, min(at + _LOOK, height)) > 0).any() for at in range(0, height, _LOOK))


def _begun(
    exposure: Exposure, settings: Settings, start: Callable[[Exposure, Settings], Engine]
) -> tuple[Engine, Exposure, Settings, list[Caution]]:
    """Detect sources where all pixels are numbers, and tell what was made of the image to have that."""
    found: list[Caution] = []
    if not all(getattr(rows, "tells_odd", False) for rows in _images(exposure)):
        exposure, settings, found = _finite(exposure, settings)
    with contextlib.suppress(OddPixels):  # seldom: whoever looked for them before would read every image once more
        return start(exposure, settings), exposure, settings, found
    exposure, settings, found = _finite(exposure, settings)  # what the first try held is gone by now
    return start(exposure, settings), exposure, settings, found


def _images(exposure: Exposure) -> list[Rows]:
    """What sources are detected and measured in."""
    return [rows for rows in (exposure.detection, exposure.rows) if rows is not None]


def _finite(exposure: Exposure, settings: Settings) -> tuple[Exposure, Settings, list[Caution]]:
    """The exposure with 0 and no weight where a pixel is no number; itself where all are."""
    images = (exposure.detection or exposure.rows, exposure.rows)
    counts = [not_numbers(rows) for rows in _images(exposure)]
    if not any(counts):
        return exposure, settings, []
    kinds, maps = [], []
    for rows, kind, weight in zip(images, settings.weight_type, exposure.weights, strict=True):
        bad = np.inf if kind in {"MAP_VAR", "MAP_RMS"} else 0.0
        kinds.append("MAP_WEIGHT" if kind in {"NONE", "BACKGROUND"} else kind)
        maps.append(FiniteWeights(rows, weight, bad=bad))
    whole = replace(
        exposure,
        rows=FiniteRows(exposure.rows),
        detection=None if exposure.detection is None else FiniteRows(exposure.detection),
        weights=(maps[0], maps[1]),
    )
    told = f"{sum(counts)} pixels are NaN or infinite: they have no weight"
    return whole, replace(settings, weight_type=(kinds[0], kinds[1])), [Caution(Warned.NO_VALUE, told)]
