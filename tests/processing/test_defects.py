"""Finders of defects on pixels whose truth is plain: sky with what each of them is to find, and nothing else."""

import numpy as np
import pytest

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.columns import hot_candidates, hot_of_run, mark_hot, persistent, read_hot, write_hot
from processing.defects.detector import mark_dead, mark_edges
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import mark_saturated
from processing.defects.settings import ColumnSettings, DeadSettings, EdgeSettings, SaturationSettings
from processing.errors import ShapeMismatch
from processing.flags import PixelFlag

SHAPE = (620, 540)
INSIDE = Area(20, 532, 0, 612)
LEVEL, NOISE, FULL = 900.0, 24.0, 60000.0


def ccd(seed=1, *, saturation=FULL):
    """An even sky on both amplifiers, 0 in the overscan."""
    chance = np.random.default_rng(seed)
    pixels = np.zeros(SHAPE, np.float32)
    sky = chance.normal(LEVEL, NOISE, (INSIDE.height, INSIDE.width))
    pixels[INSIDE.y0 : INSIDE.y1, INSIDE.x0 : INSIDE.x1] = sky
    amplifiers = Amplifier(20, 276, 1.6, 4.0), Amplifier(276, 532, 1.6, 5.0)
    flags = np.full(SHAPE, int(PixelFlag.OVERSCAN), np.int16)
    flags[INSIDE.y0 : INSIDE.y1, INSIDE.x0 : INSIDE.x1] = 0
    return CcdImage(pixels, INSIDE, amplifiers, saturation, 0.185, "test[1]"), flags


def add_star(pixels, x, y, flux, sigma=1.8):
    j, i = np.indices(pixels.shape)
    distance = ((i - x) ** 2 + (j - y) ** 2) / sigma**2
    pixels += (flux / (np.pi * 2.0 * sigma**2) / (1.0 + distance / 4.0) ** 2.5).astype(np.float32)


def marked(flags, bit):
    return flags & int(bit) > 0


# --- sky ---


def test_the_sky_is_measured_beside_stars_and_gradients():
    image, flags = ccd()
    slope = np.linspace(0.0, 60.0, SHAPE[1], dtype=np.float32)
    image.pixels[:612] += slope
    chance = np.random.default_rng(2)
    for _ in range(60):
        add_star(image.pixels[:612], *chance.uniform((20, 0), (532, 612)), chance.uniform(2e3, 4e5))
    found = Background.of(image, flags)
    away = (found.level_map()[:612, 20:532] - LEVEL - slope[20:532]) / NOISE

    # 0.03 of the noise by chance, and twice that from wings of 60 bright stars on a quarter of a million pixels
    assert abs(np.median(away)) < 0.1
    assert np.abs(away).max() < 0.3
    assert found.typical_rms == pytest.approx(NOISE, rel=0.05)


def test_meshes_without_pixels_are_filled_from_their_neighbours():
    image, flags = ccd()
    flags[:200, :300] |= int(PixelFlag.BAD)
    image.pixels[:200, :300] = 0.0
    found = Background.of(image, flags)

    assert not found.seen.all()
    assert found.level == pytest.approx(LEVEL, abs=0.1 * NOISE)


def test_a_ccd_without_good_pixels_has_no_sky():
    image, flags = ccd()
    flags[:] |= int(PixelFlag.BAD)
    found = Background.of(image, flags)

    assert not found.seen.any()
    assert (found.typical_level, found.typical_rms) == (0.0, 0.0)


# --- saturation ---


def test_cores_and_trails_are_found_end_to_end():
    image, flags = ccd()
    add_star(image.pixels, 200, 300, 3e7)
    image.pixels[100:480, 199:202] = FULL
    image.pixels[480:520, 200] = LEVEL + 5.0 * NOISE
    np.minimum(image.pixels, FULL, out=image.pixels)
    mark_saturated(image, flags, Background.of(image, flags), SaturationSettings())

    assert marked(flags, PixelFlag.SATURATED)[image.pixels >= FULL].all()
    trail = marked(flags, PixelFlag.BLEED)
    assert trail[100:290, 199:202].all()
    assert trail[310:515, 200].all()
    # the mean over 9 pixels falls below 1 sigma at most that far beyond its end
    assert not trail[530:, 196:205].any()
    assert not trail[:90, 196:205].any()


def test_the_wings_of_a_saturated_star_are_no_trail():
    image, flags = ccd()
    add_star(image.pixels, 200, 300, 3e6)
    np.minimum(image.pixels, FULL, out=image.pixels)
    mark_saturated(image, flags, Background.of(image, flags), SaturationSettings())
    found = marked(flags, PixelFlag.BLEED) & (image.pixels < FULL)

    assert marked(flags, PixelFlag.SATURATED)[300, 200]
    # some beside the core, where its wings are steepest: its height and width differ by a pixel
    assert found.sum() < 30


def test_charge_that_runs_into_the_serial_register_is_followed_along_the_edge():
    image, flags = ccd()
    image.pixels[:300, 199:202] = FULL
    image.pixels[0:6, 90:420] = LEVEL + 20.0 * NOISE
    image.pixels[0:6, 199:202] = FULL
    mark_saturated(image, flags, Background.of(image, flags), SaturationSettings())
    trail = marked(flags, PixelFlag.BLEED)

    assert trail[:6, 90:199].all()
    assert trail[:6, 202:420].all()
    # the mean over 9 pixels of 20 sigma, cut to 12, is above 3 for some pixels more, none of which is bright itself
    assert not trail[:6, 60:88].any()
    assert not trail[8:, 210:].any()


