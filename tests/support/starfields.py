"""A small weighted frame whose stars are known: its pixels, its weight map and its flag map as files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.mosaic import Compression, assemble, hdu_bytes, primary_bytes

SIDE = 256
SIGMA = 1.7
"""Pixels. Width of the stars: Gaussians, so that their FWHM is known."""
SCALE = 0.186
"""Arcseconds a pixel."""
FLUX = 60_000.0
"""ADU of a star."""


@dataclass(frozen=True)
class StarField:
    """Files of one frame, and where its stars are."""

    frame: Path
    weight: Path
    flag: Path
    places: list[NDArray[np.float64]]
    """(n, 2): x and y from 1, by CCD."""


def make_star_field(directory: Path, *, stars: tuple[int, ...] = (100, 100, 0), name: str = "979412p") -> StarField:
    """Write a frame with so many stars on each CCD; a block of its pixels is saturated, flagged and without weight."""
    chance = np.random.default_rng(12)
    directory.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[1 : SIDE + 1, 1 : SIDE + 1].astype(np.float64)
    parts: dict[str, list[bytes]] = {"frame": [], "weight": [], "flag": []}
    places = []
    for ccd, count in enumerate(stars):
        side = int(np.ceil(np.sqrt(count)))
        step = SIDE / max(side, 1)
        grid = np.array([((k % side + 0.5) * step, (k // side + 0.5) * step) for k in range(count)]).reshape(-1, 2)
        spots = grid + chance.uniform(-3.0, 3.0, grid.shape)
        pixels = chance.normal(800.0, 12.0, (SIDE, SIDE))
        for x0, y0 in spots:
            light = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * SIGMA**2)) / (2 * np.pi * SIGMA**2)
            pixels += FLUX * light
        weight, flag = np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.int16)
        pixels[:12, :12], weight[:12, :12], flag[:12, :12] = 65_000, 0.0, 4
        header: dict[str, Any] = {
            "GAIN": 1.6, "SATURATE": 60_000, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 132.43,
            "CRVAL2": 11.8, "CRPIX1": SIDE / 2, "CRPIX2": SIDE / 2, "CD1_1": -SCALE / 3600, "CD1_2": 0.0,
            "CD2_1": 0.0, "CD2_2": SCALE / 3600,
        }  # fmt: skip
        named = f"ccd{ccd:02d}"
        parts["frame"].append(hdu_bytes(pixels.astype(np.int32), header, name=named, bzero=32668))
        parts["weight"].append(hdu_bytes(weight, header, name=named, quantize=1e-3))
        parts["flag"].append(hdu_bytes(flag, header, name=named, compression=Compression.RICE))
        places.append(spots)
    primary = primary_bytes({"RUNID": "08AC14"})
    endings = {"frame": "", "weight": "_weight", "flag": "_flag"}
    made = {
        kind: assemble(directory / f"{name}{endings[kind]}.fits.fz", primary, hdus).path for kind, hdus in parts.items()
    }
    return StarField(made["frame"], made["weight"], made["flag"], places)
