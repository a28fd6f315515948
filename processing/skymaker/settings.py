"""SkyMaker's keywords, and what they mean to the parts."""

from typing import Any

from processing.astromatic import Key, Kind, Tool, Values
from processing.errors import BadSetting
from processing.skymaker.image import Detector
from processing.skymaker.psf import Aberration, Exposure, Optics, Tracking

_I, _W, _D, _S, _P, _U, _L, _F, _R, _M = (
    "Image", "Pixel weights", "Detector", "Sampling", "PSF", "Pupil features", "Signal", "Stellar field",
    "Random seeds", "Miscellaneous",
)  # fmt: skip
IMAGE_TYPES = (
    "PUPIL_REAL", "PUPIL_IMAGINARY", "PUPIL_MODULUS", "PUPIL_PHASE", "PUPIL_MTF", "PSF_MTF", "PSF_FULLRES",
    "PSF_FINALRES", "SKY_NONOISE", "SKY", "GRID_NONOISE", "GRID",
)  # fmt: skip
ABERRATIONS = {
    "DEFOC": ("defocus", "DEFOC"), "SPHER": ("spherical", "SPHER"), "COMAX": ("coma_x", "COMA"),
    "COMAY": ("coma_y", "COMA"), "AST00": ("astigmatism_00", "AST"), "AST45": ("astigmatism_45", "AST"),
    "TRI00": ("trefoil_00", "TRI"), "TRI30": ("trefoil_30", "TRI"), "QUA00": ("quadratic_00", "QUA"),
    "QUA22": ("quadratic_22", "QUA"),
}  # fmt: skip
"""Keyword of the D80, the field of `Optics`, and the keyword of its centre."""


def _text(name: str, default: str, comment: str, group: str, **options: Any) -> Key:
    return Key(name, Kind.TEXT, default, comment, group, **options)


def _number(name: str, default: str, comment: str, group: str, **options: Any) -> Key:
    return Key(name, Kind.NUMBER, default, comment, group, **options)


def _whole(name: str, default: str, comment: str, group: str, **options: Any) -> Key:
    return Key(name, Kind.WHOLE, default, comment, group, **options)


def _aberrations() -> list[Key]:
    keys = []
    seen: set[str] = set()
    for name, (what, centre) in ABERRATIONS.items():
        said = what.replace("_", " ")
        keys.append(_number(f"{name}_D80", "0.0", f"d80% diameter of {said} (arcsec)", _U, many=True))
        if centre not in seen:
            comment = f"where {said} has its first value, in shares of the image"
            keys.append(_number(f"{centre}_CENTER", "0.5,0.5", comment, _U, many=True, extended=True))
            seen.add(centre)
    return keys


