"""Refining a model of the PSF: what all vignettes say at once about the coefficients of a basis.

Each star is the model resampled to its own place, so that stars that fall differently on pixels tell what lies between
pixels (Bertin 2011, ASPC 442, 435, section 3).
"""

from dataclasses import dataclass, field

import numpy as np

from processing.psfex.basis import Basis, gauss_laguerre, of_file, pixels_of
from processing.psfex.resampling import lanczos
from processing.psfex.sample import Floats, Sample
from processing.psfex.settings import Settings

PRIOR = 0.01
"""Standard deviation that coefficients of pixels are expected to have, for stars of flux 1."""
_TINY = 1e-12
"""Of the largest element of the diagonal: added where nothing is expected of coefficients."""
NARROW = 3.0
"""Image pixels. PIXEL_AUTO refines the models of stars whose FWHM is below it: they are undersampled."""
_AT_ONCE = 16
"""Stars whose normal equations are held at a time."""
_BLOCK = 128
"""Unknowns of a step of the substitution."""


@dataclass(slots=True)
class Refinement:
    """A basis, and what is kept of the normal equations of the stars that it was fitted to last."""

    basis: Basis
    step: float
    """Image pixels from one pixel of the model to the next."""
    accuracy: float
    """Of pixels of vignettes, relative; it makes the weights with the noise of background and photons."""
    _last: Sample | None = None
    _sums: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """(pairs of terms, elements) over the stars of the last call."""
    _factor: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def __call__(self, sample: Sample, images: Floats) -> Floats:
        """Add to `images`, (terms, ny, nx), what of the vectors the stars have besides, or return these alone."""
        if self.basis.alone:
            images = np.zeros_like(images)
        terms = sample.variation.basis(sample.contexts)
        seen = self._seen(sample, images.shape[1:])
        flux = sample.fluxes[:, np.newaxis, np.newaxis]
        left = sample.vignettes[:, seen.rows, seen.columns]
        if not self.basis.alone:
            left = left - flux * (seen.down @ np.tensordot(terms, images, 1) @ seen.across.transpose(0, 2, 1))
        side = terms.T @ self.basis.seen(seen.down.transpose(0, 2, 1) @ (seen.weights * left / flux) @ seen.across)
        # the matrix does not know the model: it changes only where stars go or move
        if not self._holds(sample):
            self._sum(sample, terms, seen)
            self._factor = self._factored(terms.shape[1])
            self._last = sample
        found = _substituted(self._factor, side.ravel()).reshape(side.shape)
        result: Floats = images + np.tensordot(found, self.basis.vectors, 1)
        return result

    def _seen(self, sample: Sample, shape: tuple[int, ...]) -> "_Seen":
        height, width = sample.vignettes.shape[1:]
        down = lanczos(shape[0], height, -sample.offsets[:, 1] / self.step, 1.0 / self.step, 1.0)
        across = lanczos(shape[1], width, -sample.offsets[:, 0] / self.step, 1.0 / self.step, 1.0)
        rows, columns = (_reached(each) for each in (down, across))
        weights = sample.weights(self.accuracy)[:, rows, columns] * sample.fluxes[:, np.newaxis, np.newaxis] ** 2
        return _Seen(rows, columns, down[:, rows], across[:, columns], weights)

    def _holds(self, sample: Sample) -> bool:
        return self._last is not None and np.array_equal(self._last.offsets, sample.offsets)

    def _sum(self, sample: Sample, terms: Floats, seen: "_Seen") -> None:
        """Sum the normal equations of all stars, or take from the last sums those of the few that went."""
        last = self._last
        if last is not None:
            stay = np.isin(last.rows, sample.rows)
            gone = last.of(~stay)
            without = self._seen(gone, self.basis.vectors.shape[1:])
            # where most of the weight goes, sums of the rest would be differences of large numbers
            if np.array_equal(last.offsets[stay], sample.offsets) and without.weights.sum() < seen.weights.sum():
                self._sums -= self._normal(gone.variation.basis(gone.contexts), without)
                return
        self._sums = self._normal(terms, seen)

    def _normal(self, terms: Floats, seen: "_Seen") -> Floats:
        """Return sums over stars, (pairs of terms, elements)."""
        products = np.stack([terms[:, one] * terms[:, other] for one, other in _pairs(terms.shape[1])])
        sums: Floats = np.zeros((len(products), 1))
        for first in range(0, len(terms), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            normal = self.basis.normal(seen.weights[some], seen.down[some], seen.across[some])
            sums = np.asarray(sums + products[:, some] @ normal, np.float64)
        return sums

    def _factored(self, many: int) -> Floats:
        """Return the Cholesky factor, lower, of the normal equations of all coefficients of `many` terms."""
        count = len(self.basis)
        matrix = np.empty((many, count, many, count))
        for (one, other), found in zip(_pairs(many), self._sums, strict=True):
            matrix[one, :, other] = matrix[other, :, one] = self.basis.square(found)
        whole = matrix.reshape(many * count, many * count)
        diagonal = np.diag_indices_from(whole)
        # what no star tells of vectors that stand alone gets 0, where the original's solution fails
        whole[diagonal] += _TINY * whole[diagonal].max() if self.basis.alone else 1.0 / PRIOR**2
        factor: Floats = np.asarray(np.linalg.cholesky(whole), np.float64)
        return factor


@dataclass(frozen=True, slots=True)
class _Seen:
    """How vignettes see a model: only these rows and columns of them do."""

    rows: slice
    columns: slice
    down: Floats
    """(n, rows, ny)."""
    across: Floats
    """(n, columns, nx)."""
    weights: Floats
    """(n, rows, columns), of stars of flux 1."""


def _reached(matrices: Floats) -> slice:
    """Return from the first to the last row that is not 0 in all matrices."""
    rows = np.flatnonzero(matrices.any(axis=(0, 2)))
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 1)


