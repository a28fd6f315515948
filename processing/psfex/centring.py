"""Finding the centres of stars again with the model of their PSF: PSF_RECENTER."""

from dataclasses import replace

import numpy as np

from processing.psfex.resampling import resampled
from processing.psfex.sample import Floats, Sample

_DELTA = 0.01
"""Pixels over which the change of a model is taken."""
_ROUNDS = 3
_FARTHEST = 1.0
"""Pixels. A star that wants to go farther stays where it was: a neighbour pulls it."""


def centred(sample: Sample, images: Floats, step: float, accuracy: float) -> Sample:
    """Move stars to where the model fits them best: least squares of flux and place, within the circle of the model.

    Parameters
    ----------
    images : (terms, ny, nx)
    step : image pixels from one of their pixels to the next
    accuracy : of pixels of vignettes, relative
    """
    places = np.tensordot(sample.variation.basis(sample.contexts), images, 1)
    height, width = sample.vignettes.shape[1:]
    weights, offsets = sample.weights(accuracy), sample.offsets
    reach = step * (min(images.shape[1:]) // 2)

    def seen(at: Floats) -> Floats:
        return resampled(places, (height, width), -at / step, 1.0 / step)

    for _ in range(_ROUNDS):
        inside = replace(sample, offsets=offsets).within(reach)
        slopes = [(seen(offsets + way) - seen(offsets - way)) / (2.0 * _DELTA) for way in _DELTA * np.eye(2)]
        vectors = np.stack([seen(offsets), *slopes], axis=1).reshape(len(offsets), 3, -1)
        weighed = vectors * (weights * inside).reshape(len(offsets), 1, -1)
        matrices = weighed @ vectors.transpose(0, 2, 1)
        sides = weighed @ sample.vignettes.reshape(len(offsets), -1, 1)
        told = (np.linalg.det(matrices) > 0.0)[:, np.newaxis, np.newaxis]
        found = np.linalg.solve(np.where(told, matrices, np.eye(3)), np.where(told, sides, 0.0))[:, :, 0]
        shifts = np.divide(found[:, 1:], found[:, :1], out=np.zeros_like(offsets), where=found[:, :1] > 0.0)
        offsets = offsets + np.where(np.abs(shifts).max(axis=1, keepdims=True) < _FARTHEST, shifts, 0.0)
    far = np.abs(offsets - sample.offsets).max(axis=1, keepdims=True) > _FARTHEST
    return replace(sample, offsets=np.where(far, sample.offsets, offsets))
