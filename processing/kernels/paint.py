"""Loops that paint a CCD: light on the pixels, charge that overflows, noise, and the detector's own response.

Random numbers come from counters (SplitMix64, Steele, Lea & Flood 2014): the noise of a pixel depends on the key of
its image and on its place, so that neither threads nor processes nor the order of work change a bit.
"""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
S27 = np.uint64(27)
S30 = np.uint64(30)
S31 = np.uint64(31)
S32 = np.uint64(32)
LOW = np.uint64(0xFFFFFFFF)
UNIT = 1.0 / 4294967296.0
"""Turns 32 random bits into a number from 0 to 1."""


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
def add_stars(
    image: Array, x: Array, y: Array, flux: Array, alpha: Array, halo_alpha: float, halo_share: float, faint: float
) -> None:
    """Add Moffat profiles of exponent 3 with a halo of exponent 1.5, each as far as it is brighter than `faint`.

    The profile is taken at pixel centres: with a width of 4 pixels, the sum of the pixels agrees with `flux` to 0.1 %.
    """
    height, width = image.shape
    for k in range(x.size):
        core = flux[k] * (1.0 - halo_share) * 2.0 / (math.pi * alpha[k] * alpha[k])
        halo = flux[k] * halo_share * 0.5 / (math.pi * halo_alpha * halo_alpha)
        reach = 1.0
        if core > faint:
            reach = alpha[k] * math.sqrt((core / faint) ** (1.0 / 3.0) - 1.0)
        if halo > faint:
            reach = max(reach, halo_alpha * math.sqrt((halo / faint) ** (1.0 / 1.5) - 1.0))
        y0, y1 = max(int(y[k] - reach), 0), min(int(y[k] + reach) + 2, height)
        x0, x1 = max(int(x[k] - reach), 0), min(int(x[k] + reach) + 2, width)
        inverse = 1.0 / (alpha[k] * alpha[k])
        halo_inverse = 1.0 / (halo_alpha * halo_alpha)
        shown = halo > 0.1 * faint
        for j in range(y0, y1):
            for i in range(x0, x1):
                square = (i - x[k]) ** 2 + (j - y[k]) ** 2
                step = 1.0 + square * inverse
                light = core / (step * step * step)
                if shown:
                    wide = 1.0 + square * halo_inverse
                    light += halo / (wide * math.sqrt(wide))
                image[j, i] += light


@njit(cache=True, nogil=True)
def add_galaxies(
    image: Array,
    x: Array,
    y: Array,
    flux: Array,
    scale: Array,
    ratio: Array,
    angle: Array,
    bulge: Array,
    softening: float,
    faint: float,
) -> None:
    """Add exponential discs of axis `ratio` with a rounder bulge that carries the share `bulge` of the flux.

    Both are softened by the seeing: the disc falls as exp(-(sqrt(r^2 + s^2) - s) / scale), whose sum is
    2 pi ratio scale (scale + s); the bulge as a Moffat profile of exponent 2.
    """
    height, width = image.shape
    for k in range(x.size):
        disc = flux[k] * (1.0 - bulge[k]) / (2.0 * math.pi * ratio[k] * scale[k] * (scale[k] + softening))
        core = 0.4 * scale[k] + softening
        middle = flux[k] * bulge[k] / (math.pi * core * core)
        reach = 1.0
        if disc > faint:
            reach = scale[k] * math.log(disc / faint) + softening
        if middle > faint:
            reach = max(reach, min(core * math.sqrt(math.sqrt(middle / faint)), 12.0 * scale[k]))
        y0, y1 = max(int(y[k] - reach), 0), min(int(y[k] + reach) + 2, height)
        x0, x1 = max(int(x[k] - reach), 0), min(int(x[k] + reach) + 2, width)
        along, across = math.cos(angle[k]), math.sin(angle[k])
        for j in range(y0, y1):
            for i in range(x0, x1):
                u = (i - x[k]) * along + (j - y[k]) * across
                v = ((j - y[k]) * along - (i - x[k]) * across) / ratio[k]
                radius = math.sqrt(u * u + v * v + softening * softening) - softening
                round_step = 1.0 + ((i - x[k]) ** 2 + (j - y[k]) ** 2) / (core * core)
                image[j, i] += disc * math.exp(-radius / scale[k]) + middle / (round_step * round_step)


