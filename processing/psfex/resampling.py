"""Resampling of vignettes and models by Lanczos-3."""

import numpy as np

from processing.psfex.sample import Floats

TAPS = 3.0
"""Half width of the Lanczos kernel."""


def lanczos(size: int, wanted: int, shifts: Floats, step: float, stretch: float) -> Floats:
    """Return matrices, (n, wanted, size), that take `size` samples to `wanted` ones `step` apart, middle on middle.

    Parameters
    ----------
    shifts : (n,) samples from the middle one, of the place that gets in the middle
    stretch : of the kernel; above 1 it smooths

    Where the kernel hangs over the border it is made whole again; a place beyond the border gets 0.
    """
    at = size // 2 + shifts[:, np.newaxis] + step * (np.arange(wanted) - wanted // 2)
    # most of a matrix is 0: the kernel is computed where it is not
    taps = int(np.ceil(TAPS * stretch))
    places = np.floor(at).astype(np.int64)[:, :, np.newaxis] + np.arange(1 - taps, 1 + taps)
    inside = (places >= 0) & (places < size)
    t = (at[:, :, np.newaxis] - places) / stretch
    # sinc(t) sinc(t/3), by sin 3x = 3 sin x - 4 sin³ x
    third = np.where(t == 0.0, 1e-9, np.pi / TAPS * t)
    squares = np.sin(third) ** 2
    weights = np.where(inside & (np.abs(t) < TAPS), squares * (1.0 - 4.0 / 3.0 * squares) / third**2, 0.0)
    total = weights.sum(axis=2, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.1)
    weights *= ((at >= 0.0) & (at <= size - 1))[:, :, np.newaxis]
    result = np.zeros((len(at), wanted, size + 1))
    np.put_along_axis(result, np.where(inside, places, size), weights, axis=2)
    return result[:, :, :size]


def resampled(images: Floats, shape: tuple[int, int], offsets: Floats, step: float, stretch: float = 1.0) -> Floats:
    """Resample `images`, (n, ny, nx), to `shape`; `offsets`, (n, 2), are x and y of what gets in the middle."""
    height, width = images.shape[1:]
    down = lanczos(height, shape[0], offsets[:, 1], step, stretch)
    across = lanczos(width, shape[1], offsets[:, 0], step, stretch)
    result: Floats = down @ images @ across.transpose(0, 2, 1)
    return result
