"""Where pixels of all images of a catalogue lie beside each other: on the sky, or in rows where headers tell none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from processing.psfex.field import Field
from processing.psfex.sample import Floats, extent_of
from processing.psfex.settings import Settings
from processing.sextractor.world import World, world_of
from processing.tangent_plane import to_plane

_GAP = 1.06
"""Distance of images that stand in rows, over their size."""


@dataclass(frozen=True, slots=True)
class FocalPlane:
    """Images of one catalogue in a common plane: arcminutes to the east and north, or pixels."""

    shapes: Sequence[tuple[float, float]]
    """(ny, nx) of each."""
    worlds: Sequence[World]
    """Of each; none where they stand in rows."""
    centre: tuple[float, float] = (0.0, 0.0)
    """Longitude and latitude of the point of touch, degrees."""

    @property
    def on_the_sky(self) -> bool:
        return bool(self.worlds)

    def plane(self, image: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return places in the plane of pixels of an image, the first pixel being 1."""
        if self.worlds:
            east, north = to_plane(*self.centre, *self.worlds[image].sky(x, y))
            return 60.0 * east, 60.0 * north
        columns = _columns(self.shapes)
        height, width = (max(shape[axis] for shape in self.shapes) * _GAP for axis in (0, 1))
        rows = (len(self.shapes) - 1) // columns
        return x + image % columns * width, y + (rows - image // columns) * height

    def outline(self, image: int) -> tuple[Floats, Floats]:
        """Return the corners of an image in the plane."""
        height, width = self.shapes[image]
        return self.plane(
            image, np.array([0.5, width + 0.5, width + 0.5, 0.5]), np.array([0.5, 0.5, height + 0.5, height + 0.5])
        )


def _columns(shapes: Sequence[tuple[float, float]]) -> int:
    """Return how many images stand in a row, so that all together are about square."""
    height, width = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    return min(max(1, round(float(np.sqrt(len(shapes) * height / width)))), len(shapes))


def focal_plane(field: Field, settings: Settings) -> FocalPlane:
    """Put the images of a catalogue in their places."""
    shapes = []
    for catalogue, seen in zip(field.catalogues, field.seen, strict=True):
        if seen.shape:
            shapes.append((float(seen.shape[0]), float(seen.shape[1])))
            continue
        height, width = extent_of(field.path, catalogue, settings)
        shapes.append((float(height), float(width)))
    worlds = [world for each in field.catalogues if (world := world_of(each.cards)) is not None and world.celestial]
    if len(worlds) < len(shapes):
        return FocalPlane(shapes, ())
    middles = [
        world.sky(np.array([(width + 1) / 2.0]), np.array([(height + 1) / 2.0]))
        for world, (height, width) in zip(worlds, shapes, strict=True)
    ]
    longitude, latitude = (np.radians(np.concatenate(each)) for each in zip(*middles, strict=True))
    x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    alpha, delta = np.arctan2(y.mean(), x.mean()), np.arctan2(z.mean(), np.hypot(x.mean(), y.mean()))
    centre = float(np.degrees(alpha)) % 360.0, float(np.degrees(delta))
    plane = FocalPlane(shapes, worlds, centre)
    corners = [plane.outline(image) for image in range(len(shapes))]
    # images of different fields, or a header that tells nonsense: rows show more
    reach = max(float(np.abs(each).max()) for pair in corners for each in pair)
    return plane if np.isfinite(reach) and reach < 600.0 else FocalPlane(shapes, ())
