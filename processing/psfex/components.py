"""Principal components of models of the PSF: NEWBASIS_TYPE PCA_COMMON."""

from collections.abc import Sequence

import numpy as np

from processing.psf_model import PsfModel, Variation
from processing.psfex.sample import Floats

_PLACES = 5
"""An axis of contexts at which a model is looked at, evenly over their ranges as the original's are."""


def over_the_field(variation: Variation) -> Floats:
    """Return terms of the polynomial, (places, terms), at places all over the ranges of contexts."""
    return variation.basis(variation.places(_PLACES))


def components(models: Sequence[PsfModel], number: int) -> Floats:
    """Return the first principal components, (number, ny, nx), of PSFs all over the images; no mean is taken off.

    There are fewer where the models have no more. All models have one sampling and size.
    """
    seen = [np.tensordot(over_the_field(model.variation), model.images.astype(np.float64), 1) for model in models]
    images = np.concatenate(seen)
    _, sizes, vectors = np.linalg.svd(images.reshape(len(images), -1), full_matrices=False)
    kept = min(number, int(np.count_nonzero(sizes > 1e-6 * sizes[0])))
    return vectors[:kept].reshape(kept, *images.shape[1:])
