"""Painted CCDs with cosmic rays and many stars, and what a search for the rays made of them."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.image import Amplifier, CcdImage
from processing.flags import PixelFlag
from processing.kernels import tracks
from processing.skymaker.catalogue import Catalogue, sky
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import BANDS, Exposure, exposure_of
from processing.skymaker.frame import Shot, processed, saturation_of, sky_level
from processing.skymaker.sources import Stock
from terapix.instruments import load_instrument

Mask = NDArray[np.bool_]
SCALE = 0.185
"""Arcsec a pixel."""


@dataclass(frozen=True, slots=True)
class Crowd(Stock):
    """The seed's sky with each of its stars at several other places too."""

    times: int = 20

    def catalogue(self, exposure: Exposure, *, seed: int) -> Catalogue:
        """Repeat the stars."""
        base = sky(seed, self.ra, self.dec, self.half_side)
        stars = np.tile(np.flatnonzero(base.stars), self.times)
        chance = np.random.default_rng([seed, 77])
        take = np.concatenate((stars, np.arange(base.ra.size)))
        spread = self.half_side / math.cos(math.radians(self.dec))
        ra, dec = base.ra[take], base.dec[take]
        ra[: stars.size] = self.ra + chance.uniform(-spread, spread, stars.size)
        dec[: stars.size] = self.dec + chance.uniform(-self.half_side, self.half_side, stars.size)
        order = np.argsort(base.code[take] != 100, kind="stable")
        rest = {
            name: getattr(base, name)[take][order]
            for name in ("scale", "ratio", "angle", "bulge", "bulge_radius", "bulge_ratio", "code")
        }
        magnitudes = {band: values[take][order] for band, values in base.magnitudes.items()}
        return Catalogue(ra=ra[order], dec=dec[order], magnitudes=magnitudes, **rest)


@dataclass(frozen=True, slots=True)
class Painted:
    """Illuminated rows of a CCD and the truth about them."""

    image: CcdImage
    flags: NDArray[np.int16]
    """BAD from the truth, SATURATED with a rim of BLEED."""
    truth: Mask
    """Pixels that the truth marks COSMIC, of those without flag."""
    charge: NDArray[np.float32]
    """Electrons that rays left."""
    cores: Mask
    """Pixels within half the FWHM of an unsaturated star, whatever its magnitude, that no ray touches."""
    noise: float
    """Electrons rms of the sky."""
    seeing: float
    """Arcsec."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a search found and lost."""

    complete: float
    """Share of the rays' pixels that is found."""
    pure: float
    """Share of what is found that lies on a ray or beside one."""
    lost: float
    """Share of the pixels of star cores that is taken for rays."""


def grown(mask: Mask, reach: int = 1) -> Mask:
    """Give the mask with the pixels round it."""
    padded = np.pad(mask, reach)
    result = np.zeros_like(mask)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            result |= padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]]
    return result


def paint(
    seeing: float, seed: int, *, exptime: float = 120.0, rate: float = 6.28, ccd: int = 12, rows: int = 4612,
    band: str = "r", stars: int = 20,
) -> Painted:  # fmt: skip
    """Paint a CCD of MegaCam: `rate` hits a square centimetre and minute, 1.57 in truth, `stars` times the stars."""
    megacam = load_instrument("megacam")
    chosen = next(known for known in BANDS if known.name[0] == band)
    exposure = replace(exposure_of(0, seed), band=replace(chosen, exptime=exptime), fwhm=seeing, index=seed)
    detector = megacam.ccds[ccd]
    effects = FULL.switched(f"cosmic_rays.rate={rate}")
    shot = Shot(megacam, detector, exposure, seed, 0, effects, stock=Crowd(times=stars))
    whole, exposed = processed(shot)
    x0, x1, y0, _ = megacam.datasec
    split = megacam.amplifier_boundary - x0
    charge = np.zeros(exposed.charge.shape, np.float32)
    hits = exposed.rays
    tracks.add_paths(
        charge, np.zeros(charge.shape, np.uint8), int(PixelFlag.COSMIC), math.inf, hits.ends, hits.path_x, hits.path_y,
        hits.path_charge, np.zeros(hits.ends.size, np.int64),
    )  # fmt: skip
    pixels = whole[y0 : y0 + rows, x0:x1].astype(np.float32)
    marks, charge = exposed.marks[:rows], charge[:rows]
    ceiling = float(saturation_of(megacam, detector))
    full = pixels >= 0.98 * ceiling
    flags = np.where(marks & PixelFlag.BAD, int(PixelFlag.BAD), 0).astype(np.int16)
    flags[full] |= int(PixelFlag.SATURATED)
    flags[grown(full) & ~full] |= int(PixelFlag.BLEED)
    amplifiers = (
        Amplifier(0, split, detector.gain_a, detector.read_noise_a),
        Amplifier(split, x1 - x0, detector.gain_b, detector.read_noise_b),
    )
    level = sky_level(megacam, exposure, effects)
    image = CcdImage(pixels, Area(0, x1 - x0, 0, rows), amplifiers, ceiling, SCALE, f"painted at {seeing} arcsec")
    width = seeing / SCALE
    seen = exposed.seen
    chosen_stars = seen.stars & (seen.flux / (1.13 * (width**2 + 0.5)) + level < ceiling)
    reach = math.ceil(width / 2) + 1
    chosen_stars &= (
        (np.abs(seen.x - (x1 - x0) / 2) < (x1 - x0) / 2 - reach) & (seen.y > reach) & (seen.y < rows - reach)
    )
    cores = np.zeros(pixels.shape, bool)
    for x, y in zip(seen.x[chosen_stars], seen.y[chosen_stars], strict=True):
        part = slice(round(y) - reach, round(y) + reach), slice(round(x) - reach, round(x) + reach)
        up, across = np.ogrid[part]
        cores[part] |= (up - y) ** 2 + (across - x) ** 2 <= width**2 / 4
    good = flags == 0
    return Painted(
        image=image, flags=flags, truth=(marks & PixelFlag.COSMIC > 0) & good, charge=charge,
        cores=cores & good & (charge == 0), noise=math.hypot(math.sqrt(level * detector.gain), detector.read_noise),
        seeing=seeing,
    )  # fmt: skip


def judged(painted: Painted, found: Mask) -> Verdict:
    """Hold what was found against the truth."""
    found = found & (painted.flags == 0)
    return Verdict(
        complete=float(found[painted.truth].mean()),
        pure=float(grown(painted.charge > 0)[found].mean()) if found.any() else 1.0,
        lost=float(found[painted.cores].mean()),
    )
