"""The truth about a painted frame: its sources, and what befell their light, as a FITS file of tables.

Table SOURCES has a row for each source on each CCD, TRAILS one for each trail on a CCD, COSMICS one for each hit,
DEFECTS one for each flaw of the detectors, CCDS one for each CCD with its sums. The mask of the truth beside it has
an extension a CCD whose bits are those of `processing.flags.PixelFlag`: what every pixel was really touched by.
Pixels count from 1 in the frame as read out, as in FITS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processing.flags import PixelFlag
from processing.skymaker.defects import Flaw, defects
from processing.skymaker.exposures import Exposure
from processing.skymaker.frame import Exposed, Shot, saturation_of, sky_level
from processing.skymaker.sources import natural_magnitudes

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class CcdTruth:
    """What is true of one CCD, each a table by its columns."""

    sources: Columns
    trails: Columns
    cosmics: Columns
    defects: Columns
    ccd: Columns


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the tables."""

    name: str
    form: str
    """TFORM."""
    unit: str
    ucd: str
    meaning: str


_CCD = Column("CCD", "I", "", "meta.id;instr.det", "EXTVER of the CCD")
SOURCES = (
    _CCD,
    Column("NUMBER", "J", "", "meta.id", "row of the source in its list, from 0"),
    Column("TYPE", "I", "", "src.class", "100 star, 200 galaxy"),
    Column("RA", "D", "deg", "pos.eq.ra", "true right ascension, FK5"),
    Column("DEC", "D", "deg", "pos.eq.dec", "true declination"),
    Column("X", "D", "pixel", "pos.cartesian.x;instr.det", "column of the frame, from 1"),
    Column("Y", "D", "pixel", "pos.cartesian.y;instr.det", "row of the frame, from 1"),
    Column("MAG", "E", "mag", "phot.mag", "natural magnitude in the filter"),
    Column("FLUX", "E", "adu", "phot.count", "ADU that the source adds to the processed frame"),
    Column("SATURATED", "L", "", "meta.code", "whether the pixel it stands on is full"),
    Column("TOUCHED", "B", "", "meta.code", "bits of PixelFlag within a pixel of its place"),
)
TRAILS = (
    _CCD,
    Column("KIND", "12A", "", "meta.id", "satellite or aeroplane"),
    Column("XI", "D", "deg", "pos", "nearest point to the pointing, to the east on the tangent plane"),
    Column("ETA", "D", "deg", "pos", "the same to the north"),
    Column("ANGLE", "D", "deg", "pos.posAng", "of the line, from north over east"),
    Column("MAG", "E", "mag", "phot.mag", "light on an arcsec of its length"),
    Column("WIDTH", "E", "arcsec", "phys.angSize", "full width at half maximum"),
    Column("PIXELS", "J", "", "meta.number", "pixels above the noise of the sky"),
)
COSMICS = (
    _CCD,
    Column("X", "E", "pixel", "pos.cartesian.x;instr.det", "where the path begins"),
    Column("Y", "E", "pixel", "pos.cartesian.y;instr.det", "where the path begins"),
    Column("LENGTH", "E", "pixel", "phys.size", "length of the path"),
    Column("CHARGE", "E", "electron", "phot.count", "charge set free"),
    Column("WORM", "L", "", "meta.code", "crooked path of an electron"),
    Column("PIXELS", "J", "", "meta.number", "pixels above the noise of the sky that no earlier hit has marked"),
)
DEFECTS = (
    _CCD,
    Column("X0", "J", "pixel", "pos.cartesian.x;instr.det", "first column"),
    Column("X1", "J", "pixel", "pos.cartesian.x;instr.det", "last column"),
    Column("Y0", "J", "pixel", "pos.cartesian.y;instr.det", "first row"),
    Column("Y1", "J", "pixel", "pos.cartesian.y;instr.det", "last row"),
    Column("FLAW", "8A", "", "meta.id", "dead or hot"),
    Column("MASKED", "L", "", "meta.code", "whether the mask knows it"),
)
CCDS = (
    _CCD,
    Column("SKY", "E", "adu", "instr.skyLevel", "sky in the middle of the field"),
    Column("SATURATE", "E", "adu", "instr.saturation", "level of saturation"),
    Column("FULL", "J", "", "meta.number", "pixels that are full"),
    Column("COSMIC", "J", "", "meta.number", "pixels hit by cosmic rays"),
    Column("TRAIL", "J", "", "meta.number", "pixels under trails"),
    Column("LOST", "D", "electron", "phot.count", "charge that ran out at the ends of columns"),
)


