"""The loops of the painter, against plain numpy and against what the words say."""

import math
import subprocess
import sys

import numpy as np
import pytest

from processing.kernels import paint
from processing.skymaker.detector import key_of, optics_of
from processing.skymaker.exposures import exposure_of
from processing.skymaker.frame import light_of, project, wcs_of
from terapix.instruments import load_instrument

ONE = np.array([1.0])


def image(height=101, width=121):
    return np.zeros((height, width), np.float32)


def test_normal_deviates_are_normal_and_depend_on_key_and_row_only():
    rows = np.empty((2000, 1000), np.float32)
    for number, row in enumerate(rows):
        paint.fill_normal(key_of(1, 2), number, row)
    again = np.empty(1000, np.float32)
    paint.fill_normal(key_of(1, 2), 1234, again)

    assert np.array_equal(again, rows[1234])
    # two million deviates: mean to 0.0007, variance to 0.001, kurtosis to 0.0035 at one sigma
    assert abs(rows.mean(dtype=float)) < 0.003
    assert rows.var(dtype=float) == pytest.approx(1.0, abs=0.004)
    assert (rows.astype(float) ** 4).mean() == pytest.approx(3.0, abs=0.02)
    assert 4.5 < np.abs(rows).max() < 6.7
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.003
    assert abs(np.corrcoef(rows[:, ::2].ravel(), rows[:, 1::2].ravel())[0, 1]) < 0.004


@pytest.mark.parametrize("place", [(50.0, 50.0), (50.5, 50.5), (50.3, 49.8)])
def test_a_star_has_its_flux_and_its_width(place):
    painted = image()
    width = 4.0
    alpha = width / (2 * math.sqrt(2 ** (1 / 3) - 1))
    paint.add_stars(painted, ONE * place[0], ONE * place[1], ONE * 1e6, ONE * alpha, 25.0, 0.0, 1e-4)

    rows, columns = np.mgrid[:101, :121]
    step = 1 + ((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / alpha**2
    assert painted.sum(dtype=float) == pytest.approx(1e6, rel=1e-3)
    reach = np.hypot(columns - place[0], rows - place[1]) < 40
    assert np.allclose(painted[reach], (1e6 * 2 / (math.pi * alpha**2) / step**3)[reach], rtol=1e-5)


def test_the_halo_of_a_bright_star_is_part_of_its_flux():
    bare, bright = image(2001, 2001), image(2001, 2001)
    for painted, share in ((bare, 0.0), (bright, 0.2)):
        paint.add_stars(painted, ONE * 1000, ONE * 1000, ONE * 1e9, ONE * 4.0, 5.0, share, 1e-2)

    # a profile that falls with the third power has 0.5 % of its light outside 1000 pixels
    assert bright.sum(dtype=float) == pytest.approx(bare.sum(dtype=float), rel=2e-3)
    assert bright[1000, 1100] > 50 * bare[1000, 1100]


@pytest.mark.parametrize(("ratio", "angle", "bulge"), [(1.0, 0.0, 0.0), (0.4, 0.7, 0.0), (0.5, 2.0, 0.3)])
def test_a_galaxy_has_its_flux_and_lies_along_its_axis(ratio, angle, bulge):
    painted = image(401, 401)
    paint.add_galaxies(
        painted, ONE * 200, ONE * 200, ONE * 1e6, ONE * 5.0, ONE * ratio, ONE * angle, ONE * bulge, 2.0, 1e-3
    )

    rows, columns = np.mgrid[:401, :401] - 200
    # the bulge is cut off at 12 scale lengths, outside of which it has 1 % of its light
    assert painted.sum(dtype=float) == pytest.approx(1e6, rel=0.01)
    if ratio < 1:
        light = painted.astype(float)
        xx, yy, xy = ((light * value).sum() for value in (columns**2, rows**2, columns * rows))
        along = 0.5 * math.atan2(2 * xy, xx - yy)
        assert math.cos(2 * (along - angle)) > 0.999


def test_faint_parts_are_left_out_and_edges_are_no_harm():
    painted = image()
    paint.add_stars(painted, np.array([-5.0, 130.0, 60.0]), np.array([50.0, -4.0, 200.0]), np.full(3, 1e4),
                    np.full(3, 4.0), 25.0, 0.015, 0.1)  # fmt: skip
    paint.add_galaxies(painted, ONE * -3, ONE * 104, ONE * 1e4, ONE * 4, ONE * 0.5, ONE, ONE * 0.2, 2.0, 0.1)
    paint.add_tracks(
        painted, np.array([-4.0, 119.0]), np.array([3.0, 99.5]), np.full(2, 9.0), np.zeros(2), np.full(2, 50.0)
    )

    assert np.isfinite(painted).all()
    assert painted.min() >= 0
    assert painted[50, 0] > 0
    assert painted[60:90, 40:80].max() == 0


def test_a_track_has_its_charge_along_its_way():
    painted = image()
    paint.add_tracks(painted, ONE * 20.25, ONE * 40.5, ONE * 30.0, ONE * 0.0, ONE * 900.0)

    assert painted.sum(dtype=float) == pytest.approx(900.0, rel=1e-5)
    assert set(np.flatnonzero(painted.sum(axis=1))) == {40, 41}
    assert np.flatnonzero(painted.sum(axis=0))[[0, -1]] == pytest.approx([20, 50], abs=1)


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
    paint.bleed(after, 100.0)

    assert after.max() <= 100.0
    assert np.allclose(after.sum(axis=0), before.sum(axis=0), rtol=1e-5)
    assert np.array_equal(after[:, [0, 1, 3, 5]], before[:, [0, 1, 3, 5]])
    for column in (2, 4):
        assert np.allclose(after[:, column], bled(before[:, column].astype(float), 100.0), atol=1e-2)


def test_charge_that_reaches_the_edge_is_gone():
    painted = image(20, 3)
    painted[2, 1] = 1e6
    paint.bleed(painted, 100.0)

    assert (painted[:, 1] == 100.0).all()
    assert not painted[:, [0, 2]].any()


def test_exposing_adds_the_right_noise_on_each_side_of_the_amplifiers():
    light = np.full((400, 401), 500.0, np.float32)
    light[7, 9] = 70000.0
    optics = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.0, 0.0])
    amplifiers = np.array([1.6, 4.0, 1.2, 9.0])
    pixels = np.zeros(light.shape, np.int32)
    paint.expose(light, optics, amplifiers, 200, key_of(5), -100, 65435, pixels)

    assert pixels[7, 9] == 65435
    pixels[7, 9] = 500
    for part, gain, read_noise in ((pixels[:, :200], 1.6, 4.0), (pixels[:, 200:], 1.2, 9.0)):
        variance = (500 * gain * 0.9 + read_noise**2) / (gain * 0.9) ** 2 + 1 / 12
        assert part.mean() == pytest.approx(500.0, abs=0.3)
        assert part.var() == pytest.approx(variance, rel=0.02)


