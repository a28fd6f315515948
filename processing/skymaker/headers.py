"""Headers of painted frames and calibrations, with the keywords of the real ones."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from astropy.io import fits

from processing.skymaker.defects import masked_parts
from processing.skymaker.detector import fringe_amplitude
from processing.skymaker.distortion import pv_terms, wcs_of
from processing.skymaker.effects import FULL, Effects
from processing.skymaker.elixir_cards import ELIXIR, SPLICE
from processing.skymaker.exposures import (
    MASK,
    Exposure,
    altitude_azimuth,
    hour_angle,
    moment,
    sidereal,
)
from processing.skymaker.frame import RAW_SATURATION, saturation_of, sky_level
from processing.skymaker.moon import moon_of
from processing.skymaker.observation_cards import EXPOSURE, TELESCOPE
from terapix.instruments import Ccd, Instrument

PAINTED = "HISTORY skymaker: painted by TERAPIX, no observation; plan {plan}"
"""Card that marks every painted file; `plan` tells what it was painted from."""
_HAWAII = timedelta(hours=-10)
_OBJECT = "Painted1"


@dataclass(frozen=True, slots=True)
class Manner:
    """How headers tell what was painted."""

    effects: Effects = FULL
    distortion: bool = False
    """Whether the headers describe the distortion, by PV terms; Elixir's describe each CCD by a linear solution."""
    fringe: bool = False
    """Whether they name the fringe pattern that was taken off."""


def primary_header(
    instrument: Instrument, exposure: Exposure, *, ccds: int, plan: str, processed: bool, manner: Manner
) -> fits.Header:
    """Primary header of a frame with `ccds` CCDs."""
    part = {"filename": f"{exposure.number}p.phu" if processed else f"{exposure.number}o", "part": ""}
    counts = {"extensions": ccds, "ccds": ccds, "amplifiers": 2 * ccds}
    where = {"crval1": exposure.ra, "crval2": exposure.dec}
    facts = {
        **_exposure_facts(instrument, exposure, manner), **part, **counts, **where, **_processing_date(exposure, 36)
    }  # fmt: skip
    header = _header("P", facts, plan, processed=processed)
    return _calibrated(header, exposure, manner, part="") if processed else header


def ccd_header(
    instrument: Instrument, ccd: Ccd, exposure: Exposure, *, ccds: int, plan: str, processed: bool, manner: Manner
) -> fits.Header:
    """Header of one CCD of a frame with `ccds` CCDs."""
    filename = f"{exposure.number}p{ccd.index:02}" if processed else f"{exposure.number}o"
    facts = {
        **_exposure_facts(instrument, exposure, manner),
        "filename": filename,
        "part": f".fits[{ccd.name}]",
        "ccds": ccds,
        **_ccd_facts(instrument, ccd),
        **{key.lower(): value for key, value in wcs_of(ccd, exposure).items()},
        **_processing_date(exposure, ccd.index),
        "amplifiers_read": "A       " if processed else "A B     ",
        "saturation": saturation_of(instrument, ccd) if processed else RAW_SATURATION,
        **_quality_facts(instrument, ccd, exposure, manner.effects),
    }
    header = _header("C", facts, plan, processed=processed)
    if manner.distortion and manner.effects.distortion.on:
        header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
        header.update(pv_terms(instrument, ccd, manner.effects.distortion))
    return _calibrated(header, exposure, manner, part=f".fits[{ccd.name}]") if processed else header


def _calibrated(header: fits.Header, exposure: Exposure, manner: Manner, *, part: str) -> fits.Header:
    """Tell of the fringes that were taken off, if there are any."""
    if fringe_amplitude(manner.effects.fringes, exposure.band) > 0.0:
        header["IMRED_OP"] = f"{header['IMRED_OP']} + FRINGE"
        if manner.fringe:
            header.insert(
                "IMRED_FF", ("IMRED_FR", f"{exposure.fringe}{part}", "Fringe pattern input file"), after=True
            )  # fmt: skip
    return header


