"""What the model of an image says about its PSF: widths, ellipticities, residuals and asymmetry over the field.

The PSF is looked at in a grid of values of its contexts, PSFVAR_NSNAP each, and Moffat profiles are fitted to each of
these images, as the original does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from processing.cards import CardValues
from processing.psf_model import ACROSS, ALONG, Images, PsfModel, Variation
from processing.psfex import moffat
from processing.psfex.moffat import Moffats
from processing.psfex.sample import Floats
from processing.sextractor.world import World, world_of


class Range(NamedTuple):
    """A quantity over the field."""

    least: float
    mean: float
    """As the original tells it: not a mean, but the value at one place; see `Diagnosis.place`."""
    most: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The PSF of one image."""

    snapshots: int
    """Places an axis."""
    contexts: Floats
    """(n, contexts): of all places, the first context running fastest."""
    images: Images = field(repr=False)
    """(n, ny, nx)."""
    plain: Moffats
    """Fits to the images as they are."""
    free: Moffats
    """Fits of profiles that are averaged over a pixel."""
    asymmetry: Floats
    """Mean difference from the image turned by half a turn, relative, weighted by their sum."""
    areas: Floats
    """Noise equivalent areas, image pixels."""
    ranges: Mapping[str, Range]
    """By the original's names, without _Min, _Mean and _Max; sky coordinates are missing where the header has none."""
    shape: tuple[int, int] | None = None
    """(ny, nx) of the image, where its header tells."""

    @property
    def centre(self) -> int:
        """Number of the place in the middle of the field."""
        return len(self.contexts) // 2

    @property
    def place(self) -> int:
        """Number of the place whose values the original calls means: for two contexts it lies at the edge."""
        place = 0
        for _ in range(self.contexts.shape[1]):
            place += place * self.snapshots + (self.snapshots - 1) // 2
        return place


def diagnose(model: PsfModel, cards: str, number: int) -> Diagnosis:
    """Look at a model in a grid of places.

    Parameters
    ----------
    cards : of the image's header
    number : places an axis
    """
    contexts = model.variation.places(number)
    images = model.many(contexts)
    blank = moffat.nothing(len(images))
    plain, free = (blank, blank) if model.empty else moffat.fit(images, model.step, model.fwhm)
    flat = images.reshape(len(images), -1).astype(np.float64)
    total, squares = flat.sum(axis=1), (flat**2).sum(axis=1)
    areas = np.divide(model.step**2 * total**2, squares, out=np.zeros_like(total), where=squares > 0.0)
    turned = flat[:, ::-1]
    means = flat + turned
    norm = (means**2).sum(axis=1)
    differences = 2.0 * (means * np.abs(flat - turned)).sum(axis=1)
    asymmetry = np.divide(differences, norm, out=np.ones_like(norm), where=norm > 0.0)
    told = CardValues(cards)
    sides = [told.number(f"{prefix}NAXIS{axis}") for axis in (2, 1) for prefix in ("Z", "")]
    height, width = sides[0] or sides[1], sides[2] or sides[3]
    shape = (int(height), int(width)) if height and width else None
    made = Diagnosis(number, contexts, images, plain, free, asymmetry, areas, {}, shape)
    ranges = dict(_ranges(made))
    world = world_of(cards)
    if world is not None and world.celestial and shape is not None:
        ranges |= _on_the_sky(made, model.variation, world, shape)
    return Diagnosis(number, contexts, images, plain, free, asymmetry, areas, ranges, shape)


def _ranges(made: Diagnosis) -> Mapping[str, Range]:
    found: dict[str, Floats] = {}
    for suffix, fits in (("", made.plain), ("_PixelFree", made.free)):
        first, second = fits.components
        found |= {
            f"FWHM{suffix}": fits.fwhm, f"Ellipticity{suffix}": fits.ellipticity, f"Ellipticity1{suffix}": first,
            f"Ellipticity2{suffix}": second, f"MoffatBeta{suffix}": fits.beta, f"Residuals{suffix}": fits.residuals,
        }  # fmt: skip
    found |= {"Asymmetry": made.asymmetry, "Area_Noise": made.areas}
    return {
        name: Range(float(values.min()), float(values[made.place]), float(values.max()))
        for name, values in found.items()
    }


def _on_the_sky(made: Diagnosis, variation: Variation, world: World, shape: tuple[int, int]) -> Mapping[str, Range]:
    """Return scales of pixels and widths in arcseconds over the image; these means are means."""
    number = max(made.snapshots, 2)
    height, width = shape
    x, y = (0.5 + side // (number - 1) * np.arange(number) for side in (width, height))
    columns, rows = (grid.ravel().astype(np.float64) for grid in np.meshgrid(x, y))
    xx, xy, yx, yy = world.derivatives(columns, rows)
    scales = 3600.0 * np.sqrt(np.abs(xx * yy - xy * yx)).reshape(number, number)
    found = {"PixelScale_WCS": scales}
    for suffix, fits in (("", made.plain), ("_PixelFree", made.free)):
        sizes = np.sqrt(fits.fwhm_min * fits.fwhm_max)
        found[f"FWHM{suffix}_WCS"] = scales * across_and_along(sizes, made.snapshots, variation)
    return {name: Range(float(all_.min()), float(all_.mean()), float(all_.max())) for name, all_ in found.items()}


def across_and_along(values: Floats, number: int, variation: Variation) -> Floats:
    """Return means over all contexts but the place on the image, (y, x); an axis that is no context has one element."""
    count = len(variation.names)
    grid = values.reshape((number,) * count)
    axes = [next((k for k, name in enumerate(variation.names) if name in kinds), None) for kinds in (ALONG, ACROSS)]
    kept = [count - 1 - axis if axis is not None else None for axis in axes]
    mean = grid.mean(axis=tuple(axis for axis in range(count) if axis not in kept))
    if kept[0] is not None and kept[1] is not None:
        placed: Floats = mean if kept[0] < kept[1] else mean.T
    else:
        placed = np.reshape(mean, (-1, 1) if kept[0] is not None else (1, -1))
    return placed
