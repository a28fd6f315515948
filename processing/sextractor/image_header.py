"""What a catalogue's header tells of its image and of the settings, by the original's keywords."""

from datetime import UTC, datetime

from processing.cards import Entry
from processing.provenance import software
from processing.sextractor.extraction import Extraction
from processing.sextractor.settings import Settings

_APERTURES = 4
"""Whose diameters the header has."""


def header_cards(extraction: Extraction, settings: Settings) -> list[Entry]:
    """Return the cards that come behind those of the image; warnings are HISTORY."""
    told, now = extraction.statistics, datetime.now(tz=UTC)
    diameters = [*settings.phot_apertures, *[0.0] * _APERTURES][:_APERTURES]
    return [
        ("FITSFILE", extraction.file, "file of the image"),
        ("FITSEXT", extraction.number, "number of the image in it"),
        ("FITSNEXT", extraction.count, "images in it"),
        ("SEXVERS", software(), "software"),
        ("SEXDATE", f"{now:%d/%m/%Y}", "date of the extraction"),
        ("SEXTIME", f"{now:%H:%M:%S}", "time of the extraction, UTC"),
        ("SEXELAPS", round(told.seconds, 3), "[s] that it took"),
        ("SEXBKGND", told.background, "[adu] median background"),
        ("SEXBKDEV", told.rms, "[adu] median noise of the background"),
        ("SEXTHLD", told.threshold, "[adu] threshold of detection"),
        ("SEXATHLD", told.analysis_threshold, "[adu] threshold of analysis"),
        ("SEXNDET", told.detected, "detections"),
        ("SEXNFIN", extraction.sources, "sources in the catalogue"),
        ("SEXNPARA", len(extraction.wanted), "columns"),
        ("SEXPXSCL", told.pixel_scale, "[arcsec] pixel scale"),
        ("SEXSFWHM", settings.seeing_fwhm, "[arcsec] FWHM of stars, as set"),
        ("SEXNNWF", _name(settings.starnnw_name), "neural network"),
        ("SEXGAIN", told.gain, "[e-/adu] gain"),
        ("SEXFLTR", settings.filter is not None or settings.retina is not None, "whether a filter was used"),
        ("SEXFILTN", _name(settings.filter_name), "filter"),
        ("SEXMINAR", settings.detect_minarea, "[pixel] least area of a detection"),
        ("SEXDBLDN", settings.deblend_nthresh, "levels of deblending"),
        ("SEXDBLDC", settings.deblend_mincont, "least contrast of deblending"),
        ("SEXCLN", settings.clean, "whether detections were cleaned"),
        ("SEXCLNPA", settings.clean_param, "strength of cleaning"),
        ("SEXCLNST", settings.memory_objstack, "MEMORY_OBJSTACK"),
        *((f"SEXAPED{n}", size, f"[pixel] diameter of aperture {n}") for n, size in enumerate(diameters, 1)),
        ("SEXAUTP1", settings.phot_autoparams[0], "Kron factor"),
        ("SEXAUTP2", settings.phot_autoparams[1], "least Kron radius"),
        ("SEXPETP1", settings.phot_petroparams[0], "Petrosian factor"),
        ("SEXPETP2", settings.phot_petroparams[1], "least Petrosian radius"),
        ("SEXSATLV", told.saturation, "[adu] level of saturation"),
        ("SEXMGZPT", settings.mag_zeropoint, "[mag] zero point"),
        ("SEXMGGAM", settings.mag_gamma, "gamma of photographic emulsions"),
        ("SEXBKGSX", settings.back_size[0], "[pixel] width of a background mesh"),
        ("SEXBKGSY", settings.back_size[1], "[pixel] height of a background mesh"),
        ("SEXBKGFX", settings.back_filtersize[0], "meshes the background filter is wide"),
        ("SEXBKGFY", settings.back_filtersize[1], "meshes the background filter is high"),
        ("SEXPBKGS", settings.backphoto_thick, "[pixel] thickness of local backgrounds"),
        ("SEXPIXSK", settings.memory_pixstack, "MEMORY_PIXSTACK"),
        ("SEXFBUFS", settings.memory_bufsize, "[row] MEMORY_BUFSIZE"),
        ("SEXMWSCL", told.weight_scales[0], "scale of the measurement's weights"),
        ("SEXDWSCL", told.weight_scales[1], "scale of the detection's weights"),
        *(("HISTORY", piece) for warning in extraction.warnings for piece in _pieces(f"warning {warning}")),
    ]


def told_of(extraction: Extraction, settings: Settings) -> dict[str, object]:
    """Return the same by keyword, with one text of warnings."""
    told: dict[str, object] = {key: value for key, value, *_ in header_cards(extraction, settings) if key != "HISTORY"}
    return told | ({"WARNINGS": "; ".join(map(str, extraction.warnings))} if extraction.warnings else {})


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _pieces(text: str) -> list[str]:
    return [text[at : at + 72] for at in range(0, len(text), 72)]