TOOL = Tool(
    "skymaker",
    "default.sky",
    (
        _text("IMAGE_NAME", "sky.fits", "name of the image", _I),
        _whole("IMAGE_SIZE", "1024", "width,[height] of the image", _I, many=True),
        _text("IMAGE_TYPE", "SKY", ", ".join(IMAGE_TYPES), _I, choices=IMAGE_TYPES),
        _whole("GRID_SIZE", "64", "pixels between sources in GRID images", _I, extended=True),
        _text("IMAGE_HEADER", "INTERNAL", "file of header cards, or INTERNAL", _I),
        _text("LISTCOORD_TYPE", "PIXEL", "coordinates of the list: PIXEL or WORLD", _I, choices=("PIXEL", "WORLD")),
        _number("LISTMAG_LIMITS", "-99.0,99.0", "magnitudes of the list that are taken", _I, many=True),
        _text(
            "WEIGHT_TYPE", "NONE", "NONE, MAP_RMS, MAP_VARIANCE or MAP_WEIGHT", _W, extended=True,
            choices=("NONE", "MAP_RMS", "MAP_VAR", "MAP_VARIANCE", "MAP_WEIGHT"),
        ),
        _text("WEIGHT_IMAGE", "sky.weight.fits", "weight map to read", _W, extended=True),
        _number("WEIGHT_FACTOR", "1.0", "factor of the noise that the map gives", _W, extended=True),
        Key("WEIGHT_GAIN", Kind.SWITCH, "Y", "noise of photons too follows the map (Y/N)?", _W, extended=True),
        _number("WEIGHT_THRESH", "", "weight, rms or variance from which pixels are bad", _W, many=True, extended=True),
        _number("GAIN", "1.0", "gain (e-/ADU)", _D),
        _number("WELL_CAPACITY", "0", "full well capacity in e-; 0: infinite", _D),
        _number("SATUR_LEVEL", "65535", "saturation level (ADU)", _D),
        _number("READOUT_NOISE", "1.0", "read noise (e-)", _D),
        _number("EXPOSURE_TIME", "300.0", "exposure time (s)", _D),
        _number("MAG_ZEROPOINT", "26.0", "magnitude of 1 ADU per second", _D),
        _text("CORREL_TYPE", "NONE", "what is correlated: NONE, NOISE or ALL", _S, choices=("NONE", "NOISE", "ALL")),
        _text(
            "CORREL_FUNC_TYPE", "BILINEAR", "NEAREST, BILINEAR, LANCZOS2, LANCZOS3 or LANCZOS4", _S,
            choices=("NEAREST", "BILINEAR", "LANCZOS2", "LANCZOS3", "LANCZOS4"),
        ),
        _number("CORREL_SCALE", "1.0", "pixels of the image in one that was interpolated", _S),
        _number("PIXEL_SIZE", "0.200", "pixel size (arcsec)", _S),
        _whole("MICROSCAN_NSTEP", "1", "steps of microscanning; 1: none", _S),
        _text("PSF_TYPE", "INTERNAL", "INTERNAL or FILE", _P, choices=("INTERNAL", "FILE")),
        _text("PSF_NAME", "psf.fits", "FITS image of the PSF, or model of PSFEx", _P),
        _text(
            "PSFCENTER_TYPE", "UPPERHALF", "UPPERHALF, LOWERHALF, HALF, CENTROID, CENTROID_COMMON or PEAK", _P,
            choices=("UPPERHALF", "LOWERHALF", "HALF", "CENTROID", "CENTROID_COMMON", "PEAK"), extended=True,
        ),
        _text(
            "SEEING_TYPE", "LONG_EXPOSURE", "NONE, LONG_EXPOSURE or SHORT_EXPOSURE", _P,
            choices=("NONE", "LONG_EXPOSURE", "SHORT_EXPOSURE"),
        ),
        _number("SEEING_FWHM", "0.7", "FWHM of the seeing (arcsec)", _P),
        _whole("AUREOLE_RADIUS", "200", "pixels covered by the aureole; 0: none", _P),
        _number("AUREOLE_SB", "16.0", "mag/arcsec2 at 1' from a star of magnitude 0", _P),
        _number("PSF_OVERSAMP", "5", "samples of the PSF a pixel", _P),
        _whole("PSF_MAPSIZE", "1024", "samples of the PSF along an axis", _P, many=True),
        _text("TRACKERROR_TYPE", "NONE", "NONE, DRIFT or JITTER", _P, choices=("NONE", "DRIFT", "JITTER")),
        _number("TRACKERROR_MAJ", "0.0", "tracking error along the major axis (arcsec)", _P),
        _number("TRACKERROR_MIN", "0.0", "tracking error along the minor axis (arcsec)", _P),
        _number("TRACKERROR_ANG", "0.0", "its angle (degrees counter-clockwise from x)", _P),
        _number("M1_DIAMETER", "3.6", "diameter of the primary mirror (m)", _U),
        _number("M2_DIAMETER", "1.0", "diameter of the obstruction (m)", _U),
        _whole("ARM_COUNT", "4", "arms of the spider", _U),
        _number("ARM_THICKNESS", "20.0", "their thickness (mm)", _U),
        _number("ARM_POSANGLE", "0.0", "angle of the first (degrees)", _U),
        *_aberrations(),
        _number("WAVELENGTH", "0.8", "wavelength (microns)", _L),
        _number("BACK_MAG", "20.0", "surface brightness of the sky (mag/arcsec2)", _L),
        _number("STARCOUNT_ZP", "3e4", "stars a square degree within MAG_LIMITS' faint end", _F),
        _number("STARCOUNT_SLOPE", "0.2", "slope of star counts (dexp/mag)", _F),
        _number("MAG_LIMITS", "17.0,26.0", "magnitudes of random stars", _F, many=True),
        _text("RASTER_PATTERN", "rasters/raster_%06d.fits", "files of raster images", _M, extended=True),
        _text(
            "RASTERCENTER_TYPE", "UPPERHALF", "UPPERHALF, LOWERHALF, HALF, CENTROID or PEAK", _M, extended=True,
            choices=("UPPERHALF", "LOWERHALF", "HALF", "CENTROID", "PEAK"),
        ),
        _whole("SEED_MOTION", "0", "seed of noise and image motion; 0: drawn", _R),
        _whole("SEED_STARPOS", "0", "seed of random stars; 0: drawn", _R),
        _text("VERBOSE_TYPE", "NORMAL", "QUIET, NORMAL or FULL", _M, choices=("QUIET", "NORMAL", "FULL")),
        _whole("NTHREADS", "0", "threads; 0: one a core", _M),
    ),
)  # fmt: skip

