"""Sources of images: background, detection, measures and derived columns behind each other.

``extract(image, settings=Settings(columns=("X_IMAGE", "Y_IMAGE", "MAG_AUTO")))`` is all a script needs.
"""

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import HeaderLike
from processing.errors import BadSetting
from processing.sextractor import association, star_locus
from processing.sextractor.deriving import Place, base_columns, derive
from processing.sextractor.engine import Engine
from processing.sextractor.exposure import Exposure, Names, of_array, of_files
from processing.sextractor.extraction import Caution, Extraction, Statistics, Warned
from processing.sextractor.groups import given
from processing.sextractor.images import FiniteRows, FiniteWeights, OddPixels, not_numbers
from processing.sextractor.lots import Lots, Turn
from processing.sextractor.parameters import Wanted, wanted
from processing.sextractor.point_sources import with_psf
from processing.sextractor.records import Noise, Rows, Table
from processing.sextractor.rooms import Rooms
from processing.sextractor.settings import Settings
from processing.sextractor.world import World, world_of

Progress = Callable[[float], None]
"""Receives the share done, from 0 to 1; called from several threads, one at a time."""
_DETECTION = 0.5
"""Share of the work."""
_LOOK = 256
"""Rows that are looked at together for a weight above 0."""


def extract(
    image: NDArray[Any] | Path | str,
    weight: NDArray[Any] | Path | str | None = None,
    flags: Sequence[NDArray[Any]] | Sequence[str] = (),
    *,
    header: HeaderLike = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Table:
    """Return the sources of an image.

    Parameters
    ----------
    image : (ny, nx) array, ADU, or the name of a file; of all its images the sources come behind each other
    weight : map of the same size, of the kind that ``settings.weight_type`` says (MAP_WEIGHT where it says none)
    flags : maps of the same size, whole numbers
    header : of an array: its WCS, gain and level of saturation
    settings : defaults are those of the original

    Returns
    -------
    columns ``settings.columns`` by name; pixels count from 1, angles are degrees, fluxes ADU

    Raises
    ------
    BadSetting
        A column is unknown or not measured, or a setting makes no sense.
    FileProblem
        A file cannot be read, or a map has another size.
    """
    chosen = settings or Settings()
    if weight is not None and chosen.weight_type == ("NONE", "NONE"):
        chosen = replace(chosen, weight_type=("MAP_WEIGHT", "MAP_WEIGHT"))
    if isinstance(image, np.ndarray):
        maps = [np.asarray(each) for each in flags]
        exposures = [of_array(image, weight=None if weight is None else np.asarray(weight), flags=maps, header=header)]
    else:
        names = tuple(str(each) for each in flags)
        exposures = of_files(Names(str(image), weights=() if weight is None else (str(weight),), flags=names), chosen)
    made = extract_all(exposures, chosen, progress=progress)
    return {name: np.concatenate([each.table[name] for each in made]) for name in made[0].table}


def extract_all(
    exposures: Sequence[Exposure],
    settings: Settings,
    *,
    checks: Mapping[str, Path] | None = None,
    progress: Progress | None = None,
) -> list[Extraction]:
    """Return the sources of every image, in their order; several images at once where there are threads.

    Parameters
    ----------
    checks : files of check-images by their kinds
    """
    columns = wanted(settings.columns)
    if lacking := [each.name for each in columns if base_columns([each.name]) - given(settings)]:
        raise BadSetting(f"{', '.join(lacking)}: not measured yet; take them out")
    threads = settings.threads or len(os.sched_getaffinity(0))
    together = max(1, min(threads, len(exposures)))
    inner = replace(settings, threads=max(1, threads // together))
    shares, telling = [0.0] * len(exposures), Lock()
    lots, rooms = Lots(len(exposures)), Rooms()

    def one(index: int) -> Extraction:
        def told(share: float) -> None:
            with telling:
                shares[index] = share
                if progress is not None:
                    progress(sum(shares) / len(shares))

        try:
            turn = lots.turn(index)
            return extract_one(
                exposures[index], inner, columns, turn=turn, rooms=rooms, checks=checks or {}, progress=told
            )
        finally:
            lots.release(index)

    with ThreadPoolExecutor(together, thread_name_prefix="images") as pool:
        made = list(pool.map(one, range(len(exposures))))
    if checks:
        from processing.sextractor.checkimages import assemble_checks  # noqa: PLC0415  brings all that writes files

        for path in checks.values():
            assemble_checks(path, exposures)
    if progress is not None:
        progress(1.0)
    return made


def extract_one(
    exposure: Exposure,
    settings: Settings,
    columns: Sequence[Wanted],
    *,
    turn: Turn,
    checks: Mapping[str, Path],
    progress: Progress,
    rooms: Rooms | None = None,
) -> Extraction:
    """Return the sources of one image."""
    begin = time.monotonic()
    world, noise, cautions = _facts(exposure, settings)
    needed = base_columns(each.name for each in columns)
    settings, needed, lacking = with_psf(settings, needed, exposure.number, exposure.told)
    cautions += lacking
    files = exposure
    start = partial(Engine, noise=noise, turn=turn, rooms=rooms, progress=lambda share: progress(_DETECTION * share))
    engine, exposure, settings, found = _begun(exposure, settings, start)
    cautions += found
    if any(_nothing(rows, kind) for kind, rows in zip(settings.weight_type, exposure.weights, strict=True)):
        cautions.append(Caution(Warned.NO_WEIGHT, "no pixel has a weight: none takes part, and nothing is detected"))
    base = engine.measure(needed, progress=lambda share: progress(_DETECTION + (1.0 - _DETECTION) * share))
    base = star_locus.with_probability(base, needed, known=settings.psf is None or not settings.psf.blank)
    if any(each.name in association.NAMES for each in columns):
        objects = engine.detections.objects
        base = association.associated(base, columns, objects["x"] + 1.0, objects["y"] + 1.0, settings, world)
    base["EXT_NUMBER"] = np.full(len(engine.detections.objects), exposure.number, np.int16)
    place = Place(world or _LINEAR, noise.zero_point, settings.pixel_scale)
    made = derive(association.selected(base, settings), [each.name for each in columns], place)
    table = {each.name: _fitted(values, each) for each, values in zip(columns, made.values(), strict=True)}
    noise = engine.noise
    if noise.background >= noise.saturation:
        told = f"the background, {noise.background:.6g}, is above the level of saturation, {noise.saturation:.6g}"
        cautions.append(Caution(Warned.SATURATED, told))
    if not len(engine.detections.objects):
        cautions.append(Caution(Warned.EMPTY, f"nothing is above the threshold, {engine.thresholds.detection:.6g}"))
    if checks:
        from processing.sextractor.checkimages import Seen, write_part  # noqa: PLC0415  brings all that writes files

        seen = Seen(exposure.rows, engine.background, engine.detections, engine.filtered, noise.rms, base)
        seen = replace(seen, apertures=settings.phot_apertures if "FLUX_APER" in base else ())
        for kind, path in checks.items():
            write_part(path, kind, seen, exposure, mesh=settings.back_size)
    engine.leave()
    files.leave()
    statistics = Statistics(
        background=noise.background,
        rms=noise.rms,
        threshold=engine.thresholds.detection,
        analysis_threshold=engine.thresholds.analysis,
        pixel_scale=noise.pixel_scale,
        gain=noise.gain,
        saturation=noise.saturation,
        weight_scales=engine.weight_scales,
        detected=engine.detected,
        seconds=time.monotonic() - begin,
    )
    return Extraction(
        exposure.number, exposure.count, exposure.file, exposure.cards, tuple(columns), table, statistics,
        (*exposure.cautions, *cautions),
    )  # fmt: skip


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
