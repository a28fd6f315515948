"""See that all kernels that the stage calls are compiled: by letting it work on a picture of a few stars."""

from typing import Final

import numpy as np

from processing.kernel_cache import mark
from processing.recipes import SourcesRecipe
from processing.sextractor.exposure import of_array
from processing.sources.ccd import CcdSources, CcdWork, find_sources

SIDE: Final = 160
"""Pixels of the picture."""
STARS: Final = 6
"""In each direction."""


def warm() -> CcdSources:
    """Find the sources of a small picture; kernels that are in the cache already are loaded from it."""
    chance = np.random.default_rng(2003)
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    pixels = chance.normal(1000.0, 10.0, (SIDE, SIDE)).astype(np.float32)
    step = SIDE / STARS
    for row in range(STARS):
        for column in range(STARS):
            x0, y0 = (column + 0.5) * step + chance.uniform(-2, 2), (row + 0.5) * step + chance.uniform(-2, 2)
            pixels += np.float32(4000.0) * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / np.float32(2 * 1.6**2))
    weight, flags = np.ones((SIDE, SIDE), np.float32), np.zeros((SIDE, SIDE), np.int32)
    weight[:2], flags[:2] = 0.0, 1
    header = {"GAIN": 1.6, "SATURATE": 60000}
    exposure = of_array(pixels, weight=weight, flags=[flags], header=header)
    return find_sources(CcdWork(exposure, SourcesRecipe(), "warm"))


if __name__ == "__main__":
    warm()
    mark("sources")
