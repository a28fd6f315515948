"""What products are called on their way back, as the agreement with the archive of 2007 has it.

    979412p_weight.fits.fz                            weight map of an exposure
    979412p_flag.fits.fz                              its flag map
    CFHTLS_D1_r_022559-042940_T0003.fits.fz           stack: programme, filter, centre, release
    CFHTLS_D1_r_022559-042940_T0003_weight.fits.fz    its weight map
    CFHTLS_D1_r_022559-042940_T0003.cat               its catalogue
    CFHTLS_D1_r_022559-042940_T0003.reg               its regions

The centre is right ascension and declination (J2000), hhmmss±ddmmss, as in the
stacks that the archive has: CFHTLS_W_g_022539-041200_T0007_MEDIAN.fits, whose
field D3 at 14:19:27 +52:40:56 is 141927+524056.
"""

import enum
import re
from dataclasses import dataclass
from typing import Final

from terapix.errors import TerapixError
from terapix.identity import FrameId

DAY: Final = 86_400
"""Seconds of time around the sky."""
ARC: Final = 324_000
"""Seconds of arc from the equator to a pole."""


class Sort(enum.StrEnum):
    """What a published file holds."""

    WEIGHT = "weight"
    FLAG = "flag"
    STACK = "stack"
    STACK_WEIGHT = "stack-weight"
    CATALOGUE = "catalogue"
    REGIONS = "regions"


MAPS: Final = frozenset({Sort.WEIGHT, Sort.FLAG})
"""What is made of one exposure; all else is made of a stack."""
TEXTS: Final = frozenset({Sort.CATALOGUE, Sort.REGIONS})
"""What need not be a FITS file."""
_ENDINGS: Final = {
    Sort.STACK: ".fits.fz",
    Sort.STACK_WEIGHT: "_weight.fits.fz",
    Sort.CATALOGUE: ".cat",
    Sort.REGIONS: ".reg",
}
_MAP = re.compile(r"(?P<number>\d{1,9})(?P<letter>[a-z])_(?P<sort>weight|flag)(\.fits\.fz)?", re.ASCII)
_STACK = re.compile(
    r"CFHTLS_(?P<prog>[A-Za-z0-9-]{1,12})_(?P<filter>[A-Za-z0-9]{1,8})_(?P<place>\d{6}[+-]\d{6})_(?P<release>T\d{4})"
    r"(?P<rest>_weight(?:\.fits\.fz)?|\.cat|\.reg|(?:\.fits\.fz)?)",
    re.ASCII,
)


class NoPublishedName(TerapixError):
    """The file cannot have a name that the archive agreed to."""


@dataclass(frozen=True, slots=True)
class Published:
    """What a published name says."""

    sort: Sort
    observation: str
    """Identity of the observation: the exposure's number, or programme and centre of the stack."""
    plane: str
    """Name without the endings of FITS files."""
    filter: str = ""
    """Filter of a stack."""
    release: str = ""
    """Release of a stack, as T0003."""


def map_name(frame: str, sort: Sort) -> str:
    """Name the weight or flag map of an exposure: ``979412p_weight.fits.fz``.

    Raises
    ------
    NoPublishedName
        The frame is no exposure, or the sort no map.
    """
    exposure = FrameId(frame)
    if sort not in MAPS or exposure.number is None:
        raise NoPublishedName(f"{sort.value} of {frame}: only weight and flag maps of exposures have such names")
    return f"{exposure.name}_{sort.value}.fits.fz"


def radec(ra: float, dec: float) -> str:
    """Write a place on the sky as hhmmss±ddmmss, to the nearest second of time and of arc.

    Parameters
    ----------
    ra, dec : degrees, J2000
    """
    if not (0.0 <= ra <= 360.0 and -90.0 <= dec <= 90.0):
        raise NoPublishedName(f"{ra}, {dec} is no place on the sky: 0 to 360 and -90 to 90 degrees were expected")
    time, arc = round(ra * DAY / 360) % DAY, min(round(abs(dec) * 3600), ARC)
    sign = "-" if dec < 0 and arc else "+"
    return f"{_sexagesimal(time)}{sign}{_sexagesimal(arc)}"


def _sexagesimal(seconds: int) -> str:
    return f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"


def stack_name(sort: Sort, *, prog: str, band: str, ra: float, dec: float, release: str) -> str:
    """Name a stack, or what belongs to it: ``CFHTLS_D1_r_022559-042940_T0003.cat``.

    Parameters
    ----------
    prog : programme and field, as D1 or W
    band : filter, as r
    ra, dec : centre in degrees, J2000
    release : as T0003

    Raises
    ------
    NoPublishedName
        One of the parts cannot stand in such a name.
    """
    if sort in MAPS:
        raise NoPublishedName(f"{sort.value}: the map of an exposure is named after its frame")
    name = f"CFHTLS_{prog}_{band}_{radec(ra, dec)}_{release}{_ENDINGS[sort]}"
    if read_name(name) is None:
        raise NoPublishedName(
            f"{name} is no name that the archive agreed to: programme as D1, filter as r, release as T0003"
        )
    return name


def read_name(name: str) -> Published | None:
    """Read a published name, with or without the ending of a FITS file; none if it is none."""
    if found := _MAP.fullmatch(name):
        return Published(Sort(found["sort"]), found["number"], name.removesuffix(".fits.fz"))
    if found := _STACK.fullmatch(name):
        sort = next(
            (s for s, end in _ENDINGS.items() if s is not Sort.STACK and found["rest"] == end.removesuffix(".fits.fz")),
            Sort.STACK_WEIGHT if found["rest"].startswith("_weight") else Sort.STACK,
        )
        observation = f"CFHTLS_{found['prog']}_{found['place']}"
        return Published(sort, observation, name.removesuffix(".fits.fz"), found["filter"], found["release"])
    return None


def is_fits(name: str) -> bool:
    """Tell whether a file must be FITS by its name: all are, except catalogues and regions that are published."""
    published = read_name(name)
    return published is None or published.sort not in TEXTS
