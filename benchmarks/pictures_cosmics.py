"""The picture of the page on cosmic rays: a real exposure and a painted one, with what is marked, and by astroscrappy.

python benchmarks/pictures_cosmics.py docs/algorithms
"""

import os
import sys
from pathlib import Path

import astroscrappy
import numpy as np
from astropy.io import fits
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.areas import Area
from processing.defects.cosmics import mark_cosmics
from processing.defects.image import Amplifier, CcdImage
from processing.defects.settings import CosmicSettings
from processing.flags import PixelFlag
from tests.support.rays import SCALE, paint

SHARED = Path(os.environ.get("TERAPIX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SIDE, ZOOM, GAP = 251, 2, 6
FOUND, ALSO, MISSED = (60, 220, 230), (235, 160, 60), (235, 60, 60)
"""Marked and true, marked beside it, true and not marked."""


def real() -> CcdImage:
    """Give the cut-out of the real exposure 1616687p."""
    with fits.open(SHARED / "data" / "mop" / "cutout-1616687p.fits") as opened:
        hdu = next(hdu for hdu in opened if hdu.data is not None)
        pixels, gain = hdu.data.astype(np.float32), float(hdu.header.get("GAIN", 1.6))
    inside = Area(0, pixels.shape[1], 0, pixels.shape[0])
    return CcdImage(pixels, inside, (Amplifier(0, inside.x1, gain, 5.0),), 60_000.0, SCALE, "1616687p")


def ours(image: CcdImage, flags) -> np.ndarray:
    marked = flags.copy()
    mark_cosmics(image, marked, CosmicSettings())
    return marked & PixelFlag.COSMIC > 0


def theirs(image: CcdImage, flags) -> np.ndarray:
    first = image.amplifiers[0]
    mask, _ = astroscrappy.detect_cosmics(
        image.pixels, inmask=flags > 0, gain=first.gain, readnoise=first.read_noise, satlevel=image.saturation
    )
    return mask


def panel(pixels, found, truth, at) -> np.ndarray:
    """Draw a square: from 3 times its noise below its sky to 15 times above, with marks where they are told."""
    part = np.s_[at[0] : at[0] + SIDE, at[1] : at[1] + SIDE]
    light = pixels[part]
    sky = np.median(light)
    noise = 1.4826 * np.median(np.abs(light - sky))
    grey = np.clip((light - sky + 3 * noise) / (18 * noise), 0, 1) * 255
    canvas = np.repeat(np.rint(grey)[..., None], 3, axis=2)
    if found is not None:
        marks, true = found[part], found[part] if truth is None else truth[part]
        canvas[marks & true], canvas[marks & ~true], canvas[true & ~marks] = FOUND, ALSO, MISSED
    shown = np.zeros((SIDE, SIDE, 3), np.uint8)
    shown[: light.shape[0], : light.shape[1]] = canvas
    return np.kron(shown[::-1], np.ones((ZOOM, ZOOM, 1), np.uint8))


def main(into: Path) -> None:
    image = real()
    none = np.zeros(image.pixels.shape, np.int16)
    painted = paint(0.7, 91, rows=1024)
    places = np.argwhere(painted.truth)
    counts = [((np.abs(places - (y + SIDE / 2, x + SIDE / 2)) < SIDE / 2).all(axis=1).sum(), y, x)
              for y in range(0, 760, 50) for x in range(0, 1780, 50)]  # fmt: skip
    at = max(counts)[1:]
    rows = [
        [(image.pixels, None, None, (0, 0)), (image.pixels, ours(image, none), None, (0, 0)),
         (image.pixels, theirs(image, none), None, (0, 0))],
        [(painted.image.pixels, None, None, at),
         (painted.image.pixels, ours(painted.image, painted.flags), painted.truth, at),
         (painted.image.pixels, theirs(painted.image, painted.flags), painted.truth, at)],
    ]  # fmt: skip
    side = SIDE * ZOOM
    canvas = np.full((2 * side + GAP, 3 * side + 2 * GAP, 3), 255, np.uint8)
    for j, row in enumerate(rows):
        for i, each in enumerate(row):
            canvas[j * (side + GAP) : j * (side + GAP) + side, i * (side + GAP) : i * (side + GAP) + side] = panel(
                *each
            )
    Image.fromarray(canvas, "RGB").quantize(128).save(into / "cosmics.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
