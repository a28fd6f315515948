"""Painting of points and galaxies through a PSF.

Points are taken from the oversampled PSF by cubic convolution. Galaxies are made in Fourier space, from the transforms
of their profiles and of the PSF, on stamps as large as they are bright.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from processing.kernels.profiles import fill_spectra
from processing.kernels.render import add_coarse, add_points, add_stamps, split_phases
from processing.skymaker.aureole import CELL, FarLight, scattered, with_aureole
from processing.skymaker.profiles import TABLE_LOW, TABLE_STEP, central_brightness, sersic_b, transform_table
from processing.skymaker.psf import Psf

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
Done = TypeVar("Done")
SIDES = (32, 40, 48, 64, 80, 96, 128, 160, 192, 256, 320, 384, 512, 768, 1024, 1536, 2048)
"""Pixels of stamps: products of small primes, which the FFT likes."""
RADII = (12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Pixels within which a source is painted one by one; its light beyond goes to the coarse map."""
BAND = 256
"""Rows that one thread paints at a time."""
BATCH = 1 << 17
"""Samples of the stamps that one thread makes at a time."""
AHEAD = 3
"""Batches of stamps a thread that may wait to be added."""


class Part(NamedTuple):
    """Galaxies whose stamps are made together."""

    side: int
    transfers: NDArray[np.complex64]
    rows: NDArray[np.intp]


