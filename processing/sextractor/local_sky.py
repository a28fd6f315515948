"""The local background of each source, in a rectangular annulus around it (BACKPHOTO_TYPE LOCAL)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.kernels import annulus, pixel
from processing.sextractor.records import Band, Detections, Group, Pixels, Table
from processing.sextractor.settings import Settings

NAME = "LOCAL_BACKGROUND"
"""Level above the background of the meshes, ADU; no column of the original's."""
MASKS = {"NONE": pixel.NONE, "BLANK": pixel.BLANK, "CORRECT": pixel.CORRECT}
_NOTHING = np.empty(0, np.float32)


def levels(table: Table) -> Pixels:
    """Local levels (n,) as kernels take them: (0,) where there are none."""
    return table.get(NAME, _NOTHING)


def reach(objects: NDArray[Any], settings: Settings) -> NDArray[np.int64] | int:
    """Rows that are looked at above and below the bounds of each object."""
    if settings.backphoto_type != "LOCAL":
        return 0
    tall: NDArray[np.int64] = objects["y_max"].astype(np.int64) - objects["y_min"] + 1
    return tall // 4 + settings.backphoto_thick


def _gives(settings: Settings) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    return {NAME: ("f4", ())} if settings.backphoto_type == "LOCAL" else {}


def measure(band: Band, detections: Detections, rows: NDArray[np.int64], settings: Settings, table: Table) -> None:
    """Fill in the local level of `rows`; 0 where the image cuts the annulus, as the original has it.

    The original looks at the annulus as soon as it has come to the object's end: what stands above the threshold
    before that pixel counts no more, what follows does.
    """
    boxes = np.ascontiguousarray(detections.boxes[rows])
    annulus.skies(
        band.values, band.labels, MASKS[settings.mask_type], band.first, rows, boxes, band.height,
        settings.backphoto_thick, table[NAME],
    )  # fmt: skip


GROUPS = (Group("local sky", _gives, (), measure),)
