"""Pictures and figures of the page on defects: painted frames, whose truth is known.

python benchmarks/pictures_defects.py docs/algorithms [SEED …]

Seeds are frames of 36 CCDs, each with a filter of its own; the figures are printed as a table.
"""

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.columns import hot_candidates, persistent
from processing.defects.detector import mark_dead
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import mark_saturated
from processing.defects.settings import ColumnSettings, DeadSettings, SaturationSettings, StarSettings, TrailSettings
from processing.defects.stars import StarsOnCcd, axis_on, mark_stars
from processing.defects.trail_search import find_trails
from processing.defects.trails import mark_trail, trail_map
from processing.flags import PixelFlag
from processing.skymaker.defects import Flaw, defects, mask_of
from processing.skymaker.distortion import wcs_of
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.frame import Shot, processed, saturation_of, sky_level
from processing.skymaker.sources import Stock
from processing.skymaker.trails import path_on, trails_of
from terapix.instruments import load_instrument

MEGACAM = load_instrument("megacam")
X0, X1, Y0, Y1 = MEGACAM.datasec
INSIDE = Area(X0, X1, Y0, Y1)
MOSAIC = Area(0, MEGACAM.mosaic_width, 0, MEGACAM.mosaic_height)
EFFECTS = FULL.switched("trails.satellites=0.5,trails.faintest=12.5")
COLOURS = {
    PixelFlag.HALO: (40, 60, 110), PixelFlag.GHOST: (50, 110, 60), PixelFlag.SPIKE: (200, 160, 40),
    PixelFlag.BLEED: (230, 120, 30), PixelFlag.SATURATED: (230, 40, 40), PixelFlag.SATELLITE: (60, 220, 230),
}  # fmt: skip
FAULTS = ("zero", "constant", "silent", "loud")


def place_on_mosaic(ccd) -> Area:
    right, top = ccd.column + MEGACAM.ccd_width, ccd.row + MEGACAM.ccd_height
    return Area(ccd.column, right, ccd.row, top, ccd.flipped, ccd.flipped)


def image_of(ccd, pixels) -> tuple[CcdImage, np.ndarray]:
    boundary = MEGACAM.amplifier_boundary
    amplifiers = (
        Amplifier(X0, boundary, ccd.gain_a, ccd.read_noise_a),
        Amplifier(boundary, X1, ccd.gain_b, ccd.read_noise_b),
    )
    level = float(saturation_of(MEGACAM, ccd))
    image = CcdImage(pixels.astype(np.float32), INSIDE, amplifiers, level, MEGACAM.pixel_scale, ccd.name)
    flags = np.where(mask_of(MEGACAM, ccd, EFFECTS.defects) == 0, int(PixelFlag.BAD), 0).astype(np.int16)
    return image, flags


class Figures:
    """Pixels that are true, found, and both, and seconds of CPU, by kind."""

    def __init__(self) -> None:
        self.true, self.found, self.both, self.seconds = (defaultdict(float) for _ in range(4))
        self.calls = defaultdict(int)

    def add(self, kind: str, true, found, near=None) -> None:
        """`near` are true ones of a lower bound, among which what is found may lie."""
        self.true[kind] += np.count_nonzero(true)
        self.found[kind] += np.count_nonzero(found)
        self.both[kind] += np.count_nonzero(true & found)
        self.both[f"{kind}/near"] += np.count_nonzero(found & (true if near is None else near))

    def timed(self, kind: str, function, *arguments):
        begun = time.process_time()
        result = function(*arguments)
        self.seconds[kind] += time.process_time() - begun
        self.calls[kind] += 1
        return result

    def table(self) -> None:
        print("| kind | true | found of them | share of what is marked that is right |\n|---|---|---|---|")
        for kind, true in self.true.items():
            complete, pure = self.both[kind] / max(true, 1), self.both[f"{kind}/near"] / max(self.found[kind], 1)
            print(f"| {kind} | {true:.0f} | {complete:.2%} | {pure:.2%} |")
        for kind, seconds in self.seconds.items():
            print(f"{kind}: {1000 * seconds / self.calls[kind]:.0f} ms of CPU")


