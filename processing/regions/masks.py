"""Regions laid on a CCD."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.errors import BadRegions, BadSetting
from processing.regions.rings import Ground
from processing.regions.scanline import Drawing, Ring
from processing.regions.shapes import Region


class Masks:
    """Regions of one file laid on a CCD: what they cover without what is excluded.

    Parameters
    ----------
    shape : (ny, nx)
    source : astropy WCS or Header, card images one behind the other, or None
        Of the CCD.
    tile : int
        Number of the CCD's image in its file, from 1. Regions in pixels belong to one tile, those on the sky to all.
    union : bool
        A pixel is in where at least one region covers it; otherwise where an odd number of them does.
    single : bool
        Corners of polygons are numbers of single precision, as WeightWatcher has them: degrees on the sky then
        lie on a raster of up to 0.1 arcsec.

    Raises
    ------
    BadRegions
        Regions are on the sky, and the CCD's header has no usable WCS; or they have too many corners.

    Notes
    -----
    Polygons cover WeightWatcher's pixels to the bit (tests/reference/test_regions.py). Circles, ellipses, boxes and
    annuli, which it does not know, cover the pixels whose centres lie in them; curves are drawn to 0.001 pixel.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        shape: tuple[int, int],
        source: Any,
        tile: int,
        *,
        union: bool = True,
        single: bool = False,
    ) -> None:
        ground = Ground(source)
        mine = [region for region in regions if region.system.on_the_sky or region.tile == tile]
        mine = list(compress(mine, ground.may_touch(mine, shape)))
        rough = [single and region.shape == "polygon" for region in mine]
        rounded = [_rounded(region) if cut else region for region, cut in zip(mine, rough, strict=True)]
        rings: dict[bool, list[Ring]] = {False: [], True: []}
        for number, (region, laid) in enumerate(zip(mine, ground.rings(rounded), strict=True)):
            # Other shapes are rounded up instead of to the nearest pixel: that whose centre lies inside is the first.
            shift = 0.0 if region.shape == "polygon" else 0.5
            rings[region.excluded] += [Ring(_moved(corners, shift, single=rough[number]), number) for corners in laid]
        try:
            self._covered = Drawing(rings[False], shape, union=union)
            self._excluded = Drawing(rings[True], shape)
        except BadSetting as problem:
            path = mine[0].path or "regions"
            raise BadRegions(path, str(problem), remedy="leave out or simplify its largest polygons") from problem

    def part(self, begin: int, end: int) -> NDArray[np.bool_] | None:
        """Return pixels `begin` to `end`, counted row by row; None where nothing is covered."""
        covered = self._covered.part(begin, end)
        excluded = None if self._excluded.empty else self._excluded.part(begin, end)
        return covered if covered is None or excluded is None else covered & ~excluded

    def whole(self) -> NDArray[np.bool_]:
        """Return all pixels."""
        mask = self._covered.whole()
        if not self._excluded.empty:
            mask &= ~self._excluded.whole()
        return mask


def _rounded(region: Region) -> Region:
    corners = np.array(region.points, np.float32).astype(np.float64)
    return replace(region, points=tuple(map(tuple, corners.tolist())))


def _moved(corners: NDArray[np.float64], shift: float, *, single: bool) -> NDArray[np.floating]:
    moved: NDArray[np.floating] = corners + np.array([shift, 0.0])
    return moved.astype(np.float32) if single else moved


def hand_mask(regions: Sequence[Region], shape: tuple[int, int], wcs_or_header: Any, tile: int) -> NDArray[np.bool_]:
    """Pixels of a CCD that a person marked.

    Parameters
    ----------
    regions : of one or more files, as `read_regions` gives them
    shape : (ny, nx)
    wcs_or_header : astropy WCS or Header, card images one behind the other, or None
        Of the CCD; looked at only where a region is on the sky or in physical pixels.
    tile : int
        Number of the CCD's image in its file, from 1. Regions in pixels belong to the ``tile`` that their file names
        (without one, to the first), those on the sky to every CCD they touch.

    Returns
    -------
    mask : (ny, nx) bool, True where a region covers the pixel and no excluded one does

    Raises
    ------
    BadRegions
        Regions are on the sky, and the CCD's header has no usable WCS; names file and line.
    """
    return Masks(regions, shape, wcs_or_header, tile).whole()