def calibration_header(
    instrument: Instrument,
    *,
    kind: str,
    name: str,
    run: str,
    ccds: int,
    ccd: Ccd | None,
    plan: str,
    date: str,
    filter_name: str | None,
    effects: Effects = FULL,
) -> fits.Header:
    """Header of a mask or flat, primary (without `ccd`) or of one CCD.

    `kind` is MASK, FLAT or FRINGE, `run` what stands in RUNID, `date` when it was made, `filter_name` what it is for.
    """
    shown = {
        "MASK": ("Bad Pixels Map", "immask"),
        "FLAT": ("Flat-field", "imcombred"),
        "FRINGE": ("Fringe pattern", "imcombred"),
    }[kind]
    header = fits.Header()
    if ccd is None:
        header["NEXTEND"] = (ccds, "Number of extensions")
        header["NCCDS"] = (ccds, "Number of devices")
    header["ORIGIN"] = ("CFHT", "Canada-France-Hawaii Telescope")
    header["OBJECT"] = (shown[0], "Frame type")
    header["OBSTYPE"] = (kind, "Frame definition")
    header["DETECTOR"] = (instrument.detector, "Camera name")
    header["INSTRUME"] = (instrument.camera, "Instrument")
    header["RUNID"] = (run, "Run of the calibration")
    if kind != "MASK":
        header["CRUNID"] = (run, "Elixir camera run ID")
        header["FILTER"] = (filter_name, "Name of filter in position")
    header["FILENAME"] = (name, "Master frame filename")
    header["REL_DATE"] = (date, "UTC Release Date")
    header["DATE"] = (date, "UTC Date of file creation")
    if ccd is not None:
        header["EXTVER"] = (ccd.index, "Matches the CCD number in the mosaic")
        header["CCDNAME"] = (ccd.serial, "Name of the CCD (manufacturer reference)")
        header["DETSEC"] = (_section(instrument, ccd, 0, instrument.ccd_width), "Mosaic area of the entire readout")
        header["DATASEC"] = (_datasec(instrument), "Imaging area of the entire CCD in raw frame")
        header["GAIN"] = (ccd.gain, "Converting gain (e-/ADU)")
    header.add_history(f"{shown[1]}: Output image: {name}")
    if kind == "MASK" and ccd is not None:
        for number, bad in enumerate(masked_parts(instrument, ccd, effects.defects)):
            header[f"MASK_{number:03}"] = (bad.section, "Bad pixels area definition")
    header.append(fits.Card.fromstring(PAINTED.format(plan=plan).ljust(80)))
    return header


def filled(template: str, where: str, facts: dict[str, Any]) -> list[fits.Card]:
    """Cards of a template that stand in the primary header (`where` P) or in those of CCDs (C)."""
    lines = [line[2:].format_map(facts) for line in template.splitlines() if line[0] in {" ", where}]
    return [fits.Card.fromstring(line[:80].ljust(80)) for line in lines]


def _header(where: str, facts: dict[str, Any], plan: str, *, processed: bool) -> fits.Header:
    cards = [card for text in (EXPOSURE, TELESCOPE, SPLICE) for card in filled(text, where, facts)]
    if processed:
        cards += filled(ELIXIR, where, facts)
    cards.append(fits.Card.fromstring(PAINTED.format(plan=plan).ljust(80)))
    return fits.Header(cards)


def _datasec(instrument: Instrument) -> str:
    x0, x1, y0, y1 = instrument.datasec
    return f"[{x0 + 1}:{x1},{y0 + 1}:{y1}]"


def _moon_facts(exposure: Exposure) -> dict[str, Any]:
    moon = moon_of(exposure)
    return {
        "moon_angle": moon.distance,
        "moon_phase": moon.lit if moon.waxing else -moon.lit,
        "moon_up": f"{moon.up!s:<8}",
        "moon_altitude": moon.altitude,
        "moon_azimuth": moon.azimuth,
    }


def _exposure_facts(instrument: Instrument, exposure: Exposure, manner: Manner) -> dict[str, Any]:
    band, programme = exposure.band, exposure.programme
    start, end = moment(exposure.mjd), moment(exposure.end_mjd)
    altitude, azimuth = altitude_azimuth(exposure.ra, exposure.dec, exposure.mjd)
    angle = hour_angle(exposure.ra, exposure.mjd)
    spliced = end + _HAWAII + timedelta(seconds=45)
    return {
        "pattern": f"LDP[{exposure.index + 1}] - Ref + dither", "object": _OBJECT, "principal": programme.principal,
        "run": programme.run, "queue": programme.queue, "camera_run": programme.camera_run,
        "number": exposure.number, "written": (end + timedelta(seconds=30)).isoformat(timespec="seconds"),
        "hawaii": f"{end + _HAWAII:%a %b %d %H:%M:%S} HST {end:%Y}", "iteration": exposure.index + 1,
        "exptime": band.exptime, "requested": band.exptime, "measured": band.exptime + 1.09,
        "filter": band.filter, "filter_id": band.holder,
        "release": (start + timedelta(days=365)).isoformat(timespec="seconds"),
        "date": f"{start:%Y-%m-%d}", "time": _clock(start), "mjd": exposure.mjd,
        "end_date": f"{end:%Y-%m-%d}", "end_time": _clock(end), "end_mjd": exposure.end_mjd,
        "sidereal": _sexagesimal(sidereal(exposure.mjd) / 15.0),
        "end_sidereal": _sexagesimal(sidereal(exposure.end_mjd) / 15.0),
        "sidereal_hours": sidereal(exposure.mjd) / 15.0,
        "utc_hours": start.hour + start.minute / 60.0 + start.second / 3600.0,
        "ra": _sexagesimal(exposure.ra / 15.0), "dec": _sexagesimal(exposure.dec, digits=1),
        "ra_deg": exposure.ra, "dec_deg": exposure.dec,
        "field_ra": _sexagesimal(exposure.field[0] / 15.0), "field_dec": _sexagesimal(exposure.field[1], digits=1),
        "hour_angle": _sexagesimal(angle / 15.0), "hour_angle_deg": angle,
        "end_hour_angle": _sexagesimal(hour_angle(exposure.ra, exposure.end_mjd) / 15.0),
        "guide1_ra": _sexagesimal((exposure.ra - 0.15) / 15.0),
        "guide1_dec": _sexagesimal(exposure.dec + 0.66, digits=1),
        "guide2_ra": _sexagesimal((exposure.ra + 0.17) / 15.0),
        "guide2_dec": _sexagesimal(exposure.dec - 0.70, digits=1),
        "airmass": exposure.airmass, "altitude": altitude, "azimuth": azimuth,
        "spliced_long": _long(spliced), "operations": " + ".join(instrument.acceptance.operations),
        "mask": MASK, "bias": exposure.bias, "flat": exposure.flat, "bias_a": manner.effects.bias.level_a,
        "bias_b": manner.effects.bias.level_b, **_moon_facts(exposure),
        "zero_point": band.zero_point, "zero_scatter": 0.0174, "zero_nominal": band.zero_point - 0.067,
        "colour_term": band.colour_term, "airmass_term": band.airmass_term,
        "colour1": f"{band.colour[0]}_SDSS", "colour2": f"{band.colour[1]}_SDSS",
    }  # fmt: skip


