"""Pixels of a frame as they are, beside their weights and their flags: a picture for the console.

``python -m processing.weightwatcher.cutout --frame FILE --ccd N --x X --y Y`` writes a PNG to standard output: three
squares side by side, the frame, the weights, and the frame with the flags over it, turned as on the focal plane. It is
a process of its own, since pages read no pixels; it reads only the rows that it shows, and needs no compiler.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fitsio
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from processing.areas import Area
from processing.errors import BadHeader, DamagedPixels, FileProblem, ShapeMismatch
from processing.reading import Extension, Mosaic
from processing.weightwatcher.focal_plane import EMPTY, GOOD, png, stretched
from terapix.flags import FLAGS

LARGEST = 512
"""Pixels of the square's side at most."""


def cut_out(
    frame: Path, *, weight: Path | None, flag: Path | None, ccd: int, x: int, y: int, side: int = 256, bits: int = -1
) -> bytes:
    """Make the picture.

    Parameters
    ----------
    frame, weight, flag : Path
        A frame and its maps; a map that is not there leaves its square empty.
    ccd : int
        Which image of the frame, from 0.
    x, y : int
        Pixel, from 0 in the frame as read out, in the middle of the square; it is moved where the CCD ends.
    side : int
        Pixels of the square.
    bits : int
        Flags to show.

    Raises
    ------
    FileProblem
        A file is not what it should be, or has no such CCD.
    """
    extension = _image(frame, ccd)
    part = around(extension.shape, x, y, side)
    pixels = _pixels(frame, extension, part).astype(np.float64)
    panels = [_grey(stretched(pixels)), np.broadcast_to(np.array(EMPTY, np.uint8), (*pixels.shape, 3))]
    if weight is not None:
        weights = _pixels(weight, _same(weight, ccd, extension), part).astype(np.float64)
        panels[1] = _grey(weights / (float(weights.max(initial=0.0)) or 1.0))
    painted = (0.55 * panels[0] + 0.2 * np.array(GOOD)).astype(np.uint8)
    if flag is not None:
        flags = _pixels(flag, _same(flag, ccd, extension), part).astype(np.int64) & bits
        for each in FLAGS:
            painted[flags & each.value > 0] = each.colour
    place = Area.parse(extension.values.text("DETSEC"))
    across, up = (-1 if place and place.flipped_x else 1), (1 if place and place.flipped_y else -1)
    turned = [panel[::up, ::across] for panel in (*panels, painted)]
    return png(Image.fromarray(np.ascontiguousarray(np.concatenate(turned, axis=1)), "RGB"))


def around(shape: tuple[int, ...], x: int, y: int, side: int) -> Area:
    """Square of `side` pixels with (x, y) in its middle, moved into an image of `shape`; smaller where that is."""
    side = min(max(side, 8), LARGEST)
    width, height = min(side, shape[1]), min(side, shape[0])
    x0 = min(max(x - width // 2, 0), shape[1] - width)
    y0 = min(max(y - height // 2, 0), shape[0] - height)
    return Area(x0, x0 + width, y0, y0 + height)


def _image(path: Path, ccd: int) -> Extension:
    with Mosaic(path) as opened:
        held = opened.extensions
    if not 0 <= ccd < len(held):
        raise ShapeMismatch(path, f"has {len(held)} images and no number {ccd}", remedy="choose another CCD")
    if len(held[ccd].shape) != 2 or 0 in held[ccd].shape:
        found = f"an image of axes {held[ccd].shape}"
        raise BadHeader(path, found, hdu=held[ccd].hdu, remedy="two axes with pixels were expected")
    return held[ccd]


def _same(path: Path, ccd: int, extension: Extension) -> Extension:
    """The image of a map that belongs to `extension`."""
    found = _image(path, ccd)
    if found.shape != extension.shape:
        raise ShapeMismatch(path, f"an image of axes {found.shape}", hdu=found.hdu, remedy="make the map again")
    return found


def _pixels(path: Path, extension: Extension, part: Area) -> NDArray[Any]:
    try:
        with fitsio.FITS(str(path)) as opened:
            return np.asarray(opened[extension.hdu][part.y0 : part.y1, part.x0 : part.x1])
    except (OSError, ValueError) as problem:
        found = f"its pixels cannot be read ({' '.join(str(problem).split())[:200]})"
        raise DamagedPixels(path, found, hdu=extension.hdu, remedy="fetch or make it again") from problem


def _grey(bright: NDArray[np.float64]) -> NDArray[np.uint8]:
    levels = np.rint(255 * np.clip(np.nan_to_num(bright), 0, 1)).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the picture to standard output; what is wrong is told on the other one."""
    parser = argparse.ArgumentParser(prog="cutout", description="Pixels, weights and flags of a part of a CCD, as PNG")
    parser.add_argument("--frame", required=True, type=Path, metavar="FILE")
    parser.add_argument("--weight", type=Path, metavar="FILE")
    parser.add_argument("--flag", type=Path, metavar="FILE")
    parser.add_argument("--ccd", required=True, type=int, metavar="N", help="which image of the frame, from 0")
    parser.add_argument("--x", required=True, type=int, help="column in the middle, from 0")
    parser.add_argument("--y", required=True, type=int, help="row in the middle, from 0")
    parser.add_argument("--side", type=int, default=256, metavar="PIXELS")
    parser.add_argument("--bits", type=int, default=-1, help="flags to show")
    given = parser.parse_args(argv)
    try:
        sys.stdout.buffer.write(cut_out(**vars(given)))
    except (FileProblem, OSError) as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