def truth_of(shot: Shot, exposed: Exposed, pixels: NDArray[np.int32]) -> CcdTruth:
    """Gather the truth of a CCD; pixels that read SATURATE are marked as such here."""
    instrument, ccd, seen = shot.instrument, shot.ccd, exposed.seen
    x0, x1, y0, y1 = instrument.datasec
    ceiling = saturation_of(instrument, ccd)
    exposed.marks[pixels[y0:y1, x0:x1] >= ceiling] |= int(PixelFlag.SATURATED)
    width, height = x1 - x0, y1 - y0
    on = (seen.x > -0.5) & (seen.x < width - 0.5) & (seen.y > -0.5) & (seen.y < height - 0.5)
    number, x, y = seen.number[on], seen.x[on], seen.y[on]
    column, row = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64)
    touched = np.zeros(number.size, np.uint8)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            touched |= exposed.marks[np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)]
    objects = seen.objects
    rays, marks = exposed.rays, exposed.marks
    flaws = [bad for bad in defects(instrument, ccd, shot.effects.defects) if bad.flaw is not Flaw.BLIND]
    trails = exposed.trails
    counted = (PixelFlag.SATURATED, PixelFlag.COSMIC, PixelFlag.SATELLITE)
    counts = {flag: int(np.count_nonzero(marks & np.uint8(flag))) for flag in counted}
    return CcdTruth(
        sources={
            "NUMBER": number, "TYPE": objects.code[number], "RA": objects.ra[number], "DEC": objects.dec[number],
            "X": x + x0 + 1, "Y": y + y0 + 1, "MAG": natural_magnitudes(shot.exposure, objects)[number],
            "FLUX": seen.flux[on], "SATURATED": marks[row, column] & PixelFlag.SATURATED > 0, "TOUCHED": touched,
        },
        trails={
            "KIND": np.array([trail.kind.value for trail, _ in trails], "U12"),
            "XI": np.array([trail.xi for trail, _ in trails]), "ETA": np.array([trail.eta for trail, _ in trails]),
            "ANGLE": np.array([trail.angle for trail, _ in trails]),
            "MAG": np.array([trail.light for trail, _ in trails]),
            "WIDTH": np.array([trail.width for trail, _ in trails]),
            "PIXELS": np.array([count for _, count in trails]),
        },
        cosmics={
            "X": rays.x + x0 + 1, "Y": rays.y + y0 + 1, "LENGTH": rays.length, "CHARGE": rays.charge,
            "WORM": rays.worm, "PIXELS": exposed.ray_pixels,
        },
        defects={
            "X0": np.array([bad.x0 + 1 for bad in flaws]), "X1": np.array([bad.x1 for bad in flaws]),
            "Y0": np.array([bad.y0 + 1 for bad in flaws]), "Y1": np.array([bad.y1 for bad in flaws]),
            "FLAW": np.array([bad.flaw.value for bad in flaws], "U8"),
            "MASKED": np.array([bad.masked for bad in flaws], bool),
        },
        ccd={
            "CCD": np.array([ccd.index]), "SKY": np.array([sky_level(instrument, shot.exposure, shot.effects)]),
            "SATURATE": np.array([ceiling]), "FULL": np.array([counts[PixelFlag.SATURATED]]),
            "COSMIC": np.array([counts[PixelFlag.COSMIC]]), "TRAIL": np.array([counts[PixelFlag.SATELLITE]]),
            "LOST": np.array([exposed.lost]),
        },
    )  # fmt: skip


def write_truth(path: Path, ccds: Sequence[CcdTruth], exposure: Exposure, *, frame: str) -> None:
    """Write the truth of a frame; the file appears complete or not at all."""
    primary = fits.PrimaryHDU()
    for key, value, comment in (
        ("FRAME", frame, "file that this is the truth of"),
        ("RA_DEG", exposure.ra, "pointing (degrees)"),
        ("DEC_DEG", exposure.dec, "pointing (degrees)"),
        ("FILTER", exposure.band.filter, "filter"),
        ("SEEING", round(exposure.fwhm, 4), "seeing in the middle of the field (arcsec)"),
        ("AIRMASS", round(exposure.airmass, 4), "at the start of the exposure"),
        ("TRANSP", round(exposure.transparency, 4), "share of the light that clouds let pass"),
        ("ZEROADU", exposure.adu_at_zero, "ADU of a source of magnitude 0"),
    ):
        primary.header[key] = (value, comment)
    number = [int(truth.ccd["CCD"][0]) for truth in ccds]
    made = [primary]
    for name, columns in (
        ("SOURCES", SOURCES), ("TRAILS", TRAILS), ("COSMICS", COSMICS), ("DEFECTS", DEFECTS), ("CCDS", CCDS),
    ):  # fmt: skip
        parts = [getattr(truth, name.lower() if name != "CCDS" else "ccd") for truth in ccds]
        made.append(_table(name, columns, parts, number))
    beside = path.with_name(f".{path.name}.part")
    fits.HDUList(made).writeto(beside, overwrite=True, checksum=True)
    beside.replace(path)


def _table(name: str, columns: Sequence[Column], parts: Sequence[Columns], number: Sequence[int]) -> fits.BinTableHDU:
    first = columns[1].name
    index = np.concatenate([np.full(part[first].size, ccd) for part, ccd in zip(parts, number, strict=True)])
    content = {"CCD": index}
    for column in columns[1:]:
        content[column.name] = np.concatenate([part[column.name] for part in parts])
    table = fits.BinTableHDU.from_columns(
        [fits.Column(item.name, item.form, unit=item.unit or None, array=content[item.name]) for item in columns],
        name=name,
    )
    for place, item in enumerate(columns, start=1):
        table.header.set(f"TCOMM{place}", item.meaning, after=f"TFORM{place}")
        table.header.set(f"TUCD{place}", item.ucd, after=f"TCOMM{place}")
    return table
