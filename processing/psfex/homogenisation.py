"""Kernels that bring the PSF, wherever on the image, to one Moffat profile (Desai et al. 2012, ApJ 757, 83).

A kernel is a sum of polar shapelets whose coefficients are polynomials of the place, as the PSF is of pixels. They are
fitted so that kernel times PSF is as near to the profile as can be, over places in all of the field at once.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from processing.cards import Entry, text_of
from processing.placing import placed
from processing.psf_model import Images, PsfModel, variation_entries
from processing.psfex.basis import gauss_laguerre
from processing.psfex.components import over_the_field
from processing.psfex.sample import Floats
from processing.psfex.settings import Homogenisation
from processing.sextractor.table_header import filling, header

_TINY = 1e-13
"""Of the largest element of the diagonal, added to all: a kernel may have vectors that change nothing."""


def moffat(shape: tuple[int, int], fwhm: float, beta: float) -> Floats:
    """Return a round profile of sum 1, (ny, nx), its peak at the middle; `fwhm` in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    squares = (rows - shape[0] // 2) ** 2 + (columns - shape[1] // 2) ** 2
    profile = (1.0 + 4.0 * (2.0 ** (1.0 / beta) - 1.0) * squares / fwhm**2) ** -beta
    result: Floats = profile / profile.sum()
    return result


def convolved(images: Floats, kernels: Floats) -> Floats:
    """Return `images`, (n, ny, nx), convolved with `kernels`, (k, ny, nx): (n, k, ny, nx), 0 beyond the border."""
    height, width = images.shape[1:]
    size = 2 * height + 1, 2 * width + 1
    found = np.fft.rfft2(images, size)[:, np.newaxis] * np.fft.rfft2(kernels, size)
    whole = np.fft.irfft2(found, size)
    result: Floats = whole[..., height // 2 : height // 2 + height, width // 2 : width // 2 + width]
    return result


def kernel_of(model: PsfModel, wanted: Homogenisation) -> Images:
    """Return the kernel of an image, (terms, ny, nx), with the variation and the sampling of its PSF.

    The term amid the contexts has a sum of 1. Where the model is empty all is 0.
    """
    if model.empty:
        return np.zeros_like(model.images)
    images = model.images.astype(np.float64)
    shape = (images.shape[1], images.shape[2])
    vectors = gauss_laguerre(shape, wanted.scale, wanted.number)
    target = moffat(shape, wanted.fwhm / model.step, wanted.beta).ravel()
    seen = convolved(images, vectors).reshape(len(images), len(vectors), -1)
    terms = over_the_field(model.variation)
    count, many = len(vectors), terms.shape[1]
    matrix, side = np.zeros((count, many, count, many)), np.zeros((count, many))
    for at in terms:
        here = np.tensordot(at, seen, 1)
        matrix += (here @ here.T)[:, np.newaxis, :, np.newaxis] * np.outer(at, at)[:, np.newaxis, :]
        side += np.outer(here @ target, at)
    whole = matrix.reshape(count * many, -1)
    diagonal = np.diag_indices_from(whole)
    whole[diagonal] += _TINY * whole[diagonal].max()
    found = np.linalg.solve(whole, side.ravel()).reshape(count, many)
    kernel = np.tensordot(found.T, vectors, 1)
    result: Images = (kernel / kernel[0].sum()).astype(np.float32)
    return result


def write(path: Path, models: Sequence[PsfModel], wanted: Homogenisation) -> None:
    """Write the kernels of all extensions; the file is there complete, or not at all.

    That of a catalogue of one extension is the primary image, as in the original.
    """
    several = len(models) > 1
    with placed(path) as stream:
        if several:
            first: list[Entry] = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
            stream.write(header(text_of(first)))
        for model in models:
            kernel = kernel_of(model, wanted)
            stream.write(_head(kernel, model, wanted, several=several))
            data = kernel.astype(">f4").tobytes()
            stream.write(data + filling(len(data)))


def _head(kernel: Images, model: PsfModel, wanted: Homogenisation, *, several: bool) -> bytes:
    shape = kernel.shape[:0:-1] + (kernel.shape[:1] if len(kernel) > 1 else ())
    entries: list[Entry] = [("XTENSION", "IMAGE")] if several else [("SIMPLE", True)]
    entries += [("BITPIX", -32), ("NAXIS", len(shape))]
    entries += [(f"NAXIS{axis}", size) for axis, size in enumerate(shape, 1)]
    if several:
        entries += [("PCOUNT", 0), ("GCOUNT", 1), ("EXTNAME", "HOMO_DATA")]
    entries += variation_entries(model.variation)
    entries += [
        ("PSF_FWHM", wanted.fwhm, "image pixels; of the profile"), ("PSF_BETA", wanted.beta, "of the profile"),
        ("PSF_SAMP", float(model.step), "image pixels a sample"),
    ]  # fmt: skip
    return header(text_of(entries))
