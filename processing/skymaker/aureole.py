"""Light scattered far from a source, and what is left of its wings where they are too faint to be painted one by one.

The aureole falls as the square of the distance (King 1971, PASP 83, 199), to a radius where SkyMaker lets it end.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from processing.kernels.render import deposit

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
CELL = 8
"""Pixels along a side of a cell of the coarse map."""
SOFT_FROM = 0.81
"""Share of the square of the radius from which the aureole fades to nothing at the radius (SkyMaker)."""


def scattered(share: float, radius: int, half: int) -> Floats:
    """Aureole of a source.

    Parameters
    ----------
    share : float
        Light of the pixel at distance 1, before softening.
    radius : int
        Pixels at which it ends.
    half : int
        Pixels from the centre of the result to its edges.

    Returns
    -------
    light : (2 * half + 1, 2 * half + 1) float64; shares of the source's light, the centre holds what is not scattered
    """
    reach = max(radius, half)
    axis = np.arange(-reach, reach + 1, dtype=np.float64)
    square = axis[:, np.newaxis] ** 2 + axis**2
    square[reach, reach] = 1.0
    fade = np.clip((radius**2 - square) / ((1.0 - SOFT_FROM) * radius**2), 0.0, 1.0)
    for softening in range(10):
        light = share * fade / (square + softening**2)
        light[reach, reach] = 0.0
        total = float(light.sum())
        if total <= 1.0:
            light[reach, reach] = 1.0 - total
            return light[reach - half : reach + half + 1, reach - half : reach + half + 1]
    raise ValueError(f"an aureole of {share:.3g} of the light at 1 pixel scatters more light than there is")


def with_aureole(phases: Images, aureole: Floats, threads: int = 1) -> Images:
    """Scatter the light of every phase of a component: `phases` (samples, samples, n, n), `aureole` (n, n).

    What the wings scatter farther than n / 2 pixels is left out: less than 1e-6 of the light a pixel.
    """
    side = phases.shape[2]
    half = aureole.shape[0] // 2
    size = _smooth_above(side + half)
    room = np.zeros((size, size), np.float32)
    room[: 2 * half + 1, : 2 * half + 1] = aureole
    kernel = np.asarray(np.fft.rfft2(np.roll(room, (-half, -half), axis=(0, 1))), np.complex64)
    scattered_ = np.empty_like(phases)

    def scatter(b: int) -> None:
        spectra = np.fft.rfft2(phases[b], (size, size))
        spectra *= kernel
        scattered_[b] = np.fft.irfft2(spectra, (size, size))[:, :side, :side]

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for _ in pool.map(scatter, range(phases.shape[0])):
            pass
    return scattered_


def _smooth_above(size: int) -> int:
    """Smallest number from `size` on without prime factors above 5, even."""
    while True:
        rest = size
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1 and size % 2 == 0:
            return size
        size += 1


class FarLight:
    """Wings of sources beyond the radius within which each was painted, on a map of coarse cells.

    Sources of one radius share a map; each map is convolved with the wings beyond that radius.
    """

    def __init__(self, shape: tuple[int, int], wings: Floats) -> None:
        """Make empty maps for an image of `shape`; `wings` (2 h + 1, 2 h + 1) is the image of a source by pixels."""
        self._wings = wings
        self.margin = (wings.shape[0] // 2) // CELL + 2
        """Cells around the image."""
        self._size = tuple(_smooth_above(-(-side // CELL) + 2 * self.margin) for side in shape)
        self._maps: dict[int, Images] = {}

    def add(self, x: Floats, y: Floats, flux: Floats, reach: NDArray[np.int64]) -> None:
        """Take note of sources that were painted within `reach` pixels."""
        for radius in np.unique(reach):
            chosen = reach == radius
            coarse = self._maps.setdefault(int(radius), np.zeros(self._size, np.float32))
            deposit(coarse, x[chosen], y[chosen], flux[chosen], float(CELL), self.margin)

    def coarse(self, each: Callable[[Callable[[int], None], Iterable[int]], None]) -> Images | None:
        """Wings of all sources on the map of cells, a pixel's share of each; None where there are none.

        `each` does a work for all of some items, in whatever order.
        """
        if not self._maps:
            return None
        radii = sorted(self._maps)
        spectra: dict[int, NDArray[np.complex128]] = {}

        def spread(radius: int) -> None:
            spectra[radius] = np.fft.rfft2(self._maps[radius]) * np.fft.rfft2(self._kernel(radius), self._size)

        each(spread, radii)
        total = np.zeros((self._size[0], self._size[1] // 2 + 1), np.complex128)
        for radius in radii:
            total += spectra[radius]
        coarse = np.fft.irfft2(total, self._size)
        shift = self._kernel_half
        moved: Images = np.roll(coarse / CELL**2, (-shift, -shift), axis=(0, 1)).astype(np.float32)
        return moved

    @property
    def _kernel_half(self) -> int:
        return int(self._wings.shape[0] // 2 // CELL + 1)

    def _kernel(self, radius: int) -> Floats:
        """Wings beyond `radius`, summed over cells."""
        half = self._wings.shape[0] // 2
        axis = np.arange(-half, half + 1)
        beyond = np.where(axis[:, np.newaxis] ** 2 + axis**2 > radius**2, self._wings, 0.0)
        cells = 2 * self._kernel_half + 1
        room = np.zeros((cells * CELL, cells * CELL))
        first = cells * CELL // 2 - half
        room[first : first + beyond.shape[0], first : first + beyond.shape[0]] = beyond
        summed = room.reshape(cells, CELL, cells, CELL).sum(axis=(1, 3))
        symmetric: Floats = 0.5 * (summed + summed[::-1, ::-1])
        return symmetric


def share_at_one_pixel(surface_brightness: float) -> float:
    """Share of the light in the pixel at 1 pixel, from mag per square arcsec at 1 arcmin of a star of magnitude 0."""
    return 3600.0 * math.pow(10.0, -0.4 * surface_brightness)
