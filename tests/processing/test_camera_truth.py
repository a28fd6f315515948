"""Source-extractor, an independent program, finds on a painted frame what the truth says of it."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from processing.skymaker.distortion import wcs_of
from processing.skymaker.exposures import exposure_of
from processing.skymaker.field import psf_on
from processing.skymaker.survey import main
from terapix.instruments import load_instrument

pytestmark = pytest.mark.reference
COLUMNS = "XWIN_IMAGE YWIN_IMAGE ERRX2WIN_IMAGE ERRY2WIN_IMAGE FLUX_APER(1) FLUXERR_APER(1) FLAGS FLUX_AUTO"
APERTURE = 20.0
"""Pixels across: 3.7 arcsec."""


RA, DEC = 214.87, 52.68


def star_list():
    """Stars of magnitudes 16.5 to 22 over the first CCD, one in each square of 100 pixels."""
    random = np.random.default_rng(5)
    rows, columns = np.mgrid[0:46, 0:20]
    x, y = (100 * (side.ravel() + random.uniform(0.3, 0.7, side.size)) for side in (columns, rows))
    ccd = load_instrument("megacam").ccds[0]
    cards = wcs_of(ccd, replace(exposure_of(0, 1), ra=RA, dec=DEC))
    wcs = WCS(fits.Header(cards | {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"}))
    ra, dec = wcs.wcs_pix2world(x + 32, y, 0)
    magnitudes = random.uniform(16.5, 22.0, ra.size)
    return "".join(f"100 {a:.9f} {d:.9f} {m:.4f}\n" for a, d, m in zip(ra, dec, magnitudes, strict=True))


@pytest.fixture(scope="module")
def found(tmp_path_factory, program):
    """What source-extractor finds on a CCD with every effect but those that cover stars, and the truth of each."""
    extractor = program("source-extractor", "source-extractor")
    place = tmp_path_factory.mktemp("truth")
    (place / "stars.list").write_text(star_list())
    orders = ["--instrument", "megacam", "--pointing", f"{RA},{DEC}", "--ccds", "1", "--seeing", "0.75", "--seed", "8"]
    more = ["--dither", "0:0", "--list", str(place / "stars.list"), "--directory", str(place), "--workers", "1"]
    assert main([*orders, *more]) == 0
    header = fits.getheader(place / "990001p.fits.fz", 1)
    pixels = fits.getdata(place / "990001p.fits.fz", 1)[:4612, 32:2080]
    fits.writeto(place / "image.fits", pixels.astype(np.float32))
    fits.writeto(place / "weight.fits", (pixels != 0).astype(np.float32))
    (place / "columns").write_text("\n".join(COLUMNS.split()) + "\n")
    settings = {
        "CATALOG_NAME": "out.fits", "CATALOG_TYPE": "FITS_1.0", "PARAMETERS_NAME": "columns", "FILTER": "N",
        "WEIGHT_TYPE": "MAP_WEIGHT", "WEIGHT_IMAGE": "weight.fits", "DETECT_THRESH": "3", "DETECT_MINAREA": "5",
        "PHOT_APERTURES": f"{APERTURE}", "GAIN": f"{header['GAIN']}", "SATUR_LEVEL": f"{header['SATURATE']}",
        "BACK_SIZE": "128", "VERBOSE_TYPE": "QUIET",
    }  # fmt: skip
    told = [word for key, value in settings.items() for word in (f"-{key}", value)]
    subprocess.run([extractor, "image.fits", "-c", "/dev/null", *told], cwd=place, check=True, capture_output=True)
    return fits.getdata(place / "out.fits"), fits.getdata(place / "990001p.truth.fits", "SOURCES")


def matched(found, bright, faint, *, alone=20.0):
    """Rows of catalogue and truth of untouched stars without neighbours."""
    catalogue, truth = found
    x, y = truth["X"] - 32, truth["Y"]
    chosen = (truth["TYPE"] == 100) & (truth["TOUCHED"] == 0) & (truth["MAG"] > bright) & (truth["MAG"] < faint)
    pairs = []
    for k in np.flatnonzero(chosen):
        near = np.hypot(x - x[k], y - y[k])
        light = truth["FLUX"][(near < alone) & (near > 0)].sum()
        if light > 0.002 * truth["FLUX"][k]:
            continue
        away = np.hypot(catalogue["XWIN_IMAGE"] - x[k], catalogue["YWIN_IMAGE"] - y[k])
        best = int(np.argmin(away))
        pairs.append((k, best if away[best] < 2 else -1))
    return pairs


def test_every_lonely_bright_star_is_found(found):
    pairs = matched(found, 16.0, 21.5)

    assert len(pairs) > 700
    assert all(best >= 0 for _, best in pairs)


def test_positions_agree_within_the_noise(found):
    catalogue, truth = found
    pairs = [(k, b) for k, b in matched(found, 17.0, 21.5) if b >= 0 and catalogue["FLAGS"][b] == 0]
    rows, cat = truth[[k for k, _ in pairs]], catalogue[[b for _, b in pairs]]
    for axis, offset in (("X", 32.0), ("Y", 0.0)):
        away = cat[f"{axis}WIN_IMAGE"] - (rows[axis] - offset)
        # windowed positions have three tenths more noise than their stated error at most; pixels 0.005 of their own
        error = np.hypot(np.sqrt(cat[f"ERR{axis}2WIN_IMAGE"]), 0.005)
        assert abs(np.median(away)) < 0.01
        assert np.median(np.abs(away / error)) * 1.48 < 1.3


def test_magnitudes_agree_within_a_hundredth(found):
    catalogue, truth = found
    pairs = [(k, b) for k, b in matched(found, 17.5, 20.0) if b >= 0 and catalogue["FLAGS"][b] == 0]
    rows, cat = truth[[k for k, _ in pairs]], catalogue[[b for _, b in pairs]]
    megacam = load_instrument("megacam")
    exposure = replace(exposure_of(0, 1), fwhm=0.75)
    psf = psf_on(megacam, megacam.ccds[0], exposure)
    samples = psf.at(1024, 2306)
    half = samples.shape[0] // 2
    j, i = np.mgrid[: samples.shape[0], : samples.shape[1]] - half
    inside = samples[np.hypot(i, j) < APERTURE / 2 * psf.oversampling].sum(dtype=float) / samples.sum(dtype=float)
    differences = -2.5 * np.log10(cat["FLUX_APER"] / (rows["FLUX"] * inside))

    assert len(pairs) > 200
    assert abs(np.median(differences)) < 0.01
