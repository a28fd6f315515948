"""The pupil and the image of a point source."""

from dataclasses import replace

import numpy as np
import pytest

from processing.skymaker.psf import Aberration, Exposure, Field, Optics, Tracking, motion_of, psf_of, transfer
from processing.skymaker.pupil import amplitude

SAMPLE = 0.186 / 5


def test_the_pupil_is_a_ring_cut_by_the_spider() -> None:
    pupil = np.abs(amplitude(Optics(arms=4, arm_thickness=200.0), sample=SAMPLE, size=256))
    assert pupil.min() == 0.0
    assert pupil.max() == pytest.approx(1.0)
    assert pupil[128, 128] == 0.0, "the obstruction"
    assert pupil[128, 128 + 60] == 0.0, "an arm"
    assert pupil[128 + 50, 128 + 50] == pytest.approx(1.0)


def test_a_psf_sums_to_one_and_has_its_peak_at_the_source() -> None:
    psf = psf_of(Optics(seeing=0.8), pixel_scale=0.186, size=512)
    image = psf.at(10.0, 20.0)
    assert image.dtype == np.float32
    assert image.sum(dtype=float) == pytest.approx(1.0, abs=1e-5)
    assert np.unravel_index(image.argmax(), image.shape) == (image.shape[0] // 2, image.shape[1] // 2)
    assert psf.fwhm * 0.186 == pytest.approx(0.82, abs=0.03), "seeing, diffraction and pixel"


def test_an_aberration_follows_its_law_about_its_centre() -> None:
    law = Aberration((0.2, 0.4, -0.6, 1.0, 2.0, 3.0), (0.25, 0.5))
    assert law.at(0.25, 0.5) == pytest.approx(0.2)
    assert law.at(0.75, 1.0) == pytest.approx(0.2 + 0.2 - 0.3 + 0.25 + 0.5 + 0.75)


def test_a_varying_psf_is_what_it_is_at_its_snapshots() -> None:
    optics = Optics(seeing=0.6, astigmatism_00=Aberration((0.0, 0.8, 0.0)))
    psf = psf_of(optics, pixel_scale=0.2, size=128, field=Field(1001, 501))
    still = psf_of(Optics(seeing=0.6, astigmatism_00=Aberration((0.4,))), pixel_scale=0.2, size=128)
    corner, alone = psf.at(1000.0, 250.0), still.at(0.0, 0.0)
    assert corner.shape == alone.shape
    assert np.abs(corner - alone).max() < 1e-3 * alone.max(), "the taper at the rim differs"
    assert np.abs(psf.at(500.0, 0.0) - corner).max() > 0.01 * corner.max()


@pytest.mark.parametrize("exposure", [Exposure.LONG, Exposure.SHORT, Exposure.NONE])
@pytest.mark.parametrize("tracking", [Tracking.NONE, Tracking.JITTER, Tracking.DRIFT])
def test_a_transfer_function_begins_at_one_and_never_grows_beyond(exposure: Exposure, tracking: Tracking) -> None:
    optics = Optics(exposure=exposure, tracking=tracking, tracking_major=0.3, tracking_minor=0.1, tracking_angle=30.0)
    passed = transfer(optics, sample=SAMPLE, size=128)
    assert passed[0, 0] == pytest.approx(1.0)
    assert np.abs(passed).max() <= 1.0 + 1e-6


def test_a_short_exposure_is_sharper() -> None:
    fwhm = {each: psf_of(Optics(exposure=each), pixel_scale=0.2, size=256).fwhm for each in Exposure}
    assert fwhm[Exposure.NONE] < fwhm[Exposure.SHORT] < fwhm[Exposure.LONG]


def test_a_map_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be made"):
        psf_of(Optics(), pixel_scale=0.2, size=8)


def test_many_short_exposures_that_move_are_a_long_one() -> None:
    sample, size = 0.04, 256
    short = Optics(seeing=0.8, exposure=Exposure.SHORT)
    seen = transfer(short, sample=sample, size=size)
    sigma = motion_of(short)
    fy, fx = np.fft.fftfreq(size, sample)[:, None], np.arange(size // 2 + 1) / (size * sample)
    square = fx**2 + fy**2
    expected = transfer(replace(short, exposure=Exposure.LONG), sample=sample, size=size)
    passes = square * (short.wavelength * 1e-6 / short.m1_diameter) ** 2 * (3600 * 180 / np.pi) ** 2 < 1
    np.testing.assert_allclose((seen * np.exp(-2 * np.pi**2 * sigma**2 * square))[passes], expected[passes], atol=1e-6)
    assert motion_of(Optics(exposure=Exposure.LONG)) == 0.0
    # Martin (1987, PASP 99, 1360) has 0.18 (wavelength / D)^2 (D / r0)^(5/3) for an axis: here (0.216 arcsec)^2
    assert 0.2 < sigma < 0.23
