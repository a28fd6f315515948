"""CCDs painted with bright stars whose haloes, ghosts and spikes are known pixel by pixel."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.image import Amplifier, CcdImage
from processing.defects.saturation import find_cores, saturation_level
from processing.defects.settings import SaturationSettings, StarSettings
from processing.defects.stars import StarsOnCcd, axis_on, mark_stars
from processing.flags import PixelFlag
from processing.skymaker.detector import optics_of
from processing.skymaker.distortion import wcs_of
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.field import M2_DIAMETER, WAVELENGTHS
from processing.skymaker.frame import Shot, light_of, processed, saturation_of
from processing.skymaker.psf import psf_of
from processing.skymaker.pupil import Optics
from processing.skymaker.scene import Scene, paint_scene
from processing.skymaker.sources import Stock, place_of
from terapix.instruments import load_instrument

MEGACAM = load_instrument("megacam")
X0, X1, Y0, Y1 = MEGACAM.datasec
INSIDE = Area(X0, X1, Y0, Y1)
MOSAIC = Area(0, MEGACAM.mosaic_width, 0, MEGACAM.mosaic_height)
EFFECTS = FULL.switched("trails=off,cosmic_rays=off,defects=off,fringes=off,points.aureole_radius=512")
RADIUS = 512
"""Pixels to which the painter scatters light; MegaCam's goes on."""
NEAR, FAR = 20.0, 100.0
"""Pixels from a star between which spikes are judged: nearer is the core, and farther none are painted."""
CORE = 60.0
"""Pixels round a star that are its own core's."""
BRIGHT = 24
KINDS = (PixelFlag.HALO, PixelFlag.GHOST, PixelFlag.SPIKE)
OPTICS = replace(MEGACAM.bright_stars, halo_longest=RADIUS * MEGACAM.pixel_scale)


@dataclass(frozen=True, slots=True)
class Painted:
    """A CCD and the light that bright stars shed on its illuminated part."""

    image: CcdImage
    flags: np.ndarray
    background: Background
    stars: StarsOnCcd
    """As a catalogue tells them."""
    cores: StarsOnCcd
    """As their saturated cores tell them."""
    light: dict[PixelFlag, np.ndarray]
    """ADU of each kind."""
    rms: float
    """ADU, noise of the sky."""
    judged: dict[PixelFlag, np.ndarray]
    """Pixels in which each kind of light is judged."""


def limits(settings: StarSettings) -> dict[PixelFlag, float]:
    """Noise of a pixel from which each kind of light is to be marked."""
    return dict(zip(KINDS, (settings.halo, settings.ghost, settings.spike), strict=True))


def paint(place: Path, *, ccd: int, seed: int) -> Painted:
    """Paint a CCD: BRIGHT stars of magnitude 7.5 to 11 all over the mosaic, three of them on the CCD, and faint ones.

    Parameters
    ----------
    place : directory for the list of sources
    ccd : number of the CCD
    seed : of stars and noise, and of the exposure: its filter and its seeing
    """
    exposure, chip = exposure_of(seed, seed), MEGACAM.ccds[ccd]
    random = np.random.default_rng([seed, ccd])
    wcs = WCS(Header(wcs_of(chip, exposure) | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}))
    right, top = chip.column + MEGACAM.ccd_width, chip.row + MEGACAM.ccd_height
    spot = Area(chip.column, right, chip.row, top, chip.flipped, chip.flipped)
    axis, turned = axis_on(INSIDE, spot, MOSAIC)
    far = random.uniform(-0.5, 0.5, (BRIGHT, 2)) * (MOSAIC.x1, MOSAIC.y1) + axis
    far[:3] = random.uniform((X0, Y0), (X1, Y1), (3, 2))
    at = np.concatenate([far, random.uniform((X0, Y0), (X1, Y1), (1500, 2))])
    magnitude = np.concatenate([random.uniform(7.5, 11.0, BRIGHT), random.uniform(16.5, 24.0, 1500)])
    path = place / f"stars-{seed}-{ccd}.list"
    ra, dec = wcs.wcs_pix2world(*at.T, 0)
    lines = (f"100 {a:.8f} {d:.8f} {m:.3f}\n" for a, d, m in zip(ra, dec, magnitude, strict=True))
    path.write_text("".join(lines))
    shot = Shot(MEGACAM, chip, exposure, seed, 0, EFFECTS, Stock(lists=(("", path),)))
    pixels, _ = processed(shot)
    amplifiers = (
        Amplifier(X0, MEGACAM.amplifier_boundary, chip.gain_a, chip.read_noise_a),
        Amplifier(MEGACAM.amplifier_boundary, X1, chip.gain_b, chip.read_noise_b),
    )
    level = float(saturation_of(MEGACAM, chip))
    image = CcdImage(pixels.astype(np.float32), INSIDE, amplifiers, level, MEGACAM.pixel_scale, chip.name)
    flags = np.zeros(image.pixels.shape, np.int16)
    background = Background.of(image, flags)
    cores, *_ = find_cores(image, saturation_level(image, background, SaturationSettings()))
    catalogue = shot.stock.catalogue(exposure, seed=seed)
    x, y = place_of(MEGACAM, chip, exposure, EFFECTS, catalogue)
    flux = exposure.adu_at_zero * 10.0 ** (-0.4 * magnitude)
    known = magnitude < 16.0
    stars = StarsOnCcd(x[known], y[known], flux[known], axis, turned)
    whole = light_of(shot)[0]
    dim = {
        PixelFlag.HALO: light_of(replace(shot, effects=EFFECTS.switched("points.aureole_radius=0")))[0],
        PixelFlag.GHOST: light_of(replace(shot, effects=EFFECTS.switched("ghosts=off")))[0],
    }
    light = {kind: (whole - without) / chip.gain for kind, without in dim.items()}
    light[PixelFlag.SPIKE] = _spikes(shot, x[known] - X0, y[known] - Y0, flux[known])
    near = _distance(x[known] - X0, y[known] - Y0, whole.shape)
    ring = (near > NEAR) & (near < FAR)
    judged = {PixelFlag.HALO: near > CORE, PixelFlag.GHOST: near > CORE, PixelFlag.SPIKE: ring}
    by_cores = StarsOnCcd.from_cores(cores, image, MEGACAM.bright_stars, place=spot, mosaic=MOSAIC)
    return Painted(image, flags, background, stars, by_cores, light, background.typical_rms, judged)


