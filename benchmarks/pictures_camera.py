"""Pictures of the page on SkyMaker's camera: a focal plane, and a part of a CCD beside a real one.

python benchmarks/pictures_camera.py docs/algorithms ../shared/data/mop/cutout-1616687p.fits
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.flags import PixelFlag
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.frame import Shot, processed
from terapix.instruments import load_instrument

BIN = 32
SEED, INDEX = 7, 9
SIDE = 251
"""Pixels of the real cut-out."""


def shot_of(index: int) -> Shot:
    megacam = load_instrument("megacam")
    exposure = exposure_of(INDEX, SEED)
    # the filter, exposure time and programme of the real cut-out
    exposure = replace(exposure, band=replace(exposure_of(0, SEED).band, exptime=287.0), fwhm=0.8)
    return Shot(megacam, megacam.ccds[index], exposure, SEED, 0, FULL.switched("trails.satellites=0.3"))


def small(index: int) -> np.ndarray:
    pixels = processed(shot_of(index))[0][:4608, 32:2080]
    tile = pixels.reshape(4608 // BIN, BIN, -1)[:, :, : 2048 // BIN * BIN].reshape(4608 // BIN, BIN, -1, BIN)
    mean = np.where(tile == 0, np.nan, tile)
    tile = np.nanmean(mean, axis=(1, 3)).astype(np.float32)
    return tile[::-1, ::-1] if load_instrument("megacam").ccds[index].flipped else tile


def focal_plane(target: Path) -> None:
    megacam = load_instrument("megacam")
    canvas = np.full((megacam.mosaic_height // BIN + 1, megacam.mosaic_width // BIN + 1), np.nan, np.float32)
    for ccd in megacam.ccds:
        tile, row, column = small(ccd.index), ccd.row // BIN, ccd.column // BIN
        canvas[row : row + tile.shape[0], column : column + tile.shape[1]] = tile
    sky = np.nanmedian(canvas)
    grey = np.clip(70 + 70 * np.arcsinh((canvas - sky) / (0.006 * sky)) / 2.2, 0, 255)
    image = Image.fromarray(np.where(np.isfinite(canvas), grey, 20).astype(np.uint8)[::-1])
    image.quantize(32).save(target, optimize=True)


def stretched(pixels: np.ndarray) -> np.ndarray:
    """From 3 times the noise below the sky to 15 times above, whatever the level."""
    sky = np.median(pixels)
    noise = 1.4826 * np.median(np.abs(pixels - sky))
    return np.clip((pixels - sky + 3 * noise) / (18 * noise) * 255, 0, 255).astype(np.uint8)


def parts() -> tuple[np.ndarray, np.ndarray]:
    """A part with a saturated star, and one that a satellite crosses."""
    saturated = crossed = None
    for index in range(36):
        pixels, exposed = processed(shot_of(index))
        seen, marks = pixels[:4612, 32:2080], exposed.marks
        for flag in (PixelFlag.SATURATED, PixelFlag.SATELLITE):
            rows, columns = np.nonzero(marks & flag)
            inside = (rows > 300) & (rows < 4300) & (columns > 300) & (columns < 1700)
            if not inside.any() or (flag is PixelFlag.SATURATED and not 60 < inside.sum() < 1500):
                continue
            place = np.flatnonzero(inside)[inside.sum() // 2]
            row, column = rows[place] - SIDE // 2, columns[place] - SIDE // 2
            cut = seen[row : row + SIDE, column : column + SIDE].astype(float)
            if flag is PixelFlag.SATURATED and saturated is None:
                saturated = cut
            elif flag is PixelFlag.SATELLITE and crossed is None and np.count_nonzero(cut == 0) < 500:
                crossed = cut
        if saturated is not None and crossed is not None:
            break
    assert saturated is not None
    assert crossed is not None
    return saturated, crossed


def beside(target: Path, real: Path) -> None:
    panels = [stretched(part) for part in (*parts(), fits.getdata(real).astype(float))]
    gap = np.full((SIDE, 6), 255, np.uint8)
    row = np.hstack([panels[0], gap, panels[1], gap, panels[2]])[::-1]
    image = Image.fromarray(row)
    image.quantize(24).save(target, optimize=True)


if __name__ == "__main__":
    place, cutout = Path(sys.argv[1]), Path(sys.argv[2])
    focal_plane(place / "camera-focal-plane.png")
    beside(place / "camera-beside-real.png", cutout)
