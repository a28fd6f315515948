"""A small mosaic of eight CCDs with stars and trails, what the search finds on it, and how much of it is right."""

import numpy as np

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.image import Amplifier, CcdImage
from processing.defects.settings import TrailSettings
from processing.defects.trail_search import find_trails
from processing.defects.trails import mark_trail, trail_map
from processing.flags import PixelFlag

WIDTH, HEIGHT, GAP = 512, 1024, 24
NOISE, LEVEL = 20.0, 800.0
INSIDE = Area(8, 8 + WIDTH, 0, HEIGHT)
SHAPE = (HEIGHT + 4, WIDTH + 16)
PLACES = [
    Area(x, x + WIDTH, y, y + HEIGHT, turned, turned)
    for y, turned in ((0, False), (HEIGHT + GAP, True))
    for x in range(0, 4 * (WIDTH + GAP), WIDTH + GAP)
]
"""Two rows of four CCDs, the upper ones turned by half a turn."""


def mosaic_pixels(place):
    """Mosaic coordinates of the pixels of a CCD's illuminated part."""
    j, i = np.indices((HEIGHT, WIDTH), np.float32)
    x = place.x1 - 1 - i if place.flipped_x else place.x0 + i
    y = place.y1 - 1 - j if place.flipped_y else place.y0 + j
    return x, y


def trail_light(place, ends, peak, sigma, bend=0.0):
    """Light of a straight trail between its ends, `bend` pixels away from the line in its middle; and its distance."""
    x, y = mosaic_pixels(place)
    x0, y0, x1, y1 = ends
    length = np.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    along = (x - x0) * dx + (y - y0) * dy
    away = (y - y0) * dx - (x - x0) * dy - bend * 4.0 * along * (length - along) / length**2
    light = peak * np.exp(-0.5 * (away / sigma) ** 2)
    return np.where((along > 0) & (along < length), light, 0.0)


def exposure(seed, trails=(), stars=150):
    """Images of all CCDs: sky, stars of all magnitudes, and trails (ends, peak in noise, sigma, bend)."""
    chance = np.random.default_rng(seed)
    images, truths = [], []
    for place in PLACES:
        light = np.zeros((HEIGHT, WIDTH), np.float32)
        for _ in range(stars):
            x, y = chance.uniform((0, 0), (WIDTH, HEIGHT))
            flux = 10 ** chance.uniform(2.0, 5.0)
            i0, j0 = int(x), int(y)
            part = np.s_[max(j0 - 40, 0) : j0 + 41, max(i0 - 40, 0) : i0 + 41]
            j, i = np.indices(light.shape)[:, part[0], part[1]]
            light[part] += flux / 20.0 * (1.0 + ((i - x) ** 2 + (j - y) ** 2) / 8.0) ** -2.5
        truth = np.zeros(light.shape)
        for trail in trails:
            truth += trail_light(place, *trail)
        pixels = np.zeros(SHAPE, np.float32)
        pixels[:HEIGHT, 8 : 8 + WIDTH] = (
            LEVEL + light + NOISE * truth + chance.normal(0, NOISE, light.shape).astype(np.float32)
        )
        amplifier = Amplifier(8, 8 + WIDTH, 1.6, 4.0)
        images.append(CcdImage(pixels, INSIDE, (amplifier,), 65000.0, 0.185, f"test[{len(images) + 1}]"))
        truths.append(truth)
    return images, truths


def searched(images):
    maps = []
    for image in images:
        flags = np.full(SHAPE, int(PixelFlag.OVERSCAN), np.int16)
        flags[:HEIGHT, 8 : 8 + WIDTH] = 0
        maps.append(trail_map(image, flags, Background.of(image, flags), TrailSettings()))
    return find_trails(maps, PLACES, TrailSettings())


def marks_of(trails, ccd):
    flags = np.zeros(SHAPE, np.int16)
    for trail in trails:
        for stretch in trail.on(ccd):
            mark_trail(SHAPE, stretch, flags, INSIDE)
    return flags[:HEIGHT, 8 : 8 + WIDTH] > 0


def completeness_and_purity(trails, truths):
    found = hit = marked = 0
    for ccd, truth in enumerate(truths):
        marks, lit = marks_of(trails, ccd), truth > 1.0
        found += int(lit.sum())
        hit += int((lit & marks).sum())
        marked += int(marks.sum())
    return hit / found, hit / marked
