"""Random numbers by counters, and the reading of charge: what a pixel shows depends on its key and its place alone.

SplitMix64 (Steele, Lea & Flood 2014, OOPSLA) mixes a counter; neither threads nor
processes nor the order of work change a bit of what comes out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
S16 = np.uint64(16)
S27 = np.uint64(27)
S30 = np.uint64(30)
S31 = np.uint64(31)
S32 = np.uint64(32)
S48 = np.uint64(48)
LOW = np.uint64(0xFFFFFFFF)
LOW16 = np.uint64(0xFFFF)
UNIT = 1.0 / 4294967296.0
"""Turns 32 random bits into a number from 0 to 1."""
FEW = 25.0
"""Electrons below which photons are counted one by one: above, mean, variance and skewness of Poisson's law are exact
to 1/(18 mean) and what is lost lies under the read noise."""


@njit(cache=True, nogil=True)
def scrambled(word: np.uint64) -> np.uint64:
    """Mix the bits of a 64-bit word (finalizer of SplitMix64)."""
    word = (word ^ (word >> S30)) * FIRST
    word = (word ^ (word >> S27)) * SECOND
    return word ^ (word >> S31)


@njit(cache=True, nogil=True)
def fill_normal(key: np.uint64, row: int, deviates: Array) -> None:
    """Fill `deviates` (of even length) with normal deviates that depend on `key` and `row` only (Box and Muller)."""
    state = scrambled(key ^ scrambled(np.uint64(row) + GOLDEN))
    for k in range(0, deviates.size, 2):
        state = state + GOLDEN
        word = scrambled(state)
        radius = math.sqrt(np.float32(-2.0) * math.log(np.float32((np.float64(word >> S32) + 0.5) * UNIT)))
        angle = np.float32(2.0 * math.pi * UNIT) * np.float32(word & LOW)
        deviates[k] = radius * math.cos(angle)
        deviates[k + 1] = radius * math.sin(angle)


@njit(cache=True, nogil=True)
def fill_grain(key: np.uint64, row: int, deviates: Array) -> None:
    """Fill `deviates` with numbers of mean 0 and rms 1, the sum of four even ones: cheap, and never beyond 3.5."""
    state = scrambled(key ^ scrambled(np.uint64(row) + GOLDEN))
    scale = np.float32(math.sqrt(3.0) / 65536.0)
    for k in range(deviates.size):
        state = state + GOLDEN
        word = scrambled(state)
        total = np.float32((word & LOW16) + ((word >> S16) & LOW16) + ((word >> S32) & LOW16) + (word >> S48))
        deviates[k] = (total - np.float32(131070.0)) * scale


@njit(cache=True, nogil=True)
def poisson_few(mean: float, key: np.uint64, row: int, column: int) -> float:
    """Draw a whole number of Poisson's law by inversion (Devroye 1986, p. 505); for means of some tens at most."""
    place = (np.uint64(row) << S32) | np.uint64(column)
    word = scrambled(scrambled(key + GOLDEN) ^ scrambled(place + SECOND))
    drawn = (np.float64(word >> S32) + 0.5) * UNIT
    share = math.exp(-mean)
    total, count = share, 0
    while drawn > total and count < 200:
        count += 1
        share *= mean / count
        total += share
    return float(count)


@njit(cache=True, nogil=True)
def read_out(
    charge: Array,
    amplifiers: Array,
    boundary: int,
    well: float,
    nonlinearity: float,
    photons: bool,
    key: np.uint64,
    levels: Array,
) -> None:
    """Read `charge` (electrons expected in each pixel) into `levels` (ADU above the bias, float32).

    `amplifiers` holds gain (electrons an ADU) and read noise (electrons) of A, then of B; `boundary` is the first
    column of B. With `photons` the charge fluctuates as Poisson's law has it; pixels at the `well` do not. A pixel
    at the well reads `nonlinearity` (a share) less than its charge, others less in proportion.
    """
    height, width = charge.shape
    deviates = np.empty(width + width % 2, np.float32)
    bend = nonlinearity / well if well > 0.0 else 0.0
    for j in range(height):
        fill_normal(key, j, deviates)
        for i in range(width):
            electrons = charge[j, i]
            b = 0 if i < boundary else 2
            spread = amplifiers[b + 1]
            z = deviates[i]
            if photons and electrons < well:
                if electrons < FEW:
                    if electrons > 0.0:
                        electrons = poisson_few(electrons, key, j, i)
                    electrons += spread * z
                else:
                    variance = electrons + spread * spread
                    electrons += math.sqrt(variance) * z + electrons / (6.0 * variance) * (z * z - 1.0)
            else:
                electrons += spread * z
            levels[j, i] = electrons * (1.0 - bend * electrons) / amplifiers[b]


@njit(cache=True, nogil=True)
def flatten(
    levels: Array,
    flat: Array,
    charge: Array,
    well: float,
    fringes: Array,
    scale: float,
    floor: int,
    ceiling: int,
    pixels: Array,
) -> None:
    """Divide `levels` by `flat`, take off `scale` times `fringes` (if it has pixels) and round to whole ADU.

    What reached the `well`, and what is above `ceiling`, becomes `ceiling`.
    """  # fmt: skip
    height, width = levels.shape
    fringed = fringes.size > 0
    full = 0.9999 * well
    for j in range(height):
        for i in range(width):
            if charge[j, i] >= full:
                pixels[j, i] = ceiling
                continue
            response = flat[j, i]
            value = levels[j, i] / response if response > 0.0 else 0.0
            if fringed:
                value -= scale * fringes[j, i]
            level = math.floor(value + 0.5)
            pixels[j, i] = min(max(level, floor), ceiling)
