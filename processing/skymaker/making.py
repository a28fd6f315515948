"""One image: from settings and a list to files."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from processing.astromatic import Values
from processing.cards import RECORD, Entry, descriptive, padding, text_of
from processing.errors import BadSetting
from processing.placing import placed
from processing.provenance import software
from processing.skymaker.lists import lines_of, read_list
from processing.skymaker.maps import header_of, to_pixels
from processing.skymaker.settings import ABERRATIONS, checked
from processing.skymaker.sky import Made, optical_image, psf_ahead, sky_image

_CARDS = (
    ("IMATYPE", "IMAGE_TYPE", "Image type"),
    ("GAIN", "GAIN", "Gain (e-/ADU)"),
    ("WELLCAPA", "WELL_CAPACITY", "Full well capacity (e-)"),
    ("SATURATE", "SATUR_LEVEL", "Saturation level (ADU)"),
    ("RON", "READOUT_NOISE", "Read noise (e-)"),
    ("EXPTIME", "EXPOSURE_TIME", "Exposure time (s)"),
    ("MAGZERO", "MAG_ZEROPOINT", "Magnitude of 1 ADU per second"),
    ("PIXSIZE", "PIXEL_SIZE", "Pixel size (arcsec)"),
    ("NMSCAN", "MICROSCAN_NSTEP", "Microscanning steps"),
    ("PSFTYPE", "PSF_TYPE", "PSF type"),
    ("PSFNAME", "PSF_NAME", "PSF file"),
    ("SEEING", "SEEING_FWHM", "FWHM of the seeing (arcsec)"),
    ("SNGTYPE", "SEEING_TYPE", "Seeing type"),
    ("AURESB", "AUREOLE_SB", "Aureole at 1 arcmin (mag/arcsec2)"),
    ("AURERAD", "AUREOLE_RADIUS", "Aureole radius (pixels)"),
    ("PSFSAMP", "PSF_OVERSAMP", "Samples of the PSF a pixel"),
    ("PSFSIZE", "PSF_MAPSIZE", "Samples of the PSF map"),
    ("TRCKTYPE", "TRACKERROR_TYPE", "Tracking error type"),
    ("TRACKMAJ", "TRACKERROR_MAJ", "Tracking error, major axis (arcsec)"),
    ("TRACKMIN", "TRACKERROR_MIN", "Tracking error, minor axis (arcsec)"),
    ("TRACKANG", "TRACKERROR_ANG", "Tracking error angle (deg)"),
    ("DIAMM1", "M1_DIAMETER", "Primary mirror (m)"),
    ("DIAMM2", "M2_DIAMETER", "Obstruction (m)"),
    ("ARMCOUNT", "ARM_COUNT", "Arms of the spider"),
    ("ARMTHICK", "ARM_THICKNESS", "Thickness of the arms (mm)"),
    ("ARMANG", "ARM_POSANGLE", "Angle of the arms (deg)"),
    *(
        (f"PSF{key}", f"{key}_D80", f"D80 of {name.replace('_', ' ')} (arcsec)")
        for key, (name, _) in ABERRATIONS.items()
    ),
    ("WAVELEN", "WAVELENGTH", "Wavelength (microns)"),
    ("BACKMAG", "BACK_MAG", "Sky (mag/arcsec2)"),
    ("SCOUNTZP", "STARCOUNT_ZP", "Stars a square degree"),
    ("SCOUNTSL", "STARCOUNT_SLOPE", "Slope of star counts (dexp/mag)"),
    ("CORTYPE", "CORREL_TYPE", "What is correlated"),
)
"""Keyword of the header, keyword of the settings, comment."""


def cards_of(values: Values, made: Made, *, listed: str, configured: str) -> list[Entry]:
    """Header cards that say how the image was made."""
    texts = values.as_texts()
    entries: list[Entry] = [
        ("ORIGIN", "TERAPIX", software()),
        ("DATE", datetime.now(UTC).isoformat(timespec="seconds"), "When the file was made (UTC)"),
        ("OBJECT", listed[-60:], "List of sources"),
        ("CONFFILE", configured[-60:], "Configuration file"),
    ]
    for keyword, key, comment in _CARDS:
        entries.append((keyword, _value(texts[key]), comment))
    bright, faint = values.numbers("MAG_LIMITS")
    entries += [("SMAGMIN", bright, "Brightest random star (mag)"), ("SMAGMAX", faint, "Faintest random star (mag)")]
    for keyword, key in (("SEEDPMOT", "SEED_MOTION"), ("SEEDSPOS", "SEED_STARPOS")):
        entries.append((keyword, made.seeds.get(key, values.whole(key)), f"Seed used for {key}"))
    return entries


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text[:60]


def write_image(path: Path, made: Made, entries: list[Entry], header: Any) -> None:
    """Write a FITS image: there complete, or not at all."""
    pixels = np.ascontiguousarray(made.pixels, ">f4")
    shape = made.pixels.shape[::-1]
    structure: list[Entry] = [("SIMPLE", True, "FITS"), ("BITPIX", -32), ("NAXIS", len(shape))]
    structure += [(f"NAXIS{axis}", side) for axis, side in enumerate(shape, 1)]
    given = set() if header is None else set(header)
    kept = [entry for entry in entries if entry[0] not in given]
    text = text_of(structure) + descriptive(header) + text_of(kept) + "END".ljust(80)
    with placed(path) as stream:
        stream.write(text.ljust(-(-len(text) // RECORD) * RECORD).encode("ascii", "replace"))
        pixels.tofile(stream)
        stream.write(bytes(padding(pixels.nbytes)))


def run(values: Values, listed: str, configured: str) -> Made:
    """Do what the settings say."""
    checked(values)
    header = header_of(values)
    path = Path(values.text("IMAGE_NAME"))
    if values.text("IMAGE_TYPE").startswith(("PUPIL", "PSF")):
        made = optical_image(values)
    else:
        sources = None
        if listed and Path(listed).resolve() == path.with_suffix(".list").resolve():
            raise BadSetting(f"IMAGE_NAME = {path}: the list of its sources would overwrite {listed}; change one")
        with psf_ahead(values) as psf:
            if listed:
                bright, faint = values.numbers("LISTMAG_LIMITS")
                sources = read_list(Path(listed), limits=(bright, faint), seed=values.whole("SEED_STARPOS"))
                if values.text("LISTCOORD_TYPE") == "WORLD":
                    sources = to_pixels(sources, header)
            made = sky_image(values, sources, psf)
    entries = cards_of(values, made, listed=listed, configured=configured)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_image, path, made, entries, header)
        lines = lines_of(made.sources, made.area) if made.sources is not None else []
        writing.result()
    if made.sources is not None:
        path.with_suffix(".list").write_text("".join(lines), encoding="ascii")
    return made
