"""Painting of sources."""

import numpy as np
import pytest

from processing.kernels.render import add_points, fill_cubic
from processing.skymaker.psf import Optics, Psf, psf_of
from processing.skymaker.render import wrap
from processing.skymaker.scene import Scene, paint_scene


@pytest.fixture(scope="module")
def psf() -> Psf:
    return psf_of(Optics(seeing=0.8), pixel_scale=0.186, size=512)


def crowd(count: int = 300, side: int = 300) -> Scene:
    chance = np.random.default_rng(4)
    extended = chance.random(count) < 0.6
    return Scene(
        x=chance.uniform(-20, side + 20, count),
        y=chance.uniform(-20, side + 20, count),
        flux=10.0 ** chance.uniform(2.5, 5.0, count),
        bulge_share=chance.random(count),
        bulge_radius=np.where(extended, chance.uniform(0.1, 1.5, count), 0.0),
        bulge_ratio=chance.uniform(0.3, 1.0, count),
        bulge_angle=chance.uniform(-90.0, 90.0, count),
        disc_radius=np.where(extended, chance.uniform(0.1, 1.5, count), 0.0),
        disc_ratio=chance.uniform(0.3, 1.0, count),
        disc_angle=chance.uniform(-90.0, 90.0, count),
        index=np.where(chance.random(count) < 0.8, 4.0, 2.0),
    )


def painted(scene: Scene, psf: Psf, *, threads: int = 1, faint: float = 0.5, side: int = 300) -> np.ndarray:
    light = np.zeros((side, side + 40), np.float32)
    paint_scene(light, scene, psf, pixel_scale=0.186, faint=faint, threads=threads)
    return light


def test_threads_change_no_bit(psf: Psf) -> None:
    assert np.array_equal(painted(crowd(), psf), painted(crowd(), psf, threads=3))


def test_light_is_added_where_the_source_is(psf: Psf) -> None:
    scene = Scene(np.array([150.3]), np.array([120.6]), np.array([1e5]))
    light = painted(scene, psf, faint=0.01).astype(float)
    j, i = np.indices(light.shape)
    assert light.sum() == pytest.approx(1e5, rel=3e-3)
    assert (light * i).sum() / light.sum() == pytest.approx(150.3, abs=2e-3)
    assert (light * j).sum() / light.sum() == pytest.approx(120.6, abs=2e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("bulge_ratio", 0.0), ("bulge_share", 1.5), ("flux", np.nan), ("disc_radius", -1.0), ("index", 20.0)],
)
def test_a_bad_source_is_named(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"source 1: {field} = {value}"):
        Scene(**{"x": np.zeros(2), "y": np.zeros(2), "flux": np.ones(2), field: np.array([1.0, value])})


def test_an_image_of_another_kind_is_refused(psf: Psf) -> None:
    with pytest.raises(ValueError, match="float32"):
        paint_scene(np.zeros((9, 9)), crowd(3), psf, pixel_scale=0.2, faint=1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="faint"):
        paint_scene(np.zeros((9, 9), np.float32), crowd(3), psf, pixel_scale=0.2, faint=0.0)


def slowly(phases: np.ndarray, shape: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    """Image of a point of flux 1 / samples**2, pixel by pixel, as Keys' convolution has it."""
    samples, size = phases.shape[1], phases.shape[3]
    light = np.zeros(shape)
    at = np.array([samples * (np.floor(place + 0.5) - place) for place in (x, y)])
    base = np.floor(at).astype(int)
    weights = np.empty((2, 4))
    for axis in range(2):
        fill_cubic(float(at[axis] - base[axis]), weights[axis])
    for j, i in np.ndindex(*shape):
        if np.hypot(i - x, j - y) > radius:
            continue
        for tap, tip in np.ndindex(4, 4):
            down, along = base[1] - 1 + tap, base[0] - 1 + tip
            row = j - int(np.floor(y + 0.5)) + size // 2 + down // samples
            column = i - int(np.floor(x + 0.5)) + size // 2 + along // samples
            if 0 <= row < size and 0 <= column < size:
                light[j, i] += (
                    weights[0, tip] * weights[1, tap] * phases[0, down % samples, along % samples, row, column]
                )
    return light


@pytest.mark.parametrize(("samples", "radius"), [(3, 4), (3, 8), (1, 8)])
@pytest.mark.parametrize(("x", "y"), [(12.0, 11.5), (9.31, 14.77), (-2.4, 3.3), (23.9, 20.01)])
def test_a_point_is_what_cubic_convolution_makes(x: float, y: float, samples: int, radius: int) -> None:
    phases = np.random.default_rng(3).random((1, samples, samples, 19, 19)).astype(np.float32)
    light = np.zeros((23, 26), np.float32)
    for first, last in ((0, 10), (10, 23)):
        one = np.ones((1, 1), np.float32)
        place = np.array([x]), np.array([y]), np.array([samples**-2.0])
        add_points(light, phases, one, *place, np.array([radius]), first, last)
    expected = slowly(phases, light.shape, x, y, radius)
    assert expected.any()
    np.testing.assert_allclose(light, expected, atol=2e-6)


@pytest.mark.parametrize("side", [4, 7, 12])
def test_an_axis_is_wrapped_with_its_middle_first(side: int) -> None:
    image = np.arange(2.0 * 7.0).reshape(2, 7)
    wrapped = wrap(image, side, 1)
    assert wrapped.shape == (2, side)
    for k in range(side):
        held = [image[:, i] for i in range(7) if (i - 3) % side == k]
        assert np.array_equal(wrapped[:, k], np.sum(held, axis=0) if held else np.zeros(2))
