"""All that looks for defects of one CCD, in its order: what is found first is left alone by those behind it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.defects.background import Background
from processing.defects.columns import mark_hot
from processing.defects.cosmics import mark_cosmics
from processing.defects.detector import mark_dead, mark_edges
from processing.defects.image import CcdImage, Flags
from processing.defects.saturation import find_cores, mark_saturated, saturation_level
from processing.defects.stars import StarsOnCcd, mark_stars
from processing.defects.trails import TrailMap, trail_map
from processing.flags import PixelFlag
from processing.recipes import WeightRecipe
from terapix.instruments import BrightStars


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a CCD beside its pixels."""

    place: Area
    """Where its illuminated part lies on the mosaic."""
    mosaic: Area
    """The whole of the mosaic."""
    optics: BrightStars | None = None
    """What the instrument makes of bright stars; None where that is not known, and nothing is marked."""
    hot: NDArray[np.integer] | None = None
    """(ny, nx) 0 where it is hot all over the run; None: no such list."""
    hand: NDArray[np.bool_] | None = None
    """(ny, nx) what people marked; None: nothing."""
    stars: StarsOnCcd | None = None
    """Bright stars on the CCD and beside it, from catalogues; None: its saturated cores tell."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What one CCD adds to the search over the whole mosaic."""

    background: Background
    stars: StarsOnCcd | None
    """Bright stars that were found on it; their light falls on other CCDs too. None where catalogues told of all."""
    trails: TrailMap | None
    """Its light, in bins."""


def search(image: CcdImage, flags: Flags, recipe: WeightRecipe, known: Known) -> Searched:
    """Flag what is wrong with the pixels of one CCD, as far as it shows by itself.

    Parameters
    ----------
    image : CcdImage
        Pixels as read out, in ADU.
    flags : (ny, nx) int16
        What flat, mask and header have told; bits are added in place and none is cleared.
    recipe : WeightRecipe
        Settings of everything that looks, and which of them do.
    known : Known
    """
    if recipe.hand and known.hand is not None:
        flags[known.hand] |= int(PixelFlag.HAND)
    if recipe.hot.on and known.hot is not None:
        mark_hot(flags, known.hot)
    mark_edges(image, flags, recipe.edges)
    background = Background.of(image, flags)
    mark_dead(image, flags, background, recipe.dead)
    mark_saturated(image, flags, background, recipe.saturation)
    mark_cosmics(_alive(image, flags), flags, recipe.cosmics)
    found = _stars(image, background, recipe, known) if known.stars is None else None
    stars = found if known.stars is None else known.stars
    if stars is not None and known.optics is not None:
        mark_stars(image, flags, background, stars, known.optics, recipe.stars)
    return Searched(background, found, trail_map(image, flags, background, recipe.trails))


def _alive(image: CcdImage, flags: Flags) -> CcdImage:
    """The CCD without amplifiers that are dead from end to end, whose sky nobody can measure."""
    rows = slice(image.inside.y0, image.inside.y1)
    alive = tuple(
        each for each in image.amplifiers if not (flags[rows, each.x0 : each.x1] & int(PixelFlag.DEAD) != 0).all()
    )
    return image if len(alive) == len(image.amplifiers) else replace(image, amplifiers=alive)


def _stars(image: CcdImage, background: Background, recipe: WeightRecipe, known: Known) -> StarsOnCcd | None:
    """Bright stars of the CCD, from their saturated cores."""
    if not recipe.stars.on or known.optics is None:
        return None
    cores, *_ = find_cores(image, saturation_level(image, background, recipe.saturation))
    return StarsOnCcd.from_cores(cores, image, known.optics, place=known.place, mosaic=known.mosaic)
