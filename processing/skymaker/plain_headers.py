"""Headers of cameras whose cards are not told one by one: what astronomy needs, and what the camera asks of frames."""

from typing import Any

from astropy.io import fits

from processing.skymaker.distortion import pv_terms, wcs_of
from processing.skymaker.exposures import MASK, Exposure, moment
from processing.skymaker.frame import saturation_of
from processing.skymaker.headers import PAINTED, Manner
from terapix.instruments import Ccd, Instrument


def plain_header(
    instrument: Instrument, ccd: Ccd | None, exposure: Exposure, *, ccds: int, plan: str, manner: Manner
) -> fits.Header:
    """Header of a frame with `ccds` CCDs, primary (without `ccd`) or of one CCD."""
    header = fits.Header()
    start = moment(exposure.mjd)
    accepted = instrument.acceptance
    cards: list[tuple[str, Any, str]] = [
        ("ORIGIN", "TERAPIX", "painted by SkyMaker"),
        ("TELESCOP", instrument.telescope, "Telescope"),
        ("INSTRUME", instrument.camera, "Instrument"),
        ("DETECTOR", instrument.detector, "Camera name"),
        ("OBJECT", "Painted1", "Target"),
        ("OBSTYPE", accepted.obstype, "Observation type"),
        ("RUNID", exposure.programme.run, "Observing programme"),
        ("QRUNID", exposure.programme.queue, "Queue run"),
        ("CRUNID", exposure.programme.camera_run, "Camera run"),
        ("FILTER", exposure.band.filter, "Name of filter"),
        ("EXPNUM", exposure.number, "Exposure number"),
        ("OBSID", exposure.number, "Exposure number"),
        ("EXPTIME", exposure.band.exptime, "Integration time (seconds)"),
        ("DATE-OBS", f"{start:%Y-%m-%d}", "Date at start of observation (UTC)"),
        ("UTC-OBS", f"{start:%H:%M:%S}", "Time at start of observation (UTC)"),
        ("MJD-OBS", round(exposure.mjd, 7), "Modified Julian Date at start"),
        ("AIRMASS", round(exposure.airmass, 3), "Airmass at start"),
        ("RA_DEG", exposure.ra, "Pointing (degrees)"),
        ("DEC_DEG", exposure.dec, "Pointing (degrees)"),
        ("EQUINOX", 2000.0, "Equinox of coordinates"),
        ("RADECSYS", "FK5", "Coordinate system"),
        ("PHOT_C", exposure.band.zero_point, "Zero point, magnitude of 1 ADU/s"),
        ("PHOT_K", exposure.band.airmass_term, "Airmass term"),
        ("PIXSCAL1", instrument.pixel_scale, "Pixel scale (arcsec/pixel)"),
        ("PIXSCAL2", instrument.pixel_scale, "Pixel scale (arcsec/pixel)"),
    ]
    if ccd is None:
        cards += [("NEXTEND", ccds, "Number of extensions"), ("NCCDS", ccds, "Number of devices")]
        cards += [(key, "painted", "who processes frames") for key in accepted.elixir if key != "IMRED_OP"]
    if accepted.operations:
        cards.append(("IMRED_OP", " + ".join(accepted.operations), "Operations"))
    if instrument.weights:
        cards += [("IMRED_MK", MASK, "Mask of bad pixels"), ("IMRED_FF", exposure.flat, "Flat-field")]
    if manner.effects.bias.kept:
        cards.append(("CHIPBIAS", manner.effects.bias.kept, "Bias that processed frames keep (ADU)"))
    if ccd is not None:
        cards += _ccd_cards(instrument, ccd, exposure)
        cards += [(key, value, "Step of the processing") for key, value in accepted.done.items()]
    for key, value, comment in cards:
        header[key] = (value, comment)
    if ccd is not None and manner.distortion and manner.effects.distortion.on:
        header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
        header.update(pv_terms(instrument, ccd, manner.effects.distortion))
    header.append(fits.Card.fromstring(PAINTED.format(plan=plan).ljust(80)))
    return header


def _ccd_cards(instrument: Instrument, ccd: Ccd, exposure: Exposure) -> list[tuple[str, Any, str]]:
    x0, x1, y0, y1 = instrument.datasec
    saturation = saturation_of(instrument, ccd)
    return [
        ("EXTVER", ccd.index, "CCD number"),
        ("CCDNAME", ccd.serial, "Name of the CCD"),
        ("DATASEC", f"[{x0 + 1}:{x1},{y0 + 1}:{y1}]", "Imaging area"),
        ("GAIN", ccd.gain, "Electrons/ADU"),
        ("RDNOISE", ccd.read_noise, "Read noise (electrons)"),
        ("DARKCUR", ccd.dark_current, "Dark current (e-/pixel/hour)"),
        ("SATURATE", saturation, "Saturation (ADU)"),
        ("MAXLIN", saturation, "Maximum linearity value (ADU)"),
        ("CTYPE1", "RA---TAN", "WCS Coordinate type"),
        ("CTYPE2", "DEC--TAN", "WCS Coordinate type"),
        *((key, value, "WCS") for key, value in wcs_of(ccd, exposure).items()),
    ]


def plain_calibration(header: fits.Header, instrument: Instrument) -> fits.Header:
    """Header of a calibration with the names of its camera in the place of MegaCam's."""
    header["ORIGIN"] = ("TERAPIX", "painted by SkyMaker")
    header["INSTRUME"], header["DETECTOR"] = instrument.camera, instrument.detector
    return header
