"""What compiles the kernels of SkyMaker, called as SkyMaker calls them."""

from collections.abc import Callable

import numpy as np

from processing.kernels import photons, profiles, psf, render
from processing.kernels.charge import bleed

_SIDE = 8


def _optics() -> None:
    pupil = np.zeros((_SIDE, _SIDE), np.complex64)
    psf.fill_pupil(4.0, 1.0, 0.5, np.zeros((1, 2)), 1, 0.0, False, np.zeros(10), pupil.real, pupil.imag)
    image = np.ones((_SIDE, _SIDE), np.float32)
    psf.taper(image, 1.0, 2.0, 1.0)
    psf.box_sum(image, 2, np.empty((_SIDE - 1, _SIDE - 1), np.float32))


def _points() -> None:
    light, one = np.zeros((_SIDE, _SIDE), np.float32), np.ones(1)
    phases = np.zeros((1, 2, 2, 9, 9), np.float32)
    render.split_phases(light, 2, phases[0])
    reach = np.ones(1, np.int64)
    render.add_points(light, phases, np.ones((1, 1), np.float32), one, one, one, reach, 0, _SIDE)
    coarse = np.zeros((_SIDE, _SIDE), np.float32)
    render.deposit(coarse, one, one, one, 8.0, 2)
    render.add_coarse(light, coarse, 8, 2, 0, _SIDE)


def _stamps() -> None:
    light, at = np.zeros((_SIDE, _SIDE), np.float32), np.zeros(1, np.int64)
    render.add_stamps(light, np.zeros((1, 4, 4), np.float32), at, at, 0, _SIDE)
    stamp = np.zeros((_SIDE, _SIDE))
    render.turn_image(stamp.copy(), 4.0, 4.0, 4.0, 4.0, 1.0, 1.0, 0.0, 2, stamp)


def _galaxies() -> None:
    spectra = np.zeros((1, _SIDE, _SIDE // 2 + 1), np.complex64)
    mixture = np.ones((1, 1), np.float32)
    profiles.fill_spectra(np.ones((1, 11)), np.ones((2, 8)), 0.0, 0.1, spectra.copy(), mixture, spectra)


def _detector() -> None:
    light = np.full((_SIDE, _SIDE), 100.0, np.float32)
    photons.add_noise(light, np.ones((1, 1), np.float32), 0.0, np.uint64(1), 0, _SIDE)
    photons.to_levels(light, 1.5, 65535.0, light.copy(), 0, _SIDE)
    bleed(light, 90.0)


TASKS: tuple[Callable[[], None], ...] = (_optics, _points, _stamps, _galaxies, _detector)
