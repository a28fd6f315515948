"""The image that SkyMaker's settings describe."""

import math
import os
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.astromatic import Values
from processing.errors import BadSetting
from processing.kernels.photons import add_noise
from processing.skymaker.image import Detector, correlated, in_bands, interpolant, noisy, overflow, stored
from processing.skymaker.lists import GALAXY, RASTER, SERSIC, Sources
from processing.skymaker.maps import least_noise, noise_map
from processing.skymaker.psf import Field, Psf, image_of, light_of, motion_of, psf_of, transfer, whole
from processing.skymaker.pupil import Optics, amplitude
from processing.skymaker.render import prepare
from processing.skymaker.scene import Scene, paint_and_measure
from processing.skymaker.settings import detector_of, optics_of, size_of
from processing.skymaker.stamps import cut_as_original

Images = NDArray[np.float32]
Floats = NDArray[np.float64]
FAINT = 0.05
"""Light of a pixel, in units of the noise, below which sources are painted coarsely."""
FAINT_ELECTRONS = 0.1
"""The same in images without noise."""
BEYOND = 110
"""Pixels around image and aureole from which stars are taken: half of the usual map of the PSF."""
MOST_STARS = 50_000_000


@dataclass(slots=True)
class Made:
    """An image and what it shows."""

    pixels: NDArray[np.float32]
    sources: Sources | None = None
    """With positions in pixels from 1; None in images of the optics."""
    area: Floats = field(default_factory=lambda: np.empty(0))
    """Noise-equivalent area of galaxies, pixels."""
    seeds: dict[str, int] = field(default_factory=dict)
    """Seeds used, by keyword."""


def oversampling_of(values: Values) -> int:
    return max(round(values.number("PSF_OVERSAMP")), 1)


def optical_image(values: Values) -> Made:
    """Pupil, transfer function or PSF, as IMAGE_TYPE says; of a varying PSF what is in the middle, or all snapshots."""
    kind, optics = values.text("IMAGE_TYPE"), optics_of(values)
    samples, size = oversampling_of(values), values.wholes("PSF_MAPSIZE")[0]
    sample = values.number("PIXEL_SIZE") / samples
    if kind == "PSF_FINALRES":
        height, width = size_of(values)
        psf = psf_of(
            optics, pixel_scale=values.number("PIXEL_SIZE"), oversampling=samples, size=size, field=Field(width, height)
        )
        side = math.isqrt(psf.components.shape[0])
        pixels = psf.components * np.float32(samples**2)
        return Made(pixels[0] if side == 1 else pixels.reshape(side, side, *pixels.shape[1:]))
    pupil = amplitude(optics, sample=sample, size=size)
    parts = {"PUPIL_REAL": pupil.real, "PUPIL_IMAGINARY": pupil.imag, "PUPIL_MODULUS": np.abs(pupil)}
    if kind in parts:
        return Made(np.ascontiguousarray(parts[kind], np.float32))
    if kind == "PUPIL_PHASE":
        return Made(np.degrees(np.angle(pupil)).astype(np.float32))
    if kind == "PSF_FULLRES":
        return Made(image_of(optics, sample=sample, oversampling=samples, size=size))
    mtf = np.fft.rfft2(light_of(pupil))
    if kind == "PSF_MTF":
        mtf = mtf * transfer(optics, sample=sample, size=size)
    real = np.fft.fftshift(whole(np.asarray(mtf.real, np.float32), size))
    return Made((real / (real.sum() if kind == "PUPIL_MTF" else real.max())).astype(np.float32))


def psf_for(values: Values) -> Psf:
    """PSF of the image, internal or from a file, with its aureole, ready for painting."""
    psf = _psf_for(values, optics_of(values))
    prepare(psf, threads_of(values))
    return psf


@contextmanager
def psf_ahead(values: Values) -> Iterator[Callable[[], Psf]]:
    """Give a function that gives the PSF, which is made meanwhile where there are threads for it."""
    if threads_of(values) == 1:
        yield cache(partial(psf_for, values))
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(psf_for, values).result


def threads_of(values: Values) -> int:
    """Threads that are wanted: NTHREADS, or one for each processor."""
    return values.whole("NTHREADS") or len(os.sched_getaffinity(0))