class Painter:
    """A PSF made ready for painting."""

    def __init__(self, psf: Psf, shape: tuple[int, int], *, faint: float, threads: int) -> None:
        """Make a PSF ready for an image of `shape`."""
        self._psf = psf
        self._faint = faint
        self._threads = max(threads, 1)
        self._phases, wings, self._rings = prepare(psf, threads)
        self._sharpness = float((self._phases[0, 0, 0].astype(float) ** 2).sum()) / _square_sum(psf)
        self._transfers: dict[tuple[int, int], NDArray[np.complex64]] = psf.prepared.setdefault("transfers", {})
        largest = self._phases.shape[3] // 2 - 2
        self._radii = np.array([radius for radius in RADII if radius < largest] + [largest])
        self._far = FarLight(shape, wings)

    def _each(self, work: Callable[[int], None], items: Iterable[int]) -> None:
        """Do `work` for all items, in as many threads as are wanted."""
        if self._threads == 1:
            for item in items:
                work(item)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            for _ in pool.map(work, items):
                pass

    def _in_bands(self, light: Images, work: Callable[[int, int], None]) -> None:
        """Call `work(first, last)` for bands of rows of an image."""
        height = light.shape[0]
        self._each(lambda first: work(first, min(first + BAND, height)), range(0, height, BAND))

    def mixture(self, x: Floats, y: Floats) -> NDArray[np.float32]:
        """Weights (n, k) of the components of the PSF at places."""
        if self._psf.weigh is None:
            return np.ones((x.size, 1), np.float32)
        weights = self._psf.weigh(x, y)
        ones = np.ones((x.size, self._phases.shape[0] - weights.shape[1]), np.float32)
        return np.concatenate([weights, ones], axis=1)

    def reach(self, flux: Floats) -> NDArray[np.int64]:
        """Radius in pixels within which a point of that flux is painted: beyond, it is fainter than `faint`."""
        share = self._faint / np.maximum(np.abs(flux), 1e-30)
        needed = np.searchsorted(-self._rings, -share)
        found: NDArray[np.int64] = self._radii[np.minimum(np.searchsorted(self._radii, needed), self._radii.size - 1)]
        return found

    def points(self, light: Images, x: Floats, y: Floats, flux: Floats) -> None:
        """Add point sources, within their radii; `finish` adds what lies beyond."""
        reach = self.reach(flux)
        mixture = self.mixture(x, y)
        self._far.add(x, y, flux, reach)

        self._in_bands(
            light, lambda first, last: add_points(light, self._phases, mixture, x, y, flux, reach, first, last)
        )

    def finish(self, light: Images) -> None:
        """Add the light of all sources beyond the radii within which they were painted."""
        coarse = self._far.coarse(self._each)
        if coarse is not None:
            self._in_bands(light, lambda first, last: add_coarse(light, coarse, CELL, self._far.margin, first, last))

    def side_for(self, reach: float) -> int:
        """Pixels of a stamp for something that reaches so far, and the whole PSF around it."""
        half = reach + self._phases.shape[3] // 2
        return next((side for side in SIDES if side >= 2.0 * half), SIDES[-1])

    def galaxies(self, light: Images, columns: Floats, index: Floats) -> Floats:
        """Add galaxies, within stamps; `finish` adds what lies beyond.

        Parameters
        ----------
        light : (ny, nx) float32, changed in place
        columns : (n, 11)
            As `kernels.profiles.fill_spectra` takes them, in pixels of the image.
        index : (n,)
            Sersic indices of the bulges.

        Returns
        -------
        area : (n,) pixels; square of the light over the sum of the squares of the pixels without aureole, to 3 %;
            0 of what is not painted
        """
        area = np.zeros(columns.shape[0])
        reach = self.reach(columns[:, 2])
        sides = self.sides(columns, index, reach)
        self._far.add(columns[:, 0], columns[:, 1], columns[:, 2], reach)
        kinds, rows = np.unique(index, return_inverse=True)
        tables = np.stack([transform_table(float(n)) for n in kinds]) if kinds.size else np.empty((0, 0))
        columns = columns.copy()
        columns[:, 7] = rows
        half = sides // 2
        left, bottom = (np.floor(columns[:, k] + 0.5).astype(np.int64) - half for k in (0, 1))
        seen = (left < light.shape[1]) & (bottom < light.shape[0]) & (left + sides > 0) & (bottom + sides > 0)

        def made(part: Part) -> tuple[Images, Floats]:
            stamps = self._stamps(columns[part.rows], left[part.rows], bottom[part.rows], part, tables)
            squares = np.einsum("kij,kij->k", stamps, stamps, dtype=np.float64)
            return stamps, self._sharpness * columns[part.rows, 2] ** 2 / np.maximum(squares, 1e-300)

        for part, (stamps, areas) in self._in_order(made, self._parts(sides, reach, seen)):
            add_stamps(light, stamps, left[part.rows], bottom[part.rows], 0, light.shape[0])
            area[part.rows] = areas
        return area

    def _parts(self, sides: NDArray[np.int64], reach: NDArray[np.int64], seen: NDArray[np.bool_]) -> Iterator[Part]:
        """Sort those that are seen by the stamps they need."""
        for side, radius in sorted(set(zip(sides[seen].tolist(), reach[seen].tolist(), strict=True))):
            chosen = np.flatnonzero(seen & (sides == side) & (reach == radius))
            batch = max(BATCH // side**2, 1)
            transfers = self.transfer(side, radius)
            for start in range(0, chosen.size, batch):
                yield Part(side, transfers, chosen[start : start + batch])

    def _in_order(self, work: Callable[[Part], Done], parts: Iterable[Part]) -> Iterator[tuple[Part, Done]]:
        """Do `work` for all parts in as many threads as are wanted, a few parts ahead of what is taken."""
        if self._threads == 1:
            yield from ((part, work(part)) for part in parts)
            return
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[tuple[Part, Future[Done]]] = deque()
            for part in parts:
                waiting.append((part, pool.submit(work, part)))
                if len(waiting) > AHEAD * self._threads:
                    first, done = waiting.popleft()
                    yield first, done.result()
            yield from ((part, done.result()) for part, done in waiting)

    def sides(self, columns: Floats, index: Floats, reach: NDArray[np.int64]) -> NDArray[np.int64]:
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
        half = np.hypot(extent, reach) + 2.0
        ladder = np.array(SIDES)
        found: NDArray[np.int64] = ladder[np.minimum(np.searchsorted(ladder, 2.0 * half), ladder.size - 1)]
        return found

    def _stamps(
        self, columns: Floats, left: NDArray[np.int64], bottom: NDArray[np.int64], part: Part, tables: Floats
    ) -> Images:
        """Images (count, side, side) of galaxies."""
        local = columns.copy()
        local[:, 0] -= left
        local[:, 1] -= bottom
        mixture = self.mixture(columns[:, 0], columns[:, 1])
        spectra = np.empty((columns.shape[0], part.side, part.side // 2 + 1), np.complex64)
        fill_spectra(local, tables, TABLE_LOW, TABLE_STEP, part.transfers, mixture, spectra)
        return np.asarray(np.fft.irfft2(spectra, (part.side, part.side)), np.float32)

    def transfer(self, side: int, radius: int) -> NDArray[np.complex64]:
        """Transforms (k, side, side // 2 + 1) of the components within `radius`, by pixels, wrapped into `side`."""
        key = side, radius
        if key not in self._transfers:
            middle = self._phases.shape[3] // 2
            half = min(middle, radius) if 2 * radius < side else middle
            axis = np.arange(-half, half + 1)
            within = axis[:, np.newaxis] ** 2 + axis**2 <= radius**2
            kept = slice(middle - half, middle + half + 1)
            image = self._phases[:, 0, 0, kept, kept].astype(np.float64) * within * self._psf.oversampling**2
            rows = np.fft.rfft(wrap(image, side, 2))
            self._transfers[key] = np.fft.fft(wrap(rows, side, 1), axis=1).astype(np.complex64)
        return self._transfers[key]


def wrap(images: NDArray[Any], side: int, axis: int) -> NDArray[Any]:
    """Wrap an axis of odd length into `side` samples, the middle to the first."""
    length = images.shape[axis]
    before: tuple[Any, ...] = (slice(None),) * axis
    wrapped = np.zeros((*images.shape[:axis], side, *images.shape[axis + 1 :]), images.dtype)
    for first in range(0, length, side):
        at = np.arange(first, min(first + side, length))
        wrapped[*before, (at - length // 2) % side] += images[*before, at]
    return wrapped


def prepare(psf: Psf, threads: int = 1) -> tuple[Images, Floats, Floats]:
    """Phases, wings and rings of a PSF, reckoned once."""
    if "phases" not in psf.prepared:
        phases, wings = phases_of(psf, threads)
        psf.prepared["phases"] = phases, wings, rings_of(phases)
    found: tuple[Images, Floats, Floats] = psf.prepared["phases"]
    return found


def phases_of(psf: Psf, threads: int = 1) -> tuple[Images, Floats]:
    """Components of the PSF sorted by phase within a pixel, and the whole image of a source by pixels.

    The aureole is part of a single component; beside several it is a component of its own, with weight 1.

    Returns
    -------
    phases : (k, samples, samples, n, n) float32
    wings : (2 h + 1, 2 h + 1) float64, shares of the light, aureole included, as far as there is any
    """
    samples = psf.oversampling
    half = psf.components.shape[1] // 2 // samples + 2
    count = psf.components.shape[0]
    several = psf.weigh is not None and psf.aureole > 0.0
    phases = np.empty((count + several, samples, samples, 2 * half + 1, 2 * half + 1), np.float32)
    for component, sorted_ in zip(psf.components, phases[:count], strict=True):
        split_phases(component, samples, sorted_)
    mean = np.empty(phases.shape[1:], np.float32)
    split_phases(psf.mean, samples, mean)
    if psf.aureole == 0.0:
        return phases, mean[0, 0].astype(np.float64) * samples**2
    far = max(half, psf.aureole_radius)
    aureole = scattered(psf.aureole, psf.aureole_radius, far)
    kept = aureole[far, far]
    near = aureole[far - half : far + half + 1, far - half : far + half + 1]
    if several:
        near = near.copy()
        near[near.shape[0] // 2, near.shape[0] // 2] = 0.0
        phases[:count] *= np.float32(kept)
        phases[count] = with_aureole(mean, near, threads)
        sampled = mean[0, 0] * kept + phases[count, 0, 0]
    else:
        phases[0] = with_aureole(mean, near, threads)
        sampled = phases[0, 0, 0]
    wings = aureole.copy()
    wings[far - half : far + half + 1, far - half : far + half + 1] = sampled * float(samples**2)
    return phases, wings


def _square_sum(psf: Psf) -> float:
    """Sum of the squares of the first component, by pixels, before the aureole."""
    samples = psf.oversampling
    first = psf.components.shape[1] // 2 % samples
    return float((psf.components[0, first::samples, first::samples].astype(float) ** 2).sum())


def rings_of(phases: Images) -> Floats:
    """Largest share of the light that a pixel at each distance, or farther, gets."""
    sampled = np.abs(phases[:, 0, 0]).max(axis=0) * phases.shape[1] ** 2
    half = sampled.shape[0] // 2
    axis = np.arange(-half, half + 1)
    distance = np.hypot(axis[:, np.newaxis], axis).astype(np.int64)
    rings = np.zeros(distance.max() + 1)
    np.maximum.at(rings, distance, sampled)
    return np.maximum.accumulate(rings[::-1])[::-1]
