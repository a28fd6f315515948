"""What all frames of a run share: the maps of a CCD from its flat and its mask, in Rice code.

The weight map of a frame differs from that of the next one only in rows with
defects of its own. So the maps before any defect is looked for are made once for a
flat, a mask and a recipe, kept in their compressed form, and copied row by row from then on.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.errors import NotStorable
from processing.kernels import weigh
from processing.reading import Extension, read_pixels, step_of
from processing.recipes import WeightRecipe
from processing.tiles import rice_floats, rice_integers


@dataclass(frozen=True, slots=True)
class Calibration:
    """One CCD of a flat or of a mask."""

    path: Path
    extension: Extension

    def pixels(self) -> NDArray[Any]:
        return read_pixels(self.path, self.extension)

    def step(self) -> float | None:
        """Step of which all pixels are whole numbers; None where they are not."""
        return step_of(self.path, self.extension)


@dataclass(frozen=True, slots=True)
class BaseMaps:
    """Maps of one CCD before any defect is looked for, compressed."""

    weight: NDArray[np.uint8]
    """Rice code of weights in whole numbers of `step`, row behind row."""
    weight_ends: NDArray[np.int64]
    flags: NDArray[np.uint8]
    """Rice code of the flags as integers of 16 bits."""
    flag_ends: NDArray[np.int64]
    weight_bins: NDArray[np.int64]
    """(rows, columns) sums of stored weights in the squares of the picture."""
    weighty: NDArray[np.int64]
    """Pixels with weight: one number."""
    step: NDArray[np.float64]
    """Weight of one stored unit: one number."""

    @property
    def check(self) -> NDArray[np.uint64]:
        """Sums of the arrays' 64-bit words, which tell blocks that a power cut has kept from the disk."""
        arrays = (getattr(self, each.name).reshape(-1).view(np.uint8) for each in fields(self))
        return np.array([array[: array.size // 8 * 8].view(np.uint64).sum() for array in arrays], np.uint64)

    def keep(self, path: Path, work: Path) -> None:
        """Put the maps into a file, there complete or not at all; `work` is a directory beside it.

        It is not forced to the disk, since it can be made again and `check` tells whether it is whole.
        """
        partial = work / f"{path.name}.part"
        try:
            with partial.open("wb") as stream:
                for each in fields(self):
                    np.save(stream, getattr(self, each.name))
                np.save(stream, self.check)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def kept(cls, path: Path) -> Self | None:
        """Read what `keep` wrote; None where there is nothing or where it is damaged."""
        try:
            with path.open("rb") as stream:
                maps = cls(*(np.load(stream, allow_pickle=False) for _ in fields(cls)))
                check = np.load(stream, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        whole = maps.weight_ends[-1] == maps.weight.size and maps.flag_ends[-1] == maps.flags.size
        return maps if whole and np.array_equal(check, maps.check) else None


def weight_map(
    flat: NDArray[Any] | None, *, mask: NDArray[Any] | None, inside: Area, low: float, high: float
) -> tuple[NDArray[np.float32], NDArray[np.int16]]:
    """Weight and flag of each pixel of a CCD, before any defect of the frame.

    Parameters
    ----------
    flat : (ny, nx) of floats, dimensionless, about 1
        Response. Where it is NaN the pixel is bad; None: 1 everywhere.
    mask : (ny, nx) of integers
        0 where the detector is bad, as in Elixir's masks; None: good everywhere.
    inside : Area
        Illuminated part (DATASEC); the rest is overscan.
    low, high : float
        Responses outside ``low <= response <= high``, compared as float32, give no information.

    Returns
    -------
    weight : (ny, nx) float32, dimensionless; the response, or 0 where any flag is set
    flags : (ny, nx) int16, bits of `PixelFlag`: BAD, OVERSCAN, LOW_RESPONSE, HIGH_RESPONSE

    Raises
    ------
    ValueError
        If the shapes differ, or `inside` is not within them.

    Notes
    -----
    Same rule as WeightWatcher 1.12 with the flat and the mask as its weight maps, bit for bit, save that there NaN
    passes (tests/reference/test_weightwatcher.py).
    """
    given = [image for image in (flat, mask) if image is not None]
    if not given:
        raise ValueError("a weight map needs a flat or a mask")
    shape = given[0].shape
    if any(image.shape != shape for image in given) or not inside.within(shape):
        raise ValueError(f"shapes {[image.shape for image in given]} and {inside} do not fit together")
    response = np.ones(shape, np.float32) if flat is None else np.ascontiguousarray(flat, np.float32)
    good = np.ones(shape, np.bool_) if mask is None else np.not_equal(mask, 0)
    weight = np.empty(shape, np.float32)
    flags = np.empty(shape, np.int16)
    weigh.weigh(response, good, corners(inside), np.array([low, high], np.float32), weight, flags)
    return weight, flags


def corners(inside: Area) -> NDArray[np.int64]:
    """x0, x1, y0, y1, as kernels take them."""
    return np.array([inside.x0, inside.x1, inside.y0, inside.y1], np.int64)


def bin_shape(inside: Area, side: int) -> tuple[int, int]:
    """Rows and columns of squares of `side` pixels that cover the area."""
    return -(-inside.height // side), -(-inside.width // side)


def make_base(
    flat: Calibration | None,
    mask: Calibration | None,
    *,
    shape: tuple[int, int],
    inside: Area,
    side: int,
    recipe: WeightRecipe,
) -> BaseMaps:
    """Make the maps of a CCD of `shape` from its flat and its mask; `side` is the picture's square, in pixels.

    Both have that shape. Weights are whole numbers of the recipe's step, or of the flat's own where that is coarser:
    they are then the flat's to the bit, and a finer step would only cost room. Raises DamagedPixels where their pixels
    cannot be decoded.
    """
    response = flat.pixels() if flat else None
    good = mask.pixels() if mask else None
    if response is None and good is None:
        good = np.ones(shape, np.bool_)
    weight, flags = weight_map(response, mask=good, inside=inside, low=recipe.response_min, high=recipe.response_max)
    del response, good
    step = max(recipe.weight_step, (flat.step() if flat else None) or 0.0)
    weight_tiles, flag_tiles = rice_floats(weight, step), rice_integers(flags)
    if weight_tiles.nulls:
        raise NotStorable("a weight that is no number")
    weight_bins = np.zeros(bin_shape(inside, side), np.int64)
    weighty = weigh.bin_weights(weight, 1 / step, corners(inside), side, weight_bins)
    return BaseMaps(
        weight_tiles.code,
        weight_tiles.ends,
        flag_tiles.code,
        flag_tiles.ends,
        weight_bins,
        np.array([weighty]),
        np.array([step]),
    )