_RANGES = {
    "GAIN": (1e-12, 1e18), "WELL_CAPACITY": (0.0, 1e18), "READOUT_NOISE": (0.0, 1e9), "EXPOSURE_TIME": (1e-12, 1e18),
    "PIXEL_SIZE": (1e-12, 1e12), "SEEING_FWHM": (1e-6, 1e12), "PSF_OVERSAMP": (0.01, 100.0),
    "M1_DIAMETER": (1e-6, 100.0),
    "M2_DIAMETER": (0.0, 100.0), "ARM_THICKNESS": (0.0, 1e4), "WAVELENGTH": (1e-6, 1e12), "STARCOUNT_ZP": (0.0, 1e12),
    "STARCOUNT_SLOPE": (1e-3, 10.0), "AUREOLE_SB": (12.0, 50.0), "CORREL_SCALE": (0.01, 1024.0),
    "WEIGHT_FACTOR": (0.0, 1e18), "TRACKERROR_MAJ": (0.0, 100.0), "TRACKERROR_MIN": (0.0, 100.0),
    "ARM_COUNT": (0, 16), "AUREOLE_RADIUS": (0, 16384), "GRID_SIZE": (3, 16384), "MICROSCAN_NSTEP": (1, 16),
    "SEED_MOTION": (0, 2**31 - 1), "SEED_STARPOS": (0, 2**31 - 1), "NTHREADS": (0, 1024),
}  # fmt: skip


def checked(values: Values) -> None:
    """Refuse what cannot be.

    Raises
    ------
    BadSetting
        Names the key, its value and the values it may have.
    """
    texts = values.as_texts()
    for key, (low, high) in _RANGES.items():
        value = float(texts[key])
        if not low <= value <= high:
            raise BadSetting(f"{key} = {texts[key]}: {low:g} to {high:g} was expected")
    for key, least, most in (
        ("IMAGE_SIZE", 1, 2),
        ("LISTMAG_LIMITS", 2, 2),
        ("MAG_LIMITS", 2, 2),
        ("PSF_MAPSIZE", 1, 2),
    ):
        count = len([word for word in texts[key].split(",") if word])
        if not least <= count <= most:
            raise BadSetting(f"{key} = {texts[key]}: {least} to {most} values were expected")
    for key, low, high in (("IMAGE_SIZE", 1, 100000), ("PSF_MAPSIZE", 16, 8192)):
        if not all(low <= side <= high for side in values.wholes(key)):
            raise BadSetting(f"{key} = {texts[key]}: {low} to {high} was expected")
    _fitting(values, texts)


