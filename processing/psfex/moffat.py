"""Elliptical Moffat profiles fitted to many images of the PSF at once.

A profile is A·(1 + 4(2^(1/beta) - 1)·r²)^-beta, where r² is a quadratic form of the place that is 1/4 at half the
maximum (Moffat 1969, A&A 3, 455). Fits are least squares by Levenberg and Marquardt with analytic derivatives, over all
pixels with one weight, as the original's are; the quadratic form is fitted by its elements, so that round profiles
have no undetermined angle. What is "pixel-free" is averaged over a pixel of the image before it is compared.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Images = NDArray[np.float32]

SUBPIXELS = 5
"""Samples across a pixel of the image over which a pixel-free profile is averaged, as in the original."""
_BETAS = (0.6, 10.0)
"""Bounds of beta; what is nearly Gaussian ends at the upper one, as in the original."""
_RATIO = 3.0
"""Bounds of the FWHM: the sample's, divided and multiplied by it."""
_ROUNDS = 30
_DONE = 1e-4
"""Expected relative gain in the sum of squares below which a step is the last."""
_CHUNK = 27
"""Images that are fitted together: their arrays stay in the cache."""
_TERMS = 7
_Nodes = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Moffats:
    """Fits to n images of the PSF."""

    amplitude: Floats
    """Of the profile, for a PSF of flux 1 sampled at image pixels."""
    x: Floats
    """Pixels of the model from the first one, whose centre is 0."""
    y: Floats
    fwhm_max: Floats
    """Image pixels."""
    fwhm_min: Floats
    theta: Floats
    """Position angle of the major axis from x to y, degrees, above -90 up to 90."""
    beta: Floats
    residuals: Floats
    """Mean difference from the image, relative, weighted by their sum."""
    subpixels: int = 1
    """Samples across a pixel of the image over which the profile is averaged."""

    @property
    def fwhm(self) -> Floats:
        """Mean of both axes, image pixels."""
        return 0.5 * (self.fwhm_min + self.fwhm_max)

    @property
    def ellipticity(self) -> Floats:
        """(a - b) / (a + b)."""
        total = self.fwhm_max + self.fwhm_min
        result: Floats = np.divide(self.fwhm_max - self.fwhm_min, total, out=np.zeros_like(total), where=total > 0.0)
        return result

    @property
    def components(self) -> tuple[Floats, Floats]:
        """Ellipticity along the axes and along the diagonals."""
        angle = np.radians(2.0 * self.theta)
        return self.ellipticity * np.cos(angle), self.ellipticity * np.sin(angle)

    def images(self, shape: tuple[int, int], step: float) -> Images:
        """Return the profiles, (n, ny, nx), as models of the PSF `step` image pixels a sample."""
        turn = np.radians(self.theta)
        cosine, sine = np.cos(turn), np.sin(turn)
        long, short = ((step / axis) ** 2 for axis in (self.fwhm_max, self.fwhm_min))
        forms = (long * cosine**2 + short * sine**2, (long - short) * cosine * sine, long * sine**2 + short * cosine**2)
        place = np.stack([self.amplitude * step**2, self.x, self.y, *forms, self.beta], axis=1).astype(np.float32)
        spacing = 1.0 / (self.subpixels * step)
        ticks = [(k - 0.5 * (self.subpixels - 1)) * spacing for k in range(self.subpixels)]
        nodes = tuple((a, b, 1.0 / self.subpixels**2) for a in ticks for b in ticks)
        grid = _grid(shape)
        parts = [_values(place[k : k + _CHUNK], grid, nodes) for k in range(0, len(place), _CHUNK)]
        return np.concatenate(parts).reshape(-1, *shape)


def nothing(count: int) -> Moffats:
    """Return what is told of `count` places without a PSF: widths of 0, residuals of 1, as in the original."""
    none = np.zeros(count)
    return Moffats(none, none, none, none, none, none, none, np.ones(count))


