"""Painting of points and galaxies through a PSF.

Points are taken from the oversampled PSF by cubic convolution. Galaxies are made in Fourier space, from the transforms
of their profiles and of the PSF, on stamps as large as they are bright.
"""

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from processing.kernels.profiles import fill_spectra
from processing.kernels.render import add_points, add_stamps, split_phases
from processing.skymaker.profiles import TABLE_LOW, TABLE_STEP, central_brightness, sersic_b, transform_table
from processing.skymaker.psf import Psf

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
SIDES = (32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024, 1536, 2048)
"""Pixels of stamps: products of small primes, which the FFT likes."""
BAND = 256
"""Rows that one thread paints at a time."""
BATCH = 1 << 21
"""Samples of the stamps that are made at a time."""


class Painter:
    """A PSF made ready for painting."""

    def __init__(self, psf: Psf, *, faint: float, threads: int) -> None:
        self._psf = psf
        self._faint = faint
        self._threads = max(threads, 1)
        self._phases = phases_of(psf)
        self._transfers: dict[int, NDArray[np.complex64]] = {}
        self._rings = rings_of(self._phases)

    def _each(self, work: Callable[[int], None], items: Iterable[int]) -> None:
        """Do `work` for all items, in as many threads as are wanted."""
        if self._threads == 1:
            for item in items:
                work(item)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(work, items):
                pass

    def _mixture(self, x: Floats, y: Floats) -> NDArray[np.float32]:
        if self._psf.weigh is None:
            return np.ones((x.size, 1), np.float32)
        return self._psf.weigh(x, y)

    def reach(self, flux: Floats) -> Floats:
        """Radius in pixels beyond which a point of that flux is fainter than `faint`."""
        share = self._faint / np.maximum(np.abs(flux), 1e-30)
        return np.searchsorted(-self._rings, -share).astype(np.float64) + 1.0

    def points(self, light: Images, x: Floats, y: Floats, flux: Floats) -> None:
        """Add point sources."""
        reach = np.maximum(self.reach(flux), 8.0 * self._psf.fwhm)
        mixture = self._mixture(x, y)

        def paint(first: int) -> None:
            last = min(first + BAND, light.shape[0])
            add_points(light, self._phases, mixture, x, y, flux, reach, first, last)

        self._each(paint, range(0, light.shape[0], BAND))

    def galaxies(self, light: Images, columns: Floats, index: Floats) -> None:
        """Add galaxies: `columns` (n, 11) as `kernels.profiles.fill_spectra` takes them, in pixels of the image."""
        sides = self.sides(columns, index)
        kinds, rows = np.unique(index, return_inverse=True)
        tables = np.stack([transform_table(float(n)) for n in kinds]) if kinds.size else np.empty((0, 0))
        columns = columns.copy()
        columns[:, 7] = rows
        half = sides // 2
        left, bottom = (np.floor(columns[:, k] + 0.5).astype(np.int64) - half for k in (0, 1))
        seen = (left < light.shape[1]) & (bottom < light.shape[0]) & (left + sides > 0) & (bottom + sides > 0)
        for side in np.unique(sides[seen]):
            chosen = np.flatnonzero(seen & (sides == side))
            batch = max(BATCH // int(side) ** 2, 1)
            for start in range(0, chosen.size, batch):
                part = chosen[start : start + batch]
                stamps = self._stamps(columns[part], left[part], bottom[part], int(side), tables)
                add_stamps(light, stamps, left[part], bottom[part], 0, light.shape[0])

    def sides(self, columns: Floats, index: Floats) -> NDArray[np.int64]:
        """Pixels of the stamp that each galaxy needs."""
        flux = np.abs(columns[:, 2])
        bulge, disc = flux * columns[:, 3], flux * (1.0 - columns[:, 3])
        kinds, rows = np.unique(index, return_inverse=True)
        centre = np.array([central_brightness(float(n)) for n in kinds])[rows]
        b = np.array([sersic_b(float(n)) for n in kinds])[rows]
        top = bulge * centre / (columns[:, 4] ** 2 * columns[:, 5])
        extent = columns[:, 4] * (np.log(np.maximum(top / self._faint, 1.0)) / b) ** index
        top = disc / (2.0 * math.pi * columns[:, 8] ** 2 * columns[:, 9])
        extent = np.maximum(extent, columns[:, 8] * np.log(np.maximum(top / self._faint, 1.0)))
        half = np.hypot(extent, self.reach(flux)) + 4.0
        ladder = np.array(SIDES)
        found: NDArray[np.int64] = ladder[np.minimum(np.searchsorted(ladder, 2.0 * half), ladder.size - 1)]
        return found

    def _stamps(
        self, columns: Floats, left: NDArray[np.int64], bottom: NDArray[np.int64], side: int, tables: Floats
    ) -> Images:
        """Images (count, side, side) of galaxies."""
        local = columns.copy()
        local[:, 0] -= left
        local[:, 1] -= bottom
        mixture = self._mixture(columns[:, 0], columns[:, 1])
        transfers = self.transfer(side)
        stamps = np.empty((columns.shape[0], side, side), np.float32)

        def make(start: int) -> None:
            part = slice(start, start + step)
            spectra = np.empty((*stamps[part].shape[:2], side // 2 + 1), np.complex64)
            fill_spectra(local[part], tables, TABLE_LOW, TABLE_STEP, transfers, mixture[part], spectra)
            stamps[part] = np.fft.irfft2(spectra, (side, side))

        step = max((1 << 17) // side**2, 1)
        self._each(make, range(0, columns.shape[0], step))
        return stamps

    def transfer(self, side: int) -> NDArray[np.complex64]:
        """Transforms (k, side, side // 2 + 1) of the components, sampled at pixels and wrapped into `side` pixels."""
        if side not in self._transfers:
            sampled = self._phases[:, 0, 0]
            half = sampled.shape[1] // 2
            turns = -(-(2 * half + 1 + side) // side) + 1
            room = np.zeros((sampled.shape[0], turns * side, turns * side), np.float32)
            first = (half // side + 1) * side - half
            room[:, first : first + 2 * half + 1, first : first + 2 * half + 1] = sampled
            wrapped = room.reshape(-1, turns, side, turns, side).sum(axis=(1, 3), dtype=np.float64)
            self._transfers[side] = np.fft.rfft2(wrapped * self._psf.oversampling**2).astype(np.complex64)
        return self._transfers[side]


def phases_of(psf: Psf) -> Images:
    """Components of the PSF sorted by phase within a pixel: (k, samples, samples, n, n) float32."""
    samples = psf.oversampling
    half = psf.components.shape[1] // 2 // samples + 2
    phases = np.empty((psf.components.shape[0], samples, samples, 2 * half + 1, 2 * half + 1), np.float32)
    for component, sorted_ in zip(psf.components, phases, strict=True):
        split_phases(component, samples, sorted_)
    return phases


def rings_of(phases: Images) -> Floats:
    """Largest share of the light that a pixel at each distance, or farther, gets."""
    sampled = np.abs(phases[:, 0, 0]).max(axis=0) * phases.shape[1] ** 2
    half = sampled.shape[0] // 2
    axis = np.arange(-half, half + 1)
    distance = np.hypot(axis[:, np.newaxis], axis).astype(np.int64)
    rings = np.zeros(distance.max() + 1)
    np.maximum.at(rings, distance, sampled)
    return np.maximum.accumulate(rings[::-1])[::-1]
