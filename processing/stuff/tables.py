"""The whole field in one table with units and UCDs: FITS or ECSV."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.provenance import software
from processing.stuff.settings import EQUATORIAL
from processing.stuff.sky import Sky

Floats = NDArray[np.float64]
SUFFIXES = (".fits", ".fit", ".ecsv")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    name: str
    unit: str | None
    ucd: str
    meaning: str
    values: NDArray[Any]


def columns(sky: Sky) -> list[Column]:
    """Columns of stars and galaxies together, stars first; sizes of stars are 0, their redshift is no number."""
    galaxies, stars = sky.galaxies, sky.stars
    count = len(stars)
    x, y = (
        np.concatenate(pair)
        for pair in zip(sky.places(stars.x, stars.y), sky.places(galaxies.x, galaxies.y), strict=True)
    )

    def grown(values: Floats, filler: float = 0.0) -> Floats:
        return np.concatenate((np.full(count, filler), values))

    code = np.concatenate((np.full(count, 100, np.int16), np.full(len(galaxies), 200, np.int16)))
    made = [Column("code", None, "meta.code.class", "100 star, 200 galaxy of bulge and disc", code)]
    if sky.settings.coordinates == EQUATORIAL:
        made += [
            Column("ra", "deg", "pos.eq.ra;meta.main", "right ascension", x),
            Column("dec", "deg", "pos.eq.dec;meta.main", "declination", y),
        ]
    else:
        made += [
            Column("x", "pix", "pos.cartesian.x;instr.det", "position; the first pixel is centred at 1", x),
            Column("y", "pix", "pos.cartesian.y;instr.det", "position", y),
        ]
    for number, name in enumerate(sky.settings.passbands):
        band = re.sub(r"\W+", "_", name)
        lights = np.concatenate((stars.magnitudes[number], galaxies.magnitudes[number]))
        shares = grown(galaxies.bulge_fractions[number])
        made += [
            Column(f"mag_{band}", "mag", "phot.mag;em.opt", f"magnitude in {name}", lights),
            Column(f"bulge_fraction_{band}", None, "phys.luminosity;arith.ratio", f"bulge over all in {name}", shares),
        ]
    for part, meaning in (("bulge", "effective radius"), ("disc", "scale length")):
        radius, ratio, angle = (getattr(galaxies, f"{part}_{each}") for each in ("radius", "ratio", "angle"))
        made += [
            Column(f"{part}_radius", "arcsec", "phys.angSize;src", f"{meaning} along the major axis", grown(radius)),
            Column(
                f"{part}_axis_ratio", None, "phys.size.axisRatio", f"minor over major axis, {part}", grown(ratio, 1)
            ),
            Column(f"{part}_angle", "deg", "pos.posAng", "major axis, from x over y", grown(angle)),
        ]
    return [
        *made,
        Column("z", None, "src.redshift", "redshift", grown(galaxies.z, np.nan)),
        Column("hubble_type", None, "src.morph.type", "revised Hubble type", grown(galaxies.hubble, np.nan)),
    ]


def write_table(sky: Sky, path: Path, configuration: dict[str, str]) -> None:
    """Write the table, as FITS or ECSV by the suffix of `path`; `configuration` goes into its header."""
    from astropy.table import Column as TableColumn  # noqa: PLC0415  slow to import, and not always needed
    from astropy.table import Table  # noqa: PLC0415

    made = columns(sky)
    table = Table(
        [
            TableColumn(each.values, each.name, unit=each.unit, description=each.meaning, meta={"ucd": each.ucd})
            for each in made
        ]
    )
    if path.suffix == ".ecsv":
        table.meta = {"software": software(), "configuration": configuration}
        table.write(path, format="ascii.ecsv", overwrite=True)
        return
    from astropy.io import fits  # noqa: PLC0415

    hdu = fits.table_to_hdu(Table(table, meta={}))
    hdu.name = "SKY"
    for number, each in enumerate(made, 1):
        hdu.header[f"TUCD{number}"] = each.ucd
        hdu.header.comments[f"TTYPE{number}"] = each.meaning
    hdu.header["CREATOR"] = software()
    for key, text in configuration.items():
        hdu.header["HISTORY"] = f"stuff: {key} {text}"
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
