"""Kernels of the search for cosmic rays against plain twins; run again without the compiler by test_cosmics.py."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from processing.kernels import cosmic_groups, cosmics

SHAPE = (23, 37)
INSIDE = np.array([2, 35, 1, 21])
CENTRES = np.array([3.0, 16.5])
BANNED = 5
FULL = 3000.0
BOUNDS = np.array([1.3, 1.4, 1.9, 2.1], np.float32)
WAYS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Ccd:
    """A small CCD with a sky that rises, stars, rays, and pixels that nobody may believe."""

    def __init__(self, seed: int = 5) -> None:
        chance = np.random.default_rng(seed)
        self.sky = np.stack([np.linspace(90, 110, SHAPE[1]), np.linspace(120, 130, SHAPE[1])]).astype(np.float32)
        self.variance = np.full_like(self.sky, 81.0)
        self.gain = np.where(np.arange(SHAPE[1]) < 19, 1.6, 1.5).astype(np.float32)
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        self.pixels = (self.level(self.sky) + chance.normal(0, 9, SHAPE)).astype(np.float32)
        for row, column in ((8.2, 9.7), (14.0, 26.4), (17.5, 7.5)):
            self.pixels += (900 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2.6)).astype(np.float32)
        self.pixels[4:10, 32] += 300
        self.pixels[10, 20] += 90
        self.pixels[[12, 13, 14], [14, 15, 16]] += 60
        self.pixels[3, 3] = np.nan
        self.pixels[18, 18] = FULL
        self.flags = np.zeros(SHAPE, np.int16)
        self.flags[:, 29] = 4
        self.flags[5, 5:9] = 2
        self.arguments = (self.pixels, self.flags, BANNED, INSIDE, self.sky, self.variance, CENTRES)

    @staticmethod
    def level(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        share = np.clip((np.arange(SHAPE[0]) - CENTRES[0]) / (CENTRES[1] - CENTRES[0]), 0, 1)[:, None]
        return ((1 - share) * rows[0] + share * rows[1]).astype(np.float32)

    @property
    def inside(self) -> NDArray[np.bool_]:
        mask = np.zeros(SHAPE, bool)
        mask[INSIDE[2] : INSIDE[3], INSIDE[0] : INSIDE[1]] = True
        return mask

    @property
    def high(self) -> NDArray[np.float32]:
        return self.pixels - self.level(self.sky)

    @property
    def noise(self) -> NDArray[np.float32]:
        return np.sqrt(self.level(self.variance) + np.maximum(self.high, 0) / self.gain)


def moved(image: NDArray[np.float32], dy: int, dx: int, fill: float) -> NDArray[np.float32]:
    """What stands (dy, dx) beside each pixel."""
    padded = np.pad(image, 1, constant_values=fill)
    return padded[1 + dy : 1 + dy + image.shape[0], 1 + dx : 1 + dx + image.shape[1]]


def excess_of(ccd: Ccd, spare: float) -> NDArray[np.float32]:
    known = (ccd.flags & BANNED == 0) & (ccd.pixels < FULL) & ccd.inside
    upper = np.where(known, np.maximum(ccd.high, 0) + spare * ccd.noise, np.inf)
    allowed = np.full(SHAPE, np.inf)
    for bound, (dy, dx) in zip(BOUNDS, WAYS, strict=True):
        product = moved(upper, dy, dx, np.inf) * moved(upper, -dy, -dx, np.inf)
        allowed = np.minimum(allowed, np.sqrt(bound * product))
    return np.where(known, (np.maximum(ccd.high, 0) - allowed) / ccd.noise, 0)


@pytest.mark.parametrize("spare", [0.5, 1.0])
def test_sharp_pixels_are_those_brighter_than_their_neighbours_let_light_be(spare: float) -> None:
    ccd = Ccd()

    places, strength = cosmics.sharp_pixels(*ccd.arguments, ccd.gain, FULL, BOUNDS, 1.5, spare, 1, 21)

    expected = excess_of(ccd, spare)
    assert np.abs(expected - 1.5).min() > 1e-3, "no pixel may hang on the rounding of float32"
    np.testing.assert_array_equal(places, np.flatnonzero(expected > 1.5))
    # float32 keeps 1e-6 of the 900 ADU of a star, whose noise is 20 ADU or more
    np.testing.assert_allclose(strength, expected[expected > 1.5], rtol=1e-4)
    assert places.size > 10


def test_bands_find_what_the_whole_finds() -> None:
    ccd = Ccd()
    rest = (ccd.gain, FULL, BOUNDS, 1.5, 1.0)

    whole = cosmics.sharp_pixels(*ccd.arguments, *rest, 1, 21)
    bands = [cosmics.sharp_pixels(*ccd.arguments, *rest, *band) for band in ((1, 2), (2, 9), (9, 21))]

    for all_at_once, parts in zip(whole, zip(*bands, strict=True), strict=True):
        np.testing.assert_array_equal(all_at_once, np.concatenate(parts))


def test_sky_and_noise_of_tiles_are_median_and_lower_half() -> None:
    chance = np.random.default_rng(3)
    pixels = chance.normal(500, 20, (40, 60)).astype(np.float32)
    flags = (chance.random(pixels.shape) < 0.2).astype(np.int16)
    flags[:20, 30:] = 1
    pixels[flags == 1] = 9000
    pixels[5, :20] = np.nan
    levels = np.empty((2, 2, 2), np.float32)

    cosmics.tile_levels(pixels, flags, 1, np.array([0, 30, 60]), np.array([0, 20, 40]), levels)

    for ty, tx in ((0, 0), (1, 0), (1, 1)):
        part = pixels[20 * ty : 20 * ty + 20, 30 * tx : 30 * tx + 30]
        good = np.sort(part[(flags[20 * ty : 20 * ty + 20, 30 * tx : 30 * tx + 30] == 0) & np.isfinite(part)])
        assert levels[ty, tx, 0] == good[good.size // 2]
        assert levels[ty, tx, 1] == pytest.approx(good[good.size // 2] - good[int(0.1587 * good.size)])
    assert np.isnan(levels[0, 1]).all(), "a tile without good pixels"


def test_the_brightest_pixels_of_stars_tell_how_sharp_they_are() -> None:
    ccd = Ccd()

    found = cosmics.bright_maxima(*ccd.arguments, 10.0, 2000.0, 0, 23)

    peaks = [(8, 10), (14, 26), (17, 7)]
    level = ccd.level(ccd.sky)
    rows = []
    for y, x in peaks:
        top = max(((y + dy, x + dx) for dy in (0, 1) for dx in (0, 1)), key=lambda at: ccd.pixels[at])
        high = ccd.pixels.astype(float) - level[top]
        pairs = [(high[top[0] + dy, top[1] + dx], high[top[0] - dy, top[1] - dx]) for dy, dx in WAYS]
        rows.append([one * other / high[top] ** 2 for one, other in pairs])
    # float32 differences of some 1000 ADU
    np.testing.assert_allclose(found, rows, rtol=1e-4)


def groups_of(ccd: Ccd, strength: NDArray[np.float32], *, round_it: float = 1.2) -> NDArray[np.bool_]:
    """Pixels of the groups that are rays, by scipy's labels."""
    labels, count = ndimage.label(strength > 2, np.ones((3, 3)))
    rays = np.zeros(SHAPE, bool)
    for number in range(1, count + 1):
        group = labels == number
        heights = np.array([height_of(ccd, group, int(y), int(x), round_it) for y, x in np.argwhere(group)])
        above = heights.max() > 3.3 or (np.maximum(heights, 0) ** 2).sum() > 3 * 3.3**2
        rays |= group & (np.sqrt((strength[group] ** 2).sum()) > 4.5) & above
    return rays


