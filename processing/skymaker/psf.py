"""The image of a point source: from pupil and atmosphere, from a FITS image, or from a PSFEx model.

The light of the pupil gives the diffraction image; its transfer function is multiplied by those of the atmosphere
(Kolmogorov: Fried 1966, JOSA 56, 1372) and of the tracking; the image is tapered at the rim of its map and summed
over the pixel. The steps and constants are those of SkyMaker (Bertin 2009, MmSAI 80, 422).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.kernels.psf import box_sum, taper
from processing.skymaker.aureole import share_at_one_pixel
from processing.skymaker.pupil import (
    ARCSEC,
    Aberration,
    Exposure,
    Optics,
    Tracking,
    amplitude,
    pupil_scale,
)

__all__ = ["Aberration", "Exposure", "Field", "Optics", "Psf", "Tracking", "psf_of"]

FRIED = 0.975863
"""Fried's length is this times wavelength / seeing (Dierickx 1992, JMO 39, 569)."""
KOLMOGOROV = 3.4419
"""Exponent of the long-exposure transfer function at Fried's length."""
SNAPSHOTS = 11
"""Images along an axis that a varying PSF is interpolated from."""
VARYING_REACH = 256
"""Samples from the centre that are kept of each image of a varying PSF."""
Images = NDArray[np.float32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Field:
    """Size of the image over which a PSF varies."""

    width: int
    height: int


@dataclass(frozen=True)
class Psf:
    """Image of a point source, integrated over pixels, sampled `oversampling` times a pixel.

    The image at a place is the sum of `components`, each times its weight there.
    """

    components: Images
    """(k, side, side); the source lies at sample side // 2. Samples of an image sum to 1."""
    oversampling: int
    weigh: Callable[[Floats, Floats], NDArray[np.float32]] | None = None
    """Weights (n, k) of the components at positions x, y in pixels from 0; None where there is one component."""
    aureole: float = 0.0
    """Share of the light that a pixel gets at 1 pixel from the source; falls as the square of the distance."""
    aureole_radius: int = 0
    """Pixels."""
    typical: tuple[float, ...] = ()
    """Weights of a mean image; empty: those at the first pixel."""
    prepared: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What painters make of the components once, whatever their weights are."""

    def at(self, x: float, y: float) -> Images:
        """Image at pixel (x, y) of the frame, from 0, without aureole."""
        if self.weigh is None:
            only: Images = self.components[0]
            return only
        weights = self.weigh(np.array([x]), np.array([y]))[0]
        image: Images = np.tensordot(weights, self.components, axes=1)
        return image

    def scattering(self, surface_brightness: float, radius: int) -> "Psf":
        """Give the same PSF another aureole: mag per square arcsec at 1 arcmin of a star of magnitude 0, and pixels."""
        share = share_at_one_pixel(surface_brightness) if radius else 0.0
        return replace(self, aureole=share, aureole_radius=radius, prepared={})

    @cached_property
    def mean(self) -> Images:
        """Mean image."""
        if self.typical:
            image: Images = np.tensordot(np.array(self.typical, np.float32), self.components, axes=1)
            return image
        return self.at(0.0, 0.0)

    @cached_property
    def fwhm(self) -> float:
        """Pixels: diameter of the circle that has the area of the pixels above half the maximum."""
        image = self.mean
        half = image.max() / 2.0
        return 2.0 * math.sqrt(float(np.count_nonzero(image >= half)) / math.pi) / self.oversampling


def transfer(optics: Optics, *, sample: float, size: int) -> NDArray[np.float32]:
    """Transfer function of atmosphere and tracking.

    Returns
    -------
    transfer : (size, size // 2 + 1) float32; 1 at zero frequency, in the order of numpy's rfft2
    """
    fy = np.fft.fftfreq(size, 1.0 / size)[:, np.newaxis]
    fx = np.arange(size // 2 + 1, dtype=np.float64)[np.newaxis, :]
    square = fx * fx + fy * fy
    passed = np.ones_like(square)
    scale = pupil_scale(optics, sample, size)
    if optics.exposure is not Exposure.NONE:
        fried = FRIED * optics.wavelength * 1e-6 / (optics.seeing * ARCSEC)
        exponent = -KOLMOGOROV * (square * (scale / fried) ** 2) ** (5.0 / 6.0)
        if optics.exposure is Exposure.SHORT:
            share = square * (scale / optics.m1_diameter) ** 2
            passed = np.where(share < 1.0, np.exp(exponent * (1.0 - np.minimum(share, 1.0) ** (1.0 / 6.0))), 0.0)
        else:
            passed = np.exp(exponent)
    if optics.tracking is not Tracking.NONE:
        major, minor = (
            2.0 * math.pi * length / (size * sample) for length in (optics.tracking_major, optics.tracking_minor)
        )
        cosine, sine = math.cos(math.radians(optics.tracking_angle)), math.sin(math.radians(optics.tracking_angle))
        along, across = cosine * fx + sine * fy, cosine * fy - sine * fx
        if optics.tracking is Tracking.JITTER:
            passed *= np.exp(-0.5 * ((major * along) ** 2 + (minor * across) ** 2))
        else:
            passed *= np.sinc(major * along / (2.0 * math.pi)) * np.exp(-0.5 * minor**2 * square)
    return passed.astype(np.float32)


def motion_of(optics: Optics) -> float:
    """Rms in arcsec, along an axis, of the motion that the image of a short exposure lacks.

    A short exposure's transfer function is the long one's without a Gaussian; this is the Gaussian's (Fried 1966): many
    short exposures, each moved by it, add up to a long one.
    """
    if optics.exposure is not Exposure.SHORT:
        return 0.0
    waves = optics.wavelength * 1e-6
    fried = FRIED * waves / (optics.seeing * ARCSEC)
    variance = KOLMOGOROV / (2.0 * math.pi**2) * waves**2 * fried ** (-5.0 / 3.0) * optics.m1_diameter ** (-1.0 / 3.0)
    return math.sqrt(variance) / ARCSEC


def image_of(
    optics: Optics,
    *,
    sample: float,
    oversampling: int,
    size: int,
    passed: NDArray[np.float32] | None = None,
    place: tuple[float, float] = (0.5, 0.5),
    as_original: bool = False,
) -> Images:
    """Image of a point before the pixel: (size, size) float32, sum about 1, the source at size // 2."""
    pupil = amplitude(optics, sample=sample, size=size, place=place, as_original=as_original)
    spectrum = np.fft.rfft2(light_of(pupil))
    spectrum *= transfer(optics, sample=sample, size=size) if passed is None else passed
    spectrum /= spectrum[0, 0].real
    image: Images = np.fft.fftshift(np.fft.irfft2(spectrum, (size, size))).astype(np.float32)
    outer = float(size - 1 - size // 2)
    sigma = width_of(optics) * oversampling
    taper(image, outer - 3.0 * sigma, outer, sigma)
    return image


def light_of(pupil: NDArray[np.complex64]) -> Images:
    """Intensity of the diffraction image; by the symmetry of real transforms where no wave front is turned."""
    if pupil.imag.any():
        field = np.fft.fft2(pupil)
        return np.asarray(field.real**2 + field.imag**2, np.float32)
    half = np.fft.rfft2(pupil.real)
    return whole(np.asarray(half.real**2 + half.imag**2, np.float32), pupil.shape[1])


def whole(half: Images, size: int) -> Images:
    """All `size` columns of a transform that is even, from those that rfft2 gives."""
    light = np.empty((half.shape[0], size), half.dtype)
    kept = half.shape[1]
    light[:, :kept] = half
    light[0, kept:] = half[0, size - kept : 0 : -1]
    light[1:, kept:] = half[:0:-1, size - kept : 0 : -1]
    return light


def width_of(optics: Optics) -> float:
    """Rough rms width of the image as SkyMaker reckons it for the taper; its terms mix units as the original's do."""
    total = (1.22 / 2.35 * optics.wavelength / optics.m1_diameter) ** 2 + optics.tracking_major**2
    if optics.exposure is not Exposure.NONE:
        total += (optics.seeing / 2.35) ** 2
    return math.sqrt(total + sum((each.d80[0] / 1.8) ** 2 for each in optics.aberrations))


def pixelated(image: Images, oversampling: int) -> Images:
    """Sum an image over pixels of `oversampling` samples; smaller by oversampling - 1 a side, sum 1."""
    side = image.shape[0] - oversampling + 1
    summed = np.empty((side, side), np.float32)
    box_sum(image, oversampling, summed)
    summed /= np.float32(summed.sum(dtype=np.float64))
    return summed


def psf_of(
    optics: Optics,
    *,
    pixel_scale: float,
    oversampling: int = 5,
    size: int = 1024,
    field: Field | None = None,
    as_original: bool = False,
) -> Psf:
    """Compute the PSF of a telescope.

    Parameters
    ----------
    optics : Optics
    pixel_scale : float
        Arcsec a pixel.
    oversampling : int
        Samples a pixel.
    size : int
        Samples of the map along both axes.
    field : Field, optional
        Size of the image; where it is given and an aberration varies, the PSF follows it.
    as_original : bool
        Repeat two slips of SkyMaker 4.3.0, for comparisons: see `pupil.amplitude`.

    Raises
    ------
    ValueError
        If a size is not positive, or the pupil does not fit the map.
    """
    if pixel_scale <= 0.0 or oversampling < 1 or size < 4 * oversampling:
        raise ValueError(f"a PSF of {size} samples, {oversampling} a pixel of {pixel_scale} arcsec, cannot be made")
    sample = pixel_scale / oversampling
    passed = transfer(optics, sample=sample, size=size)

    def at(u: float, v: float) -> Images:
        image = image_of(
            optics,
            sample=sample,
            oversampling=oversampling,
            size=size,
            passed=passed,
            place=(u, v),
            as_original=as_original,
        )
        return pixelated(image, oversampling)

    share = share_at_one_pixel(optics.aureole_sb) if optics.aureole_radius else 0.0
    if field is None or not optics.varies:
        return Psf(at(0.5, 0.5)[np.newaxis], oversampling, None, share, optics.aureole_radius)
    steps = np.linspace(0.0, 1.0, SNAPSHOTS)
    images = np.stack([_trimmed(at(float(u), float(v))) for v in steps for u in steps])
    return Psf(images, oversampling, snapshot_law(field, SNAPSHOTS), share, optics.aureole_radius)


def _trimmed(image: Images) -> Images:
    centre, reach = image.shape[0] // 2, min(image.shape[0] // 2, VARYING_REACH)
    kept = image[centre - reach : centre + reach, centre - reach : centre + reach]
    return kept / np.float32(kept.sum(dtype=np.float64))


def snapshot_law(field: Field, snapshots: int) -> Callable[[Floats, Floats], NDArray[np.float32]]:
    """Bilinear weights of images on a grid that spans the frame."""

    def weigh(x: Floats, y: Floats) -> NDArray[np.float32]:
        weights = np.zeros((x.size, snapshots, snapshots), np.float32)
        u = np.clip(x / max(field.width - 1, 1), 0.0, 1.0) * (snapshots - 1)
        v = np.clip(y / max(field.height - 1, 1), 0.0, 1.0) * (snapshots - 1)
        i, j = (np.minimum(each.astype(int), snapshots - 2) for each in (u, v))
        rows = np.arange(x.size)
        for dj, wv in ((0, 1.0 - (v - j)), (1, v - j)):
            for di, wu in ((0, 1.0 - (u - i)), (1, u - i)):
                weights[rows, j + dj, i + di] = wu * wv
        return weights.reshape(x.size, -1)

    return weigh
