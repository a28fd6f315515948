"""Loops that paint stars and galaxies of simple profiles on a CCD."""

import math
from typing import Any

from numba import njit
from numpy.typing import NDArray

Array = NDArray[Any]


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
