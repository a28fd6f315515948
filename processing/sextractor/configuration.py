"""What the original's configuration says, as settings."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from processing.astromatic import Values
from processing.errors import BadSetting
from processing.sextractor.checking import KEYS, in_range
from processing.sextractor.filtering import read_filter
from processing.sextractor.retina import Retina, is_retina, read_retina
from processing.sextractor.settings import Settings

Item = TypeVar("Item")
_FILTER = ((1.0, 2.0, 1.0), (2.0, 4.0, 2.0), (1.0, 2.0, 1.0))
"""What default.conv holds, for directories without one: a pyramid 3 pixels wide."""
_NOT_DONE = {"DETECT_TYPE": "PHOTO", "DGEO_TYPE": "PIXEL"}
"""Choices of the original that are not made here."""


def filter_of(name: str, *, directory: Path = Path()) -> tuple[tuple[tuple[float, ...], ...], bool]:
    """Return the rows of a detection filter, and whether it is to be divided by its sum.

    The built-in pyramid stands for a default.conv that is not there.
    """
    path = directory / name
    return (_FILTER, True) if name == "default.conv" and not path.is_file() else read_filter(path)


def _filters(values: Values, directory: Path) -> tuple[tuple[tuple[float, ...], ...] | None, bool, Retina | None]:
    """Rows of a filter, whether they are divided by their sum, and a retina: one of both, or nothing."""
    name = values.text("FILTER_NAME")
    if not values.switch("FILTER"):
        return None, True, None
    if is_retina(directory / name):
        return None, True, read_retina(directory / name)
    return *filter_of(name, directory=directory), None


def _pair(key: str, values: Sequence[Item]) -> tuple[Item, Item]:
    """One value for both, or one each."""
    if not 1 <= len(values) <= 2:
        raise BadSetting(f"{key}: {len(values)} values are given; one or two were expected")
    return values[0], values[-1]


def settings_of(values: Values, columns: tuple[str, ...], *, directory: Path = Path()) -> Settings:
    """Return what is done to every image.

    Raises
    ------
    BadSetting
        Names the key, its value and what was expected.
    """
    for key, choice in _NOT_DONE.items():
        if choice in values.texts(key):
            raise BadSetting(f"{key} = {choice} is not made here; take the original for it")
    _in_range(values)
    name = values.text("FILTER_NAME")
    rows, normalised, retina = _filters(values, directory)
    weights = values.numbers("WEIGHT_THRESH")
    two_maps = len(values.texts("WEIGHT_TYPE")) > 1 or len(values.texts("WEIGHT_IMAGE")) > 1
    weights_given = (2 if two_maps else 1) if set(values.texts("WEIGHT_TYPE")) - {"NONE"} else 0
    threads, cores = values.whole("NTHREADS"), len(os.sched_getaffinity(0))
    kinds = _pair("THRESH_TYPE", values.texts("THRESH_TYPE"))
    return Settings(
        columns=columns,
        detect_type=values.text("DETECT_TYPE"),
        detect_minarea=values.whole("DETECT_MINAREA"),
        detect_maxarea=values.whole("DETECT_MAXAREA"),
        thresh_type=kinds[0],
        analysis_thresh_type=kinds[1] if kinds[1] != kinds[0] else None,
        detect_thresh=values.numbers("DETECT_THRESH"),
        analysis_thresh=values.numbers("ANALYSIS_THRESH"),
        filter=rows,
        filter_normalised=normalised,
        filter_name=name,
        retina=retina,
        filter_thresh=values.numbers("FILTER_THRESH"),
        deblend_nthresh=values.whole("DEBLEND_NTHRESH"),
        deblend_mincont=values.number("DEBLEND_MINCONT"),
        clean=values.switch("CLEAN"),
        clean_param=values.number("CLEAN_PARAM"),
        mask_type=values.text("MASK_TYPE"),
        weight_type=_pair("WEIGHT_TYPE", values.texts("WEIGHT_TYPE")),
        weights_given=weights_given,
        rescale_weights=_pair("RESCALE_WEIGHTS", values.switches("RESCALE_WEIGHTS")),
        weight_gain=values.switch("WEIGHT_GAIN"),
        weight_thresh=_limits(weights, two_maps=weights_given == 2),
        flag_type=values.texts("FLAG_TYPE"),
        phot_apertures=values.numbers("PHOT_APERTURES"),
        phot_autoparams=_two("PHOT_AUTOPARAMS", values),
        phot_petroparams=_two("PHOT_PETROPARAMS", values),
        phot_autoapers=_two("PHOT_AUTOAPERS", values),
        phot_fluxfrac=values.numbers("PHOT_FLUXFRAC"),
        satur_level=values.number("SATUR_LEVEL"),
        satur_key=values.text("SATUR_KEY"),
        mag_zeropoint=values.number("MAG_ZEROPOINT"),
        mag_gamma=values.number("MAG_GAMMA"),
        gain=values.number("GAIN"),
        gain_key=values.text("GAIN_KEY"),
        pixel_scale=values.number("PIXEL_SCALE"),
        seeing_fwhm=values.number("SEEING_FWHM"),
        starnnw_name=values.text("STARNNW_NAME"),
        back_type=_pair("BACK_TYPE", values.texts("BACK_TYPE")),
        back_value=_pair("BACK_VALUE", values.numbers("BACK_VALUE")),
        back_size=_pair("BACK_SIZE", values.wholes("BACK_SIZE")),
        back_filtersize=_pair("BACK_FILTERSIZE", values.wholes("BACK_FILTERSIZE")),
        back_filtthresh=values.number("BACK_FILTTHRESH"),
        backphoto_type=values.text("BACKPHOTO_TYPE"),
        backphoto_thick=values.whole("BACKPHOTO_THICK"),
        memory_objstack=values.whole("MEMORY_OBJSTACK"),
        memory_pixstack=values.whole("MEMORY_PIXSTACK"),
        memory_bufsize=values.whole("MEMORY_BUFSIZE"),
        interp_maxxlag=values.wholes("INTERP_MAXXLAG")[0],
        interp_maxylag=values.wholes("INTERP_MAXYLAG")[0],
        interp_type=_pair("INTERP_TYPE", (*values.texts("INTERP_TYPE"), "NONE")[:2]),
        fits_unsigned=values.switch("FITS_UNSIGNED"),
        psf_name=values.texts("PSF_NAME"),
        psf_nmax=values.whole("PSF_NMAX"),
        assoc_name=values.text("ASSOC_NAME"),
        assoc_data=values.wholes("ASSOC_DATA"),
        assoc_params=values.wholes("ASSOC_PARAMS"),
        assoccoord_type=values.text("ASSOCCOORD_TYPE"),
        assoc_radius=values.number("ASSOC_RADIUS"),
        assoc_type=values.text("ASSOC_TYPE"),
        assocselec_type=values.text("ASSOCSELEC_TYPE"),
        threads=threads if threads > 0 else min(-threads or cores, cores),
    )


def _two(key: str, values: Values) -> tuple[float, float]:
    found = values.numbers(key)
    if len(found) != 2:
        raise BadSetting(f"{key}: {len(found)} values are given; two were expected")
    return found[0], found[1]


def _limits(given: Sequence[float], *, two_maps: bool) -> tuple[float | None, float | None]:
    """Thresholds of weights: one is that of the detection image alone where both have their own weights."""
    if not given:
        return None, None
    first, second = _pair("WEIGHT_THRESH", given)
    return first, None if two_maps and len(given) == 1 else second


def _in_range(values: Values) -> None:
    """Refuse what is out of the range in which a number means something."""
    texts = values.as_texts()
    for key in ("BACK_SIZE", "BACK_FILTERSIZE", "PHOT_APERTURES", "PHOT_FLUXFRAC", "INTERP_MAXXLAG", "INTERP_MAXYLAG"):
        if not values.numbers(key):
            raise BadSetting(f"{key}: a number was expected")
    for key in KEYS:
        in_range(key, values.numbers(key), texts[key])
