"""Draw a mask with the polygons that stand for it: docs/algorithms/regions.png."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from processing.regions.outlines import polygons_of

SHAPE = (110, 250)
SCALE = 6
SHADES = {"column": (120, 150, 90), "trail": (110, 140, 190), "halo": (190, 140, 90), "cosmics": (170, 110, 170)}


def masks() -> dict[str, np.ndarray]:
    """A hot column, a trail, a halo round a star that is masked by itself, and cosmic rays."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    chance = np.random.default_rng(1)
    distance = np.hypot(x - 185, y - 52)
    cosmics = np.zeros(SHAPE, np.bool_)
    for x0, y0, slope, length in zip(
        chance.integers(5, 240, 14), chance.integers(5, 100, 14), chance.normal(0, 1, 14), chance.integers(1, 12, 14),
        strict=True,
    ):  # fmt: skip
        steps = np.arange(length)
        rows, columns = np.rint(y0 + slope * steps).astype(int), np.minimum(x0 + steps, SHAPE[1] - 1)
        cosmics[np.clip(rows, 0, SHAPE[0] - 1), columns] = True
    return {
        "column": (x >= 40) & (x < 42) & (y > 25),
        "trail": abs(y - 0.31 * x - 8) < 2.5,
        "halo": (distance < 38) & (distance > 14),
        "cosmics": cosmics,
    }


def main() -> None:
    found = masks()
    canvas = np.full((*SHAPE, 3), 250, np.uint8)
    for name, mask in found.items():
        canvas[mask] = SHADES[name]
    image = Image.fromarray(canvas).resize((SHAPE[1] * SCALE, SHAPE[0] * SCALE), Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(image)
    for mask in found.values():
        for corners in polygons_of(mask):
            places = [(float((x + 0.5) * SCALE), float((y + 0.5) * SCALE)) for x, y in corners]
            pen.line([*places, places[0]], fill=(20, 20, 20), width=1)
            for x, y in places:
                pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(200, 30, 30))
    target = Path(__file__).resolve().parents[1] / "docs/algorithms/regions.png"
    image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(target, optimize=True)


if __name__ == "__main__":
    main()
