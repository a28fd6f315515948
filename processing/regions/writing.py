"""Region files that DS9 and WeightWatcher read, made of masks."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.errors import ProcessingError
from processing.flags import PixelFlag
from processing.provenance import software
from processing.regions.outlines import polygons_of
from processing.regions.shapes import System
from processing.regions.sky import Sky

_COLOURS = ("green", "cyan", "red", "yellow", "blue", "magenta", "orange", "white")


def polygon_lines(
    mask: NDArray[np.bool_],
    *,
    tile: int = 1,
    attributes: str = "",
    system: System = System.IMAGE,
    sky: Sky | None = None,
) -> Iterator[str]:
    """Lines of a region file that cover a mask.

    Parameters
    ----------
    mask : (ny, nx) bool
    tile : int
        Number of the CCD's image in its file, from 1; told with each polygon where `system` is image, as
        WeightWatcher needs it.
    attributes : str
        Behind each polygon, as ``color=red tag={COSMIC}``.
    system : System
        Image, or one on the sky.
    sky : Sky
        Of the CCD, where `system` is on the sky.

    Raises
    ------
    ProcessingError
        There is no usable WCS.
    """
    if system.on_the_sky and (sky is None or sky.wcs is None):
        raise ProcessingError(f"tile {tile}: its header has no usable WCS; write its regions in image coordinates")
    polygons = polygons_of(mask)
    if not polygons:
        return
    begin = f"tile {tile};image;" if not system.on_the_sky else f"{system};"
    end = f" # {attributes}" if attributes else ""
    places = np.concatenate(polygons)
    decimals = 3
    if system.on_the_sky and sky is not None:
        places, decimals = sky.positions(places, system), 9
    else:
        places = places + 1.0
    written = np.char.mod(f"%.{decimals}f", places).ravel().tolist()
    at = 0
    for polygon in polygons:
        numbers = ",".join(written[at : at + polygon.size])
        at += polygon.size
        yield f"{begin}polygon({numbers}){end}\n"


def flag_lines(
    flags: NDArray[np.integer], bits: Sequence[int], *, tile: int, system: System = System.IMAGE, sky: Sky | None = None
) -> Iterator[str]:
    """Lines that cover each of `bits` of a flag map by itself, with the bit's name as a tag and a colour of its own."""
    for bit in bits:
        place = bit.bit_length() - 1
        attributes = f"color={_COLOURS[place % len(_COLOURS)]} tag={{{bit_name(bit)}}}"
        mask = (flags & np.array(bit).astype(flags.dtype)) != 0
        yield from polygon_lines(mask, tile=tile, attributes=attributes, system=system, sky=sky)


def bit_name(bit: int) -> str:
    """Name of a single bit of the flag map; its number where it has none."""
    known = bit in PixelFlag.__members__.values()
    return str(PixelFlag(bit).name) if known else f"{bit:#x}"


def write_regions(path: Path, lines: Iterable[str]) -> int:
    """Write a region file, complete or not at all; return its regions."""
    partial = path.with_name(f"{path.name}.part")
    count = 0
    try:
        with partial.open("w", encoding="ascii") as stream:
            stream.write(f"# Region file format: DS9 version 4.1\n# made by {software()}\n")
            for line in lines:
                stream.write(line)
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count
