"""A small mosaic of three CCDs with every kind of defect in it, and the truth about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.defects.columns import Lasting, write_hot
from processing.mosaic import assemble, hdu_bytes, primary_bytes

SHAPE = (1160, 1100)
X0, X1, Y0, Y1 = 30, 1070, 0, 1140
"""Illuminated part."""
FULL = 60000.0
SKY, GAIN, READ_NOISE = 1000.0, 1.5, 4.0
HOT_COLUMN = 517
GAP = 20
"""Columns of the mosaic between two CCDs."""


@dataclass(frozen=True)
class Painted:
    frame: Path
    flat: Path
    mask: Path
    hot: Path
    regions: Path
    pixels: list[NDArray[np.int32]]
    rays: list[NDArray[np.bool_]]
    """Pixels hit by cosmic rays."""
    trail: list[NDArray[np.bool_]]
    """Pixels within one of the middle of the satellite's trail."""


def paint(directory: Path, photometry: dict[str, float] | None = None) -> Painted:
    """Write the frame: saturated stars that bleed, cosmic rays, a trail over all CCDs, and half a dead CCD.

    `photometry` is told in its primary header.
    """
    chance = np.random.default_rng(2003)
    lines, columns = np.indices(SHAPE)
    pixels, rays, trail, flats, masks = [], [], [], [], []
    for ccd in range(3):
        light = np.full(SHAPE, SKY)
        for x, y, peak in zip(
            chance.uniform(X0, X1, 120), chance.uniform(Y0, Y1, 120), 10 ** chance.uniform(2.5, 4.3, 120), strict=True
        ):
            part = np.s_[max(int(y) - 40, 0) : int(y) + 41, max(int(x) - 40, 0) : int(x) + 41]
            light[part] += _star(columns[part] - x, lines[part] - y, peak)
        if ccd == 1:
            light += _star(columns - 350.0, lines - 800.0, 6e7)
            light[650:960, 349:352] = FULL + 1
        across = columns - X0 + ccd * (X1 - X0 + GAP)
        beside = (lines - 200.0 - 0.2 * across) / np.hypot(1.0, 0.2)
        light += 150.0 * np.exp(-0.5 * (beside / 2.0) ** 2)
        counts = chance.poisson(np.maximum(light, 0) * GAIN) / GAIN + chance.normal(0, READ_NOISE / GAIN, SHAPE)
        hit = np.zeros(SHAPE, np.bool_)
        hit[chance.integers(Y0 + 10, Y1 - 10, 60), chance.integers(X0 + 10, X1 - 10, 60)] = True
        counts[hit] += 3000.0
        if ccd == 2:
            counts[:, (X0 + X1) // 2 :] = 200.0
            hit[:, (X0 + X1) // 2 :] = False
        pixels.append(np.minimum(counts, FULL).astype(np.int32))
        inside = (columns >= X0) & (columns < X1) & (lines >= Y0) & (lines < Y1)
        rays.append(hit)
        trail.append((np.abs(beside) < 1) & inside)
        flat = np.round(chance.normal(1, 0.01, SHAPE), 3).astype(np.float32)
        flat[300:310, 700:710], flat[320:330, 700:710] = 0.1, 1.5
        flats.append(flat)
        mask = inside.astype(np.int16)
        mask[400:, 900] = 0
        masks.append(mask)
    directory.mkdir(parents=True, exist_ok=True)
    primary = primary_bytes({"NEXTEND": 3, "INSTRUME": "MegaPrime", "RUNID": "08AC14", **(photometry or {})})
    headers = [_header(ccd) for ccd in range(3)]
    files = {
        "979413p.fits.fz": [
            hdu_bytes(p, h, name=f"ccd{n:02d}", bzero=32668) for n, (p, h) in _numbered(pixels, headers)
        ],
        "08Am03.flat.r.36.02.fits.fz": [
            hdu_bytes(f, h, name=f"ccd{n:02d}", quantize=1e-3) for n, (f, h) in _numbered(flats, headers)
        ],
        "2003A.mask.0.36.01.fits.fz": [hdu_bytes(m, h, name=f"ccd{n:02d}") for n, (m, h) in _numbered(masks, headers)],
    }
    frame, flat_file, mask_file = (assemble(directory / name, primary, parts).path for name, parts in files.items())
    good = np.ones(SHAPE, np.uint8)
    good[:, HOT_COLUMN] = 0
    lasting = [Lasting(good if ccd == 0 else np.ones(SHAPE, np.uint8), 5) for ccd in range(3)]
    hot = write_hot(directory / "08AC14.hot.fits.fz", [(f"ccd{n:02d}", e) for n, e in enumerate(lasting)], run="08AC14")
    regions = directory / "979413p.reg"
    regions.write_text("image\ntile 2\nbox(701,101,41,21,0)\n")
    return Painted(frame, flat_file, mask_file, hot.path, regions, pixels, rays, trail)


def _star(x: NDArray[Any], y: NDArray[Any], peak: float) -> NDArray[Any]:
    return peak * (1 + (x**2 + y**2) / 9.0) ** -2.15


def _numbered(*each: Any) -> list[Any]:
    return list(enumerate(zip(*each, strict=True)))


def _header(ccd: int) -> dict[str, Any]:
    middle, left = (X0 + X1) // 2, 1 + ccd * (X1 - X0 + GAP)
    return {
        "EXTVER": ccd, "DATASEC": f"[{X0 + 1}:{X1},{Y0 + 1}:{Y1}]", "DETSEC": f"[{left}:{left + X1 - X0 - 1},1:{Y1}]",
        "DSECA": f"[{X0 + 1}:{middle},{Y0 + 1}:{Y1}]", "DSECB": f"[{middle + 1}:{X1},{Y0 + 1}:{Y1}]",
        "GAINA": GAIN, "GAINB": GAIN, "RDNOISEA": READ_NOISE, "RDNOISEB": READ_NOISE, "SATURATE": FULL,
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 214.9, "CRVAL2": 52.5, "CRPIX1": 500.0, "CRPIX2": 500.0,
        "CD1_1": -5.14e-5, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 5.14e-5,
    }  # fmt: skip
