"""Fitting a model of the PSF to stars: resampling, a polynomial at each pixel, clipping.

The method is that of Bertin (2011, ASPC 442, 435).
"""

import numpy as np

from processing.psf_model import PsfModel
from processing.psfex.centring import centred
from processing.psfex.clipping import limit_of
from processing.psfex.comparison import compared
from processing.psfex.refinement import Refinement, refinement_of
from processing.psfex.resampling import resampled
from processing.psfex.sample import Floats, Sample
from processing.psfex.settings import Settings

PASSES = (0.2, 0.1, 0.05)
"""Accuracies of the passes after which stars are clipped; the last one has PSF_ACCURACY."""
_REGULAR = 1000.0
"""Added to the diagonal of each pixel's normal equations, as the original does."""


def coefficients(sample: Sample, shape: tuple[int, int], step: float, accuracy: float) -> Floats:
    """Fit the polynomial to each pixel of the resampled vignettes.

    Returns
    -------
    images : (terms, ny, nx), of stars of flux 1
    """
    raw = resampled(sample.vignettes, shape, sample.offsets, step, max(step, 1.0)).reshape(len(sample.rows), -1)
    # as in the original, the noise of photons does not weigh here; it does in chi2
    variance = sample.background[:, np.newaxis] ** 2 + (accuracy * raw) ** 2
    flux = sample.fluxes[:, np.newaxis]
    weights = flux**2 / variance
    basis = sample.variation.basis(sample.contexts)
    terms = basis.shape[1]
    products = (basis[:, :, np.newaxis] * basis[:, np.newaxis, :]).reshape(len(basis), -1)
    matrices = (weights.T @ products).reshape(-1, terms, terms) + _REGULAR * np.eye(terms)
    sides = (weights * raw / flux).T @ basis
    solved = np.linalg.solve(matrices, sides[:, :, np.newaxis])[:, :, 0]
    return np.ascontiguousarray(solved.T).reshape(terms, *shape)


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


def fit(sample: Sample, settings: Settings, step: float, vectors: Floats | None = None) -> tuple[PsfModel, Floats]:
    """Fit the model of an image in passes.

    Parameters
    ----------
    vectors : (k, ny, nx), of which the model is to be made, whatever the settings say

    Returns
    -------
    model : without its chi2
    basis : (k, ny, nx), vectors with which it was refined; none where it was not
    """
    shape = settings.size[1], settings.size[0]
    refine: Refinement | None = None
    left = sample
    for number, accuracy in enumerate((*PASSES, settings.accuracy)):
        images = coefficients(left, shape, step, accuracy)
        # the first, roughest model gives the basis of all passes, as in the original
        refine = refine or refinement_of(images, settings, sample, step, vectors)
        if refine:
            images = refine(left, images)
        if number < len(PASSES):
            if settings.recentred:
                left = centred(left, images, step, settings.accuracy)
            places = np.tensordot(left.variation.basis(left.contexts), images, 1)
            chi = np.sqrt(compared(left, places, step, expected=settings.accuracy, accuracy=accuracy).chi2)
            left = left.of(chi <= limit_of(chi))
    images = tapered(images, sample.fwhm / step)
    pixels, counts = images.astype(np.float32), (len(sample.rows), len(left.rows))
    basis = refine.basis.vectors if refine else np.empty((0, *shape))
    return PsfModel(pixels, step, sample.fwhm, sample.variation, *counts), basis
