"""Frames with one effect at a time: what it leaves in raw and processed pixels."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from processing.skymaker.defects import Flaw, defects
from processing.skymaker.detector import fringes_of
from processing.skymaker.distortion import wcs_of
from processing.skymaker.effects import FULL
from processing.skymaker.exposures import exposure_of
from processing.skymaker.frame import Shot, expose, flat_frame, processed, raw, sky_level
from processing.skymaker.sources import Stock
from terapix.instruments import load_instrument

MEGACAM = load_instrument("megacam")
CCD = MEGACAM.ccds[13]
RED, FRINGED = exposure_of(0, 7), exposure_of(3, 7)


@pytest.fixture
def empty(tmp_path):
    """A list with one source, far too faint to be seen."""
    return stock(tmp_path, RED, 500.0, 500.0, 40.0)


def stock(directory, exposure, x, y, magnitude, ccd=CCD):
    header = wcs_of(ccd, exposure) | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}
    ra, dec = WCS(fits.Header(header)).wcs_pix2world(x + 32, y, 0)
    path = directory / "one.list"
    path.write_text(f"100 {float(ra):.9f} {float(dec):.9f} {magnitude}\n")
    return Stock(lists=(("", path),))


def shot(stock, exposure=RED, orders="", ccd=CCD):
    effects = FULL.plain().switched(orders)
    return Shot(MEGACAM, ccd, exposure, 7, 3, effects, stock)


def test_raw_frames_less_their_bias_over_the_flat_are_processed_ones(empty):
    one = shot(empty, orders="response=on,cosmic_rays=on,dark=on")
    pixels, flat = raw(one).astype(float), flat_frame(one)
    pixels[:, :1056] -= np.median(pixels[:, :32], axis=1)[:, None]
    pixels[:, 1056:] -= np.median(pixels[:, 2080:], axis=1)[:, None]
    inside = (slice(0, 4612), slice(32, 2080))
    done = processed(one)[0][inside]
    away = (pixels[inside] / flat[inside] - done)[done < 40000]

    # overscans are told to half an ADU by their medians, and both are rounded
    assert np.abs(away).max() < 4.0
    assert abs(np.median(away)) < 0.6


def test_the_flat_undoes_the_response(empty):
    pixels = processed(shot(empty, orders="response=on,noise=off"))[0][:4612, 32:2080]

    assert np.abs(pixels - sky_level(MEGACAM, RED)).max() <= 1
    flat = flat_frame(shot(empty, orders="response=on"))[:4612, 32:2080]
    assert flat.min() < 0.95 * flat.max()


def test_what_is_left_of_the_fringes_is_what_was_asked_for(empty):
    effects = FULL.plain().switched("fringes=on,noise=off,fringes.residual=0.2")
    pixels = processed(Shot(MEGACAM, CCD, FRINGED, 7, 3, effects, empty))[0][:4612, 32:2080]
    level, pattern = sky_level(MEGACAM, FRINGED, effects), fringes_of(MEGACAM, CCD)

    slope = ((pixels - level) * pattern).sum() / (pattern.astype(float) ** 2).sum()
    assert slope == pytest.approx(0.2 * 0.045 * level, rel=0.02)
    assert abs(pattern.mean()) < 0.05


def test_hot_columns_shed_their_charge():
    ccd = next(ccd for ccd in MEGACAM.ccds if any(b.flaw is Flaw.HOT for b in defects(MEGACAM, ccd, FULL.defects)))
    quiet = FULL.plain().switched("defects=on")
    charge = expose(Shot(MEGACAM, ccd, RED, 7, 3, quiet)).charge
    calm = expose(Shot(MEGACAM, ccd, RED, 7, 3, quiet.switched("defects.hot_charge=0"))).charge
    bad = next(b for b in defects(MEGACAM, ccd, FULL.defects) if b.flaw is Flaw.HOT)
    part = (slice(bad.y0, bad.y1), bad.x0 - 32)

    assert np.allclose((charge - calm)[part], 0.6 * RED.band.exptime, rtol=1e-3)


def test_ghosts_have_their_share_of_a_stars_light(tmp_path):
    bright = stock(tmp_path, RED, 1000.0, 2300.0, 8.0)
    dark = expose(shot(bright)).charge
    orders = "ghosts=on,ghosts.near_radius=400,ghosts.far_offset=5"
    seen = expose(shot(bright, orders=orders)).charge
    flux = RED.adu_at_zero * 10 ** (-0.4 * 8.0) * CCD.gain

    assert (seen - dark).sum(dtype=float) == pytest.approx(2e-3 * flux, rel=0.01)
    assert (seen >= dark).all()


def test_saturated_pixels_read_saturate_and_bleed(tmp_path):
    bright = stock(tmp_path, RED, 1000.0, 2300.0, 13.0)
    dry = processed(shot(bright))[0][:4612, 32:2080]
    wet = processed(shot(bright, orders="blooming=on"))[0][:4612, 32:2080]

    assert dry.max() == wet.max() == 65435
    rows, columns = np.nonzero(wet == 65435)
    assert rows.max() - rows.min() > 2 * (columns.max() - columns.min())
    assert np.count_nonzero(wet == 65435) > np.count_nonzero(dry == 65435)
