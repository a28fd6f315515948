"""From electrons that arrive to levels that are stored: sky, noise, correlation, overflowing wells, microscanning."""

import math
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.kernels.charge import bleed
from processing.kernels.photons import add_noise, to_levels

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
BAND = 128
"""Rows that one thread works on at a time."""


@dataclass(frozen=True, slots=True)
class Detector:
    """What turns electrons into levels."""

    gain: float
    """Electrons an ADU."""
    read_noise: float
    """Electrons rms."""
    well: float
    """Electrons; 0 for wells without bottom."""
    saturation: float
    """ADU at which levels are clipped."""


def in_bands(height: int, threads: int, work: Callable[[int, int], None]) -> None:
    """Call `work(first, last)` for bands of rows."""
    bands: Iterable[tuple[int, int]] = [(j, min(j + BAND, height)) for j in range(0, height, BAND)]
    if threads <= 1:
        for first, last in bands:
            work(first, last)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda band: work(*band), bands):
            pass


def noisy(electrons: Images, rms: Images, *, key: np.uint64, threads: int, least: float = 0.0) -> None:
    """Add photon and read noise to mean `electrons` (ny, nx), in place.

    Parameters
    ----------
    rms : (1, 1) or (ny, nx) float32
        Read noise in electrons.
    least : float
        Read noise at which `electrons` are what was counted; where it is larger, (least / rms)**2 of them were. 0: all
        were counted everywhere.
    """
    in_bands(electrons.shape[0], threads, lambda first, last: add_noise(electrons, rms, least, key, first, last))


def stored(electrons: Images, detector: Detector, first: int, last: int) -> None:
    """Turn rows of electrons, in place, into levels of the byte order of FITS: `electrons.view(">f4")`."""
    to_levels(electrons, detector.gain, detector.saturation, electrons, first, last)
    if sys.byteorder == "little":
        electrons[first:last].byteswap(inplace=True)


def overflow(electrons: Images, well: float) -> None:
    """Let what is above `well` flow along the columns, half of it up and half of it down."""
    if well > 0.0 and float(electrons.max()) > well:
        bleed(electrons, well)


def interpolant(kind: str, scale: float) -> Floats:
    """Weights of an interpolation function, averaged over the pixel, that sum to 1.

    Parameters
    ----------
    kind : NEAREST, BILINEAR, LANCZOS2, LANCZOS3 or LANCZOS4
    scale : float
        Pixels of the image in a pixel of what was interpolated.
    """
    reach = {"NEAREST": 0.5, "BILINEAR": 1.0, "LANCZOS2": 2.0, "LANCZOS3": 3.0, "LANCZOS4": 4.0}[kind]
    half = math.ceil(reach * scale + 0.5)
    fine = 32
    at = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    t = at / scale
    if kind == "NEAREST":
        values = np.ones_like(t)
    elif kind == "BILINEAR":
        values = 1.0 - np.abs(t)
    else:
        values = np.sinc(t) * np.sinc(t / reach)
    weights = np.where(np.abs(t) < reach, values, 0.0).reshape(2 * half + 1, fine).mean(axis=1)
    normed: Floats = weights / weights.sum()
    return normed


def correlated(image: Images, weights: Floats) -> Images:
    """Convolve an image with `weights` along both axes; the edges see their own mirror."""
    half = weights.size // 2
    padded = np.pad(image, half, mode="symmetric")
    height, width = image.shape
    rows = np.zeros((height, padded.shape[1]), np.float32)
    for k, weight in enumerate(weights):
        rows += np.float32(weight) * padded[k : k + height]
    result = np.zeros_like(image)
    for k, weight in enumerate(weights):
        result += np.float32(weight) * rows[:, k : k + width]
    return result
