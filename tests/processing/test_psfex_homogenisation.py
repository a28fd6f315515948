"""Kernels that make the PSF the same all over an image."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from processing.psf_model import PsfModel, Variation, without_stars
from processing.psfex.homogenisation import convolved, kernel_of, moffat, write
from processing.psfex.settings import Homogenisation

WANTED = Homogenisation(8, 0.6, 5.0, 3.0)


def growing() -> PsfModel:
    """A Moffat profile whose FWHM goes from 3.6 to 4.4 pixels along x, as far as a model of degree 1 can tell."""
    wide, narrow = moffat((31, 31), 4.4, 3.0), moffat((31, 31), 3.6, 3.0)
    images = np.stack([(wide + narrow) / 2, wide - narrow]).astype(np.float32)
    return PsfModel(images, 1.0, 4.0, Variation(("X_IMAGE",), (1,), (1000.0,), (2000.0,), (1,)))


def test_kernel_times_psf_is_the_profile_everywhere() -> None:
    model = growing()
    kernel = kernel_of(model, WANTED)
    assert kernel.shape == (2, 31, 31)
    assert kernel[0].sum() == pytest.approx(1.0, abs=1e-5)
    target = moffat((31, 31), 5.0, 3.0)
    for x in (100.0, 1000.0, 1900.0):
        terms = model.variation.basis(np.array([[x]]))[0]
        here = np.tensordot(terms, kernel.astype(np.float64), 1)[np.newaxis]
        made = convolved(model.at(x).astype(np.float64)[np.newaxis], here)[0, 0]
        # without the kernel 0.3 to 0.9; shapelets of order 8 leave 0.017
        assert np.abs(made - target).max() < 0.03 * target.max()


def test_convolution_is_not_wrapped_round() -> None:
    image, kernel = np.zeros((1, 9, 7)), np.zeros((1, 9, 7))
    image[0, 8, 3], kernel[0, 6, 4] = 2.0, 3.0
    assert convolved(image, kernel) == pytest.approx(0.0, abs=1e-12)
    image[0, 8, 3], image[0, 2, 1] = 0.0, 2.0
    # the kernel moves by 2 up and 1 right
    assert convolved(image, kernel)[0, 0, 4, 2] == pytest.approx(6.0)


def test_kernels_of_several_images_are_extensions_and_none_stands_for_no_stars(tmp_path: Path) -> None:
    model = growing()
    write(tmp_path / "one.fits", [model], WANTED)
    write(tmp_path / "two.fits", [model, without_stars((31, 31), model.variation)], WANTED)
    with fits.open(tmp_path / "one.fits") as one, fits.open(tmp_path / "two.fits") as two:
        one.verify("exception")
        two.verify("exception")
        assert [hdu.name for hdu in two] == ["PRIMARY", "HOMO_DATA", "HOMO_DATA"]
        assert np.array_equal(one[0].data, two[1].data)
        assert not two[2].data.any()
        told = one[0].header
        assert (told["PSF_FWHM"], told["PSF_BETA"], told["PSF_SAMP"], told["POLNAME1"]) == (5.0, 3.0, 1.0, "X_IMAGE")
    assert not list(tmp_path.glob("*.part"))


def test_a_constant_psf_has_a_plain_image_for_a_kernel(tmp_path: Path) -> None:
    model = PsfModel(growing().images[:1], 1.0, 4.0)
    write(tmp_path / "one.fits", [model], WANTED)
    with fits.open(tmp_path / "one.fits") as one:
        assert one[0].data.shape == (31, 31)