def fit(images: Images, step: float, fwhm: float) -> tuple[Moffats, Moffats]:
    """Fit profiles to images of the PSF, without and with the average over a pixel of the image.

    Parameters
    ----------
    images : (n, ny, nx), of flux 1
    step : image pixels from one of their pixels to the next
    fwhm : of the sample of stars, image pixels

    Returns
    -------
    plain, pixel-free : of n each
    """
    grid = _grid((images.shape[1], images.shape[2]))
    flat = np.ascontiguousarray(images.reshape(len(images), -1), np.float32)
    spacing = 1.0 / (SUBPIXELS * step)
    # moments of 5 equal steps: variance 2 and fourth moment 6.8, which 3 samples across have as well
    fine = _rule([(-np.sqrt(3.4), 1 / 3.4), (0.0, 1 - 2 / 3.4), (np.sqrt(3.4), 1 / 3.4)], spacing)
    # derivatives need the variance only
    coarse = _rule([(-np.sqrt(2.0), 0.5), (np.sqrt(2.0), 0.5)], spacing)
    single: _Nodes = ((0.0, 0.0, 1.0),)
    middle = flat.mean(axis=0, keepdims=True)
    guess = np.array([(images.shape[2] - 1) / 2.0, (images.shape[1] - 1) / 2.0, (step / fwhm) ** 2, 0.0])
    first = np.array([[max(float(middle.max()), 1e-30), *guess, guess[2], 3.0]])
    rules = ((single, single), (fine, coarse))
    whole, _ = _fitted(middle, first, grid, *rules[0])
    bare, _ = _fitted(middle, whole, grid, *rules[1])
    found: tuple[list[Floats], list[Floats]] = ([], [])
    wrong: tuple[list[Floats], list[Floats]] = ([], [])
    for begin in range(0, len(flat), _CHUNK):
        data = flat[begin : begin + _CHUNK]
        start = np.repeat(whole, len(data), axis=0)
        for number, (values, slopes) in enumerate(rules):
            place, fitted = _fitted(data, start, grid, values, slopes)
            found[number].append(place)
            wrong[number].append(_difference(data, fitted))
            start = _narrowed(place, whole, bare)
    bounds = fwhm / _RATIO, fwhm * _RATIO
    plain, free = (
        _profiles(np.concatenate(places), np.concatenate(residuals), step, bounds, subpixels)
        for places, residuals, subpixels in zip(found, wrong, (1, SUBPIXELS), strict=True)
    )
    return plain, free


def _narrowed(place: Floats, whole: Floats, bare: Floats) -> Floats:
    """Guess what profiles are without the pixel from what it changes in that of the mean image."""
    result = place + (bare - whole)
    squares, before, after = (np.linalg.inv(each[:, [[3, 4], [4, 5]]]) for each in (place, whole, bare))
    squares += after - before
    # what is left of a profile that is hardly wider than a pixel may be no ellipse
    usable = (np.linalg.eigvalsh(squares) > 1e-3).all(axis=1)
    forms = np.linalg.inv(squares[usable])
    result[:, 3:6] = place[:, 3:6]
    result[usable, 3], result[usable, 4], result[usable, 5] = forms[:, 0, 0], forms[:, 0, 1], forms[:, 1, 1]
    result[:, 0] = place[:, 0] * bare[0, 0] / whole[0, 0]
    return _bounded(result)


def _rule(samples: list[tuple[float, float]], spacing: float) -> _Nodes:
    return tuple((a * spacing, b * spacing, v * w) for a, v in samples for b, w in samples)


