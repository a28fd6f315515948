"""The loops of the camera, against plain numpy and against what the words say."""

import math
import subprocess
import sys

import numpy as np
import pytest

from processing.flags import PixelFlag
from processing.kernels import charge, noise, tracks
from processing.skymaker.detector import key_of, optics_of
from processing.skymaker.effects import FULL
from terapix.instruments import load_instrument

ONE = np.array([1.0])


def image(height=101, width=121):
    return np.zeros((height, width), np.float32)


def test_normal_deviates_are_normal_and_depend_on_key_and_row_only():
    rows = np.empty((2000, 1000), np.float32)
    for number, row in enumerate(rows):
        noise.fill_normal(key_of(1, 2), number, row)
    again = np.empty(1000, np.float32)
    noise.fill_normal(key_of(1, 2), 1234, again)

    assert np.array_equal(again, rows[1234])
    # two million deviates: mean to 0.0007, variance to 0.001, kurtosis to 0.0035 at one sigma
    assert abs(rows.mean(dtype=float)) < 0.003
    assert rows.var(dtype=float) == pytest.approx(1.0, abs=0.004)
    assert (rows.astype(float) ** 4).mean() == pytest.approx(3.0, abs=0.02)
    assert 4.5 < np.abs(rows).max() < 6.7
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.003
    assert abs(np.corrcoef(rows[:, ::2].ravel(), rows[:, 1::2].ravel())[0, 1]) < 0.004


def test_grain_is_cheap_and_has_the_right_rms():
    rows = np.empty((500, 1000), np.float32)
    for number, row in enumerate(rows):
        noise.fill_grain(key_of(1, 3), number, row)

    # half a million: mean to 0.0014 and variance to 0.002 at one sigma (a sum of four has less kurtosis)
    assert abs(rows.mean(dtype=float)) < 0.005
    assert rows.var(dtype=float) == pytest.approx(1.0, abs=0.006)
    assert np.abs(rows).max() < 3.5
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.006


def test_a_path_has_its_charge_along_its_way_and_marks_its_pixels():
    painted, marks, counts = image(), np.zeros((101, 121), np.uint8), np.zeros(2, np.int64)
    x = np.concatenate([np.linspace(20.25, 50.25, 121), np.full(10, 80.0)])
    y = np.concatenate([np.full(121, 40.5), np.full(10, 60.0)])
    ends, part = np.array([121, 131]), np.concatenate([np.full(121, 900 / 121), np.full(10, 50.0)])
    tracks.add_paths(painted, marks, int(PixelFlag.COSMIC), 1.0, ends, x, y, part, counts)

    assert painted.sum(dtype=float) == pytest.approx(900.0 + 500.0, rel=1e-5)
    assert set(np.flatnonzero(painted[:, :70].sum(axis=1))) == {40, 41}
    assert np.flatnonzero(painted[:50].sum(axis=0))[[0, -1]] == pytest.approx([20, 51], abs=1)
    assert painted[60, 80] == pytest.approx(500.0)
    assert counts.sum() == np.count_nonzero(marks & PixelFlag.COSMIC)
    assert counts[1] == 1


def test_paths_that_leave_the_ccd_are_no_harm():
    painted, marks, counts = image(), np.zeros((101, 121), np.uint8), np.zeros(1, np.int64)
    x, y = np.linspace(-8.0, 130.0, 400), np.linspace(-3.0, 104.0, 400)
    tracks.add_paths(painted, marks, 32, 0.5, np.array([400]), x, y, np.ones(400), counts)

    assert 300 < painted.sum(dtype=float) < 400


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 2, 2.2])
def test_a_trail_has_its_light_on_each_pixel_of_its_length(angle):
    painted, marks = image(401, 401), np.zeros((401, 401), np.uint8)
    along = np.arange(-150.0, 151.0, 30.0)
    x, y = 200 + along * math.cos(angle), 200 + along * math.sin(angle)
    count = tracks.add_trail(painted, marks, 64, 1.0, x, y, np.full(along.size, 100.0), 3.0, 60.0)

    # 300 pixels long; a profile that falls with the fourth power has 1e-5 of its light outside 60 pixels
    assert painted.sum(dtype=float) == pytest.approx(300 * 100.0, rel=0.01)
    rows, columns = np.mgrid[:401, :401]
    light = painted.astype(float)
    across = (rows - 200) * math.cos(angle) - (columns - 200) * math.sin(angle)
    assert (light * across).sum() / light.sum() == pytest.approx(0.0, abs=0.01)
    assert painted[200, 200] == pytest.approx(75.0 / 3.0, rel=0.02)
    assert count == np.count_nonzero(marks) == np.count_nonzero(painted > 1.0)