def _psf_for(values: Values, optics: Optics) -> Psf:
    height, width = size_of(values)
    where = Field(width, height)
    if values.text("PSF_TYPE") == "INTERNAL":
        return psf_of(
            optics,
            pixel_scale=values.number("PIXEL_SIZE"),
            oversampling=oversampling_of(values),
            size=values.wholes("PSF_MAPSIZE")[0],
            field=where,
        )
    from processing.skymaker.psf_files import Centre, psf_from  # noqa: PLC0415  seldom needed, and it brings in much

    psf = psf_from(
        Path(values.text("PSF_NAME")),
        oversampling=values.number("PSF_OVERSAMP"),
        centre=Centre(values.text("PSFCENTER_TYPE")),
        field=where,
    )
    return psf.scattering(optics.aureole_sb, optics.aureole_radius)


def seeds_of(values: Values) -> dict[str, int]:
    """Seeds as given, or drawn where they are 0."""
    return {key: values.whole(key) or 1 + secrets.randbelow(2**31 - 2) for key in ("SEED_MOTION", "SEED_STARPOS")}


def random_stars(values: Values, seed: int) -> Sources:
    """Stars of the field and of a margin around it, by STARCOUNT_ZP and STARCOUNT_SLOPE."""
    height, width = size_of(values)
    margin = values.whole("AUREOLE_RADIUS")
    across, up = width + 2 * margin - 1.0, height + 2 * margin - 1.0
    scale = values.number("PIXEL_SIZE") / values.whole("MICROSCAN_NSTEP") / 3600.0
    mean = scale * scale * across * up * values.number("STARCOUNT_ZP")
    if mean > MOST_STARS:
        raise BadSetting(f"STARCOUNT_ZP = {values.number('STARCOUNT_ZP'):g}: {mean:.3g} stars are too many")
    chance = np.random.default_rng([seed, 1])
    count = int(chance.poisson(mean))
    bright, faint = values.numbers("MAG_LIMITS")
    mag = faint + np.log10(chance.random(count) + 1e-8) / values.number("STARCOUNT_SLOPE")
    x, y = across * chance.random(count) - margin + 1.0, up * chance.random(count) - margin + 1.0
    kept = mag > bright
    return Sources.stars(x[kept], y[kept], mag[kept])


