"""Small pictures of painted frames, as the archive keeps them beside each frame."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from terapix.instruments import Ccd, Instrument

SIDE = 23
"""Pixels of the mosaic across one pixel of the larger picture: 1010 pixels for the whole of MegaCam."""
SIZES = (1024, 256)
"""Longest side in pixels that a picture of each name may have."""
_EMPTY = 24
"""Grey between the CCDs."""


def tile_of(instrument: Instrument, ccd: Ccd, pixels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Mean of each square of `SIDE` pixels of the illuminated part, the way it lies on the mosaic."""
    x0, x1, y0, y1 = instrument.datasec
    seen = pixels[y0:y1, x0:x1]
    rows, columns = seen.shape[0] // SIDE, seen.shape[1] // SIDE
    squares = seen[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE)
    tile: NDArray[np.float32] = squares.sum(axis=(1, 3), dtype=np.int64).astype(np.float32) / np.float32(SIDE**2)
    return tile[::-1, ::-1] if ccd.flipped else tile


def pictures(instrument: Instrument, tiles: Sequence[NDArray[np.float32]]) -> dict[int, bytes]:
    """JPEG pictures of a frame, north up, by the size in their name; `tiles` as `tile_of` made them, in order."""
    ccds = instrument.ccds[: len(tiles)]
    left, low = min(ccd.column for ccd in ccds), min(ccd.row for ccd in ccds)
    places = [((ccd.row - low) // SIDE, (ccd.column - left) // SIDE) for ccd in ccds]
    shape = (
        max(row + tile.shape[0] for (row, _), tile in zip(places, tiles, strict=True)),
        max(column + tile.shape[1] for (_, column), tile in zip(places, tiles, strict=True)),
    )
    canvas = np.full(shape, np.nan, np.float32)
    for (row, column), tile in zip(places, tiles, strict=True):
        canvas[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    known = canvas[np.isfinite(canvas)]
    sky = float(np.median(known))
    spread = 0.05 * sky + 1.0
    grey = np.clip(56.0 + 60.0 * np.arcsinh((canvas - sky) / spread), 0.0, 255.0)
    image = Image.fromarray(np.where(np.isfinite(canvas), grey, _EMPTY).astype(np.uint8)[::-1])
    made = {}
    for size in SIZES:
        small = image.copy()
        small.thumbnail((size, size))
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=80)
        made[size] = stream.getvalue()
    return made