def widened(marks: np.ndarray) -> np.ndarray:
    """With the eight neighbours of each pixel."""
    padded = np.pad(marks, 1)
    height, width = marks.shape
    return np.any([padded[j : j + height, i : i + width] for j in range(3) for i in range(3)], axis=0)


def measure_ccd(shot: Shot, figures: Figures, candidates):
    pixels, exposed = processed(shot)
    image, flags = image_of(shot.ccd, pixels)
    good = flags[Y0:Y1, X0:X1] == 0
    background = figures.timed("background", Background.of, image, flags)
    candidates[shot.ccd.index].append(
        figures.timed("hot_candidates", hot_candidates, image, flags, background, ColumnSettings())
    )
    figures.timed("mark_saturated", mark_saturated, image, flags, background, SaturationSettings())
    full = exposed.marks & int(PixelFlag.SATURATED) > 0
    seen = flags[Y0:Y1, X0:X1]
    marked = seen & int(PixelFlag.SATURATED | PixelFlag.BLEED) > 0
    figures.add("saturated and bleeding pixels", full & good, marked & good, widened(full))
    on = exposed.seen
    inside = (on.x > 0) & (on.x < X1 - X0 - 1) & (on.y > 0) & (on.y < Y1 - Y0 - 1)
    at = np.rint(on.y[inside]).astype(int), np.rint(on.x[inside]).astype(int)
    stars = full[at] & on.stars[inside] & good[at]
    figures.add("saturated stars", stars, stars & marked[at])
    dead = mark_dead(image, flags.copy(), background, DeadSettings())
    figures.add("living CCDs taken for dead", np.zeros(1, bool), np.full(1, dead > 0))
    trails = figures.timed("trail_map", trail_map, image, flags, background, TrailSettings())
    return trails, exposed.marks & int(PixelFlag.SATELLITE) > 0, good


def measure_dead(shot: Shot, figures: Figures) -> None:
    pixels, _ = processed(shot)
    random = np.random.default_rng(shot.ccd.index)
    level = float(np.median(pixels[Y0:Y1, X0:X1]))
    for fault in FAULTS:
        image, flags = image_of(shot.ccd, pixels)
        half = image.pixels[Y0:Y1, X0 : MEGACAM.amplifier_boundary]
        made = {"zero": (0, 0), "constant": (level, 0), "silent": (level, 2), "loud": (level, 1500)}[fault]
        half[:] = random.normal(*made, half.shape)
        mark_dead(image, flags, Background.of(image, flags), DeadSettings())
        dead = flags & int(PixelFlag.DEAD) > 0
        figures.add(
            "dead halves", np.ones(1, bool), dead[Y0:Y1, X0 : MEGACAM.amplifier_boundary].mean(keepdims=True) > 0.99
        )