def _spikes(shot: Shot, x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
    """ADU that the arms of the spider diffract; below 0 where they take light away."""
    u0, du, v0, dv = optics_of(MEGACAM, shot.ccd, EFFECTS.response)[:4]
    square = (u0 + du * MEGACAM.ccd_width / 2) ** 2 + (v0 + dv * MEGACAM.ccd_height / 2) ** 2
    seeing = shot.exposure.fwhm * (1.0 + EFFECTS.points.curvature * float(square))
    wavelength = WAVELENGTHS.get(shot.exposure.band.name[0], 0.65)
    zero = np.zeros(x.size)
    painted = []
    for arms in (4, 0):
        optics = Optics(seeing=seeing, wavelength=wavelength, m2_diameter=M2_DIAMETER, arms=arms)
        light = np.zeros((MEGACAM.ccd_height, MEGACAM.ccd_width), np.float32)
        scene = Scene(x, y, flux, zero, zero, zero + 1, zero, zero, zero + 1, zero)
        psf = psf_of(optics, pixel_scale=MEGACAM.pixel_scale)
        paint_scene(light, scene, psf, pixel_scale=MEGACAM.pixel_scale, faint=0.01, threads=1)
        painted.append(light)
    return painted[0] - painted[1]


def _distance(x: np.ndarray, y: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels to the nearest star, which may lie beside the CCD."""
    j, i = np.indices(shape, np.float32)
    nearest = np.full(shape, np.inf, np.float32)
    for a, b in zip(x, y, strict=True):
        np.minimum(nearest, (i - np.float32(a)) ** 2 + (j - np.float32(b)) ** 2, out=nearest)
    return np.sqrt(nearest)


@dataclass(frozen=True, slots=True)
class Judged:
    """Pixels of one kind of light."""

    true: int
    """That get as much light as is to be marked."""
    marked: int
    both: int
    lit: int
    """Marked ones that get half as much or more."""

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(
            self.true + other.true, self.marked + other.marked, self.both + other.both, self.lit + other.lit
        )  # fmt: skip

    @property
    def found(self) -> float:
        """Share of the true ones that are marked."""
        return self.both / max(self.true, 1)

    @property
    def right(self) -> float:
        """Share of the marked ones that are true."""
        return self.both / max(self.marked, 1)


def judged(painted: Painted, stars: StarsOnCcd) -> dict[PixelFlag, Judged]:
    """Compare what `mark_stars` makes of `stars` with what was painted."""
    settings = StarSettings()
    flags = painted.flags.copy()
    mark_stars(painted.image, flags, painted.background, stars, OPTICS, settings)
    found = {}
    for kind, limit in limits(settings).items():
        where, light = painted.judged[kind], painted.light[kind] / painted.rms
        marks = (flags[Y0:Y1, X0:X1] & int(kind) > 0) & where
        true = (light > limit) & where
        counts = (true, marks, true & marks, marks & (light > 0.5 * limit))
        found[kind] = Judged(*(int(np.count_nonzero(each)) for each in counts))
    return found