@njit(cache=True, nogil=True)
def add_tracks(image: Array, x: Array, y: Array, length: Array, angle: Array, charge: Array) -> None:
    """Add straight tracks of cosmic rays, each with `charge` spread evenly along its `length` in pixels."""
    height, width = image.shape
    for k in range(x.size):
        steps = max(int(2.0 * length[k]), 1)
        for step in range(steps):
            along = length[k] * step / steps
            px = x[k] + along * math.cos(angle[k])
            py = y[k] + along * math.sin(angle[k])
            i, j = math.floor(px), math.floor(py)
            if i < 0 or j < 0 or i + 1 >= width or j + 1 >= height:
                continue
            fx, fy = px - i, py - j
            part = charge[k] / steps
            image[j, i] += part * (1.0 - fx) * (1.0 - fy)
            image[j, i + 1] += part * fx * (1.0 - fy)
            image[j + 1, i] += part * (1.0 - fx) * fy
            image[j + 1, i + 1] += part * fx * fy


@njit(cache=True, nogil=True)
def bleed(image: Array, well: float) -> None:
    """Let what is above `well` flow along its column, half of it up and half of it down; charge may leave the CCD."""
    height, width = image.shape
    up = np.zeros(width)
    down = np.zeros((height, width), np.float32)
    any_down = np.zeros(height, np.bool_)
    for j in range(height):
        for i in range(width):
            value = image[j, i]
            if value > well:
                half = 0.5 * (value - well)
                down[j, i] = half
                any_down[j] = True
                image[j, i] = well
                up[i] += half
            elif up[i] > 0.0:
                room = well - value
                taken = min(room, up[i])
                image[j, i] = value + taken
                up[i] -= taken
    flowing = np.zeros(width)
    carried = False
    for j in range(height - 1, -1, -1):
        if not carried and not any_down[j]:
            continue
        carried = False
        for i in range(width):
            if flowing[i] > 0.0:
                taken = min(well - image[j, i], flowing[i])
                image[j, i] += taken
                flowing[i] -= taken
            flowing[i] += down[j, i]
            if flowing[i] > 0.0:
                carried = True


@njit(cache=True, nogil=True)
def response_at(i: int, j: int, optics: Array) -> float:
    """Smooth response of a pixel: vignetting over the mosaic, times level and slopes of the CCD.

    `optics` holds u0, du, v0, dv (distance from the optical axis in units of the corner's), second and fourth order
    of the vignetting, level, slope along x, slope along y.
    """
    u = optics[0] + optics[1] * i
    v = optics[2] + optics[3] * j
    square = u * u + v * v
    vignetting = 1.0 - square * (optics[4] + optics[5] * square)
    response: float = vignetting * optics[6] * (1.0 + optics[7] * i + optics[8] * j)
    return response


@njit(cache=True, nogil=True)
def expose(
    light: Array,
    optics: Array,
    amplifiers: Array,
    boundary: int,
    key: np.uint64,
    floor: int,
    ceiling: int,
    pixels: Array,
) -> None:
    """Turn `light` (flat-fielded ADU) into noisy whole ADU: photon noise of what the pixel really saw, and read noise.

    `amplifiers` holds gain and read noise of A, then of B; `boundary` is the first column of B.
    Light at or above `ceiling` is saturated and stored as `ceiling`.
    """
    height, width = light.shape
    deviates = np.empty(width + width % 2, np.float32)
    for j in range(height):
        fill_normal(key, j, deviates)
        for i in range(width):
            value = light[j, i]
            if value >= ceiling:
                pixels[j, i] = ceiling
                continue
            b = 0 if i < boundary else 2
            electrons = amplifiers[b] * response_at(i, j, optics)
            noise = math.sqrt(max(value * electrons, 0.0) + amplifiers[b + 1] * amplifiers[b + 1]) / electrons
            level = math.floor(value + noise * deviates[i] + 0.5)
            pixels[j, i] = min(max(level, floor), ceiling)


@njit(cache=True, nogil=True)
def respond(optics: Array, grain: float, key: np.uint64, flat: Array) -> None:
    """Fill `flat` with the smooth response times a grain of `grain` rms from pixel to pixel."""
    height, width = flat.shape
    deviates = np.empty(width + width % 2, np.float32)
    for j in range(height):
        fill_normal(key, j, deviates)
        for i in range(width):
            flat[j, i] = response_at(i, j, optics) * (1.0 + grain * deviates[i])


@njit(cache=True, nogil=True)
def shade_rings(flat: Array, x: Array, y: Array, radius: Array, depth: Array) -> None:
    """Darken the shadows of dust: rings of `radius` pixels, a third as wide, darker by the share `depth`."""
    height, width = flat.shape
    for k in range(x.size):
        for j in range(max(int(y[k] - radius[k]), 0), min(int(y[k] + radius[k]) + 1, height)):
            for i in range(max(int(x[k] - radius[k]), 0), min(int(x[k] + radius[k]) + 1, width)):
                distance = math.sqrt((i - x[k]) ** 2 + (j - y[k]) ** 2) / radius[k]
                if 0.66 < distance < 1.0:
                    flat[j, i] *= 1.0 - depth[k]
