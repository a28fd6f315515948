"""Stars beside the model of their PSF, the flux of each fitted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from processing.psfex.resampling import resampled
from processing.psfex.sample import Floats, Sample


@dataclass(frozen=True, slots=True)
class Comparison:
    """Stars and their models."""

    models: Floats = field(repr=False)
    """(n, ny, nx): of vignettes, units of the image."""
    fluxes: Floats
    """Fitted."""
    inside: NDArray[np.bool_] = field(repr=False)
    """(n, ny, nx): pixels with a value in the circle of the model."""
    chi: Floats = field(repr=False)
    """(n, ny, nx): what each pixel adds to chi2; 0 outside that circle."""
    chi2: Floats
    """A degree of freedom, of each star."""


def compared(sample: Sample, places: Floats, step: float, *, expected: float, accuracy: float) -> Comparison:
    """Compare stars with models.

    Parameters
    ----------
    places : (n, ny, nx): the model at the place of each star
    step : image pixels from one of its pixels to the next
    expected : error of pixels of vignettes, relative, which is PSF_ACCURACY…
    accuracy : …and of the model's; both count, as in the original
    """
    height, width = sample.vignettes.shape[1:]
    models = resampled(places, (height, width), -sample.offsets / step, 1.0 / step)
    values, variance = sample.vignettes, sample.variance(expected)
    weights = sample.good / variance
    squares = np.einsum("nyx,nyx,nyx->n", weights, models, models)
    products = np.einsum("nyx,nyx,nyx->n", weights, models, values)
    fluxes = np.where(squares > 0.0, products / np.where(squares > 0.0, squares, 1.0), sample.fluxes)
    models *= fluxes[:, np.newaxis, np.newaxis]
    inside = sample.within(step * (min(places.shape[1:]) // 2)) & sample.good
    variance += (accuracy * models) ** 2
    chi = (values - models) ** 2 / variance * inside
    chi2 = chi.sum(axis=(1, 2)) / np.maximum(np.count_nonzero(inside, axis=(1, 2)) - 1, 1)
    return Comparison(models, fluxes, inside, chi, chi2)
