"""Vectors that a model of the PSF is refined with: what lets it go below the sampling of the image."""

from dataclasses import dataclass
from math import factorial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadCatalogue, NotFits
from processing.psfex.sample import Floats

_REACH = 6
"""Pixels of the model from each other, of which no pixel of a vignette sees both: the width of the kernel."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Images of any kind."""

    vectors: Floats
    """(k, ny, nx)."""
    alone: bool = False
    """Whether the model is made of them alone; else they are added to what the polynomials of pixels give."""

    def __len__(self) -> int:
        return len(self.vectors)

    def seen(self, images: Floats) -> Floats:
        """Return products, (n, k), of `images`, (n, ny, nx), with each vector."""
        products: Floats = images.reshape(len(images), -1) @ self.vectors.reshape(len(self), -1).T
        return products

    def normal(self, weights: Floats, down: Floats, across: Floats) -> Floats:
        """Return the normal equations of each star, (n, elements), with as many elements as `square` expects.

        Parameters
        ----------
        weights : (n, height, width), of pixels of vignettes
        down, across : (n, height, ny), (n, width, nx), which take the model to the vignette
        """
        views = down[:, np.newaxis] @ self.vectors @ across[:, np.newaxis].transpose(0, 1, 3, 2)
        views *= np.sqrt(weights)[:, np.newaxis]
        views = views.reshape(*views.shape[:2], -1)
        # of a matrix times itself half is reckoned
        matrices = views @ views.transpose(0, 2, 1)
        return matrices.reshape(len(weights), -1)

    def square(self, elements: Floats) -> Floats:
        """Return the matrix, (k, k), of sums of what `normal` returns."""
        return elements.reshape(len(self), len(self))


class Pixels(Basis):
    """A vector a pixel, 1 there and 0 elsewhere.

    A kernel is the product of one in y and one in x, and short: of the elements only those of near pixels are reckoned,
    a hundredth of the time (bench_psfex.py).
    """

    __slots__ = ()

    def _box(self) -> tuple[slice, slice, NDArray[np.intp]]:
        """Return rows and columns that hold all pixels, and where in this box they are."""
        chosen = np.asarray(self.vectors.sum(axis=0) > 0.0)
        rows, columns = np.flatnonzero(chosen.any(axis=1)), np.flatnonzero(chosen.any(axis=0))
        down, across = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        return down, across, np.flatnonzero(chosen[down, across])

    def normal(self, weights: Floats, down: Floats, across: Floats) -> Floats:
        """Return the normal equations of each star; see `Basis.normal`."""
        rows, columns, _ = self._box()
        down, across = down[:, :, rows], across[:, :, columns]
        (one, other), (left, right) = _near(down.shape[2], half=True), _near(across.shape[2], half=False)
        upright, level = down[:, :, one] * down[:, :, other], across[:, :, left] * across[:, :, right]
        elements: Floats = upright.transpose(0, 2, 1) @ weights @ level
        return elements.reshape(len(weights), -1)

    def square(self, elements: Floats) -> Floats:
        """Return the matrix, (k, k), of sums of what `normal` returns."""
        rows, columns, places = self._box()
        height, width = rows.stop - rows.start, columns.stop - columns.start
        (one, other), (left, right) = _near(height, half=True), _near(width, half=False)
        found = elements.reshape(len(one), len(left))
        whole = np.zeros((height, width, height, width))
        whole[one[:, np.newaxis], left, other[:, np.newaxis], right] = found
        whole[other[:, np.newaxis], right, one[:, np.newaxis], left] = found
        matrix: Floats = whole.reshape(height * width, -1)[np.ix_(places, places)]
        return matrix


