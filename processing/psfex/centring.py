"""Finding the centres of stars again with the model of their PSF: PSF_RECENTER."""

from dataclasses import replace

import numpy as np

from processing.psfex.resampling import resampled
from processing.psfex.sample import Floats, Sample

_ROUNDS = 30
_DONE = 1e-4
"""Pixels. A shift that is shorter is the last."""
_SHARE = 0.5
"""Of a shift that is made in each round."""
_FARTHEST = 1.0
"""Pixels. A star that wants to go farther stays where it was: a neighbour pulls it."""


def centred(sample: Sample, images: Floats, step: float, accuracy: float) -> Sample:
    """Move stars to where the model fits them best, as the original does.

    In a box about the middle pixel, each side the first whole number above twice the FWHM, the model and its products
    with x and y from the star are fitted by weighted least squares. A shifted Gaussian is itself plus x times shift
    over variance: the shift is what the fit says times the second moments of the model in the box.

    Parameters
    ----------
    images : (terms, ny, nx)
    step : image pixels from one of their pixels to the next
    accuracy : of pixels of vignettes, relative
    """
    places = np.tensordot(sample.variation.basis(sample.contexts), images, 1)
    sides = [min(int(2.0 * sample.fwhm) + 1, size) for size in sample.vignettes.shape[1:]]
    box = tuple(
        slice(size // 2 - side // 2, size // 2 - side // 2 + side)
        for size, side in zip(sample.vignettes.shape[1:], sides, strict=True)
    )
    values, weights = (each[:, *box] for each in (sample.vignettes, sample.weights(accuracy)))
    rows, columns = (np.arange(side) - float(side // 2) for side in sides)
    offsets, moving = sample.offsets.copy(), np.arange(len(sample.rows))
    for _ in range(_ROUNDS):
        at = offsets[moving]
        seen = resampled(places[moving], (sides[0], sides[1]), -at / step, 1.0 / step)
        x, y = columns - at[:, :1], rows - at[:, 1:]
        vectors = np.stack([seen, seen * x[:, np.newaxis, :], seen * y[:, :, np.newaxis]], axis=1)
        flat = vectors.reshape(*vectors.shape[:2], -1)
        weighed = flat * weights[moving].reshape(len(at), 1, -1)
        matrices = weighed @ flat.transpose(0, 2, 1)
        right = weighed @ values[moving].reshape(len(at), -1, 1)
        told = (np.linalg.det(matrices) > 0.0)[:, np.newaxis, np.newaxis]
        found = np.linalg.solve(np.where(told, matrices, np.eye(3)), np.where(told, right, 0.0))[:, :, 0]
        across, along = vectors[:, 1], vectors[:, 2]
        moments = np.stack(
            [
                np.stack([np.einsum("nyx,nx->n", across, x), np.einsum("nyx,ny->n", across, y)], axis=1),
                np.stack([np.einsum("nyx,nx->n", along, x), np.einsum("nyx,ny->n", along, y)], axis=1),
            ],
            axis=1,
        )
        pulls = np.einsum("nij,nj->ni", moments, found[:, 1:])
        shifts = np.divide(pulls, found[:, :1], out=np.zeros_like(at), where=found[:, :1] > 0.0)
        shifts[np.abs(shifts).max(axis=1) > _FARTHEST] = 0.0
        offsets[moving] = at + _SHARE * shifts
        moving = moving[(shifts**2).sum(axis=1) > _DONE**2]
        if not len(moving):
            break
    far = np.abs(offsets - sample.offsets).max(axis=1, keepdims=True) > _FARTHEST
    return replace(sample, offsets=np.where(far, sample.offsets, offsets))
