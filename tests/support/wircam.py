"""Tiny WIRCam files, with the keywords of the real 2281792 where snooppix looks at them."""

import io
from dataclasses import replace

import numpy as np
from astropy.io import fits

from terapix.instruments import Instrument, load_instrument

PRIMARY = {
    "OBJECT": "PSOJ280.2973+63.2600",
    "PI_NAME": "Michael Liu",
    "RUNID": "18AP32",
    "QRUNID": "18AQ11",
    "CRUNID": "18Aw03",
    "OBSTYPE": "OBJECT",
    "EXPTYPE": "OBJECT",
    "INSTRUME": "WIRCam",
    "DETECTOR": "WIRCam",
    "TELESCOP": "CFHT 3.6m",
    "EXPTIME": 20.0,
    "DATE-OBS": "2018-06-02",
    "UTC-OBS": "12:09:43.00",
    "MJD-OBS": 58271.5067476,
    "REL_DATE": "2019-08-31T00:00:00",
    "MET_DATE": "2018-06-02T00:00:00",
    "AIRMASS": 1.376,
}
PROCESSED = {"IIWIVER": "2.1.200", "PROCDATE": "2018-06-05HST17:21:20"}
SHAPE = (16, 32)
"""Rows and columns of a detector's image."""


def small_wircam() -> Instrument:
    """WIRCam with detectors of 32x16 pixels."""
    return replace(load_instrument("wircam"), width=SHAPE[1], height=SHAPE[0])


def wircam_fits(name: str, *, slices: int = 0, seed: int = 1, compressed: bool = True) -> bytes:
    """Make the bytes of ``2281792p``, ``s`` or ``o``; with `slices`, each detector's image is a cube of so many."""
    primary = fits.PrimaryHDU()
    primary.header.update(PRIMARY | {"NEXTEND": 4, "FILENAME": name, "EXPNUM": int(name[:-1])})
    kind = name[-1]
    if kind in "ps":
        primary.header.update(PROCESSED)
    hdus = fits.HDUList([primary])
    camera = load_instrument("wircam")
    shape = (slices, *SHAPE) if slices else SHAPE
    pixels = np.random.default_rng(seed).integers(4000, 4400, (4, *shape)).astype(np.uint16)
    for number, ccd in enumerate(camera.ccds):
        made = fits.CompImageHDU if compressed else fits.ImageHDU
        image = made(pixels[number], name=ccd.name)
        image.header.update({"FILTER": "J", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
        image.header.update({"CRVAL1": 280.150637879, "CRVAL2": 63.1758881983})
        for key in ("crpix1", "crpix2", "cd1_1", "cd1_2", "cd2_1", "cd2_2"):
            image.header[key.upper()] = getattr(ccd, key)
        if kind in "ps":
            image.header.update({"REFPXCOR": "yes", "DARKSUB": "yes", "FLATDIV": "yes"})
            image.header["SKYSUBTR"] = "yes" if kind == "p" else "no"
        hdus.append(image)
    file = io.BytesIO()
    hdus.writeto(file, checksum=True)
    return file.getvalue()