def on_grid(sources: Sources, values: Values, seed: int) -> Sources:
    """Put sources at the knots of a grid, each within half a pixel, until the grid is full."""
    height, width = size_of(values)
    step = values.whole("GRID_SIZE")
    columns, rows = max(width // step, 1), max(height // step, 1)
    first = [step // 2 if side >= step else side // 2 for side in (width, height)]
    count = min(len(sources), columns * rows)
    chance = np.random.default_rng([seed, 2])
    at = np.arange(count)
    x = (at % columns) * step + first[0] + chance.random(count) + 0.5
    y = (at // columns) * step + first[1] + chance.random(count) + 0.5
    return sources.chosen(slice(0, count)).at(x, y)


def sky_image(values: Values, listed: Sources | None, psf: Callable[[], Psf]) -> Made:
    """Image of the sky.

    Parameters
    ----------
    values : Values
    listed : Sources or None
        From a list, with positions in pixels from 1.
    psf : function
        Gives the PSF that `psf_for` makes, when it comes to painting.
    """
    threads = threads_of(values)
    seeds = seeds_of(values)
    optics, detector = optics_of(values), detector_of(values)
    sources = random_stars(values, seeds["SEED_STARPOS"])
    if listed is not None:
        sources = listed.joined(sources)
    if values.text("IMAGE_TYPE").startswith("GRID"):
        sources = on_grid(sources, values, seeds["SEED_STARPOS"])
    height, width = size_of(values)
    beyond = values.whole("AUREOLE_RADIUS") + BEYOND
    inside = (np.abs(sources.x - 0.5 * (width + 1)) < 0.5 * width + beyond) & (
        np.abs(sources.y - 0.5 * (height + 1)) < 0.5 * height + beyond
    )
    sources = sources.chosen(inside)
    noise = not values.text("IMAGE_TYPE").endswith("NONOISE")
    steps = values.whole("MICROSCAN_NSTEP")
    electrons = values.number("EXPOSURE_TIME") * detector.gain / steps**2
    sky = (
        values.number("PIXEL_SIZE") ** 2 * _dex(values.number("MAG_ZEROPOINT") - values.number("BACK_MAG")) * electrons
    )
    rms = math.sqrt(sky + detector.read_noise**2) if noise else 1.0
    scene = _scene(sources, values.number("MAG_ZEROPOINT"), electrons)
    scene = cut_as_original(
        scene,
        optics,
        pixel_scale=values.number("PIXEL_SIZE"),
        oversampling=oversampling_of(values),
        quantum=max(rms, 1.0),
    )
    read = noise_map(values, (height, width)) if noise else None
    least = least_noise(values, read)
    pixels = np.empty((height, width) if steps > 1 else 0, np.dtype(">f4"))
    area = np.zeros(len(sources))
    chance = np.random.default_rng([seeds["SEED_MOTION"], 3])
    motion = motion_of(optics) * steps / values.number("PIXEL_SIZE") if values.text("PSF_TYPE") == "INTERNAL" else 0.0
    drift = chance.normal(0.0, motion, (steps**2, 2))
    for step in range(steps**2):
        along, up = step % steps, step // steps
        light = np.zeros((height // steps, width // steps), np.float32)
        moved = _moved(scene, (along - drift[step, 0], up - drift[step, 1]), steps)
        area = paint_and_measure(
            light, moved, psf(), pixel_scale=values.number("PIXEL_SIZE"),
            faint=FAINT * rms if noise else FAINT_ELECTRONS, threads=threads,
        )  # fmt: skip
        if (sources.code == RASTER).any():
            from processing.skymaker.rasters import paint_rasters  # noqa: PLC0415  seldom needed

            paint_rasters(light, sources, moved, psf(), values)
        part = None if read is None else np.ascontiguousarray(read[up::steps, along::steps] if read.size > 1 else read)
        key = key_of(seeds["SEED_STARPOS"], seeds["SEED_MOTION"], step)
        finished = _expose(light, np.float32(sky), part, detector, values, key=key, least=least, threads=threads)
        if steps == 1:
            pixels = finished
        else:
            pixels[up::steps, along::steps] = finished
    return Made(pixels, sources, area, seeds)


def _expose(
    light: Images,
    sky: np.float32,
    read: Images | None,
    detector: Detector,
    values: Values,
    *,
    key: np.uint64,
    least: float,
    threads: int,
) -> NDArray[np.float32]:
    """Add sky and noise, correlate, fill wells and store, all in the place of `light` if that can be."""
    kind = values.text("CORREL_TYPE") if read is not None or values.text("CORREL_TYPE") == "ALL" else "NONE"
    if kind == "NONE" and detector.well == 0.0:

        def expose(first: int, last: int) -> None:
            light[first:last] += sky
            if read is not None:
                add_noise(light, read, least, key, first, last)
            stored(light, detector, first, last)

        in_bands(light.shape[0], threads, expose)
        return light.view(">f4")
    light += sky
    mean = light.copy() if kind == "NOISE" else None
    if read is not None:
        noisy(light, read, key=key, threads=threads, least=least)
    if kind != "NONE":
        weights = interpolant(values.text("CORREL_FUNC_TYPE"), values.number("CORREL_SCALE"))
        light = correlated(light, weights) if mean is None else mean + correlated(light - mean, weights)
    overflow(light, detector.well)
    in_bands(light.shape[0], threads, lambda first, last: stored(light, detector, first, last))
    return light.view(">f4")


def key_of(*words: int) -> np.uint64:
    """Key of the noise of an image."""
    return np.uint64(np.random.SeedSequence([*words, 11]).generate_state(1, np.uint64)[0])


def _dex(mag: float) -> float:
    return math.pow(10.0, 0.4 * mag)


def _scene(sources: Sources, zero_point: float, electrons: float) -> Scene:
    """Sources in electrons; rasters are left without light here."""
    galaxy = (sources.code == GALAXY) | (sources.code == SERSIC)
    columns = np.where(galaxy[:, np.newaxis], sources.rest, np.array([0, 4, 0, 1, 0, 0, 1, 0, 0, 0], float))
    flux = np.where(sources.code == RASTER, 0.0, 10.0 ** (0.4 * (zero_point - sources.mag)) * electrons)
    share = columns[:, 0]
    return Scene(
        x=sources.x - 1.0,
        y=sources.y - 1.0,
        flux=flux,
        bulge_share=share,
        index=np.where(galaxy, columns[:, 1], 4.0),
        bulge_radius=columns[:, 2],
        bulge_ratio=np.where(share > 0.0, columns[:, 3], 1.0),
        bulge_angle=columns[:, 4],
        disc_radius=columns[:, 5],
        disc_ratio=np.where(share < 1.0, columns[:, 6], 1.0),
        disc_angle=columns[:, 7],
    )


def _moved(scene: Scene, by: tuple[float, float], steps: int) -> Scene:
    """Positions in the pixels of one step of a microscan, whose first pixel lies at `by`."""
    columns = {name: getattr(scene, name) for name in scene.__dataclass_fields__}
    return Scene(**{**columns, "x": (scene.x - by[0]) / steps, "y": (scene.y - by[1]) / steps})
