"""Pictures of the page on SkyMaker: a simulated CCD beside stacks of the CFHTLS, with their counts and sizes.

python benchmarks/pictures_stack.py docs/algorithms ../shared/data

Stuff draws the sky, SkyMaker paints it through the image quality, zero point, gain and noise of each stack, and
source-extractor's rules find the sources of both with equal settings. Prints the numbers that the page tells.
"""

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import ks_2samp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.ldac import read as read_ldac
from processing.skymaker.field import M2_DIAMETER, WAVELENGTHS
from processing.skymaker.image import interpolant
from processing.skymaker.psf import Optics, psf_of

ROOT = Path(__file__).resolve().parents[1]
BANDS = "gri"
COLOURS = ("tab:blue", "tab:green", "tab:red")
WIDTH, HEIGHT, SCALE = 2112, 4644, 0.186
"""Of a CCD, pixels, and arcsec a pixel."""
DEGREES = (SCALE / 3600.0) ** 2
"""Square degrees of a pixel."""
SEED = 6
"""One whose CCD has a star as bright as the stacks'."""
STARS = 4.8e4
"""Stars a square degree down to 27.5 for 790 of r from 14 to 18, as the list of SDSS has them about the stacks."""
BRIGHT = 14.46
"""Magnitude in r of the stacks' brightest star, in that list."""
FAINT = 0.945
"""Rms of the sky over that of pixels near its level: the rest is light of sources too faint to be seen."""
SHOWN = 300
"""Pixels of a picture's side."""
LEVELS = 16
"""Of grey."""
COUNTED = np.arange(17.0, 27.25, 0.5)
SIZED = {"g": (21.0, 25.0), "r": (20.5, 24.5), "i": (20.0, 24.0)}
"""Magnitudes between which sizes and numbers are compared."""
RADII = np.arange(1.5, 7.01, 0.5)
COLUMNS = ("X_IMAGE", "Y_IMAGE", "MAG_AUTO", "FLUX_RADIUS", "FWHM_IMAGE", "CLASS_STAR", "FLAGS")
Pixels = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Stack:
    """A real stack, and what is painted after it."""

    band: str
    path: Path
    pixels: Pixels
    header: Any

    @property
    def level(self) -> float:
        return float(np.median(self.pixels))

    @property
    def noise(self) -> float:
        """Rms of pixels near the level of the sky, ADU."""
        return float(1.4826 * np.median(np.abs(self.pixels - self.level)))

    @property
    def sky(self) -> float:
        """Level in ADU of a sky whose photons, as the stack's pixels correlated, have its noise."""
        correlated = float((interpolant("LANCZOS3", 1.0) ** 2).sum())
        return (FAINT * self.noise / correlated) ** 2 * float(self.header["GAIN"])

    def seeing(self) -> float:
        """Arcsec of seeing for which a star is as wide as the header says."""
        wanted = float(self.header["IQIMAGE"])
        seeing = wanted
        for _ in range(3):
            optics = Optics(seeing=seeing, wavelength=WAVELENGTHS[self.band], m2_diameter=M2_DIAMETER)
            seeing *= wanted / (psf_of(optics, pixel_scale=SCALE).fwhm * SCALE)
        return seeing


def stack_of(data: Path, band: str) -> Stack:
    path = data / "humvi" / f"CFHTLS-test_{band}.fits"
    with fits.open(path) as hdus:
        return Stack(band, path, hdus[0].data.astype(np.float32), hdus[0].header)


def run(place: Path, module: str, *argv: object) -> None:
    """Run one of our tools in `place`."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", module, *map(str, argv)], check=True, cwd=place, env=env)


def paint(place: Path, stack: Stack) -> Pixels:
    """Paint the list of a stack's band as the stack is."""
    run(
        place, "processing.skymaker.command", f"{stack.band}.list", "-IMAGE_NAME", f"sky-{stack.band}.fits",
        "-IMAGE_SIZE", f"{WIDTH},{HEIGHT}", "-PIXEL_SIZE", SCALE, "-GAIN", stack.header["GAIN"], "-READOUT_NOISE", 0,
        "-EXPOSURE_TIME", 1, "-MAG_ZEROPOINT", stack.header["MZP_AB"],
        "-BACK_MAG", stack.header["MZP_AB"] - 2.5 * math.log10(stack.sky / SCALE**2),
        "-SATUR_LEVEL", stack.header["SATURATE"] + stack.sky, "-SEEING_FWHM", stack.seeing(),
        "-WAVELENGTH", WAVELENGTHS[stack.band], "-M2_DIAMETER", M2_DIAMETER, "-CORREL_TYPE", "NOISE",
        "-CORREL_FUNC_TYPE", "LANCZOS3", "-STARCOUNT_ZP", 0, "-SEED_MOTION", SEED, "-SEED_STARPOS", SEED,
        "-VERBOSE_TYPE", "QUIET",
    )  # fmt: skip
    return np.asarray(fits.getdata(place / f"sky-{stack.band}.fits"), np.float32)


