"""One simulated CCD: ours as a whole process, the time of SkyMaker 4.3.0, and GalSim on the same sources."""

import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits
from figures import Row, command_line, installed, timed

from processing.kernels.compile import warm
from processing.skymaker.lists import STAR, Sources, read_list
from processing.skymaker.psf import Optics, psf_of

WIDTH, HEIGHT, SOURCES, STARS = 2112, 4644, 7500, 1500
SCALE, SEEING, GAIN, EXPOSURE = 0.186, 0.8, 1.585, 468.0
ZERO_POINT = 26.045
SKYMAKER = 6.75
"""Seconds of wall time of SkyMaker 4.3.0 on two threads for such a CCD, 6 to 7.5; it is not installed here."""
SUBSET = 100
"""Sources that GalSim paints; its time is scaled to all of them."""
_SHARED = Path(os.environ.get("TERAPIX_SHARED", Path(__file__).resolve().parents[2] / "shared"))
REFERENCE = _SHARED / "data" / "reference" / "skymaker"
SETTINGS = {
    "IMAGE_SIZE": f"{WIDTH},{HEIGHT}", "GAIN": GAIN, "READOUT_NOISE": 5, "EXPOSURE_TIME": EXPOSURE,
    "MAG_ZEROPOINT": ZERO_POINT, "PIXEL_SIZE": SCALE, "SEEING_FWHM": SEEING, "BACK_MAG": 20.9, "STARCOUNT_ZP": 0,
    "SEED_MOTION": 1, "SEED_STARPOS": 1, "VERBOSE_TYPE": "QUIET", "NTHREADS": 2,
}  # fmt: skip


def write_sources(path: Path) -> None:
    """1,500 stars and 6,000 galaxies down to magnitude 24.5."""
    chance = np.random.default_rng(1)
    lines = []
    for k in range(SOURCES):
        place = f"{chance.uniform(1, WIDTH):.3f} {chance.uniform(1, HEIGHT):.3f}"
        if k < STARS:
            lines.append(f"100 {place} {24.0 + 5.0 * math.log10(chance.random() * 0.999 + 1e-3):.3f}")
            continue
        mag = 24.5 + math.log10(chance.random() + 1e-4) / 0.36
        radius = 0.42 * 10.0 ** (-0.12 * (mag - 22.0)) * math.exp(chance.normal(0.0, 0.35))
        bulge = (
            f"{chance.beta(1.2, 3):.3f} {0.6 * radius:.3f} {chance.uniform(0.4, 1):.3f} {chance.uniform(-90, 90):.1f}"
        )
        lines.append(
            f"200 {place} {mag:.3f} {bulge} {radius:.3f} {chance.uniform(0.25, 1):.3f} {chance.uniform(-90, 90):.1f}"
            " 0 0"
        )
    path.write_text("\n".join(lines) + "\n")


def agreement() -> str:
    """Largest difference from the original's noiseless image of the reference list, in shares of its range."""
    if not REFERENCE.is_dir():
        return "no reference image here"
    from processing.skymaker.command import main  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as name:
        settings = {**SETTINGS, "IMAGE_SIZE": 512, "IMAGE_TYPE": "SKY_NONOISE", "IMAGE_NAME": f"{name}/sky.fits"}
        main([str(REFERENCE / "objects.list"), *words(settings)])
        ours, theirs = (
            fits.getdata(each).astype(float) for each in (f"{name}/sky.fits", REFERENCE / "sky_nonoise.fits.gz")
        )
    return f"noiseless image within {np.abs(ours - theirs).max() / np.ptp(theirs):.0e} of its range"


def words(settings: dict[str, object]) -> list[str]:
    return [word for key, value in settings.items() for word in (f"-{key}", str(value))]


def by_galsim(sources: Sources) -> float:
    """Seconds that GalSim takes for the sources, of which it paints every seventy-fifth, on one thread."""
    import galsim  # noqa: PLC0415

    chosen = sources.chosen(np.arange(0, len(sources), len(sources) // SUBSET))
    psf = psf_of(Optics(seeing=SEEING), pixel_scale=SCALE)
    seen = galsim.InterpolatedImage(galsim.Image(psf.components[0][1:, 1:].astype(float), scale=SCALE / 5), flux=1.0)
    image = galsim.ImageF(WIDTH, HEIGHT)
    begin = time.perf_counter()
    for k in range(len(chosen)):
        rest = chosen.rest[k]
        flux = 10.0 ** (0.4 * (ZERO_POINT - chosen.mag[k])) * EXPOSURE * GAIN
        model = seen
        if chosen.code[k] != STAR:
            bulge = galsim.DeVaucouleurs(half_light_radius=rest[2]).shear(q=rest[3], beta=rest[4] * galsim.degrees)
            disc = galsim.Exponential(scale_radius=rest[5]).shear(q=rest[6], beta=rest[7] * galsim.degrees)
            model = galsim.Convolve(rest[0] * bulge + (1.0 - rest[0]) * disc, seen)
        center = galsim.PositionD(chosen.x[k], chosen.y[k])
        stamp = model.withFlux(flux).drawImage(nx=64, ny=64, scale=SCALE, center=center, method="no_pixel")
        bounds = stamp.bounds & image.bounds
        if bounds.isDefined():
            image[bounds] += stamp[bounds]
    return (time.perf_counter() - begin) * len(sources) / len(chosen)


def measure() -> Sequence[Row]:
    warm()
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory(prefix="bench-skymaker-") as name:
        place = Path(name)
        write_sources(place / "in.list")
        argv = [sys.executable, "-m", "processing.skymaker.command", "in.list", *words(SETTINGS)]
        env = installed(root, place)
        timed(argv, runs=1, env=env, cwd=place)
        ours = timed(argv, runs=5, env=env, cwd=place, before=(place / "sky.fits").unlink)
        theirs = by_galsim(read_list(place / "in.list"))
    shape = f"{WIDTH}x{HEIGHT}, {SOURCES} sources, {SEEING} arcsec, 2 threads"
    goal = f"4x faster, 400 MB; peak {ours.peak_mb:.0f} MB"
    return [
        Row(
            part="one simulated CCD", input=shape, ours=ours.wall, ours_cpu=ours.cpu, peer="SkyMaker 4.3.0 (stated)",
            peer_seconds=SKYMAKER, goal=goal, agreement=agreement(),
        ),
        Row(
            part="one simulated CCD, sources only", input=shape, ours=ours.wall, ours_cpu=ours.cpu,
            peer=f"GalSim 2.8, {SUBSET} sources scaled, 1 thread", peer_seconds=theirs,
            agreement="galaxies within 1e-3 of their peak (tests/reference)",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    command_line(measure)
