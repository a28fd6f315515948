"""Centroids of vignettes under Gaussian windows, as XWIN_IMAGE has them."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class _Lacking:
    """Pixels of vignettes that have no value, and what they count for."""

    def __init__(self, vignettes: Floats, good: NDArray[np.bool_], inside: tuple[slice, slice, slice]) -> None:
        self._vignettes, self._good = vignettes, good
        self._star, y, x = np.nonzero(~good[inside])
        self._at, self._y, self._x = (y, x), y + inside[1].start, x + inside[2].start

    def fill(self, values: Floats, moving: NDArray[np.intp], offsets: Floats) -> None:
        """Put into `values`, those of the stars `moving`, what lies on the other side of their places `offsets`."""
        place = np.full(len(self._vignettes), -1)
        place[moving] = np.arange(len(moving))
        now = place[self._star] >= 0
        star, height, width = self._star[now], *self._vignettes.shape[1:]
        x = np.trunc(2.0 * (offsets[star, 0] + width // 2) + 0.49999 - self._x[now]).astype(np.int64)
        y = np.trunc(2.0 * (offsets[star, 1] + height // 2) + 0.49999 - self._y[now]).astype(np.int64)
        held = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        x, y = np.where(held, x, 0), np.where(held, y, 0)
        held &= self._good[star, y, x]
        values[place[star], self._at[0][now], self._at[1][now]] = np.where(held, self._vignettes[star, y, x], 0.0)


def recentred(vignettes: Floats, offsets: Floats, sigmas: Floats, good: NDArray[np.bool_] | None = None) -> Floats:
    """Return centroids under Gaussian windows, as XWIN_IMAGE has them, from `offsets` on.

    The window has the star's own standard deviation and reaches 4 of them; each step goes twice as far as the
    centroid, until it is shorter than 1e-4 pixel or 16 were made. A pixel without value counts for the one on the
    other side of the centre, as in the original, and for 0 where that has none either.

    Parameters
    ----------
    good : (n, ny, nx), False where a pixel has no value; None: all have one
    """
    result = offsets.copy()
    moving = np.arange(len(offsets))
    # further out no window reaches: those that go 2 standard deviations are given up
    reach = int(np.ceil(6.0 * sigmas.max(initial=0.0) + np.abs(offsets).max(initial=0.0) + 2.0))
    middles = [size // 2 for size in vignettes.shape[1:]]
    low, left = (max(middle - reach, 0) for middle in middles)
    inside = (slice(None), slice(low, middles[0] + reach + 1), slice(left, middles[1] + reach + 1))
    lacking = _Lacking(vignettes, good, inside) if good is not None and not good[inside].all() else None
    vignettes = vignettes[inside]
    rows, columns = (
        np.arange(size) + float(first - middle)
        for size, first, middle in zip(vignettes.shape[1:], (low, left), middles, strict=True)
    )
    for _ in range(16):
        across = columns - result[moving, 0, np.newaxis]
        along = rows - result[moving, 1, np.newaxis]
        width = 2.0 * sigmas[moving, np.newaxis] ** 2
        radii = np.sqrt(along[:, :, np.newaxis] ** 2 + across[:, np.newaxis, :] ** 2)
        edge = np.clip(4.0 * sigmas[moving, np.newaxis, np.newaxis] - radii + 0.5, 0.0, 1.0)
        values = vignettes[moving]
        if lacking is not None:
            lacking.fill(values, moving, result)
        light = values * edge * np.exp(-(along**2) / width)[:, :, np.newaxis]
        light *= np.exp(-(across**2) / width)[:, np.newaxis, :]
        total = light.sum(axis=(1, 2))
        total = np.where(total > 0.0, total, np.inf)
        shift = np.stack([(light.sum(axis=1) * across).sum(axis=1), (light.sum(axis=2) * along).sum(axis=1)], axis=1)
        shift *= 2.0 / total[:, np.newaxis]
        result[moving] += shift
        moving = moving[(shift**2).sum(axis=1) > 1e-8]
        if not len(moving):
            break
    lost = np.abs(result - offsets).max(axis=1) > 2.0 * sigmas
    result[lost] = offsets[lost]
    return result
