"""Small pictures of a mosaic: every CCD in its place, north up and east to the left as MegaCam's sections lie."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processing.areas import Area
from terapix.flags import FLAGS

EMPTY = (18, 22, 28)
"""Colour between the CCDs: near black, so that frame and page agree in light and dark."""
GOOD = (52, 60, 70)
_SIGMA = 1.4826
"""Standard deviations in a median absolute deviation of Gaussian noise."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each CCD lies in the picture."""

    side: int
    """Pixels of the mosaic across one pixel of the picture."""
    places: tuple[Area, ...]
    """Of each CCD, in pixels of the mosaic."""

    @classmethod
    def of(cls, places: Sequence[Area], width: int) -> "Layout":
        """Lay out CCDs so that the picture is about `width` pixels wide."""
        left, low = min(place.x0 for place in places), min(place.y0 for place in places)
        moved = tuple(Area(p.x0 - left, p.x1 - left, p.y0 - low, p.y1 - low, p.flipped_x, p.flipped_y) for p in places)
        across = max(*(place.x1 for place in moved), *(place.y1 for place in moved))
        return cls(max(1, round(across / width)), moved)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the picture."""
        side = self.side
        return (
            max(-(-place.y1 // side) for place in self.places) + 1,
            max(-(-place.x1 // side) for place in self.places) + 1,
        )

    def put(self, canvas: NDArray[Any], index: int, tile: NDArray[Any]) -> None:
        """Put the squares of CCD `index` on `canvas`, whose first row is the southernmost."""
        place = self.places[index]
        turned = tile[:: -1 if place.flipped_y else 1, :: -1 if place.flipped_x else 1]
        row, column = place.y0 // self.side, place.x0 // self.side
        part = canvas[row : row + turned.shape[0], column : column + turned.shape[1]]
        part[...] = turned[: part.shape[0], : part.shape[1]]


def frame_picture(layout: Layout, tiles: Sequence[NDArray[np.float64]]) -> bytes:
    """PNG of the frame: sky dark grey, faint light raised by an arcsinh from two sigma below the sky."""
    canvas = np.full(layout.shape, np.nan)
    for index, tile in enumerate(tiles):
        layout.put(canvas, index, tile)
    return _grey(stretched(canvas))


def stretched(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Brightness from 0 to 1: an arcsinh from two sigma below the sky, which is the median, to 300 above; NaN stays."""
    known = pixels[np.isfinite(pixels)]
    sky = float(np.median(known)) if known.size else 0.0
    sigma = _SIGMA * float(np.median(np.abs(known - sky))) if known.size else 1.0
    scaled = (pixels - sky) / max(sigma, 1e-6 * max(abs(sky), 1.0))
    bright: NDArray[np.float64] = np.arcsinh(np.clip(scaled + 2, 0, 300) / 3) / np.arcsinh(100.0)
    return bright


def weight_picture(layout: Layout, tiles: Sequence[NDArray[np.float64]]) -> bytes:
    """PNG of the weight: black where there is none, white at the largest of its squares."""
    canvas = np.full(layout.shape, np.nan)
    for index, tile in enumerate(tiles):
        layout.put(canvas, index, tile)
    largest = float(np.nanmax(canvas, initial=0.0)) or 1.0
    return _grey(canvas / largest)


def flag_picture(layout: Layout, tiles: Sequence[NDArray[np.int64]]) -> bytes:
    """PNG of the flags in colours; a square shows a flag the more, the more of its pixels have it."""
    canvas = np.empty((*layout.shape, 3))
    canvas[:] = EMPTY
    for index, tile in enumerate(tiles):
        painted = np.empty((*tile.shape[1:], 3))
        painted[:] = GOOD
        for flag in FLAGS:
            share = np.sqrt(np.clip(tile[flag.bit] / layout.side**2, 0, 1))[..., None]
            visible = np.where(share > 0, 0.25 + 0.75 * share, 0.0)
            painted += visible * (np.array(flag.colour) - painted)
        layout.put(canvas, index, painted)
    return png(Image.fromarray(np.rint(canvas[::-1]).astype(np.uint8), "RGB"))


def _grey(bright: NDArray[np.float64]) -> bytes:
    """PNG of 255 greys and the colour between the CCDs."""
    canvas = np.zeros(bright.shape, np.uint8)
    inside = np.isfinite(bright)
    canvas[inside] = 1 + np.rint(254 * np.clip(bright[inside], 0, 1)).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(canvas[::-1]), "L")
    image.putpalette([*EMPTY, *(round(level * 255 / 254) for level in range(255) for _ in range(3))])
    return png(image)


def png(image: Image.Image) -> bytes:
    """Bytes of a PNG."""
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=6)
    return stream.getvalue()
