"""Whole frames of MegaCam by ``terapix skymaker --instrument``: every effect, and plain ones, against their truth."""

import contextlib
import io
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from bench_painter import cpu_seconds, peak_mb
from figures import Row, command_line

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from processing.skymaker.exposures import exposure_of
from processing.skymaker.field import psf_on
from processing.skymaker.survey import main
from terapix.instruments import load_instrument

WORKERS = 2
RUNS = 2
"""The quicker one counts: others share the machine."""
RADIUS = 10
"""Pixels of the aperture in which stars are measured."""
CASES = (("every effect", (), "45 s"), ("plain", ("--plain",), "25 s"))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a frame agrees with its truth."""

    stars: int
    flux: float
    """Median of the measured flux of lonely stars over the true one."""
    noise: float
    """Variance of the darkest sky over that of its photons and of the reading, mean of all amplifiers."""


def agreement(directory: Path) -> Agreement:
    """Measure stars in an aperture, and the noise in blocks of the sky, on every fourth CCD."""
    megacam = load_instrument("megacam")
    truth = fits.getdata(directory / "990001p.truth.fits", "SOURCES")
    fluxes, noises = [], []
    with (
        fits.open(directory / "990001p.fits.fz") as frame,
        fits.open(directory / "990001p.truth-mask.fits.fz") as masks,
    ):
        flat_name = frame[0].header["IMRED_FF"]
        exposure = replace(exposure_of(0, 1), fwhm=float(fits.getheader(directory / "990001p.truth.fits")["SEEING"]))
        for ccd in megacam.ccds[::4]:
            pixels, marks = (hdus[ccd.index + 1].data.astype(float) for hdus in (frame, masks))
            flat = fits.getdata(directory / f"{flat_name}.fits.fz", ccd.index + 1)
            fluxes += _fluxes(pixels, marks, truth[truth["CCD"] == ccd.index], psf_on(megacam, ccd, exposure))
            for first, gain, spread in ((40, ccd.gain_a, ccd.read_noise_a), (1064, ccd.gain_b, ccd.read_noise_b)):
                noises += _noises(pixels, flat, slice(first, first + 960), gain, spread)
    return Agreement(len(fluxes), float(np.median(fluxes)), float(np.mean(noises)))


def _fluxes(pixels, marks, sources, psf):
    samples = psf.at(1024, 2306)
    half = samples.shape[0] // 2
    j, i = np.mgrid[: samples.shape[0], : samples.shape[1]] - half
    held = samples[np.hypot(i, j) < (RADIUS + 0.05) * psf.oversampling].sum(dtype=float) / samples.sum(dtype=float)
    stars = (sources["TYPE"] == 100) & (sources["MAG"] > 17.5) & (sources["MAG"] < 19.5)
    found = []
    for star in sources[stars]:
        away = np.hypot(sources["X"] - star["X"], sources["Y"] - star["Y"])
        x, y = round(star["X"]) - 1, round(star["Y"]) - 1
        box = (slice(y - 30, y + 31), slice(x - 30, x + 31))
        inside = 70 < x < 2040 and 40 < y < 4570
        if not inside or marks[box].any() or (pixels[box] == 0).any():
            continue
        if sources["FLUX"][(away > 0) & (away < 30)].sum() > 0.003 * star["FLUX"]:
            continue
        rows, columns = np.mgrid[box]
        distance = np.hypot(columns + 1 - star["X"], rows + 1 - star["Y"])
        sky = np.median(pixels[box][(distance > 22) & (distance < 30)])
        cover = np.clip(RADIUS + 0.5 - distance, 0, 1)
        found.append(((pixels[box] - sky) * cover).sum() / star["FLUX"] / held)
    return found


def _noises(pixels, flat, columns, gain, read_noise):
    found = []
    for row in range(100, 4500, 200):
        block, response = pixels[row : row + 64, columns], flat[row : row + 64, columns]
        steps = np.diff(np.where(block == 0, np.nan, block), axis=0) / np.sqrt(2)
        middle = np.nanmedian(np.abs(steps)) / 0.6745
        counts = gain * np.median(response)
        level = np.nanmedian(block)
        found.append(middle**2 / ((level * counts + read_noise**2) / counts**2 + 1 / 12))
    return [np.median(found)]


def measure() -> list[Row]:
    rows = []
    for name, orders, goal in CASES:
        with tempfile.TemporaryDirectory(prefix="bench-camera-", dir=Path.cwd()) as scratch:
            directory = Path(scratch)
            told = ["--instrument", "megacam", "--pointing", "214.87,52.68", "--directory", scratch, *orders]
            told += ["--workers", str(WORKERS), "--transparency", "1"]
            taken = []
            with contextlib.redirect_stdout(io.StringIO()):
                main(told)
            for _ in range(RUNS):
                (directory / "990001p.fits.fz").unlink()
                begin, before = time.perf_counter(), cpu_seconds()
                with contextlib.redirect_stdout(io.StringIO()):
                    main(told)
                taken.append((time.perf_counter() - begin, cpu_seconds() - before))
            wall, cpu = min(taken)
            size = (directory / "990001p.fits.fz").stat().st_size
            found = agreement(directory)
            rows.append(
                Row(
                    part=f"skymaker: a frame of MegaCam, {name}",
                    input=f"36 CCDs, truth and headers, to .fz of {size / 1e6:.0f} MB, {WORKERS} workers",
                    ours=wall,
                    ours_cpu=cpu,
                    agreement=f"flux of {found.stars} stars over truth {found.flux:.4f}; variance of the sky over "
                    f"expected {found.noise:.4f}; {peak_mb():.0f} MB a worker",
                    goal=goal,
                )
            )
    return rows


if __name__ == "__main__":
    command_line(measure)
