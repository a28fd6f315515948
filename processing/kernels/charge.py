"""Loops over the charge of a CCD: response, sky, fringes, ghosts, dark current, and wells that overflow."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit
from processing.kernels.noise import fill_grain

Array = NDArray[Any]


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
def respond(
    optics: Array, grain: float, key: np.uint64, boundary: int, share_a: float, share_b: float, flat: Array
) -> None:
    """Fill `flat` with the smooth response times a grain of `grain` rms from pixel to pixel.

    Columns before `boundary` are multiplied by `share_a`, the others by `share_b`: the amplifiers' gains differ.
    """  # fmt: skip
    height, width = flat.shape
    deviates = np.empty(width, np.float32)
    for j in range(height):
        if grain > 0.0:
            fill_grain(key, j, deviates)
        else:
            deviates[:] = 0.0
        for i in range(width):
            share = share_a if i < boundary else share_b
            flat[j, i] = response_at(i, j, optics) * (1.0 + grain * deviates[i]) * share


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


@njit(cache=True, nogil=True)
def fill_sky(level: float, glow: float, slope_u: float, slope_v: float, optics: Array, light: Array) -> None:
    """Fill `light` with a sky of `level`, brighter by the share `glow` in the middle than in the corner.

    `slope_u` and `slope_v` are the shares by which it grows from the axis to the corner along x and y of the mosaic.
    """
    height, width = light.shape
    for j in range(height):
        v = optics[2] + optics[3] * j
        for i in range(width):
            u = optics[0] + optics[1] * i
            light[j, i] = level * (1.0 + glow * (0.5 - u * u - v * v) + slope_u * u + slope_v * v)


@njit(cache=True, nogil=True)
def fill_fringes(phases: Array, fringes: Array) -> None:
    """Fill `fringes` (mean near 0, from -1 to 1) with the interference in a layer whose thickness varies.

    `phases` holds two layers, each constant, x, y, x*x, x*y, y*y, then amplitude, wave number and phase of a ripple
    along x and of one along y; x and y run from 0 to 1 over the CCD and phases are in radians. Along a row both
    phases advance by small steps, so that their cosines follow from the addition theorem.
    """
    height, width = fringes.shape
    ripple_x = np.empty((2, width))
    for layer in range(2):
        p = phases[layer]
        for i in range(width):
            x = i / width
            ripple_x[layer, i] = p[1] * x + p[3] * x * x + p[6] * math.sin(p[7] * x + p[8])
    cosine, sine = np.cos(ripple_x), np.sin(ripple_x)
    for j in range(height):
        y = j / height
        for layer in range(2):
            p = phases[layer]
            start = p[0] + p[2] * y + p[5] * y * y + p[9] * math.sin(p[10] * y + p[11])
            step = p[4] * y / width
            c, s = math.cos(start), math.sin(start)
            turn_c, turn_s = math.cos(step), math.sin(step)
            weight = 0.6 if layer == 0 else 0.4
            for i in range(width):
                value = weight * (cosine[layer, i] * c - sine[layer, i] * s)
                if layer == 0:
                    fringes[j, i] = value
                else:
                    fringes[j, i] += value
                c, s = c * turn_c - s * turn_s, s * turn_c + c * turn_s


@njit(cache=True, nogil=True)
def add_rings(light: Array, x: Array, y: Array, radius: Array, inner: Array, flux: Array) -> None:
    """Add ghosts: evenly lit rings of outer `radius` pixels, dark inside the share `inner` of it, with `flux` each.

    The rim is one pixel soft; what falls beside the CCD is lost.
    """
    height, width = light.shape
    for k in range(x.size):
        area = math.pi * radius[k] * radius[k] * (1.0 - inner[k] * inner[k])
        level = flux[k] / area
        hole = inner[k] * radius[k]
        for j in range(max(int(y[k] - radius[k] - 1), 0), min(int(y[k] + radius[k]) + 2, height)):
            for i in range(max(int(x[k] - radius[k] - 1), 0), min(int(x[k] + radius[k]) + 2, width)):
                distance = math.sqrt((i - x[k]) ** 2 + (j - y[k]) ** 2)
                cover = min(max(radius[k] - distance + 0.5, 0.0), 1.0)
                if hole > 0.0:
                    cover -= min(max(hole - distance + 0.5, 0.0), 1.0)
                light[j, i] += level * cover


@njit(cache=True, nogil=True)
def collect(light: Array, flat: Array, boundary: int, share_a: float, share_b: float, dark: float) -> None:
    """Turn `light` (electrons of a perfect CCD) in place into charge: times the response that `flat` tells, and dark.

    `flat` has the gains of the amplifiers in it, `share_a` and `share_b` times the response; a pixel whose flat is 0
    gets its dark current only.
    """
    height, width = light.shape
    for j in range(height):
        for i in range(boundary):
            light[j, i] = light[j, i] * flat[j, i] / share_a + dark
        for i in range(boundary, width):
            light[j, i] = light[j, i] * flat[j, i] / share_b + dark


@njit(cache=True, nogil=True)
def bleed(charge: Array, well: float) -> tuple[int, float]:  # noqa: C901  two passes in one loop over columns
    """Let what is above `well` flow along its column, half of it up and half of it down (two passes).

    Returns
    -------
    count : int
        Pixels that are full at the end.
    lost : float
        Charge that reached an end of its column and left the CCD; the rest is conserved.
    """
    height, width = charge.shape
    over = np.zeros(width, np.bool_)
    for j in range(height):
        for i in range(width):
            if charge[j, i] > well:
                over[i] = True
    count, lost = 0, 0.0
    down = np.zeros(height)
    for i in range(width):
        if not over[i]:
            continue
        flowing = 0.0
        for j in range(height):
            value = float(charge[j, i])
            down[j] = 0.0
            if value > well:
                down[j] = 0.5 * (value - well)
                flowing += down[j]
                charge[j, i] = well
            elif flowing > 0.0:
                taken = min(well - value, flowing)
                charge[j, i] = value + taken
                flowing -= taken
        lost += flowing
        flowing = 0.0
        for j in range(height - 1, -1, -1):
            if flowing > 0.0:
                taken = min(well - charge[j, i], flowing)
                charge[j, i] += taken
                flowing -= taken
            flowing += down[j]
            if charge[j, i] >= 0.9999 * well:
                count += 1
        lost += flowing
    return count, lost


@njit(cache=True, nogil=True)
def add_scaled(light: Array, pattern: Array, scale: float) -> None:
    """Add `scale` times `pattern` to `light`."""
    height, width = light.shape
    for j in range(height):
        for i in range(width):
            light[j, i] += scale * pattern[j, i]