def measured(place: Path, image: Path, stack: Stack) -> NDArray[Any]:
    """Sources of an image, found with the settings that fit the stack."""
    (place / "a.param").write_text("\n".join(COLUMNS) + "\n")
    (place / "a.conv").write_text("CONV NORM\n1 2 1\n2 4 2\n1 2 1\n")
    run(
        place, "processing.sextractor.command", image, "-CATALOG_NAME", "a.cat", "-CATALOG_TYPE", "FITS_LDAC",
        "-PARAMETERS_NAME", "a.param", "-FILTER_NAME", "a.conv", "-DETECT_THRESH", 1.5, "-ANALYSIS_THRESH", 1.5,
        "-MAG_ZEROPOINT", stack.header["MZP_AB"], "-GAIN", stack.header["GAIN"], "-PIXEL_SCALE", SCALE,
        "-SEEING_FWHM", stack.header["IQIMAGE"], "-SATUR_LEVEL", stack.header["SATURATE"], "-VERBOSE_TYPE", "QUIET",
    )  # fmt: skip
    found: NDArray[Any] = read_ldac(place / "a.cat")[0].sources
    return found


def grey(pixels: Pixels, stack: Stack) -> NDArray[np.uint8]:
    """Give steps of grey for levels above the sky in units of the stack's noise, by asinh."""
    level = (pixels - np.median(pixels)) / stack.noise
    share = np.clip(0.15 + 0.235 * np.arcsinh(level / 2.0), 0.0, 1.0)
    return np.round(np.round(share * (LEVELS - 1)) * (255 / (LEVELS - 1))).astype(np.uint8)


def around(pixels: NDArray[np.uint8], x: float, y: float) -> NDArray[np.uint8]:
    """Part with the place at 60 % of its width and 45 % of its height, from the edges where it must."""
    left = int(np.clip(round(x) - 0.6 * SHOWN, 0, pixels.shape[1] - SHOWN))
    below = int(np.clip(round(y) - 0.45 * SHOWN, 0, pixels.shape[0] - SHOWN))
    part: NDArray[np.uint8] = pixels[below : below + SHOWN, left : left + SHOWN]
    return part


def beside(target: Path, stacks: list[Stack], painted: list[Pixels], star: NDArray[np.float64]) -> None:
    """Draw the stacks above, each with our CCD below; both about a star of one brightness."""
    rows = []
    for picked in (True, False):
        parts = []
        for stack, ours in zip(stacks, painted, strict=True):
            pixels = stack.pixels if picked else ours
            x, y = brightest(stacks[1].pixels) if picked else (star[0], star[1])
            parts += [around(grey(pixels, stack), x, y)[::-1], np.full((SHOWN, 6), 255, np.uint8)]
        rows.append(np.hstack(parts[:-1]))
    gap = np.full((6, rows[0].shape[1]), 255, np.uint8)
    Image.fromarray(np.vstack([rows[0], gap, rows[1]])).quantize(LEVELS).save(target, optimize=True)


def brightest(pixels: Pixels) -> tuple[float, float]:
    """Middle of the saturated star, by pixels above a tenth of what is brightest."""
    rows, columns = np.nonzero(pixels > 0.1 * pixels.max())
    return float(np.median(columns)), float(np.median(rows))


def statistics(target: Path, stacks: list[Stack], real: list[NDArray[Any]], ours: list[NDArray[Any]]) -> None:
    """Draw counts by half magnitudes, and sizes of what is well seen."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained", sharey="row")
    area = WIDTH * HEIGHT * DEGREES
    for k, stack in enumerate(stacks):
        above, below = axes[:, k]
        mine, found = (np.histogram(each[k]["MAG_AUTO"], COUNTED)[0] for each in (ours, real))
        above.stairs(
            np.where(mine > 0, mine / area, np.nan), COUNTED, color=COLOURS[k], label=f"{stack.band}, simulated"
        )
        points(above, COUNTED, found, stack.pixels.size * DEGREES)
        above.set(yscale="log", xlabel="MAG_AUTO (AB)", ylim=(300, 3e5))
        above.legend(loc="upper left", fontsize=8)
        mine, found = (np.histogram(sized(each[k], stack.band)["FLUX_RADIUS"], RADII)[0] for each in (ours, real))
        below.stairs(mine / mine.sum(), RADII, color=COLOURS[k])
        points(below, RADII, found, found.sum())
        bright, faint = SIZED[stack.band]
        below.set(xlabel=f"FLUX_RADIUS, pixels, of {bright:g} < {stack.band} < {faint:g}")
    axes[0, 0].set_ylabel("per degree² and half magnitude")
    axes[1, 0].set_ylabel("share of sources")
    figure.savefig(target, dpi=75)


def points(axis: Any, edges: NDArray[np.float64], found: NDArray[np.int64], total: float) -> None:
    """Draw what the stack has, with the errors of Poisson's law."""
    seen = found > 0
    middles = 0.5 * (edges[1:] + edges[:-1])[seen]
    axis.errorbar(middles, found[seen] / total, np.sqrt(found[seen]) / total, fmt="ko", ms=4, label="CFHTLS stack")


