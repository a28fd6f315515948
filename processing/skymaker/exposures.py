"""The observing run that is painted: programmes, filters, pointings and times, all from the number of a frame."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

LATITUDE = 19.825252
"""Degrees north, of the telescope."""
LONGITUDE = -155.468876
"""Degrees east."""
FIELD_RA = 214.866667
"""Degrees; the field lies in Bootes, far from the Milky Way."""
FIELD_DEC = 52.678056
FIRST_NUMBER = 980101
"""Exposure number of the first frame."""
DITHER = 75.0
"""Arcsec; the pointings lie inside a square of twice this side."""
OVERHEAD = 40.0
"""Seconds between two exposures."""
A_NIGHT = 60
"""Exposures taken in one night before the next one is used."""
_MJD_EPOCH = datetime(1858, 11, 17)  # noqa: DTZ001  a day count, all dates here are UTC


@dataclass(frozen=True, slots=True)
class Band:
    """A filter, and how the sky and the camera behave in it."""

    filter: str
    """FILTER."""
    holder: int
    """FILTERID."""
    name: str
    """As the names of flats have it."""
    version: str
    """Version of its flats."""
    exptime: float
    """Seconds."""
    zero_point: float
    """Magnitude of 1 ADU a second at airmass 1 (PHOT_C)."""
    airmass_term: float
    """Magnitudes an airmass (PHOT_K)."""
    colour_term: float
    """PHOT_X, with the colour `colour`."""
    colour: tuple[str, str]
    """Bands of the catalogue whose difference is the colour."""
    sky: float
    """Magnitude of a square arcsec of sky."""


BANDS = (
    Band("r.MP9601", 1305, "r", "02", 120.0, 26.045, -0.10, 0.0, ("g", "r"), 20.9),
    Band("g.MP9401", 1309, "g", "01", 150.0, 26.462, -0.15, 0.150, ("g", "r"), 21.9),
    Band("i.MP9702", 1314, "i2", "01", 90.0, 25.833, -0.04, 0.083, ("r", "i"), 20.0),
    Band("z.MP9801", 1304, "z", "01", 120.0, 24.740, -0.03, -0.069, ("i", "z"), 19.2),
)
"""The filters, in the order in which frames take them."""


@dataclass(frozen=True, slots=True)
class Programme:
    """An observing programme, and when its time was."""

    run: str
    """RUNID."""
    queue: str
    """QRUNID."""
    camera_run: str
    """CRUNID: programmes of one camera run share their flats."""
    principal: str
    """PI_NAME."""
    first_night: float
    """MJD of its first exposure."""


PROGRAMMES = (
    Programme("08AF31", "08AQ05", "08Am03", "Simon Painter", 54555.4700),
    Programme("08AC14", "08AQ05", "08Am03", "Ada Brush", 54557.4600),
    Programme("08AD90", "08AQ07", "08Am04", "Otto Pigment", 54583.4000),
)
"""The programmes, in the order in which frames belong to them."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure of the run."""

    index: int
    """Counted from 0."""
    band: Band
    programme: Programme
    ra: float
    """Degrees; where the telescope points."""
    dec: float
    mjd: float
    """Start of the exposure."""
    fwhm: float
    """Arcsec; seeing in the middle of the field."""
    transparency: float = 1.0
    """Share of the light that clouds let pass."""
    field: tuple[float, float] = (FIELD_RA, FIELD_DEC)
    """Degrees; where the telescope would point without dithers."""
    first_number: int = FIRST_NUMBER
    """Exposure number of frame 0."""
    camera: str = "megacam"
    """Instrument."""

    @property
    def number(self) -> int:
        """EXPNUM."""
        return self.first_number + self.index

    @property
    def flat(self) -> str:
        """Name of the flat it was divided by."""
        return f"{self.programme.camera_run}.flat.{self.band.name}.36.{self.band.version}"

    @property
    def fringe(self) -> str:
        """Name of the fringe pattern that was taken off it."""
        return f"{self.programme.camera_run}.fringe.{self.band.name}.36.{self.band.version}"

    @property
    def bias(self) -> str:
        return f"{self.programme.camera_run}.bias.0.36.00"

    @property
    def end_mjd(self) -> float:
        return self.mjd + self.band.exptime / 86400.0

    @property
    def airmass(self) -> float:
        """Of the start of the exposure, plane-parallel."""
        return 1.0 / math.sin(math.radians(altitude_azimuth(self.ra, self.dec, self.mjd)[0]))

    @property
    def adu_at_zero(self) -> float:
        """ADU of an object of magnitude 0 over the whole exposure."""
        zero = self.band.zero_point + self.band.airmass_term * (self.airmass - 1.0)
        return self.transparency * self.band.exptime * float(10.0 ** (0.4 * zero))


MASK = "2003A.mask.0.36.01"
"""Name of the mask of bad pixels."""


def exposure_of(index: int, seed: int) -> Exposure:
    """Return frame `index` of the run that belongs to `seed`; it does not depend on how many frames there are."""
    band = BANDS[index % len(BANDS)]
    programme = PROGRAMMES[index % len(PROGRAMMES)]
    random = np.random.default_rng([seed, 1, index])
    east, north = random.uniform(-DITHER, DITHER, 2) / 3600.0
    night, place = divmod(index, A_NIGHT)
    start = programme.first_night + night + place * (band.exptime + OVERHEAD) / 86400.0
    return Exposure(
        index=index,
        band=band,
        programme=programme,
        ra=FIELD_RA + float(east) / math.cos(math.radians(FIELD_DEC)),
        dec=FIELD_DEC + float(north),
        mjd=start,
        fwhm=float(random.uniform(0.65, 0.95)),
    )


def moment(mjd: float) -> datetime:
    """UTC of a modified Julian date."""
    return _MJD_EPOCH + timedelta(days=mjd)


def sidereal(mjd: float) -> float:
    """Local sidereal time in degrees (IAU 1982, to a second)."""
    return (280.46061837 + 360.98564736629 * (mjd - 51544.5) + LONGITUDE) % 360.0


def hour_angle(ra: float, mjd: float) -> float:
    """Degrees, positive to the west."""
    return (sidereal(mjd) - ra + 180.0) % 360.0 - 180.0


def altitude_azimuth(ra: float, dec: float, mjd: float) -> tuple[float, float]:
    """Degrees above the horizon, and from north over east."""
    angle, height, latitude = (math.radians(value) for value in (hour_angle(ra, mjd), dec, LATITUDE))
    up = math.sin(latitude) * math.sin(height) + math.cos(latitude) * math.cos(height) * math.cos(angle)
    north = math.sin(height) * math.cos(latitude) - math.cos(height) * math.sin(latitude) * math.cos(angle)
    east = -math.cos(height) * math.sin(angle)
    return math.degrees(math.asin(up)), math.degrees(math.atan2(east, north)) % 360.0


def parallactic_angle(ra: float, dec: float, mjd: float) -> float:
    """Degrees from north over east to the zenith, at a place of the sky."""
    angle, height, latitude = (math.radians(value) for value in (hour_angle(ra, mjd), dec, LATITUDE))
    up = math.tan(latitude) * math.cos(height) - math.sin(height) * math.cos(angle)
    return math.degrees(math.atan2(math.sin(angle), up))