def height_of(ccd: Ccd, group: NDArray[np.bool_], y: int, x: int, round_it: float) -> float:
    """Excess of a pixel over what the pixels round it that are not of its group let a star be."""
    beside = np.zeros(SHAPE, bool)
    beside[y - 1 : y + 2, x - 1 : x + 2] = True
    beside &= ~group & (ccd.flags & BANNED == 0) & ccd.inside & np.isfinite(ccd.pixels)
    level = ccd.level(ccd.sky)[y, x]
    allowed = round_it * max(float((ccd.pixels[beside] - level).mean()), 0.0) if beside.any() else 0.0
    return (ccd.high[y, x] - allowed) / ccd.noise[y, x]


def bare_excess(ccd: Ccd, rays: NDArray[np.bool_], spare: float) -> NDArray[np.float64]:
    """Excess of every pixel where the rays beside it have no more light than their own neighbours allow."""
    known = (ccd.flags & BANNED == 0) & ccd.inside
    plain = np.where(known, ccd.high, np.nan)
    own = excess_free(plain, plain)
    cut = np.where(rays, np.fmin(plain, own), plain)
    light = np.maximum(cut, 0)
    upper = light + spare * np.sqrt(ccd.level(ccd.variance) + light / ccd.gain)
    return (ccd.high - excess_free(upper, upper)) / ccd.noise


