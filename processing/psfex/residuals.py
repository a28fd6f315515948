"""What is left of every star when the model is taken from it, and which stars the model fits.

This is a second look: all stars that were loaded are compared with the finished model, those included that were
clipped while it was fitted. The original's ACCEPTED, CHI2, CHI2_PSF, FLAGS_PSF and its check-images of stars come from
it, those clipped before being taken back if they fit.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from processing.psf_model import PsfModel
from processing.psfex.clipping import limit_of
from processing.psfex.resampling import resampled
from processing.psfex.sample import Floats, Sample


@dataclass(frozen=True, slots=True)
class Residuals:
    """Stars less their models."""

    images: NDArray[np.float32] = field(repr=False)
    """(n, ny, nx), units of the image; 0 where a pixel has no value."""
    chi: NDArray[np.float32] = field(repr=False)
    """(n, ny, nx): what each pixel adds to chi2; 0 outside the circle of the model."""
    fluxes: Floats
    """Fitted."""
    chi2: Floats
    """A degree of freedom, of each star."""
    relative: Floats
    """Mean difference, weighted by the sum of star and model, over it: of each star."""
    accepted: NDArray[np.bool_]
    """Those that the model fits."""

    @property
    def mean_chi2(self) -> float:
        """Of those that the model fits."""
        return float(self.chi2[self.accepted].sum()) / max(int(self.accepted.sum()) - 1, 1)


def of_none(shape: tuple[int, int]) -> Residuals:
    """Return those of no star with vignettes of `shape`."""
    images, values = np.empty((0, *shape), np.float32), np.empty(0)
    return Residuals(images, images, values, values, values, np.empty(0, np.bool_))


def look(sample: Sample, model: PsfModel, accuracy: float) -> Residuals:
    """Compare stars with a model.

    Parameters
    ----------
    accuracy : relative error of pixels, of the star as well as of the model
    """
    height, width = sample.vignettes.shape[1:]
    # a model that was reduced to one term has no contexts
    contexts = sample.contexts[:, : len(model.variation.names)]
    places = model.many(contexts).astype(np.float64)
    models = resampled(places, (height, width), -sample.offsets / model.step, 1.0 / model.step)
    values = sample.vignettes
    variance = sample.noise**2 + (accuracy * values) ** 2
    if sample.gain > 0.0:
        variance += np.maximum(values, 0.0) / sample.gain
    weights = sample.good / variance
    squares = np.einsum("nyx,nyx,nyx->n", weights, models, models)
    products = np.einsum("nyx,nyx,nyx->n", weights, models, values)
    fluxes = np.where(squares > 0.0, products / np.where(squares > 0.0, squares, 1.0), sample.fluxes)
    models *= fluxes[:, np.newaxis, np.newaxis]
    images = (values - models) * sample.good
    along = np.arange(height) - height // 2 - sample.offsets[:, 1, np.newaxis]
    across = np.arange(width) - width // 2 - sample.offsets[:, 0, np.newaxis]
    reach = model.step * (min(model.images.shape[1:]) // 2)
    inside = (along**2)[:, :, np.newaxis] + (across**2)[:, np.newaxis, :] < reach**2
    inside &= sample.good
    chi = images**2 / (variance + (accuracy * models) ** 2) * inside
    count = np.count_nonzero(inside, axis=(1, 2))
    chi2 = chi.sum(axis=(1, 2)) / np.maximum(count - 1, 1)
    models += values
    models *= inside
    norm = np.einsum("nyx,nyx->n", models, models)
    differences = np.einsum("nyx,nyx->n", models, np.abs(images))
    relative = np.divide(2.0 * differences, norm, out=np.zeros_like(norm), where=norm > 0.0)
    root = np.sqrt(chi2)
    accepted = root <= limit_of(root) if len(root) > 1 else np.ones(len(root), np.bool_)
    return Residuals(images.astype(np.float32), chi.astype(np.float32), fluxes, chi2, relative, accepted)