def bled(column, well):
    """Twin of the kernel for one column: half of what is too much goes up, half goes down."""
    excess = np.maximum(column - well, 0.0) / 2
    kept = np.minimum(column, well).astype(float)
    for order in (range(column.size), range(column.size - 1, -1, -1)):
        flowing = 0.0
        for j in order:
            taken = min(well - kept[j], flowing)
            kept[j] += taken
            flowing += excess[j] - taken
    return kept


def test_charge_above_the_well_flows_along_its_column_and_none_is_lost():
    random = np.random.default_rng(3)
    before = random.uniform(0, 50, (200, 6)).astype(np.float32)
    before[100:103, 2] = 1500
    before[60, 4] = 700
    after = before.copy()
    count, lost = charge.bleed(after, 100.0)

    assert after.max() <= 100.0
    assert lost == 0.0
    assert count == np.count_nonzero(after == 100.0)
    assert np.allclose(after.sum(axis=0, dtype=float), before.sum(axis=0, dtype=float), rtol=1e-6)
    assert np.array_equal(after[:, [0, 1, 3, 5]], before[:, [0, 1, 3, 5]])
    for column in (2, 4):
        assert np.allclose(after[:, column], bled(before[:, column].astype(float), 100.0), atol=1e-2)


def test_charge_that_reaches_the_edge_is_gone():
    painted = image(20, 3)
    painted[2, 1] = 1e6
    _, lost = charge.bleed(painted, 100.0)

    assert lost == pytest.approx(1e6 - 20 * 100.0)
    assert (painted[:, 1] == 100.0).all()
    assert not painted[:, [0, 2]].any()


@pytest.mark.parametrize("mean", [0.0, 0.7, 8.0, 24.9, 25.1, 300.0, 60000.0])
def test_reading_adds_the_noise_of_photons_and_of_each_amplifier(mean):
    electrons = np.full((400, 401), mean, np.float32)
    levels = np.empty_like(electrons)
    amplifiers = np.array([1.6, 4.0, 1.2, 9.0])
    noise.read_out(electrons, amplifiers, 200, 1e5, 0.0, True, key_of(5), levels)

    for part, gain, spread in ((levels[:, :200], 1.6, 4.0), (levels[:, 200:], 1.2, 9.0)):
        variance = (mean + spread**2) / gain**2
        deviations = part.astype(float) - part.mean(dtype=float)
        # 80,000 pixels: three sigma of the mean, and of the variance (whose kurtosis is at most that of few photons)
        assert part.mean(dtype=float) == pytest.approx(mean / gain, abs=3 * math.sqrt(variance / part.size))
        assert part.var(dtype=float) == pytest.approx(variance, rel=3 * math.sqrt(2.2 / part.size))
        skewness = (deviations**3).mean() / variance**1.5
        assert skewness == pytest.approx(mean / (mean + spread**2) ** 1.5, abs=4 * math.sqrt(6 / part.size))


def test_without_photons_and_at_the_well_only_the_amplifiers_are_heard():
    electrons = np.full((200, 400), 5000.0, np.float32)
    for well, photons in ((5000.0, True), (1e5, False)):
        levels = np.empty_like(electrons)
        noise.read_out(electrons, np.array([2.0, 4.0, 2.0, 4.0]), 200, well, 0.0, photons, key_of(6), levels)
        assert levels.std(dtype=float) == pytest.approx(2.0, rel=0.02)


def test_levels_lag_behind_the_charge_in_proportion():
    electrons = np.array([[0.0, 5e4, 1e5]], np.float32)
    levels = np.empty_like(electrons)
    noise.read_out(electrons, np.array([2.0, 0.0, 2.0, 0.0]), 1, 1e5, 0.02, False, key_of(6), levels)

    assert levels[0] == pytest.approx([0.0, 2.5e4 * 0.99, 5e4 * 0.98])


def test_flattening_undoes_the_response_and_tells_what_is_saturated():
    levels = np.array([[90.0, 450.0, 0.2, 5000.0]], np.float32)
    flat = np.array([[0.9, 0.9, 0.0, 1.0]], np.float32)
    electrons = np.array([[1.0, 700.0, 0.0, 5000.0]], np.float32)
    fringes = np.array([[0.0, 0.5, 0.0, 0.0]], np.float32)
    pixels = np.zeros((1, 4), np.int32)
    noise.flatten(levels, flat, electrons, 700.0, fringes, 10.0, -100, 1000, pixels)
    assert pixels.tolist() == [[100, 1000, 0, 1000]]
    noise.flatten(levels, flat, electrons, 1e6, fringes, 10.0, -100, 1000, pixels)
    assert pixels.tolist() == [[100, 495, 0, 1000]]


