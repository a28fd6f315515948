"""Cosmic rays on small painted images: what is found, what is spared, and what may not matter."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.cosmics import adapted, mark_cosmics
from processing.defects.image import Amplifier, CcdImage
from processing.defects.settings import CosmicSettings
from processing.flags import PixelFlag

GAIN, NOISE, SKY = 1.6, 4.0, 400.0
SETTINGS = CosmicSettings()


def painted(shape: tuple[int, int] = (300, 240), seed: int = 1, fwhm: float = 3.5, stars: int = 60) -> Any:
    """ADU of sky, stars of any brightness and rays: pixels, what the rays left, middles of the stars."""
    chance = np.random.default_rng(seed)
    light = np.full(shape, SKY * GAIN)
    places = np.column_stack([chance.uniform(4, side - 5, stars) for side in shape])
    sigma = fwhm / 2.3548
    for (y, x), peak in zip(places, 10 ** chance.uniform(2, 4.5, stars), strict=True):
        y0, x0 = max(int(y) - 15, 0), max(int(x) - 15, 0)
        rows, columns = np.mgrid[y0 : min(y0 + 31, shape[0]), x0 : min(x0 + 31, shape[1])]
        light[rows, columns] += peak * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))
    rays = np.zeros(shape)
    for _ in range(25):
        y, x, angle = chance.uniform(5, shape[0] - 6), chance.uniform(5, shape[1] - 6), chance.uniform(0, 7)
        for step in range(int(chance.integers(4, 60))):
            across = chance.normal(0, 0.35, 2)
            row, column = y + 0.25 * step * np.sin(angle) + across[0], x + 0.25 * step * np.cos(angle) + across[1]
            if 0 <= round(row) < shape[0] and 0 <= round(column) < shape[1]:
                rays[round(row), round(column)] += 300.0
    pixels = (chance.poisson(light + rays) + chance.normal(0, NOISE, shape)) / GAIN
    return np.rint(pixels).astype(np.float32), rays, places


def image_of(
    pixels: NDArray[np.float32], *, gain: float = GAIN, noise: float = NOISE, full: float = 60000.0
) -> CcdImage:
    ny, nx = pixels.shape
    half = nx // 2
    amplifiers = (Amplifier(0, half, gain, noise), Amplifier(half, nx, gain, noise))
    return CcdImage(pixels, Area(0, nx, 0, ny), amplifiers, full, 0.185, "painted")


def marked(image: CcdImage, settings: CosmicSettings = SETTINGS, flags: Any = None, threads: int = 1) -> Any:
    flags = np.zeros(image.pixels.shape, np.int16) if flags is None else flags
    before = flags.copy()
    count = mark_cosmics(image, flags, settings, threads=threads)
    assert not (before & ~flags).any(), "no bit is ever cleared"
    assert not ((before ^ flags) & ~int(PixelFlag.COSMIC)).any(), "no other bit is set"
    found = flags & PixelFlag.COSMIC > 0
    assert count == found.sum()
    return found


def near(rays: NDArray[np.float64], reach: int) -> NDArray[np.bool_]:
    """Pixels that have a ray within `reach` pixels."""
    hit = np.pad(rays > 0, reach)
    return np.lib.stride_tricks.sliding_window_view(hit, (2 * reach + 1,) * 2).any(axis=(2, 3))


def test_rays_are_found_and_stars_are_spared() -> None:
    pixels, rays, places = painted()

    found = marked(image_of(pixels))

    noise = np.sqrt(SKY * GAIN)
    assert found[rays > 5 * noise].mean() > 0.97
    assert found[rays > noise].mean() > 0.95
    y, x = np.rint(places).astype(int).T
    alone = ~near(rays, 2)[y, x]
    assert alone.sum() > 40
    assert not found[y[alone], x[alone]].any()
    assert near(rays, 2)[found].mean() > 0.9


def test_kernels_agree_with_their_twins_without_the_compiler_too() -> None:
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    run = subprocess.run(
        [
            *command,
            *(str(here / f"test_{name}.py") for name in ("cosmics_kernels", "cosmic_shapes")),
            "-k",
            "not no_light",
        ],
        cwd=here.parents[1],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_any_number_of_threads_gives_the_same_bits() -> None:
    pixels, _, _ = painted((700, 200))
    alone = marked(image_of(pixels))
    for threads in (2, 3, 7):
        np.testing.assert_array_equal(marked(image_of(pixels), threads=threads), alone)


def test_what_is_flagged_is_neither_marked_nor_believed() -> None:
    pixels, rays, _ = painted()
    flags = np.zeros(pixels.shape, np.int16)
    for k, bit in enumerate((PixelFlag.BAD, PixelFlag.SATURATED, PixelFlag.BLEED, PixelFlag.HOT, PixelFlag.OVERSCAN)):
        flags[:, 20 + 40 * k] = int(bit)
    wild = np.where(flags > 0, np.float32(50000), pixels)

    found = marked(image_of(wild), flags=flags.copy())

    assert not found[flags > 0].any()
    other = marked(image_of(np.where(flags > 0, np.float32(-700), pixels)), flags=flags.copy())
    np.testing.assert_array_equal(found, other)
    assert found[(rays > 150) & (flags == 0)].mean() > 0.9


def test_a_saturated_pixel_is_no_ray_though_nobody_flagged_it() -> None:
    pixels, rays, _ = painted()
    pixels[rays == 0] = np.minimum(pixels[rays == 0], 1500)
    pixels[100:160, 100] = 2000
    found = marked(image_of(pixels, full=2000))
    assert not found[100:160, 100].any()
    assert not found[100:160, 99].any()


def test_a_column_that_sheds_charge_is_no_ray() -> None:
    pixels, rays, _ = painted()
    expected = marked(image_of(pixels))
    pixels[40:, 75] += 200
    found = marked(image_of(pixels))
    assert found[40:, 75].sum() <= (rays[40:, 75] > 0).sum() + 2
    far = np.abs(np.arange(240) - 75) > 3
    # the stars that lie in it no longer tell the seeing
    assert (found ^ expected)[:, far].mean() < 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (3, 3), (5, 4), (9, 300), (300, 9)])
def test_images_of_any_size(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(2).normal(100, 10, shape).astype(np.float32)
    assert marked(image_of(pixels)).sum() == 0


def test_a_flat_image_has_no_rays() -> None:
    for value in (0.0, 1.0, -40.0, 5000.0):
        assert not marked(image_of(np.full((60, 70), value, np.float32))).any()


def test_nothing_is_found_where_nothing_is_known() -> None:
    assert not marked(image_of(np.full((60, 70), np.nan, np.float32))).any()
    bad = np.full((60, 70), int(PixelFlag.BAD), np.int16)
    assert not marked(image_of(np.ones((60, 70), np.float32)), flags=bad).any()


def test_pixels_without_number_do_not_matter_to_others() -> None:
    pixels, rays, _ = painted()
    holes = np.random.default_rng(8).random(pixels.shape) < 0.01
    pixels[holes] = np.nan
    found = marked(image_of(pixels))
    assert not found[holes].any()
    assert found[(rays > 5 * np.sqrt(SKY * GAIN)) & ~holes].mean() > 0.9


def test_an_empty_sky_with_noise_has_hardly_a_ray() -> None:
    pixels = (np.random.default_rng(4).poisson(640, (1000, 500)) / GAIN).astype(np.float32)
    # at 4 sigma above what the neighbours allow, which are spared another sigma, 1e-6 of all pixels
    assert marked(image_of(pixels)).sum() < 10


def test_a_sky_that_was_subtracted_changes_nothing() -> None:
    pixels, _, _ = painted()
    np.testing.assert_array_equal(marked(image_of(pixels - np.float32(SKY))), marked(image_of(pixels)))


def test_electrons_as_units_change_nothing() -> None:
    pixels, _, _ = painted()
    image = image_of(pixels)
    # a power of two keeps every rounding
    electrons = replace(
        image,
        pixels=pixels * np.float32(2),
        saturation=2 * image.saturation,
        amplifiers=tuple(replace(amplifier, gain=amplifier.gain / 2) for amplifier in image.amplifiers),
    )
    np.testing.assert_array_equal(marked(electrons), marked(image))


def test_the_overscan_is_left_alone() -> None:
    pixels, _, _ = painted()
    wide = np.pad(pixels, ((0, 20), (16, 16)))
    wide[5, 5] = wide[310, 100] = 9000
    whole = image_of(pixels)
    framed = replace(
        whole,
        pixels=wide,
        inside=Area(16, 256, 0, 300),
        amplifiers=(Amplifier(0, 136, GAIN, NOISE), Amplifier(136, 272, GAIN, NOISE)),
    )
    found = marked(framed)
    np.testing.assert_array_equal(found[:300, 16:256], marked(whole))
    assert found.sum() == found[:300, 16:256].sum()


def test_the_search_can_be_switched_off() -> None:
    pixels, _, _ = painted()
    assert not marked(image_of(pixels), CosmicSettings(on=False)).any()


def test_thresholds_are_lower_where_stars_cover_few_pixels_and_nowhere_else() -> None:
    usual = CosmicSettings()

    def bounds(width: float) -> np.ndarray:
        along = np.exp(8 * np.log(2) / width**2)
        return np.array([along, along, along**2, along**2], np.float32)

    sharp, middle, wide = (adapted(usual, bounds(width)) for width in (2.5, 2.75, 3.0))
    assert wide == usual
    assert (sharp.pixel, sharp.track, sharp.peak) == pytest.approx((1.35, 0.9, 3.0625))
    assert sharp.shape == pytest.approx(5.5)
    assert sharp.pixel < middle.pixel < wide.pixel
    assert adapted(usual.model_copy(update={"eager": 0.0}), bounds(2.0)).pixel == usual.pixel
