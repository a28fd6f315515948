"""Small mosaics with known pixels: a frame, its flat and its mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.defects.settings import SaturationSettings
from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes

SHAPE = (100, 90)
SATURATION = 60000
STEP = 1e-3

PLAIN: dict[str, Any] = {
    "saturation": SaturationSettings(margin=0, plateau=1.0, trails=False),
    **{name: {"on": False} for name in ("edges", "dead", "cosmics", "stars", "trails")},
}
"""Values of a recipe that finds saturation alone, by the header's level, in mosaics too small or even for all else."""


@dataclass(frozen=True)
class Mosaics:
    """Files, and the pixels in them by CCD."""

    frame: Path
    flat: Path
    mask: Path
    pixels: list[NDArray[np.int32]]
    response: list[NDArray[np.float32]]
    """As the file gives it back: rounded to whole steps."""
    good: list[NDArray[np.int16]]


def ccd_header(index: int, shape: tuple[int, int] = SHAPE) -> dict[str, Any]:
    """Header of a CCD whose columns 5 to 84 and rows 0 to 89 are illuminated; the first ones are flipped."""
    ny, nx = shape
    left, low = 1 + index * (nx - 5), 1
    xs, ys = (left, left + nx - 11), (low, low + ny - 11)
    section = f"[{xs[1]}:{xs[0]},{ys[1]}:{ys[0]}]" if index < 1 else f"[{xs[0]}:{xs[1]},{ys[0]}:{ys[1]}]"
    return {
        "EXTVER": index, "DATASEC": f"[6:{nx - 5},1:{ny - 10}]", "DETSEC": section, "SATURATE": SATURATION,
        "CRVAL1": (132.43, "degrees"), "CD1_1": 5.12e-05, "CTYPE1": "RA---TAN", "GAIN": 1.6,
    }  # fmt: skip


def make_mosaics(
    directory: Path, *, ccds: int = 3, seed: int = 1, shape: tuple[int, int] = SHAPE, name: str = "979412p"
) -> Mosaics:
    """Write a frame with saturated pixels, a flat with dead and hot ones and no numbers, and a mask."""
    chance = np.random.default_rng(seed)
    directory.mkdir(parents=True, exist_ok=True)
    pixels, response, good = [], [], []
    for _ in range(ccds):
        sky = chance.normal(1000, 30, shape)
        sky[chance.random(shape) < 0.002] = 65000
        sky[:, 40] = np.where(np.arange(shape[0]) < 30, 65000, sky[:, 40])
        flat = chance.normal(1, 0.1, shape)
        flat[chance.random(shape) < 0.02] = 0.1
        flat[chance.random(shape) < 0.02] = 2
        flat[chance.random(shape) < 0.01] = np.nan
        pixels.append(sky.astype(np.int32))
        response.append((np.floor(flat.astype(np.float32) * np.float64(1000) + 0.5) * STEP).astype(np.float32))
        good.append((chance.random(shape) > 0.05).astype(np.int16))
    primary = primary_bytes({"NEXTEND": ccds, "RUNID": "08AC14", "OBJECT": "field"})
    headers = [ccd_header(index, shape) for index in range(ccds)]
    names = [f"ccd{index:02d}" for index in range(ccds)]
    every = list(zip(pixels, response, good, headers, names, strict=True))
    files = {
        f"{name}.fits.fz": [hdu_bytes(p, h, name=n, bzero=32668) for p, _, _, h, n in every],
        "08Am03.flat.r.36.02.fits.fz": [hdu_bytes(r, h, name=n, quantize=STEP) for _, r, _, h, n in every],
        "2003A.mask.0.36.01.fits": [
            hdu_bytes(g, h, name=n, compression=Compression.NONE) for _, _, g, h, n in every
        ],
    }  # fmt: skip
    paths = [assemble(directory / file, primary, parts).path for file, parts in files.items()]
    return Mosaics(*paths, pixels=pixels, response=response, good=good)
