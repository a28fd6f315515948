"""The image of a point over the field of a camera."""

from dataclasses import replace

import numpy as np
import pytest

from processing.skymaker.effects import FULL, Points
from processing.skymaker.exposures import exposure_of
from processing.skymaker.field import M2_DIAMETER, law, psf_on
from processing.skymaker.psf import Optics, psf_of
from processing.skymaker.scene import Scene, paint_scene
from terapix.instruments import load_instrument

MEGACAM = load_instrument("megacam")
EXPOSURE = replace(exposure_of(0, 1), fwhm=0.7)
"""In r."""


def moments(image):
    """Second moments xx, yy, xy of the core, in samples."""
    half = 20
    middle = image.shape[0] // 2
    core = image[middle - half : middle + half + 1, middle - half : middle + half + 1].astype(float)
    j, i = np.mgrid[-half : half + 1, -half : half + 1]
    window = core * np.exp(-(i**2 + j**2) / 100.0)
    return np.array([(window * a).sum() for a in (i * i, j * j, i * j)]) / window.sum()


def test_the_law_gives_the_image_of_each_seeing():
    round_ = replace(FULL, points=Points(elongation=0.0))
    psf = psf_on(MEGACAM, MEGACAM.ccds[0], EXPOSURE, round_)
    for square in (0.0, 0.15, 0.8):
        there = replace(psf, weigh=law(np.sqrt(square), 0.0, 0.0, 0.0)).at(0, 0)
        seeing = EXPOSURE.fwhm * (1 + 0.08 * square)
        exact = psf_of(
            Optics(seeing=seeing, wavelength=0.63, m2_diameter=M2_DIAMETER), pixel_scale=MEGACAM.pixel_scale
        ).components[0]
        # the third derivative of the image by the seeing, times 0.048 of the cube of a node's step
        assert np.abs(there - exact).max() < 2e-4 * exact.max()


def test_images_go_on_across_the_gaps_and_are_longer_along_the_radius():
    left, right = MEGACAM.ccds[4], MEGACAM.ccds[5]
    assert (left.flipped, right.flipped) == (True, True), "x grows to the left"
    gap = right.column - (left.column + 2047)
    assert 0 < gap < 200
    before, behind = (psf_on(MEGACAM, ccd, EXPOSURE).at for ccd in (left, right))
    last, first = before(0.0, 2306.0), behind(2047.0, 2306.0)
    across, as_far, change = (
        np.abs(one - other).max()
        for one, other in (
            (last, first), (before(gap, 2306.0), last), (before(2047.0, 2306.0), last),
        )
    )  # fmt: skip
    # a law of squares of the place: the change over the gap is that over as many pixels before it
    assert across == pytest.approx(as_far, rel=0.1)
    assert across < 3.0 * gap / 2048 * change

    corner = psf_on(MEGACAM, MEGACAM.ccds[0], EXPOSURE)
    weights = corner.weigh(np.array([0.0, 2047.0]), np.array([4611.0, 0.0]))
    np.testing.assert_allclose(weights[:, :3].sum(axis=1), 1.0, rtol=1e-6)
    east = replace(corner, weigh=law(1.0, 0.0, 0.0, 1.0)).at(0, 0)
    north_east = replace(corner, weigh=law(np.sqrt(0.5), 1.0, np.sqrt(0.5), 1.0)).at(0, 0)
    xx, yy, xy = moments(east)
    assert xx > 1.02 * yy
    assert abs(xy) < 1e-3 * xx
    xx, yy, xy = moments(north_east)
    assert abs(xx / yy - 1) < 1e-3
    assert xy > 0.01 * xx


def test_without_the_effect_one_image_stands_for_the_ccd():
    off = replace(FULL, points=Points(on=False))
    psf = psf_on(MEGACAM, MEGACAM.ccds[0], EXPOSURE, off)
    assert psf.weigh is None
    assert psf.components.shape[0] == 1


@pytest.mark.parametrize("radius", [0, 120])
def test_threads_change_no_bit_and_no_light_is_lost(radius):
    effects = replace(FULL, points=Points(aureole_radius=radius))
    psf = psf_on(MEGACAM, MEGACAM.ccds[0], EXPOSURE, effects)
    chance = np.random.default_rng(4)
    x, y, flux = chance.uniform(150, 250, 12), chance.uniform(150, 250, 12), chance.uniform(1e3, 1e5, 12)
    galaxy = np.arange(12) % 2 == 0
    ones, none = np.ones(12), np.zeros(12)
    scene = Scene(
        x, y, flux, none, none, ones, none, np.where(galaxy, 0.6, 0.0), np.where(galaxy, 0.5, 1.0), none, 4 * ones
    )
    images = []
    for threads in (1, 3):
        light = np.zeros((400, 400), np.float32)
        paint_scene(light, scene, replace(psf, prepared={}), pixel_scale=0.186, faint=0.1, threads=threads)
        images.append(light)
    np.testing.assert_array_equal(*images)
    # what lies beyond the image's edges: the aureole's rim, and the wings of the seeing
    assert abs(images[0].sum(dtype=float) / flux.sum() - 1) < (2e-3 if radius == 0 else 5e-3)