def test_a_plateau_below_the_headers_level_is_saturated():
    image, flags = ccd()
    add_star(image.pixels, 200, 300, 3e7)
    chance = np.random.default_rng(3)
    wells = 52000.0 * chance.normal(1.0, 0.005, SHAPE).astype(np.float32)
    full = image.pixels > wells
    image.pixels[:] = np.where(full, wells, image.pixels)
    image.pixels[200:400, 200] = wells[200:400, 200]
    mark_saturated(image, flags, Background.of(image, flags), SaturationSettings())

    assert marked(flags, PixelFlag.SATURATED)[full].mean() > 0.97


def test_pixels_without_a_number_are_saturated_and_an_infinite_level_is_no_trouble():
    image, flags = ccd(saturation=np.inf)
    image.pixels[300, 200] = np.nan
    mark_saturated(image, flags, Background.of(image, flags), SaturationSettings())

    assert marked(flags, PixelFlag.SATURATED)[300, 200]
    assert marked(flags, PixelFlag.SATURATED).sum() <= 9


# --- edges and dead parts ---


def test_edges_are_as_wide_as_the_recipe_says():
    image, flags = ccd()
    count = mark_edges(image, flags, EdgeSettings(width=5))
    edge = marked(flags, PixelFlag.EDGE)

    assert count == edge.sum() == 512 * 612 - 502 * 602
    assert not edge[5:607, 25:527].any()
    assert not edge[:, :20].any()


@pytest.mark.parametrize("fault", ["zero", "constant", "silent", "loud", "dark"])
def test_a_dead_amplifier_is_found_and_the_other_one_is_not(fault):
    image, flags = ccd()
    half = image.pixels[:612, 20:276]
    chance = np.random.default_rng(4)
    half[:] = {
        "zero": 0.0, "constant": 731.0, "silent": LEVEL, "dark": chance.normal(3.0, 3.0, half.shape),
        "loud": chance.normal(LEVEL, 60 * NOISE, half.shape),
    }[fault]  # fmt: skip
    if fault == "silent":
        half += chance.normal(0.0, 2.0, half.shape)
    count = mark_dead(image, flags, Background.of(image, flags), DeadSettings())

    assert count == 612 * 256
    assert marked(flags, PixelFlag.DEAD)[:612, 20:276].all()
    assert not marked(flags, PixelFlag.DEAD)[:, 276:].any()


def test_a_living_ccd_is_not_dead():
    image, flags = ccd()
    add_star(image.pixels[:612], 100, 100, 1e7)

    assert mark_dead(image, flags, Background.of(image, flags), DeadSettings()) == 0


# --- hot columns and pixels ---


def exposure(seed):
    """A CCD with a hot column from row 256 on, a hot pixel, and what only this exposure has."""
    image, flags = ccd(seed)
    image.pixels[256:612, 150] += 1.5 * NOISE
    image.pixels[400, 300] += 40 * NOISE
    chance = np.random.default_rng(seed + 100)
    for _ in range(20):
        add_star(image.pixels[:612], *chance.uniform((20, 0), (532, 612)), chance.uniform(1e4, 1e5))
    hits = chance.integers((0, 20), (612, 532), (50, 2))
    image.pixels[hits[:, 0], hits[:, 1]] += 30 * NOISE
    image.pixels[:, 60 + 3 * seed] += 2.0 * NOISE
    return image, flags


def test_what_lasts_over_a_run_is_hot_and_nothing_else(tmp_path):
    def candidates(name, _ccd):
        image, flags = exposure(int(name))
        return hot_candidates(image, flags, Background.of(image, flags), ColumnSettings())

    shares = []
    found = hot_of_run(["ccd00"], ["1", "2", "3", "4"], candidates, ColumnSettings(), shares.append)
    write_hot(tmp_path / "hot.fits", found, run="08AC14")
    good = read_hot(tmp_path / "hot.fits", "CCD00", SHAPE)
    flags = np.zeros(SHAPE, np.int16)
    flags[600:, 150] = int(PixelFlag.BAD)
    count = mark_hot(flags, good)
    hot = marked(flags, PixelFlag.HOT)

    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert hot[400, 300]
    assert hot[260:600, 150].all()
    assert not hot[600:].any()
    hot[400, 300] = False
    hot[:, 150] = False
    assert not hot.any()
    assert count > 340


def test_a_list_of_another_camera_is_refused(tmp_path):
    image, flags = ccd()
    one = hot_candidates(image, flags, Background.of(image, flags), ColumnSettings())
    write_hot(tmp_path / "hot.fits", [("ccd00", persistent([one] * 3, ColumnSettings()))], run="08AC14")

    with pytest.raises(ShapeMismatch, match="no CCD ccd07"):
        read_hot(tmp_path / "hot.fits", "ccd07", SHAPE)
    with pytest.raises(ShapeMismatch, match="540 x 620 pixels"):
        read_hot(tmp_path / "hot.fits", "ccd00", (100, 100))


def test_two_exposures_are_too_few():
    image, flags = exposure(1)
    one = hot_candidates(image, flags, Background.of(image, flags), ColumnSettings())

    assert persistent([one, one], ColumnSettings()).good.all()
