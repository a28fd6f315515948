"""One CCD of a frame, from its pixels to the extensions of its weight and flag map."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.cards import Entry
from processing.errors import DamagedPixels
from processing.flags import ALL_FLAGS, PixelFlag
from processing.kernels import picture, rice, weigh
from processing.mosaic import compressed_bytes
from processing.reading import Extension, read_stored
from processing.recipes import WeightRecipe
from processing.tiles import Tiles
from processing.weightwatcher.base import BaseMaps, Calibration, bin_shape, corners, make_base


@dataclass(frozen=True, slots=True)
class CcdWork:
    """All that a worker needs to know about one CCD."""

    frame: Path
    extension: Extension
    flat: Calibration | None
    mask: Calibration | None
    inside: Area
    """Illuminated part."""
    level: float
    """Value, as stored in the file, from which a pixel is saturated; infinite where the header tells none."""
    side: int
    """Pixels of the squares that are binned for the pictures."""
    recipe: WeightRecipe
    base: Path
    """Where the maps before saturation are kept."""
    workplace: Path
    """Directory of the job."""
    notes: tuple[Entry, ...]
    """Cards to add to the products' headers."""

    def __str__(self) -> str:
        return f"{self.frame}[{self.extension.hdu}]"


@dataclass(frozen=True, slots=True)
class CcdMaps:
    """What a worker found on one CCD, beside the extensions it made."""

    frame_bins: NDArray[np.float64]
    """Mean pixel in each square of the picture, as stored."""
    weight_bins: NDArray[np.float64]
    """Mean weight in each square."""
    flag_bins: NDArray[np.int64]
    """(bits, rows, columns) pixels of each bit in each square."""
    pixels: int
    """Pixels of the illuminated part."""
    area: float
    """Share of all pixels that have weight (EFF_AREA)."""
    cached: bool
    """Whether the maps before saturation were there already."""


def weigh_ccd(work: CcdWork) -> tuple[bytes, bytes, CcdMaps]:
    """Return the extensions of weight and flag map of one CCD, and what was found.

    Raises
    ------
    ShapeMismatch, DamagedPixels, Truncated, BadHeader
        Naming the file and the HDU.
    """
    extension, inside, recipe = work.extension, work.inside, work.recipe
    pixels = read_stored(work.frame, extension)
    shape = (pixels.shape[0], pixels.shape[1])
    maps = BaseMaps.kept(work.base)
    cached = maps is not None and maps.weight_ends.size == shape[0]
    if maps is None or not cached:
        maps = make_base(work.flat, work.mask, shape=shape, inside=inside, side=work.side, recipe=recipe)
        with contextlib.suppress(FileNotFoundError):  # another job has just cleared old maps away
            maps.keep(work.base, work.workplace)
    marked = np.empty(shape[0], np.bool_)
    if weigh.rows_at(pixels, work.level, marked):
        maps = _saturated(pixels, marked, maps, work)
    bins = bin_shape(inside, work.side)
    sums = np.zeros(bins, np.float64 if pixels.dtype.kind == "f" else np.int64)
    picture.bin_sums(pixels, corners(inside), work.side, sums)
    squares = _square_sizes(inside, work.side)
    area, clear = (maps.counts / pixels.size).tolist()
    weight = Tiles(maps.weight, maps.weight_ends, "RICE_1", _parameters(4), recipe.weight_step)
    flag = Tiles(maps.flags, maps.flag_ends, "RICE_1", _parameters(1))
    weight_extension = compressed_bytes(
        weight, shape, -32, extension.cards, name=extension.name, notes=[
            *work.notes,
            ("PRODTYPE", "WEIGHT", "response; 0 where there is no information"),
            ("EFF_AREA", area, "share of pixels that have weight"),
            ("WEIGAREA", 0.0, "weight above which a pixel counts"),
        ]
    )  # fmt: skip
    flag_extension = compressed_bytes(
        flag, shape, 8, extension.cards, name=extension.name, notes=[
            *work.notes,
            ("PRODTYPE", "FLAG", "bits say why a pixel is not good"),
            *((f"FLAG{bit.bit_length() - 1}", bit.name, f"meaning of {bit.value}") for bit in PixelFlag),
            ("EFF_AREA", clear, "share of pixels that have no flag"),
            ("FLAGAREA", ALL_FLAGS, "flags with which a pixel does not count"),
        ]
    )  # fmt: skip
    found = CcdMaps(
        frame_bins=np.asarray(sums / squares, np.float64),
        weight_bins=maps.weight_bins * recipe.weight_step / squares,
        flag_bins=maps.flag_bins,
        pixels=inside.width * inside.height,
        area=area,
        cached=cached,
    )
    return weight_extension, flag_extension, found


def _parameters(bytes_a_pixel: int) -> tuple[tuple[str, int], ...]:
    return ("BLOCKSIZE", rice.BLOCK), ("BYTEPIX", bytes_a_pixel)


def _saturated(pixels: NDArray[Any], marked: NDArray[np.bool_], maps: BaseMaps, work: CcdWork) -> BaseMaps:
    rows, width = pixels.shape
    changed = int(marked.sum())
    weight = np.empty(maps.weight.size + changed * rice.longest_row(width, 32), np.uint8)
    flags = np.empty(maps.flags.size + changed * rice.longest_row(width, 8), np.uint8)
    weight_ends, flag_ends = np.empty(rows, np.int64), np.empty(rows, np.int64)
    weight_bins, flag_bins, counts = maps.weight_bins.copy(), maps.flag_bins.copy(), maps.counts.copy()
    bad = weigh.saturate(
        pixels, work.level, marked, corners(work.inside), work.side, rice.leading_zeros(),
        (maps.weight, maps.weight_ends, weight, weight_ends), (maps.flags, maps.flag_ends, flags, flag_ends),
        weight_bins, flag_bins, counts,
    )  # fmt: skip
    if bad >= 0:
        work.base.unlink(missing_ok=True)
        raise DamagedPixels(work.base, f"row {bad + 1} cannot be decoded", remedy="it was removed: run the job again")
    weight, flags = weight[: weight_ends[-1]], flags[: flag_ends[-1]]
    return BaseMaps(weight, weight_ends, flags, flag_ends, weight_bins, flag_bins, counts)


def _square_sizes(inside: Area, side: int) -> NDArray[np.int64]:
    """Pixels in each square of the picture; those of the last row and column may be fewer."""
    rows, columns = bin_shape(inside, side)
    heights = np.minimum(side, inside.height - side * np.arange(rows))
    widths = np.minimum(side, inside.width - side * np.arange(columns))
    return np.outer(heights, widths)