def _fitting(values: Values, texts: dict[str, str]) -> None:
    """Refuse settings that do not fit each other."""
    if len(set(values.wholes("PSF_MAPSIZE"))) > 1:
        raise BadSetting(f"PSF_MAPSIZE = {texts['PSF_MAPSIZE']}: a square map was expected")
    if values.text("IMAGE_TYPE").startswith("PSF") and values.text("PSF_TYPE") == "FILE":
        raise BadSetting("IMAGE_TYPE: an image of the PSF needs PSF_TYPE INTERNAL")
    if abs(values.number("PSF_OVERSAMP") - round(values.number("PSF_OVERSAMP"))) > 1e-6 and (
        values.text("PSF_TYPE") == "INTERNAL"
    ):
        raise BadSetting(f"PSF_OVERSAMP = {texts['PSF_OVERSAMP']}: a whole number was expected with PSF_TYPE INTERNAL")
    if values.text("LISTCOORD_TYPE") == "WORLD" and values.text("IMAGE_HEADER").upper() == "INTERNAL":
        raise BadSetting("LISTCOORD_TYPE = WORLD: give a header with a WCS in IMAGE_HEADER")
    steps = values.whole("MICROSCAN_NSTEP")
    if any(side % steps for side in values.wholes("IMAGE_SIZE")):
        raise BadSetting(f"IMAGE_SIZE = {texts['IMAGE_SIZE']}: multiples of MICROSCAN_NSTEP {steps} were expected")


def size_of(values: Values) -> tuple[int, int]:
    """Height and width of the image."""
    sides = values.wholes("IMAGE_SIZE")
    return sides[-1], sides[0]


def optics_of(values: Values) -> Optics:
    """Telescope and atmosphere."""
    terms = {}
    for key, (name, centre) in ABERRATIONS.items():
        d80, place = values.numbers(f"{key}_D80"), values.numbers(f"{centre}_CENTER")
        if len(d80) not in {1, 3, 6} or len(place) != 2:
            raise BadSetting(
                f"{key}_D80 = {','.join(map(str, d80))}, {centre}_CENTER = {','.join(map(str, place))}:"
                " 1, 3 or 6 numbers (1, u, v, u2, uv, v2) and a centre u,v were expected"
            )
        terms[name] = Aberration(d80, (place[0], place[1]))
    seeing = {"NONE": Exposure.NONE, "LONG_EXPOSURE": Exposure.LONG, "SHORT_EXPOSURE": Exposure.SHORT}
    return Optics(
        m1_diameter=values.number("M1_DIAMETER"),
        m2_diameter=values.number("M2_DIAMETER"),
        arms=values.whole("ARM_COUNT"),
        arm_thickness=values.number("ARM_THICKNESS"),
        arm_angle=values.number("ARM_POSANGLE"),
        wavelength=values.number("WAVELENGTH"),
        exposure=seeing[values.text("SEEING_TYPE")],
        seeing=values.number("SEEING_FWHM"),
        tracking=Tracking(values.text("TRACKERROR_TYPE").lower()),
        tracking_major=values.number("TRACKERROR_MAJ"),
        tracking_minor=values.number("TRACKERROR_MIN"),
        tracking_angle=values.number("TRACKERROR_ANG"),
        aureole_sb=values.number("AUREOLE_SB"),
        aureole_radius=values.whole("AUREOLE_RADIUS"),
        **terms,
    )


def detector_of(values: Values) -> Detector:
    """Gain, noise, well and saturation."""
    return Detector(
        gain=values.number("GAIN"),
        read_noise=values.number("READOUT_NOISE"),
        well=values.number("WELL_CAPACITY"),
        saturation=values.number("SATUR_LEVEL"),
    )