def sized(sources: NDArray[Any], band: str) -> NDArray[Any]:
    """Sources whose sizes are compared."""
    bright, faint = SIZED[band]
    return sources[(sources["MAG_AUTO"] >= bright) & (sources["MAG_AUTO"] < faint)]


def told(stack: Stack, painted: Pixels, real: NDArray[Any], ours: NDArray[Any]) -> str:
    """Numbers of a band for the page."""
    header, (bright, faint) = stack.header, SIZED[stack.band]
    back = header["MZP_AB"] - 2.5 * math.log10(stack.sky / SCALE**2)
    lines = [
        f"{stack.band}: sky {back:.2f} mag/arcsec2; image quality {header['IQIMAGE']:.3f}, seeing {stack.seeing():.3f}"
    ]
    radii = []
    for who, found, pixels in (("real", real, stack.pixels), ("ours", ours, painted)):
        noise = 1.4826 * float(np.median(np.abs(pixels - np.median(pixels))))
        lines.append(f"  {who}: noise {noise:.3f} ADU, neighbours correlated by {_correlation(pixels):.2f}")
        stars = found[(found["CLASS_STAR"] > 0.95) & (found["FLAGS"] == 0) & (found["MAG_AUTO"] < 22.0)]
        wide = float(np.median(stars["FWHM_IMAGE"])) * SCALE
        lines.append(f"    {len(stars)} stars to 22, {wide:.3f} arcsec wide; {density(len(found), pixels)} sources")
        radii.append(sized(found, stack.band)["FLUX_RADIUS"])
        middle = float(np.median(radii[-1]))
        lines.append(f"    {density(radii[-1].size, pixels)} from {bright:g} to {faint:g}, radius {middle:.2f}")
    lines.append(f"  sizes of one distribution (Kolmogorov and Smirnov): p = {ks_2samp(*radii).pvalue:.2f}")
    return "\n".join(lines)


def density(count: int, pixels: Pixels) -> str:
    """Number, and sources a square degree with the error of Poisson's law."""
    area = pixels.size * DEGREES
    return f"{count}, {count / area:.0f} +- {math.sqrt(count) / area:.0f} a square degree,"


def _correlation(pixels: Pixels) -> float:
    """Correlation of neighbours along rows, of pixels near the level of the sky."""
    off = pixels - np.median(pixels)
    near = np.abs(off) < 2.5 * 1.4826 * np.median(np.abs(off))
    both = near[:, 1:] & near[:, :-1]
    return float((off[:, 1:] * off[:, :-1])[both].mean() / (off[:, 1:] ** 2)[both].mean())


def main(target: Path, data: Path) -> None:
    stacks = [stack_of(data, band) for band in BANDS]
    with tempfile.TemporaryDirectory(prefix="pictures-stack-") as name:
        place = Path(name)
        run(
            place, "processing.stuff.command", "-CATALOG_NAME", ",".join(f"{band}.list" for band in BANDS),
            "-FIELD_SIZE", f"{WIDTH},{HEIGHT}", "-PIXEL_SIZE", SCALE, "-MAG_LIMITS", "14,27.5", "-ADD_STARS", "Y",
            "-STARCOUNT_NUMBER", STARS, "-SEED_STARS", SEED, "-SEED_GALAXIES", SEED, "-VERBOSE_TYPE", "QUIET",
        )  # fmt: skip
        painted = [paint(place, stack) for stack in stacks]
        ours = [measured(place, place / f"sky-{stack.band}.fits", stack) for stack in stacks]
        real = [measured(place, stack.path.resolve(), stack) for stack in stacks]
        lines = [line.split() for line in (place / "r.list").read_text().splitlines()]
    stars = np.array([line[1:4] for line in lines if line[0] == "100"], np.float64)
    inside = stars[(np.abs(stars[:, 0] / WIDTH - 0.5) < 0.4) & (np.abs(stars[:, 1] / HEIGHT - 0.5) < 0.4)]
    alike = inside[np.argmin(np.abs(inside[:, 2] - BRIGHT))]
    print(f"the star shown has r = {alike[2]:.2f}")
    for row in zip(stacks, painted, real, ours, strict=True):
        print(told(*row))
    beside(target / "skymaker-beside-stack.png", stacks, painted, alike)
    statistics(target / "skymaker-stack-counts.png", stacks, real, ours)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
