"""Closed rings of a region's edge, in pixels of a CCD."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CardValues
from processing.errors import BadRegions
from processing.regions.shapes import Length, Region, System, Unit
from processing.regions.sky import Floats, Sky, away, directions, separations

SAGITTA = 0.001
"""Pixels by which a chord may miss the curve it stands for."""
_MOST_CORNERS = 1 << 15


class Ground:
    """What regions are laid on: the pixels of one CCD, and the sky behind them.

    Parameters
    ----------
    source : astropy WCS or Header, card images one behind the other, or None
        Without it, regions have to be in image coordinates.
    """

    def __init__(self, source: Any) -> None:
        self.sky = Sky(source)
        number = _numbers_of(source)
        turn = [number(f"LTM{i}_{j}") for i in (1, 2) for j in (1, 2)]
        same = [1.0, 0.0, 0.0, 1.0]
        known = [default if value is None else value for value, default in zip(turn, same, strict=True)]
        self.matrix = np.array(known).reshape(2, 2)
        """From physical pixels to those of the image (LTM)."""
        self.shift = np.array([number(f"LTV{i}") or 0.0 for i in (1, 2)])
        """LTV."""

    def rings(self, regions: Sequence[Region]) -> list[list[Floats]]:
        """Return for each region its rings of (n, 2) positions in pixels from 0; none where the projection ends.

        A pixel lies in the region where an odd number of rings surround it.

        Raises
        ------
        BadRegions
            A region needs a WCS and there is none.
        """
        edges = [self._edges(region) for region in regions]
        found: list[list[Floats]] = [[] for _ in regions]
        # All of a system at once: astropy takes milliseconds for each call.
        for system in System:
            places = [
                (number, ring)
                for number, (region, rings) in enumerate(zip(regions, edges, strict=True))
                if region.system is system
                for ring in rings
            ]
            if places:
                pixels = self._to_pixels(np.concatenate([ring for _, ring in places]), system)
                ends = np.cumsum([len(ring) for _, ring in places])
                for (number, _), corners in zip(places, np.split(pixels, ends[:-1]), strict=True):
                    found[number].append(corners)
        return [rings if all(np.isfinite(ring).all() for ring in rings) else [] for rings in found]

    def may_touch(self, regions: Sequence[Region], shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Tell which regions may touch an image of `shape`; those far away on the sky do not, and cost little.

        A mosaic's regions are in one file, and each CCD has to pass over those of all others.
        """
        touching = np.ones(len(regions), np.bool_)
        for system in System:
            members = [k for k, region in enumerate(regions) if region.system is system] if system.on_the_sky else []
            if not members:
                continue
            self._demand_sky(regions[members[0]])
            ny, nx = shape
            frame = directions(
                self.sky.positions(np.array([[nx / 2, ny / 2], [0, 0], [nx, 0], [0, ny], [nx, ny]]), system)
            )
            if not np.isfinite(frame).all():
                continue
            # Half as much again, for what distortion does between the corners.
            radius = 1.5 * separations(frame, frame[:1]).max()
            counts = np.array([len(regions[k].points) for k in members])
            starts = np.cumsum(counts) - counts
            points = directions(np.array([point for k in members for point in regions[k].points]))
            away_from = np.minimum.reduceat(separations(points, frame[:1]), starts)
            spread = np.maximum.reduceat(separations(points, np.repeat(points[starts], counts, axis=0)), starts)
            reach = [
                sum(self._convert(length, system) for pair in regions[k].lengths for length in pair) for k in members
            ]
            touching[members] = away_from <= radius + spread + np.radians(reach)
        return touching

    def _edges(self, region: Region) -> list[Floats]:
        """A region's rings in its own system."""
        lengths = [length for pair in region.lengths for length in pair]
        if region.system.on_the_sky or any(length.unit is Unit.DEGREE for length in lengths):
            self._demand_sky(region)
        if region.shape == "polygon":
            return [np.array(region.points)]
        return [self._curve(region, *pair) for pair in region.lengths]

    def _demand_sky(self, region: Region) -> None:
        if self.sky.wcs is None:
            found = f"line {region.line}: {region.shape} in {region.system}, but the image's header has no usable WCS"
            raise BadRegions(region.path or "regions", found, remedy="save the regions in image coordinates")

    def _to_pixels(self, points: Floats, system: System) -> Floats:
        if system.on_the_sky:
            return self.sky.pixels(points, system)
        if system is System.PHYSICAL:
            points = points @ self.matrix.T + self.shift
        return points - 1.0

    def _curve(self, region: Region, first: Length, second: Length) -> Floats:
        """One ring round the region's centre with the given half-axes."""
        half_x, half_y = (self._convert(length, region.system) for length in (first, second))
        box = region.shape == "box"
        if box:
            u, v = half_x * np.array([-1.0, 1, 1, -1]), half_y * np.array([-1.0, -1, 1, 1])
        else:
            largest = max(half_x, half_y) / (self.sky.scale if region.system.on_the_sky else 1.0)
            corners = min(max(16, math.ceil(math.pi * math.sqrt(largest / (2 * SAGITTA)))), _MOST_CORNERS)
            turn = np.arange(corners) * (2 * math.pi / corners)
            u, v = half_x * np.cos(turn), half_y * np.sin(turn)
        cosine, sine = math.cos(math.radians(region.angle)), math.sin(math.radians(region.angle))
        u, v = u * cosine - v * sine, u * sine + v * cosine
        if region.system.on_the_sky:
            return away(region.points[0], u, v)
        curve: Floats = np.stack([u, v], axis=1) + region.points[0]
        return curve

    def _convert(self, length: Length, system: System) -> float:
        """A length in the unit of positions in `system`: degrees, or pixels of that kind."""
        pixel = math.sqrt(abs(float(np.linalg.det(self.matrix)))) or 1.0
        in_image = {Unit.IMAGE: 1.0, Unit.PHYSICAL: pixel}
        if system.on_the_sky:
            return length.value if length.unit is Unit.DEGREE else length.value * in_image[length.unit] * self.sky.scale
        image = length.value / self.sky.scale if length.unit is Unit.DEGREE else length.value * in_image[length.unit]
        return image / pixel if system is System.PHYSICAL else image


def _numbers_of(source: Any) -> Callable[[str], float | None]:
    """What gives the number of a keyword; None where there is none."""
    if isinstance(source, str):
        return CardValues(source).number
    get = getattr(source, "get", None)

    def number(keyword: str) -> float | None:
        value = get(keyword) if get is not None else None
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    return number
