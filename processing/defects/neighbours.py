"""Light of bright stars that falls on other CCDs than their own: haloes, spikes and ghosts end at no edge."""

from collections.abc import Sequence

import numpy as np

from processing.areas import Area
from processing.defects.stars import Floats, StarsOnCcd, axis_on


def stars_beside(
    stars: Sequence[StarsOnCcd | None], insides: Sequence[Area], places: Sequence[Area], mosaic: Area
) -> list[StarsOnCcd]:
    """Give, for each CCD, the stars of all the others in its own pixels.

    Parameters
    ----------
    stars : of each CCD, those that were found on it
    insides : illuminated parts of the CCDs as read out
    places : where those lie on the mosaic
    mosaic : the whole of it

    Returns
    -------
    beside : stars of other CCDs; their x and y lie outside the CCD
    """
    found = []
    for ccd, (inside, place) in enumerate(zip(insides, places, strict=True)):
        xs, ys, lights = [np.empty(0)], [np.empty(0)], [np.empty(0)]
        for other, own in enumerate(stars):
            if other == ccd or own is None:
                continue
            east = _turned(own.x - insides[other].x0, places[other].width, turned=places[other].flipped_x)
            north = _turned(own.y - insides[other].y0, places[other].height, turned=places[other].flipped_y)
            east, north = east + places[other].x0 - place.x0, north + places[other].y0 - place.y0
            xs.append(inside.x0 + _turned(east, place.width, turned=place.flipped_x))
            ys.append(inside.y0 + _turned(north, place.height, turned=place.flipped_y))
            lights.append(own.light)
        axis, turned = axis_on(inside, place, mosaic)
        found.append(StarsOnCcd(np.concatenate(xs), np.concatenate(ys), np.concatenate(lights), axis, turned))
    return found


def _turned(pixel: Floats, length: int, *, turned: bool) -> Floats:
    """Pixel of a row of `length`, counted from its other end where it lies turned."""
    return length - 1 - pixel if turned else pixel
