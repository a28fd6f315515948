"""All that looks for defects of one CCD, in its order: what is found first is left alone by those behind it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.defects.image import CcdImage, Flags
from processing.flags import PixelFlag
from processing.recipes import WeightRecipe


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a CCD beside its pixels."""

    hand: NDArray[np.bool_] | None = None
    """(ny, nx) what people marked; None: nothing."""


def search(image: CcdImage, flags: Flags, recipe: WeightRecipe, known: Known) -> None:
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
    flags[~(image.pixels < image.saturation * recipe.saturation)] |= int(PixelFlag.SATURATED)
    if recipe.hand and known.hand is not None:
        flags[known.hand] |= int(PixelFlag.HAND)