def measure_trails(exposure, seed, shown, figures: Figures):
    maps, truths, goods = zip(*shown, strict=True)
    found = figures.timed("find_trails", find_trails, maps, [place_on_mosaic(c) for c in MEGACAM.ccds], TrailSettings())
    marks = []
    for ccd, (truth, good) in enumerate(zip(truths, goods, strict=True)):
        flags = np.zeros((MEGACAM.height, MEGACAM.width), np.int16)
        for trail in found:
            for stretch in trail.on(ccd):
                mark_trail(flags.shape, stretch, flags, INSIDE)
        marks.append(flags[Y0:Y1, X0:X1] > 0)
        figures.add("pixels under trails, above 1 sigma", truth & good, marks[-1] & good)
    middle = MEGACAM.ccds[13]
    electrons = sky_level(MEGACAM, exposure, EFFECTS) * middle.gain
    covered = np.zeros(len(found), bool)
    for trail in trails_of(EFFECTS.trails, exposure, MEGACAM, seed=seed):
        scale = trail.width / MEGACAM.pixel_scale / (2.0 * np.sqrt(2.0**0.4 - 1.0))
        light = 10.0 ** (0.4 * (exposure.band.zero_point - trail.light)) * exposure.transparency
        peak = 0.75 * light * MEGACAM.pixel_scale * middle.gain / scale / np.hypot(np.sqrt(electrons), 4.0)
        along = []
        for ccd in MEGACAM.ccds:
            x, y, _ = path_on(trail, MEGACAM, ccd, exposure, EFFECTS, step=8.0)
            on = (x > 8) & (x < X1 - X0 - 8) & (y > 8) & (y < Y1 - Y0 - 8)
            at = np.rint(y[on]).astype(int), np.rint(x[on]).astype(int)
            along.append(marks[ccd.index][at])
            for number, each in enumerate(found):
                for stretch in each.on(ccd.index):
                    flags = np.zeros((MEGACAM.height, MEGACAM.width), np.int16)
                    mark_trail(flags.shape, stretch, flags)
                    covered[number] |= bool(on.any()) and flags[Y0:Y1, X0:X1][at].mean() > 0.5
        along = np.concatenate(along)
        if along.size * 8 < 900:
            continue
        bound = next((each for each in (3.0, 1.0, 0.35) if peak >= each), 0.0)
        kind = f"length of trails whose middle is above {bound:g} sigma"
        figures.add(kind, np.ones(along.size, bool), along)
    figures.add("trails that are none", np.zeros(covered.size, bool), ~covered)
    return found


def grey(pixels: np.ndarray, level: float, rms: float) -> np.ndarray:
    shade = np.clip(60 + 45 * np.arcsinh((pixels - level) / (1.5 * rms)), 0, 255).astype(np.uint8)
    return np.stack([shade] * 3, axis=-1)


def coloured(flags: np.ndarray) -> np.ndarray:
    picture = np.full((*flags.shape, 3), 12, np.uint8)
    for bit, colour in COLOURS.items():
        picture[flags & int(bit) > 0] = colour
    return picture


