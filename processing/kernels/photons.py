"""Loops over the electrons of a detector: photon and read noise of each pixel, by counters.

The noise of a pixel depends on the key of the image and on its place only.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.noise import GOLDEN, fill_normal, poisson_few

Array = NDArray[Any]
FEW = 64.0
"""Electrons below which counts are drawn one by one."""


@njit(cache=True, nogil=True)
def add_noise(image: Array, read: Array, least: float, key: np.uint64, first: int, last: int) -> None:
    """Turn mean electrons into noisy ones, in the rows from `first` to `last`.

    `read` is the rms of the read noise in electrons, of one pixel for all or of the whole image; a pixel whose rms is
    no number becomes 0. Of the electrons of a pixel, (least / rms)**2 were counted, the share of the exposures that
    saw it; all of them where `least` is 0. Many electrons are a normal deviate with the skewness of the counts (Cornish
    & Fisher 1938); few are drawn exactly, with the read noise added.
    """
    width = image.shape[1]
    deviates = np.empty(width + width % 2, np.float32)
    single = read.size == 1
    for j in range(first, last):
        fill_normal(key, j, deviates)
        for i in range(width):
            rms = read[0, 0] if single else read[j, i]
            mean = image[j, i]
            if not math.isfinite(rms):
                image[j, i] = 0.0
                continue
            share = np.float32((least / rms) ** 2) if least > 0.0 and rms > 0.0 else np.float32(1.0)
            counted = mean * share
            if counted >= FEW:
                variance = mean / share + rms * rms
                z = deviates[i]
                skew = mean / (share * share) / (6.0 * variance)
                image[j, i] = mean + math.sqrt(variance) * z + skew * (z * z - np.float32(1.0))
            else:
                drawn = poisson_few(counted, key + GOLDEN, j, i) / share if counted > 0.0 else 0.0
                image[j, i] = drawn + rms * deviates[i]


@njit(cache=True, nogil=True)
def to_levels(image: Array, gain: float, ceiling: float, levels: Array, first: int, last: int) -> None:
    """Divide electrons by the gain and clip at `ceiling`, into `levels`, which may be `image`."""
    inverse = np.float32(1.0 / gain)
    top = np.float32(ceiling)
    for j in range(first, last):
        for i in range(image.shape[1]):
            level = np.float32(image[j, i]) * inverse
            levels[j, i] = min(level, top)
