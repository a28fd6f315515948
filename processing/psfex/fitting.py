"""Fitting a model of the PSF to stars: resampling, a polynomial at each pixel, clipping.

The method is that of Bertin (2011, ASPC 442, 435).
"""

import numpy as np
from numpy.typing import NDArray

from processing.psf_model import PsfModel
from processing.psfex.sample import Floats, Sample
from processing.psfex.settings import Settings

TAPS = 3.0
"""Half width of the Lanczos kernel."""
PASSES = (0.2, 0.1)
"""Accuracies of the passes after which stars are clipped; the last one has PSF_ACCURACY."""
LAST = 0.05
"""Accuracy with which the last clipping is done."""
_REGULAR = 1000.0
"""Added to the diagonal of each pixel's normal equations, as the original does."""
_CLIP = 3.0
"""Standard deviations of the square root of reduced chi2 above which a star goes."""


def lanczos(size: int, wanted: int, shifts: Floats, step: float, stretch: float) -> Floats:
    """Return matrices, (n, wanted, size), that take `size` samples to `wanted` ones `step` apart, middle on middle.

    Parameters
    ----------
    shifts : (n,) samples from the middle one, of the place that gets in the middle
    stretch : of the kernel; above 1 it smooths
    """
    at = size // 2 + shifts[:, np.newaxis] + step * (np.arange(wanted) - wanted // 2)
    t = (at[:, :, np.newaxis] - np.arange(size)) / stretch
    weights = np.where(np.abs(t) < TAPS, np.sinc(t) * np.sinc(t / TAPS), 0.0)
    total = weights.sum(axis=2, keepdims=True)
    result: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.1)
    return result


def resampled(images: Floats, shape: tuple[int, int], offsets: Floats, step: float, stretch: float = 1.0) -> Floats:
    """Resample `images`, (n, ny, nx), to `shape`; `offsets`, (n, 2), are x and y of what gets in the middle."""
    height, width = images.shape[1:]
    down = lanczos(height, shape[0], offsets[:, 1], step, stretch)
    across = lanczos(width, shape[1], offsets[:, 0], step, stretch)
    result: Floats = down @ images @ across.transpose(0, 2, 1)
    return result


def coefficients(sample: Sample, shape: tuple[int, int], step: float, accuracy: float) -> Floats:
    """Fit the polynomial to each pixel of the resampled vignettes.

    Returns
    -------
    images : (terms, ny, nx), of stars of flux 1
    """
    raw = resampled(sample.vignettes, shape, sample.offsets, step, max(step, 1.0)).reshape(len(sample.rows), -1)
    # as in the original, the noise of photons does not weigh here; it does in chi2
    variance = sample.noise**2 + (accuracy * raw) ** 2
    flux = sample.fluxes[:, np.newaxis]
    weights = flux**2 / variance
    basis = sample.variation.basis(sample.contexts)
    terms = basis.shape[1]
    products = (basis[:, :, np.newaxis] * basis[:, np.newaxis, :]).reshape(len(basis), -1)
    matrices = (weights.T @ products).reshape(-1, terms, terms) + _REGULAR * np.eye(terms)
    sides = (weights * raw / flux).T @ basis
    solved = np.linalg.solve(matrices, sides[:, :, np.newaxis])[:, :, 0]
    return np.ascontiguousarray(solved.T).reshape(terms, *shape)


def reduced_chi2(sample: Sample, images: Floats, step: float, accuracy: float) -> Floats:
    """Return chi2 a degree of freedom of each star, its flux fitted, within the circle that the model covers."""
    flat = sample.variation.basis(sample.contexts) @ images.reshape(len(images), -1)
    places = flat.reshape(-1, *images.shape[1:])
    height, width = sample.vignettes.shape[1:]
    models = resampled(places, (height, width), -sample.offsets / step, 1.0 / step)
    values = sample.vignettes
    variance = sample.noise**2 + (accuracy * values) ** 2
    if sample.gain > 0.0:
        variance += np.maximum(values, 0.0) / sample.gain
    rows, columns = np.ogrid[:height, :width]
    reach = step * min(images.shape[1:]) / 2.0
    inside = (rows - height // 2) ** 2 + (columns - width // 2) ** 2 < reach**2
    weights = np.where(sample.good & inside, 1.0 / variance, 0.0)
    scale = (weights * models * values).sum(axis=(1, 2)) / np.maximum((weights * models**2).sum(axis=(1, 2)), 1e-300)
    chi2 = (weights * (values - scale[:, np.newaxis, np.newaxis] * models) ** 2).sum(axis=(1, 2))
    result: Floats = chi2 / np.maximum(np.count_nonzero(weights, axis=(1, 2)) - 1, 1)
    return result


def clipped(chi: Floats) -> NDArray[np.bool_]:
    """Return which stars stay: those up to 3 standard deviations above the median."""
    kept: NDArray[np.bool_] = chi <= float(np.median(chi)) + _CLIP * float(chi.std())
    return kept


def tapered(images: Floats, fwhm: float) -> Floats:
    """Let the model end in a circle: linearly in the radius squared over one FWHM, `fwhm` in its own pixels."""
    height, width = images.shape[1:]
    radius = min(height, width) // 2 + 0.5
    rows, columns = np.ogrid[:height, :width]
    squares = (rows - height // 2) ** 2 + (columns - width // 2) ** 2
    border = max(fwhm, 1.0)
    inner = radius - border if border < radius else radius / 2.0
    result: Floats = images * np.clip((radius**2 - squares) / (radius**2 - inner**2), 0.0, 1.0)
    return result


def fit(sample: Sample, settings: Settings, step: float) -> tuple[PsfModel, Sample]:
    """Fit the model of an image in passes, and return it with the stars that are left."""
    shape = settings.size[1], settings.size[0]
    left = sample
    for accuracy in PASSES:
        left = left.of(clipped(np.sqrt(reduced_chi2(left, coefficients(left, shape, step, accuracy), step, accuracy))))
    images = tapered(coefficients(left, shape, step, settings.accuracy), sample.fwhm / step)
    # what is rejected at last counts neither as accepted nor in chi2, but stays in the model, as in the original
    left = left.of(clipped(np.sqrt(reduced_chi2(left, images, step, LAST))))
    chi2 = float(reduced_chi2(left, images, step, settings.accuracy).mean())
    variation = sample.variation
    loaded, accepted = len(sample.rows), len(left.rows)
    model = PsfModel(images.astype(np.float32), step, sample.fwhm, variation, loaded, accepted, chi2)
    return model, left