def _ccd_facts(instrument: Instrument, ccd: Ccd) -> dict[str, Any]:
    half = instrument.ccd_width // 2
    return {
        "index": ccd.index, "serial": ccd.serial, "nick": ccd.nick,
        "detsec": _section(instrument, ccd, 0, instrument.ccd_width),
        "detsec_a": _section(instrument, ccd, 0, half),
        "detsec_b": _section(instrument, ccd, half, instrument.ccd_width, backwards=True),
        "gain": ccd.gain, "gain_a": ccd.gain_a, "gain_b": ccd.gain_b, "read_noise": ccd.read_noise,
        "read_noise_a": ccd.read_noise_a, "read_noise_b": ccd.read_noise_b, "dark_current": ccd.dark_current,
    }  # fmt: skip


def _quality_facts(instrument: Instrument, ccd: Ccd, exposure: Exposure, effects: Effects) -> dict[str, Any]:
    """What Elixir found out about a CCD: here from what was painted, not from a measurement."""
    level = sky_level(instrument, exposure, effects)
    noise = math.sqrt(level / ccd.gain)
    pixels = math.pi * (exposure.fwhm / instrument.pixel_scale) ** 2
    limit = -2.5 * math.log10(5.0 * noise * math.sqrt(pixels) / exposure.adu_at_zero)
    brightest = -2.5 * math.log10(saturation_of(instrument, ccd) * 0.4 * pixels / exposure.adu_at_zero)
    return {
        "mode": round(level), "astrometric_stars": 60 + ccd.index % 23, "astrometric_scatter": 0.5 + 0.01 * ccd.index,
        "mag_limit": limit, "mag_saturated": brightest,
    }  # fmt: skip


def _processing_date(exposure: Exposure, place: int) -> dict[str, str]:
    """When Elixir came to a CCD: some months later, one CCD behind the other at seven a second and the primary last."""
    night = moment(math.floor(exposure.mjd) + 127.0)
    done = night + timedelta(hours=22, minutes=44, seconds=47 + place // 5)
    return {"processed": done.isoformat(timespec="seconds"), "processed_long": _long(done - timedelta(minutes=8))}


def _section(instrument: Instrument, ccd: Ccd, first: int, last: int, *, backwards: bool = False) -> str:
    """Section of the mosaic, from 1, that columns `first` to `last` (half-open) of the illuminated part cover.

    Columns stand in the order in which they were read: from the right end for amplifier B.
    """
    low, high = ccd.row + 1, ccd.row + instrument.ccd_height
    begin, end = ccd.column + first + 1, ccd.column + last
    if ccd.flipped:
        right = ccd.column + instrument.ccd_width
        begin, end = right - first, right - last + 1
        low, high = high, low
    if backwards:
        begin, end = end, begin
    return f"[{begin}:{end},{low}:{high}]"


def _sexagesimal(value: float, *, digits: int = 2) -> str:
    units = round(abs(value) * 3600 * 10**digits)
    seconds, fraction = divmod(units, 10**digits)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if value < 0 else ''}{hours}:{minutes:02}:{seconds:02}.{fraction:0{digits}}"


def _clock(time: datetime) -> str:
    return f"{time.hour}:{time:%M:%S}.{time.microsecond // 10000:02}"


def _long(time: datetime) -> str:
    return f"{time:%a %b} {time.day} {time:%Y - %H:%M:%S}"
