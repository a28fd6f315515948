"""PSFs from files: FITS images, cubes of snapshots, and models of PSFEx."""

import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing import psf_model
from processing.errors import BadHeader, FileProblem, NotFits
from processing.psf_model import ACROSS, ALONG, Variation
from processing.skymaker.psf import Field, Psf, snapshot_law

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
TAPS = 4
"""Half width of the Lanczos kernel that other samplings are interpolated with, as in PSFEx."""


class Centre(StrEnum):
    """What of a PSF's image is put at the source."""

    UPPERHALF = "UPPERHALF"  #: pixel size // 2
    LOWERHALF = "LOWERHALF"  #: pixel (size - 1) // 2
    HALF = "HALF"  #: (size - 1) / 2
    CENTROID = "CENTROID"  #: centroid of each image
    CENTROID_COMMON = "CENTROID_COMMON"  #: mean centroid
    PEAK = "PEAK"  #: brightest sample


def psf_from(
    path: Path, *, oversampling: float = 5.0, centre: Centre = Centre.UPPERHALF, field: Field | None = None
) -> Psf:
    """Read a PSF.

    Parameters
    ----------
    path : Path
        A model of PSFEx, or a FITS image that is integrated over pixels; a third and fourth axis are a grid of
        snapshots that spans the frame.
    oversampling : float
        Samples a pixel of a FITS image; a model says it itself.
    centre : Centre
        Of a FITS image.
    field : Field, optional
        Size of the frame over which snapshots vary; without it, their mean is taken.

    Raises
    ------
    FileProblem
        Names the file, what was found, and what to do.
    """
    from astropy.io import fits  # noqa: PLC0415  only PSFs from files need it, and it is slow to import

    try:
        with fits.open(path) as hdus:
            if any("PSF_MASK" in hdu.columns.names for hdu in hdus if isinstance(hdu, fits.BinTableHDU)):
                return _model(path)
            image = next(
                (np.asarray(hdu.data, np.float64) for hdu in hdus if hdu.is_image and hdu.data is not None), None
            )
    except (OSError, KeyError, IndexError) as problem:
        raise NotFits(path, f"no PSF ({problem})", remedy="give a FITS image or a .psf file of PSFEx") from problem
    if image is None or image.ndim < 2 or image.ndim > 5 or not np.isfinite(image).all():
        raise FileProblem(path, "no image of finite numbers", remedy="give an image of two to four axes")
    return _image(path, image, oversampling, centre, field)


def _image(path: Path, image: Floats, oversampling: float, centre: Centre, field: Field | None) -> Psf:
    grid = image.reshape(-1, *image.shape[-2:])
    if (grid.sum(axis=(1, 2)) <= 0.0).any():
        raise FileProblem(path, "an image without light", remedy="its pixels must sum to more than 0")
    wanted = max(round(oversampling), 1)
    centres = [centre_of(each, centre) for each in grid]
    if centre is Centre.CENTROID_COMMON:
        mean = np.mean(centres, axis=0)
        centres = [(float(mean[0]), float(mean[1]))] * len(centres)
    images = np.stack([resampled(each, 1.0 / oversampling, wanted, at) for each, at in zip(grid, centres, strict=True)])
    images /= images.sum(axis=(1, 2), keepdims=True)
    rows, columns = (image.shape[-4] if image.ndim > 3 else 1, image.shape[-3]) if image.ndim > 2 else (1, 1)
    if images.shape[0] == 1 or field is None or rows != columns:
        return Psf(images.mean(axis=0, keepdims=True).astype(np.float32), wanted)
    return Psf(images.astype(np.float32), wanted, snapshot_law(field, columns))


def centre_of(image: Floats, centre: Centre) -> tuple[float, float]:
    """Row and column of the source."""
    height, width = image.shape
    if centre is Centre.LOWERHALF:
        return float((height - 1) // 2), float((width - 1) // 2)
    if centre is Centre.HALF:
        return (height - 1) / 2.0, (width - 1) / 2.0
    if centre in {Centre.CENTROID, Centre.CENTROID_COMMON}:
        rows, columns = np.indices(image.shape)
        return float((rows * image).sum() / image.sum()), float((columns * image).sum() / image.sum())
    if centre is Centre.PEAK:
        row, column = np.unravel_index(int(image.argmax()), image.shape)
        return float(row), float(column)
    return float(height // 2), float(width // 2)


def resampled(image: Floats, step: float, oversampling: int, centre: tuple[float, float]) -> Floats:
    """Interpolate samples every `step` pixels to `oversampling` samples a pixel, with `centre` in the middle."""
    half = max(int(max(image.shape) * step * oversampling / 2.0), 1)
    matrices = [
        _lanczos(size, at, 1.0 / (oversampling * step), half) for size, at in zip(image.shape, centre, strict=True)
    ]
    result: Floats = matrices[0] @ image @ matrices[1].T
    return result


def _lanczos(size: int, centre: float, stride: float, half: int) -> Floats:
    """Matrix that takes `size` samples to those at `centre` + k `stride`, k from -half to half."""
    at = centre + stride * np.arange(-half, half + 1)
    t = at[:, np.newaxis] - np.arange(size)
    weights = np.where(np.abs(t) < TAPS, np.sinc(t) * np.sinc(t / TAPS), 0.0)
    total = weights.sum(axis=1, keepdims=True)
    inside = (at >= 0.0) & (at <= size - 1.0)
    normed: Floats = np.where(inside[:, np.newaxis] & (total > 0.5), weights / np.where(total > 0.5, total, 1.0), 0.0)
    return normed


def _model(path: Path) -> Psf:
    model = psf_model.read(path)[0]
    variation, images = model.variation, model.images.astype(np.float64)
    if model.empty or images[0].sum() <= 0.0:
        raise FileProblem(path, "a model of an image without stars", remedy="give a model of an image with stars")
    unknown = [name for name in variation.names if name not in ACROSS + ALONG]
    if unknown:
        found = f"a model that varies with {', '.join(unknown)}"
        raise BadHeader(path, found, remedy="models in x and y of the image are understood")
    oversampling = min(max(math.ceil(1.0 / model.step), 3), 10)
    middle = (float(images.shape[1] // 2), float(images.shape[2] // 2))
    sampled = np.stack([resampled(image, model.step, oversampling, middle) for image in images])
    sampled = (sampled / sampled[0].sum()).astype(np.float32)
    return Psf(sampled, oversampling, _polynomial(variation)) if len(sampled) > 1 else Psf(sampled, oversampling)


def _polynomial(variation: Variation) -> Callable[[Floats, Floats], Images]:
    def weigh(x: Floats, y: Floats) -> Images:
        places = [1.0 + (x if name in ACROSS else y) for name in variation.names]
        return variation.basis(np.stack(places, axis=1)).astype(np.float32)

    return weigh
