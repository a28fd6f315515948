"""The PSF of one image as the measures take it: terms of a polynomial of columns, and the same slightly wider.

SPREAD_MODEL compares the PSF with what it becomes behind a round exponential disc of FWHM / 16 scale length (Desai et
al. 2012, ApJ 757, 83; Bouy et al. 2013, A&A 554, A101).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NARROW = 16.0
"""FWHM over the scale length of the disc."""
_FINE = 31
"""Parts of a sample's side over which the disc is averaged."""
_REACH = 12.0
"""Scale lengths to which the disc goes; 7e-5 of its light lies beyond."""


@dataclass(frozen=True, slots=True, eq=False)
class PointSpread:
    """The PSF over one image."""

    images: Floats = field(repr=False)
    """(terms, ny, nx)."""
    wider: Floats = field(repr=False)
    """The same, convolved with the disc."""
    step: float
    """Image pixels from one sample to the next."""
    fwhm: float
    """Image pixels."""
    contexts: tuple[str, ...] = ()
    """Columns of which the PSF is a polynomial."""
    zeros: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    powers: tuple[tuple[int, ...], ...] = ((),)
    """Of each term."""

    @property
    def blank(self) -> bool:
        """Whether nothing is known of the PSF: nothing can be fitted."""
        return not self.images.any()

    def basis(self, table: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> Floats:
        """What each term counts at each source, (rows, terms)."""
        made = np.ones((len(rows), len(self.powers)))
        for axis, (name, zero, scale) in enumerate(zip(self.contexts, self.zeros, self.scales, strict=True)):
            scaled = (table[name][rows].astype(np.float64) - zero) / scale
            for term, powers in enumerate(self.powers):
                made[:, term] *= scaled ** powers[axis]
        return made


NOTHING = PointSpread(np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), 1.0, 0.0)
"""Stands for the PSF of an image without stars."""


def disc(scale: float) -> Floats:
    """Return a round exponential disc of `scale` samples, averaged over each sample; its sum is 1."""
    reach = int(np.ceil(_REACH * scale)) + 1
    places = (np.arange((2 * reach + 1) * _FINE) - (reach * _FINE + _FINE // 2)) / _FINE
    light = np.exp(-np.hypot(places, places[:, None]) / scale)
    side = 2 * reach + 1
    light = light.reshape(side, _FINE, side, _FINE).sum(axis=(1, 3))
    made: Floats = light / light.sum()
    return made


def widened(images: Floats, scale: float) -> Floats:
    """Return images, (n, ny, nx), convolved with the disc of `scale` samples; light that leaves them is lost."""
    kernel = disc(scale)
    reach = len(kernel) // 2
    height, width = images.shape[1:]
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    made = np.zeros_like(images)
    for j, line in enumerate(kernel):
        for i, weight in enumerate(line):
            made += weight * padded[:, j : j + height, i : i + width]
    return made