def test_the_response_is_highest_in_the_middle_of_the_mosaic():
    megacam = load_instrument("megacam")
    x, y = megacam.ccd_width, megacam.ccd_height
    for ccd in (megacam.ccds[0], megacam.ccds[8], megacam.ccds[27], megacam.ccds[35]):
        optics = optics_of(megacam, ccd)
        optics[6:] = [1.0, 0.0, 0.0]
        corners = [paint.response_at(i, j, optics) for i in (0, x - 1) for j in (0, y - 1)]
        # the corner that is farthest out loses a tenth of the light, and the nearest far less
        assert min(corners) == pytest.approx(0.895, abs=0.02)
        assert max(corners) > min(corners) + 0.03


@pytest.mark.parametrize("index", [4, 22])
def test_flipped_and_upright_ccds_show_the_sky_where_their_header_says(index):
    megacam = load_instrument("megacam")
    ccd, exposure = megacam.ccds[index], exposure_of(1, 3)
    header = wcs_of(ccd, exposure)
    east = project(ccd, exposure, np.array([exposure.ra, exposure.ra + 0.01]), np.full(2, exposure.dec))
    north = project(ccd, exposure, np.full(2, exposure.ra), np.array([exposure.dec, exposure.dec + 0.01]))

    assert (east[0, 1] > east[0, 0]) == (header["CD1_1"] > 0) == ccd.flipped
    assert (north[1, 1] < north[1, 0]) == (header["CD2_2"] < 0) == ccd.flipped


def test_light_is_never_above_saturation_and_never_below_the_sky():
    megacam = load_instrument("megacam")
    light = light_of(megacam, megacam.ccds[13], exposure_of(0, 5), seed=5)

    assert light.shape == (4612, 2048)
    assert light.max() <= 65435
    assert light.min() > 0.97 * np.median(light)


PLAIN = """
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
from processing.kernels import paint
light = np.full((6, 40), 300.0, np.float32)
one = np.array([1.0])
paint.add_stars(light, 20 * one, 3 * one, 1e5 * one, 4 * one, 25.0, 0.01, 1.0)
paint.add_galaxies(light, 9 * one, 2 * one, 1e4 * one, 3 * one, 0.5 * one, one, 0.3 * one, 2.0, 1.0)
paint.add_tracks(light, 2 * one, 2 * one, 9 * one, 0.3 * one, 800 * one)
paint.bleed(light, 2000.0)
optics = np.array([-0.5, 0.01, 0.2, 0.01, 0.1, 0.05, 1.0, 0.001, 0.002])
pixels = np.zeros(light.shape, np.int32)
paint.expose(light, optics, np.array([1.5, 4.0, 1.6, 5.0]), 20, np.uint64(99), -100, 2000, pixels)
flat = np.empty((6, 40), np.float32)
paint.respond(optics, 0.03, np.uint64(98), flat)
paint.shade_rings(flat, 20 * one, 3 * one, 10 * one, 0.1 * one)
np.savez(sys.argv[1], light=light, pixels=pixels, flat=flat)
"""


def test_the_kernels_say_the_same_without_the_compiler(tmp_path, monkeypatch):
    results = []
    for disabled in ("0", "1"):
        monkeypatch.setenv("NUMBA_DISABLE_JIT", disabled)
        subprocess.run([sys.executable, "-c", PLAIN, tmp_path / f"{disabled}.npz"], check=True)
        results.append(np.load(tmp_path / f"{disabled}.npz"))
    compiled, plain = results

    # sums in float32 here and there in float64
    assert np.allclose(compiled["light"], plain["light"], rtol=1e-5)
    assert np.abs(compiled["pixels"] - plain["pixels"]).max() <= 1
    assert np.allclose(compiled["flat"], plain["flat"], rtol=1e-5)