def _pairs(many: int) -> list[tuple[int, int]]:
    return [(one, other) for one in range(many) for other in range(one + 1)]


def refinement_of(
    images: Floats, settings: Settings, sample: Sample, step: float, vectors: Floats | None = None
) -> Refinement | None:
    """Return what refines a model whose first, rough shape is `images`, or None where nothing does.

    Parameters
    ----------
    sample : of which it was made
    vectors : of which the model is to be made, whatever the settings say
    """
    if vectors is not None:
        return Refinement(Basis(vectors, alone=True), step, settings.accuracy)
    kind = settings.basis.kind
    shape = (images.shape[1], images.shape[2])
    if kind == "GAUSS-LAGUERRE":
        basis = Basis(gauss_laguerre(shape, settings.basis.scale, settings.basis.number), alone=True)
    elif kind == "FILE":
        basis = Basis(of_file(settings.basis.path, shape), alone=True)
    elif kind == "PIXEL" or (kind == "PIXEL_AUTO" and sample.fwhm < NARROW):
        height, width = sample.vignettes.shape[1:]
        basis = pixels_of(images, settings.basis.number, (height, width), step)
    else:
        return None
    return Refinement(basis, step, settings.accuracy)


def _substituted(factor: Floats, side: Floats) -> Floats:
    """Solve for `side` with the lower Cholesky `factor`, forward and backward in blocks."""
    found = side.copy()
    blocks = [slice(first, min(first + _BLOCK, len(side))) for first in range(0, len(side), _BLOCK)]
    for block in blocks:
        found[block] -= factor[block, : block.start] @ found[: block.start]
        found[block] = np.linalg.solve(factor[block, block], found[block])
    for block in reversed(blocks):
        found[block] -= factor[block.stop :, block].T @ found[block.stop :]
        found[block] = np.linalg.solve(factor[block, block].T, found[block])
    return found
