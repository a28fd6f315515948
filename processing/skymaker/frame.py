"""The pixels of one CCD of one exposure: sky, stars, galaxies, cosmic rays, saturation and noise."""

import math

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from processing.kernels import paint
from processing.skymaker.catalogue import sky
from processing.skymaker.detector import amplifiers_of, flat_of, key_of, mask_of, optics_of
from processing.skymaker.exposures import Exposure
from terapix.instruments import Ccd, Instrument

MARGIN = 300.0
"""Pixels round a CCD within which objects may still shed light on it."""
HALO_SHARE = 0.015
"""Share of a star's light in the halo that the optics add to the seeing."""
HALO_WIDTH = 25.0
"""Pixels."""
FIELD_CURVATURE = 0.08
"""Share by which images are wider in the corner of the field."""
GLOW = 0.012
"""Share by which scattered light brightens the middle of the mosaic over its corners."""
FAINT = 0.05
"""Light below this share of the sky's noise is not painted."""
COSMIC_RAYS = 0.45
"""A CCD and second."""
FLOOR = -100
"""ADU; the least value that Elixir keeps."""
RAW_BIAS = (1277, 1232)
"""ADU of the overscan of amplifiers A and B."""
RAW_SATURATION = 65535


def wcs_of(ccd: Ccd, exposure: Exposure) -> dict[str, float]:
    """World coordinates of a CCD as its header has them: CRVALn in degrees, CRPIXn from 1, CDi_j in degrees a pixel."""
    return {
        "CRVAL1": exposure.ra + ccd.offset_x / math.cos(math.radians(exposure.dec)),
        "CRVAL2": exposure.dec + ccd.offset_y,
        "CRPIX1": ccd.crpix1,
        "CRPIX2": ccd.crpix2,
        "CD1_1": ccd.cd1_1,
        "CD1_2": ccd.cd1_2,
        "CD2_1": ccd.cd2_1,
        "CD2_2": ccd.cd2_2,
    }


