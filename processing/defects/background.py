"""Level and noise of the sky over a CCD, on a mesh from which sources are clipped."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.image import CcdImage, Flags, Pixels
from processing.kernels import background as kernels

Floats = NDArray[np.float64]
MESH = 128
"""Pixels along the sides of a mesh, about: meshes are equal and fill the CCD."""
STRIDE = 4
"""One row of so many is looked at: a level is then good to 0.02 of the noise, as good as the mesh follows the sky."""
LEAST = 0.1
"""Share of a mesh's pixels that must be usable."""


@dataclass(frozen=True, slots=True)
class Background:
    """Sky of the part of a CCD that saw it, as a mesh of values that a smooth surface joins."""

    inside: Area
    """Part of the CCD that the meshes cover."""
    shape: tuple[int, int]
    """(ny, nx) of the whole CCD."""
    level: Floats
    """(rows, columns) ADU."""
    rms: Floats
    """(rows, columns) ADU, of a pixel; 0 where the meshes show no noise."""
    seen: NDArray[np.bool_]
    """(rows, columns) whether the mesh had pixels of its own; the others are filled from their neighbours."""

    @classmethod
    def of(cls, image: CcdImage, flags: Flags, mesh: int = MESH) -> Self:
        """Measure the sky of a CCD.

        Parameters
        ----------
        image : CcdImage
        flags : (ny, nx) int16; pixels with any bit are left out, as are those that are no number
        mesh : int
            Pixels along the sides of a mesh, about.

        Notes
        -----
        Each mesh is clipped at 3 standard deviations about its median until nothing changes; its level is the mode
        where it is not crowded, else the median (Bertin & Arnouts 1996, A&AS 117, 393). A median over 3 x 3 meshes
        takes out those that a large source fills.
        """
        inside = image.inside
        rows, columns = max(round(inside.height / mesh), 1), max(round(inside.width / mesh), 1)
        level, rms = np.empty((rows, columns)), np.empty((rows, columns))
        edges_x = inside.x0 + inside.width * np.arange(columns + 1) // columns
        edges_y = inside.y0 + inside.height * np.arange(rows + 1) // rows
        kernels.measure(image.pixels, flags, edges_x, edges_y, STRIDE, LEAST, level, rms)
        seen = np.isfinite(level)
        return cls(inside, image.pixels.shape, _smoothed(_filled(level)), _smoothed(_filled(rms)), seen)

    def level_map(self) -> Pixels:
        """(ny, nx) float32, ADU; beside the illuminated part, the surface goes straight on."""
        return self._drawn(self.level)

    def rms_map(self) -> Pixels:
        """(ny, nx) float32, ADU."""
        return self._drawn(self.rms)

    @property
    def typical_level(self) -> float:
        """ADU, median over the meshes."""
        return float(np.median(self.level))

    @property
    def typical_rms(self) -> float:
        """ADU of a pixel, median over the meshes."""
        return float(np.median(self.rms))

    @property
    def knots(self) -> tuple[float, float, float, float]:
        """Pixel of the first row of meshes' middle, pixels between rows, and the same of the columns."""
        step_y, step_x = self.inside.height / self.level.shape[0], self.inside.width / self.level.shape[1]
        return self.inside.y0 + (step_y - 1) / 2, step_y, self.inside.x0 + (step_x - 1) / 2, step_x

    def _drawn(self, knots: Floats) -> Pixels:
        drawn = np.empty(self.shape, np.float32)
        kernels.draw(knots, *self.knots, drawn)
        return drawn


def _filled(values: Floats) -> Floats:
    """Meshes without a value get the mean of their neighbours, from the nearest inwards; all are 0 where none has."""
    filled = values.copy()
    if not np.isfinite(filled).any():
        return np.zeros_like(filled)
    while not np.isfinite(filled).all():
        padded = np.pad(filled, 1, constant_values=math.nan)
        around = _windows(padded)
        known = np.isfinite(around)
        number = known.sum(axis=(2, 3))
        mean = np.where(known, around, 0.0).sum(axis=(2, 3)) / np.maximum(number, 1)
        filled = np.where(np.isfinite(filled), filled, np.where(number > 0, mean, math.nan))
    return filled


def _smoothed(values: Floats) -> Floats:
    """Median of each mesh and its neighbours."""
    around = _windows(np.pad(values, 1, mode="edge"))
    smoothed: Floats = np.median(around, axis=(2, 3))
    return smoothed


def _windows(padded: Floats) -> NDArray[Any]:
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