def _near(size: int, *, half: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return pairs of places that one kernel can see both; with `half`, the second is not after the first."""
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    one, other = np.nonzero((np.abs(apart) < _REACH) & ((apart >= 0) | (not half)))
    return one, other


def pixels_of(images: Floats, number: int, seen: tuple[int, int], step: float) -> Pixels:
    """Return a vector a pixel for the pixels of a model that differ most from 0.

    Of them those count that vignettes see and that are in the circle in which the model ends, as in the original.

    Parameters
    ----------
    images : (terms, ny, nx), the first of them being the PSF amid the contexts
    number : pixels are the square of it, or all if they are fewer
    seen : height and width of vignettes, pixels of the image
    step : of the model, pixels of the image
    """
    height, width = images.shape[1:]
    sizes = np.abs(images[0])
    many = min(number * number, sizes.size)
    chosen = sizes >= np.partition(sizes.ravel(), sizes.size - many)[sizes.size - many]
    down, across = np.ogrid[:height, :width]
    down, across = down - height // 2, across - width // 2
    chosen &= down**2 + across**2 < (min(height, width) // 2 + 0.5) ** 2
    far_down, far_across = (int((side - 1) / (2.0 * step)) for side in seen)
    chosen &= (np.abs(down) <= far_down) & (np.abs(across) <= far_across)
    places = np.flatnonzero(chosen)
    vectors = np.zeros((len(places), sizes.size))
    vectors[np.arange(len(places)), places] = 1.0
    return Pixels(vectors.reshape(len(places), height, width))


def gauss_laguerre(shape: tuple[int, int], scale: float, number: int) -> Floats:
    """Return polar shapelets (Massey & Refregier 2005, MNRAS 363, 197) of orders up to `number`.

    The width of the Gaussian is `scale` times √(number + 1) pixels of the model. Each is the mean of 3 by 3 samples a
    pixel. As in the original, those whose Laguerre polynomial is of degree d > 1 have a norm of d^-½, and cosine and
    sine have half the square of a round one's.

    Returns
    -------
    vectors : (k, ny, nx); by order, then by angular number, the cosine before the sine
    """
    vectors = np.zeros(((number + 1) * (number + 2) // 2, *shape))
    width = scale * np.sqrt(number + 1.0)
    for down in (-1.0, 0.0, 1.0):
        for across in (-1.0, 0.0, 1.0):
            y = (np.arange(shape[0]) - shape[0] // 2 + down / 3.0)[:, np.newaxis] / width
            x = (np.arange(shape[1]) - shape[1] // 2 + across / 3.0) / width
            square, angle = x**2 + y**2, np.arctan2(y, x)
            light, k = np.exp(-square / 2.0) / width / 9.0, 0
            for order in range(number + 1):
                for turns in range(order % 2, order + 1, 2):
                    degree = (order - turns) // 2
                    norm = (-1) ** degree * np.sqrt(factorial(max(degree - 1, 0)) / factorial(degree + turns) / np.pi)
                    radial = norm * square ** (turns / 2.0) * _laguerre(degree, turns, square) * light
                    for wave in (np.cos, np.sin)[: 2 if turns else 1]:
                        vectors[k] += radial * wave(turns * angle)
                        k += 1
    return vectors


def _laguerre(degree: int, order: int, values: Floats) -> Floats:
    """Return the associated Laguerre polynomial, by its recurrence (Abramowitz & Stegun 22.7.12)."""
    before, last = np.zeros_like(values), np.ones_like(values)
    for k in range(degree):
        before, last = last, ((2 * k + 1 + order - values) * last - (k + order) * before) / (k + 1)
    return last


def of_file(path: Path, shape: tuple[int, int]) -> Floats:
    """Read vectors, (k, ny, nx), from the first cube of a FITS file.

    Raises
    ------
    NotFits
        Where the file cannot be read.
    BadCatalogue
        Where it has no cube, its images have another shape than the model, or a pixel is no number.
    """
    from astropy.io import fits  # noqa: PLC0415  half a second that other bases do without

    try:
        with fits.open(path) as hdus:
            cubes = [np.asarray(hdu.data, np.float64) for hdu in hdus if getattr(hdu.data, "ndim", 0) == 3]
    except OSError as error:
        raise NotFits(path, f"cannot be read ({error})", remedy="give a FITS cube in BASIS_NAME") from error
    wanted = f"give a cube of images of {shape[1]} by {shape[0]} in BASIS_NAME, or set PSF_SIZE"
    if not cubes:
        raise BadCatalogue(path, "no cube of images", remedy=wanted)
    if cubes[0].shape[1:] != shape:
        raise BadCatalogue(path, f"images of {cubes[0].shape[2]} by {cubes[0].shape[1]}", remedy=wanted)
    if not np.isfinite(cubes[0]).all():
        raise BadCatalogue(path, "pixels that are no numbers", remedy=wanted)
    return cubes[0]