def test_a_ghost_has_its_light_in_a_ring():
    painted = image(301, 301)
    charge.add_rings(painted, ONE * 150, ONE * 140, ONE * 100, ONE * 0.4, ONE * 5e4)

    assert painted.sum(dtype=float) == pytest.approx(5e4, rel=1e-3)
    assert painted[140, 150] == 0.0
    assert painted[140, 220] == pytest.approx(5e4 / (math.pi * 100**2 * 0.84), rel=1e-5)


def test_fringes_are_what_their_formula_says():
    random = np.random.default_rng(4)
    phases = random.normal(0.0, 20.0, (2, 12))
    pattern = np.empty((90, 110), np.float32)
    charge.fill_fringes(phases, pattern)
    y, x = np.mgrid[:90, :110] / np.array([90, 110])[:, None, None]
    plain = sum(
        weight * np.cos(
            p[0] + p[1] * x + p[2] * y + p[3] * x * x + p[4] * x * y + p[5] * y * y
            + p[6] * np.sin(p[7] * x + p[8]) + p[9] * np.sin(p[10] * y + p[11])
        )
        for weight, p in zip((0.6, 0.4), phases, strict=True)
    )  # fmt: skip

    assert np.allclose(pattern, plain, atol=1e-5)


def test_the_response_is_highest_in_the_middle_of_the_mosaic():
    megacam = load_instrument("megacam")
    x, y = megacam.ccd_width, megacam.ccd_height
    for ccd in (megacam.ccds[0], megacam.ccds[8], megacam.ccds[27], megacam.ccds[35]):
        optics = optics_of(megacam, ccd, FULL.response)
        optics[6:] = [1.0, 0.0, 0.0]
        corners = [charge.response_at(i, j, optics) for i in (0, x - 1) for j in (0, y - 1)]
        # the corner that is farthest out loses a tenth of the light, and the nearest far less
        assert min(corners) == pytest.approx(0.895, abs=0.02)
        assert max(corners) > min(corners) + 0.03


PLAIN = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from processing.kernels import charge, noise, tracks
optics = np.array([-0.5, 0.01, 0.2, 0.01, 0.1, 0.05, 1.0, 0.001, 0.002])
light = np.empty((6, 40), np.float32)
charge.fill_sky(300.0, 0.01, 0.002, 0.001, optics, light)
light[3, 20] += 9000
one = np.array([1.0])
marks, counts = np.zeros((6, 40), np.uint8), np.zeros(1, np.int64)
charge.add_rings(light, 9 * one, 3 * one, 2.5 * one, 0.4 * one, 500 * one)
pattern = np.empty((6, 40), np.float32)
charge.fill_fringes(np.arange(24.0).reshape(2, 12), pattern)
charge.add_scaled(light, pattern, 9.0)
x, y = np.array([3.0, 20.0, 30.0]), np.array([0.0, 3.0, 5.0])
tracks.add_trail(light, marks, 64, 5.0, x, y, 90 * np.ones(3), 1.5, 9.0)
flat = np.empty((6, 40), np.float32)
charge.respond(optics, 0.03, np.uint64(98), 20, 0.98, 1.02, flat)
charge.shade_rings(flat, 20 * one, 3 * one, 10 * one, 0.1 * one)
charge.collect(light, flat, 20, 0.98, 1.02, 0.5)
x, y, part = np.linspace(2, 9, 5), np.linspace(1, 4, 5), np.full(5, 300.0)
tracks.add_paths(light, marks, 32, 5.0, np.array([5]), x, y, part, counts)
charge.bleed(light, 2000.0)
tracks.mark_full(light, 2000.0, 4, marks)
light[0, :5] = 3.0
levels = np.empty((6, 40), np.float32)
noise.read_out(light, np.array([1.5, 4.0, 1.6, 5.0]), 20, 2000.0, 0.01, True, np.uint64(99), levels)
pixels = np.zeros(light.shape, np.int32)
noise.flatten(levels, flat, light, 2000.0, pattern, 4.0, -100, 2000, pixels)
np.savez(sys.argv[1], light=light, pixels=pixels, flat=flat, marks=marks, levels=levels)
"""


def test_the_kernels_say_the_same_without_the_compiler(tmp_path, monkeypatch):
    results = []
    for disabled in ("0", "1"):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", disabled)
        subprocess.run([sys.executable, "-c", PLAIN, tmp_path / f"{disabled}.npz"], check=True)
        results.append(np.load(tmp_path / f"{disabled}.npz"))
    compiled, plain = results

    # sums in float32 here and there in float64
    for name in ("light", "flat", "levels"):
        assert np.allclose(compiled[name], plain[name], rtol=1e-4), name
    assert np.abs(compiled["pixels"] - plain["pixels"]).max() <= 1
    assert np.array_equal(compiled["marks"], plain["marks"])