def excess_free(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Most light that pairs of neighbours allow; infinite where none is known."""
    allowed = np.full(SHAPE, np.inf)
    for bound, (dy, dx) in zip(BOUNDS, WAYS, strict=True):
        product = np.maximum(moved(one, dy, dx, np.nan), 0) * np.maximum(moved(other, -dy, -dx, np.nan), 0)
        allowed = np.fmin(allowed, np.sqrt(bound * product))
    return allowed


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_groups_that_stand_above_what_is_round_them_are_rays_and_lay_bare_what_they_hid(seed: int) -> None:
    ccd = Ccd(seed)
    ccd.pixels -= ccd.level(ccd.sky) - 100  # an even sky: the kernel takes that of the pixel for those round it too
    ccd.sky[:] = 100
    strength = excess_of(ccd, 0.7).astype(np.float32)
    places = np.flatnonzero(strength > 1.5)
    state = np.zeros(SHAPE, np.uint8)

    rays = cosmic_groups.accept(
        *ccd.arguments, ccd.gain, FULL, BOUNDS, 1.2, np.empty((0, 3, 3), np.float32), places, strength.ravel()[places],
        state, 2.0, 4.5, 3.3, 0.7, 1.5,
    )  # fmt: skip

    found = state == cosmic_groups.RAY
    np.testing.assert_array_equal(np.sort(rays), np.flatnonzero(found))
    first = groups_of(ccd, strength)
    assert first[4:10, 32].all()
    assert not (first & ~found).any()
    # followed to the end: nothing that touches a ray is sharp, or would be without the ray's charge
    touching = ndimage.binary_dilation(found, np.ones((3, 3))) & ~found & (ccd.flags & BANNED == 0) & ccd.inside
    assert not (touching & (strength > 1.5)).any()
    left = bare_excess(ccd, found, 0.7)[touching & np.isfinite(ccd.pixels)]
    assert (left < 1.5 + 1e-3).all()
    labels, _ = ndimage.label(found, np.ones((3, 3)))
    assert set(np.unique(labels[first])) == set(np.unique(labels[found])), "every pixel hangs together with a group"


def test_the_fringe_of_a_ray_has_some_of_its_charge() -> None:
    ccd = Ccd()
    ccd.pixels[2:20, 20:24] = ccd.level(ccd.sky)[2:20, 20:24] - 8
    for at, value in {(10, 22): 100.0, (10, 23): 20.0, (9, 22): 60.0, (11, 22): 2.0, (9, 21): 88.0}.items():
        ccd.pixels[at] += value + 8
    ccd.flags[:, 24] = 0
    ccd.flags[11, 23] = 4
    ccd.pixels[11, 23] += 38
    state = np.zeros(SHAPE, np.uint8)
    state[10, 22] = cosmic_groups.RAY

    fringes = cosmic_groups.fringe(*ccd.arguments, ccd.gain, BOUNDS, np.array([10 * 37 + 22]), state, 0.3, 0.7)

    # of 100 ADU at most 70 go to a neighbour; 2 ADU are less than 0.3 of the noise; the flagged pixel stays out
    assert sorted(fringes) == [9 * 37 + 22, 10 * 37 + 23]
    assert state[9, 22] == state[10, 23] == cosmic_groups.FRINGE
