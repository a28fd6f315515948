"""Positions on the sky and in a CCD, by astropy: any projection, TPV in disguise and other distortions included."""

import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import descriptive
from processing.regions.shapes import System

if TYPE_CHECKING:
    from astropy.wcs import WCS

Floats = NDArray[np.float64]
_FRAMES = {
    System.FK4: "fk4", System.FK5: "fk5", System.ICRS: "icrs", System.GALACTIC: "galactic",
    System.ECLIPTIC: "barycentrictrueecliptic",
}  # fmt: skip


class Sky:
    """What lies where in one CCD.

    Parameters
    ----------
    source : astropy WCS or Header, or card images, one behind the other; those of compressed images too
    """

    def __init__(self, source: Any) -> None:
        self._source = source

    @cached_property
    def wcs(self) -> "WCS | None":
        """The CCD's celestial WCS; None where its header tells none, or one that makes no sense."""
        from astropy.io.fits import Header  # noqa: PLC0415  slow to import, and most regions need none
        from astropy.wcs import WCS  # noqa: PLC0415

        if isinstance(self._source, WCS):
            return self._source.celestial if self._source.has_celestial else None
        if self._source is None:
            return None
        header = self._source
        if isinstance(header, str):
            header = Header.fromstring(descriptive(header))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = WCS(header)
                found.wcs.set()
                turn = np.linalg.det(found.celestial.pixel_scale_matrix) if found.has_celestial else 0.0
            except (ValueError, KeyError, TypeError, ArithmeticError):
                return None
        return found.celestial if np.isfinite(turn) and turn != 0 else None

    @cached_property
    def _frame(self) -> Any:
        from astropy.wcs.utils import wcs_to_celestial_frame  # noqa: PLC0415

        return wcs_to_celestial_frame(self.wcs)

    def pixels(self, points: Floats, system: System) -> Floats:
        """Return pixels from 0 of (n, 2) degrees; NaN where the projection does not reach."""
        from astropy.coordinates import SkyCoord  # noqa: PLC0415  slow to import

        assert self.wcs is not None
        name = _FRAMES[system]
        if not (self._frame.name == name and (name != "fk5" or self._frame.equinox.jyear == 2000.0)):
            there = SkyCoord(points[:, 0], points[:, 1], unit="deg", frame=name).transform_to(
                self._frame, merge_attributes=False
            )
            points = np.stack([there.spherical.lon.deg, there.spherical.lat.deg], axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(self.wcs.all_world2pix(points, 0, quiet=True), np.float64)

    def positions(self, pixels: Floats, system: System = System.ICRS) -> Floats:
        """Return (n, 2) degrees of pixels from 0; NaN where the projection does not reach."""
        from astropy.coordinates import SkyCoord  # noqa: PLC0415  slow to import

        assert self.wcs is not None
        points = np.asarray(self.wcs.all_pix2world(pixels, 0), np.float64)
        name = _FRAMES[system]
        if self._frame.name == name and (name != "fk5" or self._frame.equinox.jyear == 2000.0):
            return points
        there = SkyCoord(points[:, 0], points[:, 1], unit="deg", frame=self._frame).transform_to(
            name, merge_attributes=False
        )
        return np.stack([there.spherical.lon.deg, there.spherical.lat.deg], axis=1)

    @cached_property
    def scale(self) -> float:
        """Degrees a pixel, at the reference point."""
        assert self.wcs is not None
        return float(np.sqrt(abs(np.linalg.det(self.wcs.pixel_scale_matrix))))


def away(centre: tuple[float, float], west: Floats, north: Floats) -> Floats:
    """Return (n, 2) degrees of points that lie `west` and `north` of `centre`, all in degrees, along great circles."""
    longitude, latitude = np.radians(centre)
    distance, bearing = np.radians(np.hypot(west, north)), np.arctan2(-west, north)
    sine = np.sin(latitude) * np.cos(distance) + np.cos(latitude) * np.sin(distance) * np.cos(bearing)
    there = np.arcsin(np.clip(sine, -1, 1))
    turned = np.arctan2(
        np.sin(bearing) * np.sin(distance) * np.cos(latitude), np.cos(distance) - np.sin(latitude) * sine
    )
    points: Floats = np.degrees(np.stack([longitude + turned, there], axis=1))
    return points


def directions(points: Floats) -> Floats:
    """Return (n, 3) unit vectors of (n, 2) degrees."""
    longitude, latitude = np.radians(points).T
    across = np.cos(latitude)
    vectors: Floats = np.stack([across * np.cos(longitude), across * np.sin(longitude), np.sin(latitude)], axis=1)
    return vectors


def separations(first: Floats, second: Floats) -> Floats:
    """Return angles between unit vectors, radians."""
    angles: Floats = 2 * np.arcsin(np.minimum(0.5 * np.sqrt(((first - second) ** 2).sum(axis=1)), 1.0))
    return angles
