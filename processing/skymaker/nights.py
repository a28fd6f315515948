"""When and where the frames of a survey are taken, and under what sky."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from processing.errors import BadSetting
from processing.skymaker.exposures import OVERHEAD, Band, Exposure, Programme, altitude_azimuth, hour_angle, moment
from terapix.instruments import Instrument

YEAR = 54466.0
"""MJD of the first day of 2008, in which surveys without a date are observed."""
MIDNIGHT = 10.0 / 24.0
"""Days after 0 h UT at which it is midnight in Hawaii."""
HALF_NIGHT = 5.0 / 24.0
"""Days from midnight to twilight."""
BEFORE = 1.0 / 24.0
"""Days before the field culminates at which its first frame of a night is taken."""
LENGTH = 3.0 / 24.0
"""Days that a field is observed in a night."""
LOWEST = 15.0
"""Degrees above the horizon below which the telescope does not go."""
_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What a survey asks for."""

    instrument: Instrument
    pointing: tuple[float, float]
    """Degrees."""
    dither: str
    """Half side of a square in arcsec, or offsets to the east and north as ``0:0,30:-20``."""
    bands: tuple[Band, ...]
    date: str = ""
    seeing: float | None = None
    transparency: float | None = None
    first_number: int
    seed: int


def pointing_of(text: str) -> tuple[float, float]:
    """Read a place of the sky: degrees, or hours and degrees with colons.

    Raises
    ------
    BadSetting
        If it is none.
    """
    expected = "RA,DEC in degrees or as 14:19:28,+52:40:41 was expected"
    words = text.split(",")
    if len(words) != 2:
        raise BadSetting(f"--pointing {text}: {expected}")
    try:
        ra, dec = (_angle(word.strip(), hours=axis == 0) for axis, word in enumerate(words))
    except ValueError as problem:
        raise BadSetting(f"--pointing {text}: {expected}") from problem
    if not (-90.0 <= dec <= 90.0 and -360.0 <= ra <= 360.0):
        raise BadSetting(f"--pointing {text}: RA from 0 to 360 and DEC from -90 to 90 degrees were expected")
    return ra % 360.0, dec


def _angle(word: str, *, hours: bool) -> float:
    if ":" not in word:
        value = float(word)
        if not math.isfinite(value):
            raise ValueError(word)
        return value
    parts = [float(part) for part in word.lstrip("+-").split(":")]
    value = sum(part / 60.0**place for place, part in enumerate(parts))
    value = -value if word.startswith("-") else value
    return 15.0 * value if hours else value


def offsets_of(dither: str, count: int, seed: int) -> list[tuple[float, float]]:
    """Arcsec to the east and north of the pointing, of each exposure; offsets that are listed are used in turns.

    Raises
    ------
    BadSetting
        If they can not be read.
    """
    if re.fullmatch(r"\d+(\.\d*)?", dither.strip()):
        half = float(dither)
        drawn = [np.random.default_rng([seed, 1, index]).uniform(-half, half, 2) for index in range(count)]
        return [(float(east), float(north)) for east, north in drawn]
    try:
        pairs = [tuple(float(part) for part in pair.split(":")) for pair in dither.split(",")]
        listed = [(east, north) for east, north in pairs]
    except ValueError as problem:
        raise BadSetting(f"--dither {dither}: arcsec, or offsets as 0:0,30:-20 were expected") from problem
    return [listed[index % len(listed)] for index in range(count)]


def reach_of(dither: str) -> float:
    """Arcsec from the pointing to the farthest of the frames, along an axis, as far as `dither` says."""
    return max(abs(float(word)) for word in re.split(r"[:,]", dither))


def exposures_of(night: Night, count: int) -> list[Exposure]:
    """Plan the exposures: one after the other, about the time when the field stands highest.

    Raises
    ------
    BadSetting
        If the field does not rise, or the night is none.
    """
    ra, dec = night.pointing
    begin = _middle(night) - BEFORE
    offsets = offsets_of(night.dither, count, night.seed)
    made, start = [], begin
    programme = _programme(night.instrument, begin)
    for index, (east, north) in enumerate(offsets):
        random = np.random.default_rng([night.seed, 11, index])
        seeing, clouds = float(random.uniform(0.65, 0.95)), float(random.uniform(0.9, 1.0))
        made.append(
            Exposure(
                index=index,
                band=night.bands[index % len(night.bands)],
                programme=programme,
                ra=(ra + east / 3600.0 / math.cos(math.radians(dec))) % 360.0,
                dec=dec + north / 3600.0,
                mjd=start,
                fwhm=night.seeing if night.seeing is not None else seeing,
                transparency=night.transparency if night.transparency is not None else clouds,
                field=night.pointing,
                first_number=night.first_number,
                camera=night.instrument.name,
            )
        )
        start += (made[-1].band.exptime + OVERHEAD) / 86400.0
        if start - begin > LENGTH:  # the next night, at the same hour
            begin += 1.0
            start = begin
    low = min(altitude_azimuth(exposure.ra, exposure.dec, exposure.mjd)[0] for exposure in made)
    if low < LOWEST:
        raise BadSetting(
            f"--pointing {ra:.4f},{dec:.4f}: it stands {low:.0f} degrees above the horizon of Mauna Kea then, "
            f"{LOWEST:.0f} are needed; take another --date, fewer --exposures or another field"
        )
    return made


def _middle(night: Night) -> float:
    """MJD of the night's hour at which the field is nearest to the meridian."""
    ra = night.pointing[0]
    if not night.date:
        return min((YEAR + day + MIDNIGHT for day in range(366)), key=lambda mjd: abs(hour_angle(ra, mjd)))
    try:
        day = datetime.strptime(night.date, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError as problem:
        raise BadSetting(f"--date {night.date}: a night as 2008-03-30 was expected") from problem
    midnight = (day - _EPOCH).days + MIDNIGHT
    hours = [midnight + HALF_NIGHT * step / 40.0 for step in range(-40, 41)]
    return min(hours, key=lambda mjd: abs(hour_angle(ra, mjd)))


def _programme(instrument: Instrument, mjd: float) -> Programme:
    """Name programme and runs by the semester, as the observatory does."""
    night = moment(mjd)
    semester = "A" if 2 <= night.month <= 7 else "B"
    year = f"{(night.year - (night.month == 1)) % 100:02}{semester}"
    letter = instrument.name[:1]
    return Programme(f"{year}T01", f"{year}Q01", f"{year}{letter}01", "TERAPIX", mjd)
