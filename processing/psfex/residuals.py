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
from processing.psfex.comparison import compared
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
    places = model.many(sample.contexts).astype(np.float64)
    found = compared(sample, places, model.step, expected=accuracy, accuracy=accuracy)
    images = (sample.vignettes - found.models) * sample.good
    both = (found.models + sample.vignettes) * found.inside
    norm = np.einsum("nyx,nyx->n", both, both)
    differences = np.einsum("nyx,nyx->n", both, np.abs(images))
    relative = np.divide(2.0 * differences, norm, out=np.zeros_like(norm), where=norm > 0.0)
    root = np.sqrt(found.chi2)
    accepted = root <= limit_of(root) if len(root) > 1 else np.ones(len(root), np.bool_)
    kept = images.astype(np.float32), found.chi.astype(np.float32)
    return Residuals(*kept, found.fluxes, found.chi2, relative, accepted)
