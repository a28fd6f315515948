"""Sources of images: background, detection, measures and derived columns behind each other.

``extract(image, settings=Settings(columns=("X_IMAGE", "Y_IMAGE", "MAG_AUTO")))`` is all a script needs.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import HeaderLike
from processing.errors import BadSetting
from processing.sextractor.checking import check
from processing.sextractor.deriving import base_columns
from processing.sextractor.exposure import Exposure, Names, of_array, of_files
from processing.sextractor.extraction import Extraction
from processing.sextractor.groups import given
from processing.sextractor.lots import Lots, Turn
from processing.sextractor.parameters import Wanted, wanted
from processing.sextractor.point_sources import fitted, with_psf
from processing.sextractor.records import Table
from processing.sextractor.rooms import Rooms
from processing.sextractor.session import Session
from processing.sextractor.settings import Settings
from processing.sharing import shared

Progress = Callable[[float], None]
"""Receives the share done, from 0 to 1; called from several threads, one at a time."""
_DETECTION = 0.5
"""Share of the work."""


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
    if not isinstance(image, np.ndarray | Path | str):
        raise BadSetting(
            f"image: a {type(image).__name__} is given; an array of NumPy, or the name of a file was expected"
        )
    if isinstance(image, np.ndarray):
        maps = [np.asanyarray(each) for each in flags]
        weights = None if weight is None else np.asanyarray(weight)
        exposures = [of_array(image, weight=weights, flags=maps, header=header)]
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
    done: Callable[[Extraction], None] = lambda _: None,
) -> list[Extraction]:
    """Return the sources of every image, in their order; several images at once where there are threads.

    Parameters
    ----------
    checks : files of check-images by their kinds
    done : takes the sources of each image, in their order, as soon as they and all before are there
    """
    columns = wanted(settings.columns)
    check(settings)
    if any("IMAFLAGS" in each.name for each in columns) and not all(each.flags for each in exposures):
        raise BadSetting("IMAFLAGS_ISO, NIMAFLAGS_ISO: no flag map is given; FLAG_IMAGE names one")
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

    made: list[Extraction] = []
    with closing(shared([partial(one, index) for index in range(len(exposures))], together)) as coming:
        for each in coming:
            made.append(_behind(each, made))
            done(made[-1])
    if checks:
        from processing.sextractor.checkimages import assemble_checks  # noqa: PLC0415  brings all that writes files

        for path in checks.values():
            assemble_checks(path, exposures)
    if progress is not None:
        progress(1.0)
    return made


def _behind(made: Extraction, before: Sequence[Extraction]) -> Extraction:
    """Let ID_PARENT count on from the images before, as the original's does."""
    groups = sum(each.statistics.groups for each in before)
    if not groups or "ID_PARENT" not in made.table:
        return made
    return replace(made, table={**made.table, "ID_PARENT": made.table["ID_PARENT"] + np.int32(groups)})


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
    needed = base_columns(each.name for each in columns)
    settings, cautions = with_psf(settings, needed, exposure.number, exposure.told)
    image = Session(exposure, settings, turn=turn, rooms=rooms, progress=lambda share: progress(_DETECTION * share))
    made = image.extraction(columns, progress=lambda share: progress(_DETECTION + (1.0 - _DETECTION) * share))
    if checks:
        from processing.sextractor.checkimages import Seen, write_part  # noqa: PLC0415  brings all that writes files

        engine, settings = image.engine, image.settings
        apertures = settings.phot_apertures if "FLUX_APER" in image.base else ()
        seen = Seen(
            image.exposure.rows, engine.background, engine.detections, engine.filtered, engine.noise.rms, image.base,
            fitted=fitted(image.base, settings), apertures=apertures,
        )  # fmt: skip
        for kind, path in checks.items():
            write_part(path, kind, seen, image.exposure, mesh=settings.back_size)
    image.leave()
    return replace(made, warnings=(*made.warnings, *cautions))
