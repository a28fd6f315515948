"""Masks as MOCs: the cells of the sky (HEALPix, nested) that hold masked pixels, or none.

A cell is masked where it holds a corner of a masked pixel: a star on such a pixel
lies in a masked cell, but for tips of cells that reach into a pixel between its corners.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from processing.errors import ProcessingError
from processing.provenance import software
from processing.regions.shapes import System
from processing.regions.sky import Floats, Sky

if TYPE_CHECKING:
    from mocpy import MOC

ORDER = 17
"""Cells of 1.6 arcsec: the least that a star of any seeing covers."""
_BLOCK = 1 << 20
"""Corners turned into positions at once."""


class Coverage:
    """The sky that masks of CCDs cover, CCD after CCD.

    Parameters
    ----------
    order : int
        Of the cells: 58.6 degrees / 2**order across. Up to 19, where a cell is as large as two pixels of MegaCam.
    """

    def __init__(self, order: int = ORDER) -> None:
        from mocpy import MOC  # noqa: PLC0415  slow to import

        self.order = order
        self.moc: MOC = MOC.new_empty(order)
        """Cells covered so far."""

    def add(self, mask: NDArray[np.bool_], sky: Sky, *, block: int = 1) -> None:
        """Cover the pixels of a (ny, nx) mask, or its blocks of `block` x `block` pixels from the CCD's first one on.

        Raises
        ------
        ProcessingError
            There is no usable WCS.
        """
        corners = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.bool_)
        for y, x in ((0, 0), (0, 1), (1, 0), (1, 1)):
            corners[y : y + mask.shape[0], x : x + mask.shape[1]] |= mask
        rows, columns = np.nonzero(corners)
        for at in range(0, rows.size, _BLOCK):
            part = slice(at, at + _BLOCK)
            self._cover(np.stack([columns[part] * block - 0.5, rows[part] * block - 0.5], axis=1), sky)

    def add_rectangle(self, x0: int, x1: int, y0: int, y1: int, sky: Sky) -> None:
        """Cover a rectangle of pixels, half-open, from corners a third of a cell apart."""
        self._demand(sky)
        cell = math.degrees(math.sqrt(math.pi / 3)) / 2**self.order
        step = max(1.0, cell / sky.scale / 3)
        columns, rows = (
            np.linspace(low - 0.5, high - 0.5, math.ceil((high - low) / step) + 1) for low, high in ((x0, x1), (y0, y1))
        )
        for band in _bands(rows, columns):
            self._cover(band, sky)

    def _demand(self, sky: Sky) -> None:
        if sky.wcs is None:
            raise ProcessingError("a MOC needs positions on the sky, and a CCD's header has no usable WCS")

    def _cover(self, pixels: Floats, sky: Sky) -> None:
        from astropy import units  # noqa: PLC0415  slow to import
        from mocpy import MOC  # noqa: PLC0415

        self._demand(sky)
        places = sky.positions(pixels, System.ICRS)
        places = places[np.isfinite(places).all(axis=1)]
        if places.size:
            part = MOC.from_lonlat(places[:, 0] * units.deg, places[:, 1] * units.deg, max_norder=self.order)
            self.moc = self.moc.union(part)


def _bands(rows: Floats, columns: Floats) -> Iterator[Floats]:
    many = max(1, _BLOCK // columns.size)
    for at in range(0, rows.size, many):
        y, x = np.meshgrid(rows[at : at + many], columns, indexing="ij")
        yield np.stack([x.ravel(), y.ravel()], axis=1)


def write_moc(path: Path, moc: "MOC") -> None:
    """Write a MOC as FITS, complete or not at all."""
    partial = path.with_name(f"{path.stem}.part.fits")
    try:
        moc.save(str(partial), format="fits", overwrite=True, fits_keywords={"MOCTOOL": software()})
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_moc(path: Path) -> "MOC":
    """Read a MOC from FITS."""
    from mocpy import MOC  # noqa: PLC0415  slow to import

    return MOC.load(str(path), format="fits")