def picture_star(target: Path, seed: int) -> None:
    """A CCD with a star of magnitude 7.3: pixels beside flags, binned, and its core at full resolution."""
    exposure, ccd = exposure_of(0, seed), MEGACAM.ccds[21]
    random = np.random.default_rng(seed)
    header = fits.Header(wcs_of(ccd, exposure) | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    wcs = WCS(header)
    at_x, at_y = X0 + random.uniform(0, X1 - X0, 1500), random.uniform(0, Y1, 1500)
    at_x[0], at_y[0] = X0 + 900.0, 2600.0
    magnitudes = np.concatenate([[7.3], random.uniform(15.5, 24.0, 1499)])
    ra, dec = wcs.wcs_pix2world(at_x, at_y, 0)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "stars.list"
        path.write_text("".join(f"100 {a:.8f} {d:.8f} {m:.3f}\n" for a, d, m in zip(ra, dec, magnitudes, strict=True)))
        shot = Shot(MEGACAM, ccd, exposure, seed, 0, EFFECTS.switched("trails=off"), Stock(lists=(("", path),)))
        pixels, _ = processed(shot)
    image, flags = image_of(ccd, pixels)
    background = Background.of(image, flags)
    mark_saturated(image, flags, background, SaturationSettings())
    axis, turned = axis_on(INSIDE, place_on_mosaic(ccd), MOSAIC)
    bright = magnitudes < 16.0
    stars = StarsOnCcd(
        at_x[bright], at_y[bright], exposure.adu_at_zero * 10.0 ** (-0.4 * magnitudes[bright]), axis, turned
    )
    mark_stars(image, flags, background, stars, MEGACAM.bright_stars, StarSettings())
    part = np.s_[Y0 : Y1 - Y1 % 8, X0:X1]
    rows, columns = (side // 8 for side in image.pixels[part].shape)
    binned = np.median(image.pixels[part].reshape(rows, 8, columns, 8), axis=(1, 3))
    level = float(np.median(binned))
    whole = np.hstack([grey(binned, level, background.typical_rms / 8), coloured(flags[part][::8, ::8])])
    row, column = round(at_y[0]), round(at_x[0])
    cut = np.s_[row - rows // 2 : row - rows // 2 + rows, column - 128 : column + 128]
    near = np.hstack([grey(image.pixels[cut], level, background.typical_rms), coloured(flags[cut])])
    Image.fromarray(np.hstack([whole, near])[::-1]).quantize(48).save(target, optimize=True)


def picture_trails(target: Path, shown, found) -> None:
    """Bins of the mosaic, and the trails found in them."""
    side = 32
    canvas = np.full((MEGACAM.mosaic_height // side + 1, MEGACAM.mosaic_width // side + 1, 3), 12, np.uint8)
    marked = canvas.copy()
    for ccd, (trails, _, _) in zip(MEGACAM.ccds, shown, strict=True):
        values = np.clip(trails.values.astype(np.float32), -2, 6)
        rows, columns = (each // 4 for each in values.shape)
        tile = values[: rows * 4, : columns * 4].reshape(rows, 4, columns, 4).mean(axis=(1, 3))
        flags = np.zeros((MEGACAM.height, MEGACAM.width), np.int16)
        for trail in found:
            for stretch in trail.on(ccd.index):
                mark_trail(flags.shape, stretch, flags, INSIDE)
        marks = (
            flags[Y0 : Y0 + rows * side, X0 : X0 + columns * side].reshape(rows, side, columns, side).any(axis=(1, 3))
        )
        picture = grey(tile, 0.0, 0.15)
        over = picture.copy()
        over[marks] = COLOURS[PixelFlag.SATELLITE]
        if ccd.flipped:
            picture, over = picture[::-1, ::-1], over[::-1, ::-1]
        place = np.s_[ccd.row // side : ccd.row // side + rows, ccd.column // side : ccd.column // side + columns]
        canvas[place], marked[place] = picture, over
    Image.fromarray(np.hstack([canvas, marked])[::-1]).quantize(48).save(target, optimize=True)


def main(place: Path, seeds: list[int]) -> None:
    figures, candidates = Figures(), defaultdict(list)
    crossed = None
    for seed in seeds:
        exposure = exposure_of(seed, seed)
        shown = [
            measure_ccd(Shot(MEGACAM, ccd, exposure, seed, 0, EFFECTS), figures, candidates) for ccd in MEGACAM.ccds
        ]
        found = measure_trails(exposure, seed, shown, figures)
        print(seed, exposure.band.filter, f'{exposure.fwhm:.2f}"', [(round(t.peak, 1), round(t.length)) for t in found])
        if crossed is None or len(found) > len(crossed[1]):
            crossed = shown, found
    for ccd in MEGACAM.ccds[::6]:
        measure_dead(Shot(MEGACAM, ccd, exposure_of(seeds[0], seeds[0]), seeds[0], 0, EFFECTS), figures)
    for ccd in MEGACAM.ccds if len(seeds) >= ColumnSettings().exposures else ():
        hot = persistent(candidates[ccd.index], ColumnSettings()).good == 0
        true = np.zeros(hot.shape, bool)
        for flaw in defects(MEGACAM, ccd, EFFECTS.defects):
            if flaw.flaw is Flaw.HOT and not flaw.masked:
                true[flaw.y0 : flaw.y1, flaw.x0 : flaw.x1] = True
        figures.add("pixels of hot columns that no mask shows", true, hot)
    figures.table()
    picture_trails(place / "defects-trails.png", *crossed)
    picture_star(place / "defects-star.png", seeds[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(word) for word in sys.argv[2:]] or [301, 302, 303, 304])
