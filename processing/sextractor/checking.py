"""Settings that make no sense, refused by the names of their keywords before a pixel is read."""

import math
from collections.abc import Sequence
from types import MappingProxyType

from processing.errors import BadSetting
from processing.sextractor.settings import Settings

RANGES = MappingProxyType(
    {
        "DETECT_MINAREA BACK_SIZE BACK_FILTERSIZE DEBLEND_NTHRESH INTERP_MAXXLAG INTERP_MAXYLAG BACKPHOTO_THICK "
        "MEMORY_PIXSTACK": (1.0, math.inf),
        "MEMORY_BUFSIZE": (8.0, math.inf),
        "MEMORY_OBJSTACK": (16.0, math.inf),
        "DETECT_MAXAREA GAIN PIXEL_SCALE WEIGHT_THRESH PHOT_AUTOAPERS ASSOC_DATA BACK_FILTTHRESH": (0.0, math.inf),
        "CLEAN_PARAM": (0.1, 10.0),
        "DEBLEND_MINCONT": (0.0, 1.0),
        "PHOT_FLUXFRAC": (1e-6, 1.0),
        "PHOT_AUTOPARAMS PHOT_PETROPARAMS": (0.0, 10.0),
        "MAG_GAMMA ASSOC_RADIUS": (1e-10, math.inf),
        "MAG_ZEROPOINT": (-100.0, 100.0),
        "ASSOC_PARAMS": (1.0, math.inf),
    }
)
"""Of the original where another number makes no sense; its upper bounds of sizes and numbers are none here."""
_CHOICES = MappingProxyType(
    {
        "THRESH_TYPE": ("RELATIVE", "ABSOLUTE"),
        "MASK_TYPE": ("NONE", "BLANK", "CORRECT"),
        "WEIGHT_TYPE": ("NONE", "BACKGROUND", "MAP_RMS", "MAP_VAR", "MAP_WEIGHT"),
        "FLAG_TYPE": ("OR", "AND", "MIN", "MAX", "MOST"),
        "BACK_TYPE": ("AUTO", "MANUAL"),
        "BACKPHOTO_TYPE": ("GLOBAL", "LOCAL"),
        "INTERP_TYPE": ("NONE", "VAR_ONLY", "ALL"),
        "DETECT_TYPE": ("CCD",),
    }
)
_ABOVE_0 = ("SEEING_FWHM", "PHOT_APERTURES")
_THRESHOLDS = ("DETECT_THRESH", "ANALYSIS_THRESH")


def in_range(key: str, found: Sequence[float], text: str) -> None:
    """Refuse numbers of a keyword that are out of its range.

    Raises
    ------
    BadSetting
        Names the keyword, its value and what was expected.
    """
    for keys, (low, high) in RANGES.items():
        if key in keys.split() and found and not (low <= min(found) and max(found) <= high):
            upwards = f"{low:g} or more" if math.isinf(high) else f"{low:g} to {high:g}"
            raise BadSetting(f"{key} = {text}: {upwards} was expected")
    if key in _ABOVE_0 and not min(found, default=0.0) > 0:
        raise BadSetting(f"{key} = {text}: a number above 0 was expected")
    if key in _THRESHOLDS:
        if not 1 <= len(found) <= 2:
            raise BadSetting(f"{key} = {text}: a threshold, or one in mag/arcsec2 and a zero point")
        if len(found) == 1 and not found[0] > 0:
            raise BadSetting(f"{key} = {text}: a threshold above 0 was expected")


KEYS = tuple(key for keys in RANGES for key in keys.split()) + _ABOVE_0 + _THRESHOLDS
"""Keywords of numbers that are looked at."""


def check(settings: Settings) -> None:
    """Refuse settings of a script that make no sense; BadSetting as `in_range` raises it."""
    for key in KEYS:
        value = getattr(settings, key.lower())
        found = [float(each) for each in (value if isinstance(value, tuple) else (value,)) if each is not None]
        in_range(key, found, ",".join(f"{each:g}" for each in found))
    for key, choices in _CHOICES.items():
        value = getattr(settings, key.lower())
        for each in value if isinstance(value, tuple) else (value,):
            if each not in choices:
                raise BadSetting(f"{key} = {each}: {' or '.join(choices)} was expected")
    if len(settings.filter_thresh) > 2:
        raise BadSetting(f"FILTER_THRESH: {len(settings.filter_thresh)} values are given; two at most were expected")
    if settings.retina is not None and settings.weight_type[0] != "NONE" and settings.thresh_type == "RELATIVE":
        raise BadSetting(
            f"FILTER_NAME = {settings.filter_name}: a retina makes no thresholds of WEIGHT_TYPE = "
            f"{settings.weight_type[0]}; take THRESH_TYPE ABSOLUTE, WEIGHT_TYPE NONE for detection, or another filter"
        )
    if settings.filter is not None and len({len(row) for row in settings.filter}) != 1:
        raise BadSetting("filter: rows of one length were expected")
    if settings.filter is not None and not any(any(row) for row in settings.filter):
        raise BadSetting("filter: every value is 0; a filter has some that are not")