def project(ccd: Ccd, exposure: Exposure, ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels (2, n), from 0 in the frame as read out, at which sky coordinates in degrees lie."""
    cards = wcs_of(ccd, exposure)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [cards["CRVAL1"], cards["CRVAL2"]]
    wcs.wcs.crpix = [cards["CRPIX1"], cards["CRPIX2"]]
    wcs.wcs.cd = [[cards["CD1_1"], cards["CD1_2"]], [cards["CD2_1"], cards["CD2_2"]]]
    return np.asarray(wcs.wcs_world2pix(ra, dec, 0))


def natural_magnitudes(exposure: Exposure, seed: int) -> NDArray[np.float64]:
    """Magnitudes of all objects of the sky as this filter sees them: without the colour term of PHOT_X."""
    known = sky(seed).magnitudes
    first, second = exposure.band.colour
    main: NDArray[np.float64] = known[exposure.band.name[0]]
    return main - exposure.band.colour_term * (known[first] - known[second])


def sky_level(instrument: Instrument, exposure: Exposure) -> float:
    """ADU a pixel of the night sky."""
    area = instrument.pixel_scale**2
    return exposure.band.exptime * float(10.0 ** (0.4 * (exposure.band.zero_point - exposure.band.sky))) * area


def saturation_of(instrument: Instrument, ccd: Ccd) -> int:
    """ADU at which pixels of a CCD are saturated in a processed frame."""
    return int(min(instrument.saturation, ccd.saturation))


def light_of(instrument: Instrument, ccd: Ccd, exposure: Exposure, *, seed: int) -> NDArray[np.float32]:
    """Light that falls on the illuminated part of a CCD, without noise.

    Returns
    -------
    light : (rows, columns) of the illuminated part, float32, flat-fielded ADU; nowhere above saturation
    """
    x0, x1, y0, y1 = instrument.datasec
    random = np.random.default_rng([seed, 5, exposure.index, ccd.index])
    background = sky_level(instrument, exposure) * (1.0 + float(random.normal(0.0, 0.0005)))
    light = _night_sky(instrument, ccd, background)
    objects = sky(seed)
    x, y = project(ccd, exposure, objects.ra, objects.dec)
    x, y = x - x0, y - y0
    near = (x > -MARGIN) & (x < x1 - x0 + MARGIN) & (y > -MARGIN) & (y < y1 - y0 + MARGIN)
    flux = exposure.adu_at_zero * 10.0 ** (-0.4 * natural_magnitudes(exposure, seed))
    faint = FAINT * math.sqrt(background / ccd.gain)
    width = _width(instrument, ccd, exposure, x, y)
    stars = np.flatnonzero(near & objects.stars)
    alpha = width / (2.0 * math.sqrt(2.0 ** (1.0 / 3.0) - 1.0))
    paint.add_stars(light, x[stars], y[stars], flux[stars], alpha[stars], HALO_WIDTH, HALO_SHARE, faint)
    galaxies = np.flatnonzero(near & ~objects.stars)
    paint.add_galaxies(
        light, x[galaxies], y[galaxies], flux[galaxies], objects.scale[galaxies] / instrument.pixel_scale,
        objects.ratio[galaxies], _on_ccd(ccd, objects.angle[galaxies]), objects.bulge[galaxies],
        0.5 * float(exposure.fwhm / instrument.pixel_scale), faint,
    )  # fmt: skip
    hits = int(random.poisson(COSMIC_RAYS * exposure.band.exptime))
    paint.add_tracks(
        light, random.uniform(0.0, x1 - x0, hits), random.uniform(0.0, y1 - y0, hits),
        1.0 + random.exponential(5.0, hits), random.uniform(0.0, 2.0 * math.pi, hits),
        300.0 + random.exponential(1800.0, hits),
    )  # fmt: skip
    paint.bleed(light, float(saturation_of(instrument, ccd)))
    return light


def _night_sky(instrument: Instrument, ccd: Ccd, level: float) -> NDArray[np.float32]:
    """Sky of `level` ADU with the glow of scattered light."""
    u0, du, v0, dv = optics_of(instrument, ccd)[:4]
    across = (u0 + du * np.arange(instrument.ccd_width)) ** 2
    along = (v0 + dv * np.arange(instrument.ccd_height)) ** 2
    row, column = (level * (1.0 + GLOW / 2 - GLOW * across)).astype(np.float32), (level * GLOW * along)[:, None]
    sky_light: NDArray[np.float32] = row - column.astype(np.float32)
    return sky_light


def _width(
    instrument: Instrument, ccd: Ccd, exposure: Exposure, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Full width at half maximum in pixels of stars at pixels `x`, `y` of the illuminated part."""
    u0, du, v0, dv = optics_of(instrument, ccd)[:4]
    square = (u0 + du * x) ** 2 + (v0 + dv * y) ** 2
    widths: NDArray[np.float64] = exposure.fwhm / instrument.pixel_scale * (1.0 + FIELD_CURVATURE * square)
    return widths


def _on_ccd(ccd: Ccd, angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle from the rows of the CCD of an axis at `angle` from north over east."""
    north, east = math.copysign(1.0, ccd.cd2_2), math.copysign(1.0, ccd.cd1_1)
    return np.arctan2(north * np.cos(angle), east * np.sin(angle))


def processed(instrument: Instrument, ccd: Ccd, exposure: Exposure, *, seed: int) -> NDArray[np.int32]:
    """Paint a CCD as Elixir leaves it.

    Returns
    -------
    pixels : (height, width) int32, ADU, flat-fielded, without bias; 0 in the overscan and in bad pixels, as
        multiplied by the mask; saturated pixels have the value of SATURATE
    """
    pixels = np.zeros((instrument.height, instrument.width), np.int32)
    x0, x1, y0, y1 = instrument.datasec
    light = light_of(instrument, ccd, exposure, seed=seed)
    paint.expose(
        light, optics_of(instrument, ccd), amplifiers_of(ccd), instrument.amplifier_boundary - x0,
        key_of(seed, 6, exposure.index, ccd.index), FLOOR, saturation_of(instrument, ccd), pixels[y0:y1, x0:x1],
    )  # fmt: skip
    pixels *= mask_of(instrument, ccd)
    return pixels


def raw(instrument: Instrument, ccd: Ccd, exposure: Exposure, *, seed: int, flat_serial: int) -> NDArray[np.uint16]:
    """Paint a CCD as the camera read it: with its bias and response, and with an overscan that tells the bias.

    Returns
    -------
    pixels : (height, width) uint16, ADU
    """
    random = np.random.default_rng([seed, 7, exposure.index, ccd.index])
    shape = (instrument.height, instrument.width)
    noise = random.standard_normal(shape, np.float32)
    for part, level, spread in (
        (slice(None, instrument.amplifier_boundary), RAW_BIAS[0], ccd.read_noise_a / ccd.gain_a),
        (slice(instrument.amplifier_boundary, None), RAW_BIAS[1], ccd.read_noise_b / ccd.gain_b),
    ):
        noise[:, part] = level + np.float32(spread) * noise[:, part]
    x0, x1, y0, y1 = instrument.datasec
    seen = light_of(instrument, ccd, exposure, seed=seed)
    seen *= flat_of(instrument, ccd, seed=seed, serial=flat_serial)[y0:y1, x0:x1]
    seen += np.sqrt(seen / np.float32(ccd.gain)) * random.standard_normal(seen.shape, np.float32)
    noise[y0:y1, x0:x1] += seen
    np.clip(np.rint(noise, out=noise), 0, RAW_SATURATION, out=noise)
    return noise.astype(np.uint16)