def _grid(shape: tuple[int, int]) -> tuple[Images, Images]:
    """Return x and y of all pixels, (ny·nx,)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return x.ravel().astype(np.float32), y.ravel().astype(np.float32)


def _form(place: Images, grid: tuple[Images, Images], a: float, b: float) -> tuple[Images, Images, Images]:
    """Return distances along x and y, and the quadratic form."""
    x = grid[0] - (place[:, 1, np.newaxis] - np.float32(a))
    y = grid[1] - (place[:, 2, np.newaxis] - np.float32(b))
    form = (place[:, 3, np.newaxis] * x + 2.0 * place[:, 4, np.newaxis] * y) * x + place[:, 5, np.newaxis] * y * y
    return x, y, form


def _values(place: Images, grid: tuple[Images, Images], nodes: _Nodes) -> Images:
    """Return profiles, (n, pixels), averaged over `nodes`."""
    beta = place[:, 6, np.newaxis]
    factor = 4.0 * (2.0 ** (1.0 / beta) - 1.0)
    total = np.zeros((len(place), len(grid[0])), np.float32)
    for a, b, weight in nodes:
        _, _, form = _form(place, grid, a, b)
        form *= factor
        form += 1.0
        np.log(form, out=form)
        form *= -beta
        np.exp(form, out=form)
        form *= np.float32(weight)
        total += form
    total *= place[:, 0, np.newaxis]
    return total


def _slopes(place: Images, grid: tuple[Images, Images], nodes: _Nodes) -> Images:
    """Return derivatives of profiles, (n, terms, pixels)."""
    amplitude, _, _, xx, xy, yy, beta = (column[:, np.newaxis] for column in place.T)
    power = 2.0 ** (1.0 / beta)
    factor = 4.0 * (power - 1.0)
    turned = 4.0 * np.float32(np.log(2.0)) * power / beta  # -beta times the derivative of the factor
    total = np.zeros((len(place), _TERMS, len(grid[0])), np.float32)
    scratch = np.empty(total[:, 0].shape, np.float32)
    for a, b, weight in nodes:
        x, y, form = _form(place, grid, a, b)
        base = factor * form
        base += 1.0
        logarithm = np.log(base)
        value = np.exp(np.multiply(logarithm, -beta, out=scratch))
        value *= np.float32(weight)
        total[:, 0] += value
        value *= amplitude
        logarithm *= value
        total[:, 6] -= logarithm
        value /= base
        form *= value
        form *= turned
        total[:, 6] += form
        value *= beta * factor
        np.multiply(value, x, out=base)
        np.multiply(value, y, out=scratch)
        total[:, 1] += base  # of x and y until the nodes are summed
        total[:, 2] += scratch
        total[:, 4] -= np.multiply(base, y, out=value)
        base *= x
        scratch *= y
        total[:, 3] -= base
        total[:, 5] -= scratch
    total[:, 4] *= 2.0
    across, along = total[:, 1].copy(), total[:, 2].copy()
    total[:, 1] = 2.0 * (xx * across + xy * along)
    total[:, 2] = 2.0 * (yy * along + xy * across)
    return total


def _fitted(
    data: Images, start: Floats, grid: tuple[Images, Images], values: _Nodes, slopes: _Nodes
) -> tuple[Floats, Images]:
    """Return places of least squares, (n, terms), each from its start, and the profiles there, (n, pixels)."""
    best, fitted = start.copy(), np.empty_like(data)
    tried = start.copy()
    damping = np.full(len(data), 1e-4)
    squares = np.full(len(data), np.inf)
    moving = np.arange(len(data))
    matrices, sides = np.empty((len(data), _TERMS, _TERMS)), np.empty((len(data), _TERMS))
    for _ in range(_ROUNDS):
        place = tried[moving].astype(np.float32)
        jacobian = _slopes(place, grid, slopes)
        models = place[:, 0, np.newaxis] * jacobian[:, 0] if values == slopes else _values(place, grid, values)
        rest = data[moving] - models
        sums = np.einsum("np,np->n", rest, rest, dtype=np.float64)
        better = sums <= squares[moving]
        chosen = moving[better]
        best[chosen], fitted[chosen], squares[chosen] = tried[chosen], models[better], sums[better]
        matrices[chosen] = (jacobian @ jacobian.transpose(0, 2, 1))[better]
        sides[chosen] = (jacobian @ rest[:, :, np.newaxis])[better, :, 0]
        damping[moving] *= np.where(better, 0.1, 30.0)
        step = _step(matrices[moving], sides[moving], best[moving], damping[moving])
        tried[moving] = _bounded(best[moving] + step)
        gain = np.einsum("ni,ni->n", step, sides[moving])
        # near the least squares a step is worth the error of the next one, squared
        ended = better & (gain <= _DONE * squares[moving])
        last = moving[ended]
        best[last] = tried[last]
        fitted[last] += np.einsum("ni,nip->np", step[ended].astype(np.float32), jacobian[ended])
        moving = moving[~ended & (damping[moving] < 1e6)]
        if not len(moving):
            break
    return best, fitted


def _step(matrices: Floats, sides: Floats, place: Floats, damping: Floats) -> Floats:
    """Solve the normal equations; beta stays where it is at a bound and would go beyond."""
    held = ((place[:, 6] <= _BETAS[0]) & (sides[:, 6] < 0.0)) | ((place[:, 6] >= _BETAS[1]) & (sides[:, 6] > 0.0))
    matrices[held, 6, :] = matrices[held, :, 6] = 0.0
    matrices[held, 6, 6] = 1.0
    sides[held, 6] = 0.0
    scale = np.sqrt(np.maximum(np.einsum("nii->ni", matrices), 1e-300))
    scaled = matrices / (scale[:, :, np.newaxis] * scale[:, np.newaxis, :])
    scaled += (damping[:, np.newaxis, np.newaxis] + 1e-12) * np.eye(_TERMS)
    result: Floats = np.linalg.solve(scaled, (sides / scale)[:, :, np.newaxis])[:, :, 0] / scale
    return result


def _bounded(place: Floats) -> Floats:
    """Keep beta in its bounds, and the quadratic form one of an ellipse."""
    place[:, 6] = np.clip(place[:, 6], *_BETAS)
    place[:, 3], place[:, 5] = (np.maximum(place[:, k], 1e-12) for k in (3, 5))
    most = 0.999 * np.sqrt(place[:, 3] * place[:, 5])
    place[:, 4] = np.clip(place[:, 4], -most, most)
    return place


def _difference(data: Images, fitted: Images) -> Floats:
    total = (data + fitted).astype(np.float64)
    norm = (total**2).sum(axis=1)
    result: Floats = np.divide(
        2.0 * (total * np.abs(data - fitted)).sum(axis=1), norm, out=np.ones_like(norm), where=norm > 0.0
    )
    return result


def _profiles(place: Floats, residuals: Floats, step: float, bounds: tuple[float, float], subpixels: int) -> Moffats:
    """Turn elements of quadratic forms into axes and angles."""
    mean, half = 0.5 * (place[:, 3] + place[:, 5]), 0.5 * (place[:, 3] - place[:, 5])
    spread = np.hypot(half, place[:, 4])
    long, short = (step / np.sqrt(np.maximum(mean + sign * spread, 1e-12)) for sign in (-1.0, 1.0))
    theta = np.degrees(0.5 * np.arctan2(-place[:, 4], -half))
    return Moffats(
        amplitude=place[:, 0] / step**2,
        x=place[:, 1],
        y=place[:, 2],
        fwhm_max=np.clip(long, *bounds),
        fwhm_min=np.clip(short, *bounds),
        theta=np.where(theta <= -90.0, theta + 180.0, theta),
        beta=place[:, 6],
        residuals=residuals,
        subpixels=subpixels,
    )
