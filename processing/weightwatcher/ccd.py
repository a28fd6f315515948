"""One CCD of a frame, from its pixels to the extensions of its weight and flag map.

It takes two steps, each in a worker. The first looks at the pixels and finds all
defects that one CCD shows by itself; the second knows what the whole mosaic
showed, nulls weights and codes both maps. Between them only the flags are kept,
in Rice code.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.areas import Area
from processing.cards import Entry
from processing.defects.columns import read_hot
from processing.defects.image import CcdImage
from processing.defects.search import Known, Searched, search
from processing.defects.stars import StarsOnCcd, mark_stars
from processing.defects.trails import Stretch, mark_trail
from processing.errors import DamagedPixels
from processing.flags import ALL_FLAGS, BITS, PixelFlag
from processing.kernels import picture, rice, weigh
from processing.mosaic import compressed_bytes
from processing.reading import Extension, read_stored
from processing.recipes import WeightRecipe
from processing.regions import Region, hand_mask
from processing.tiles import Tiles, line_lists, rice_integers
from processing.weightwatcher.base import BaseMaps, Calibration, bin_shape, corners, make_base
from processing.weightwatcher.detectors import Detector
from processing.weightwatcher.outlines import CcdOutlines, outlines_of


@dataclass(frozen=True, slots=True)
class CcdWork:
    """All that a worker needs to know about one CCD."""

    frame: Path
    extension: Extension
    flat: Calibration | None
    mask: Calibration | None
    inside: Area
    """Illuminated part."""
    detector: Detector
    """What the headers tell about it."""
    side: int
    """Pixels of the squares that are binned for the pictures."""
    recipe: WeightRecipe
    base: Path
    """Where the maps before any defect are kept."""
    workplace: Path
    """Directory of the job."""
    place: Area
    """Where the illuminated part lies on the mosaic."""
    mosaic: Area
    """The whole of the mosaic."""
    hot: Path | None
    """What is hot all over the run, by EXTNAME."""
    regions: tuple[Region, ...]
    """What people marked on the frame."""
    number: int
    """Of the CCD's image in the frame, from 1: regions in pixels name it as their tile."""
    notes: tuple[Entry, ...]
    """Cards to add to the products' headers."""
    stars: StarsOnCcd | None
    """Bright stars of catalogues; None: saturated cores tell."""

    def __str__(self) -> str:
        return f"{self.frame}[{self.extension.hdu}]"


@dataclass(frozen=True, slots=True)
class CcdFound:
    """What the first step found."""

    flags: NDArray[np.uint8]
    """Rice code of the flags as integers of 16 bits."""
    flag_ends: NDArray[np.int64]
    searched: Searched
    """What it adds to the search over the whole mosaic."""
    frame_bins: NDArray[np.float64]
    """Mean pixel in each square of the picture, as stored."""
    cached: bool
    """Whether the maps before any defect were there already."""


@dataclass(frozen=True, slots=True)
class CcdCoding:
    """What the second step works on."""

    work: CcdWork
    found: CcdFound
    stretches: tuple[Stretch, ...]
    """Trails that cross it."""
    stars: StarsOnCcd
    """Bright stars beside it."""

    def __str__(self) -> str:
        return str(self.work)


@dataclass(frozen=True, slots=True)
class CcdMaps:
    """What became of one CCD, beside the extensions that were made."""

    weight_bins: NDArray[np.float64]
    """Mean weight in each square."""
    flag_bins: NDArray[np.int64]
    """(bits, rows, columns) pixels of each bit in each square."""
    pixels: int
    """Pixels of the illuminated part."""
    area: float
    """Share of all pixels that have weight (EFF_AREA)."""
    outlines: CcdOutlines


def search_ccd(work: CcdWork) -> CcdFound:
    """Look at the pixels of one CCD and flag what is wrong with them.

    Raises
    ------
    ShapeMismatch, DamagedPixels, Truncated, BadHeader
        Naming the file and the HDU.
    """
    extension, inside = work.extension, work.inside
    stored = read_stored(work.frame, extension)
    shape = (stored.shape[0], stored.shape[1])
    maps, cached = _base(work, shape)
    flags = _flags_of(maps.flags, maps.flag_ends, shape, work)
    sums = np.zeros(bin_shape(inside, work.side), np.float64 if stored.dtype.kind == "f" else np.int64)
    picture.bin_sums(stored, corners(inside), work.side, sums)
    pixels = stored.astype(np.float32)
    del stored
    if (extension.bscale, extension.bzero) != (1.0, 0.0):
        pixels *= np.float32(extension.bscale)
        pixels += np.float32(extension.bzero)
    sensed = work.detector
    level = sensed.saturation * work.recipe.saturated_share
    image = CcdImage(pixels, inside, sensed.amplifiers, level, sensed.pixel_scale, str(work))
    hot = read_hot(work.hot, extension.name, shape) if work.hot else None
    hand = hand_mask(work.regions, shape, extension.cards, work.number) if work.regions else None
    searched = search(image, flags, work.recipe, Known(work.place, work.mosaic, sensed.optics, hot, hand, work.stars))
    coded = rice_integers(flags)
    bins = np.asarray(sums / _square_sizes(inside, work.side))
    return CcdFound(coded.code.copy(), coded.ends, searched, bins, cached)


def weigh_ccd(coding: CcdCoding) -> tuple[bytes, bytes, CcdMaps]:
    """Return the extensions of weight and flag map of one CCD, and what became of it."""
    work, extension, inside, recipe = coding.work, coding.work.extension, coding.work.inside, coding.work.recipe
    shape = (extension.shape[0], extension.shape[1])
    maps, _ = _base(work, shape)
    flags = _flags_of(coding.found.flags, coding.found.flag_ends, shape, work)
    _mark_from_beside(coding, flags)
    flag_bins = np.zeros((BITS, *bin_shape(inside, work.side)), np.int64)
    clear = weigh.count_flags(flags, corners(inside), work.side, flag_bins)
    weight, weight_bins, weighty = _nulled(maps, flags, work)
    flag = line_lists(flags)
    counts = flag_bins.sum(axis=(1, 2)).tolist()
    weight_extension = compressed_bytes(
        weight, shape, -32, extension.cards, name=extension.name, notes=[
            *work.notes,
            ("PRODTYPE", "WEIGHT", "response; 0 where there is no information"),
            ("EFF_AREA", weighty / flags.size, "share of pixels that have weight"),
            ("WEIGAREA", 0.0, "weight above which a pixel counts"),
        ]
    )  # fmt: skip
    flag_extension = compressed_bytes(
        flag, shape, 16 if recipe.flags > np.iinfo(np.uint8).max else 8, extension.cards, name=extension.name, notes=[
            *work.notes,
            ("PRODTYPE", "FLAG", "bits say why a pixel is not good"),
            *((f"FLAG{bit.bit_length() - 1}", bit.name, f"meaning of {bit.value}") for bit in PixelFlag),
            *((f"NFLAG{bit}", count, "illuminated pixels that have it") for bit, count in enumerate(counts)),
            ("EFF_AREA", clear / flags.size, "share of pixels that have no flag"),
            ("FLAGAREA", ALL_FLAGS, "flags with which a pixel does not count"),
        ]
    )  # fmt: skip
    made = CcdMaps(
        weight_bins=weight_bins * (weight.step or 1.0) / _square_sizes(inside, work.side),
        flag_bins=flag_bins,
        pixels=inside.width * inside.height,
        area=weighty / flags.size,
        outlines=outlines_of(flags, inside, work.number, recipe.outlines),
    )
    return weight_extension, flag_extension, made


def _mark_from_beside(coding: CcdCoding, flags: NDArray[np.int16]) -> None:
    """Mark what only the whole mosaic showed: trails, and the light of bright stars on other CCDs."""
    work, sensed = coding.work, coding.work.detector
    for stretch in coding.stretches:
        mark_trail(flags.shape, stretch, flags, work.inside)
    if sensed.optics is not None:
        no_pixels = np.empty((0, 0), np.float32)
        image = CcdImage(no_pixels, work.inside, sensed.amplifiers, sensed.saturation, sensed.pixel_scale, str(work))
        background = coding.found.searched.background
        mark_stars(image, flags, background, coding.stars, sensed.optics, work.recipe.stars)


def _base(work: CcdWork, shape: tuple[int, int]) -> tuple[BaseMaps, bool]:
    """Maps before any defect, and whether they were there already."""
    maps = BaseMaps.kept(work.base)
    if maps is not None and maps.weight_ends.size == shape[0]:
        return maps, True
    maps = make_base(work.flat, work.mask, shape=shape, inside=work.inside, side=work.side, recipe=work.recipe)
    with contextlib.suppress(FileNotFoundError):  # another job has just cleared old maps away
        maps.keep(work.base, work.workplace)
    return maps, False


def _flags_of(
    code: NDArray[np.uint8], ends: NDArray[np.int64], shape: tuple[int, int], work: CcdWork
) -> NDArray[np.int16]:
    flags = np.empty(shape, np.int16)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
    _check(rice.decode_rows(code, starts, ends, 16, rice.leading_zeros(), flags), work)
    return flags


def _nulled(maps: BaseMaps, flags: NDArray[np.int16], work: CcdWork) -> tuple[Tiles, NDArray[np.int64], int]:
    """Weights in Rice code with those of defects nulled, their sums in squares, and how many are left."""
    recipe, rows = work.recipe, flags.shape[0]
    code = np.empty(maps.weight.size + rows * rice.longest_row(flags.shape[1], 32), np.uint8)
    ends, bins = np.empty(rows, np.int64), maps.weight_bins.copy()
    bad, nulled = weigh.null_weights(
        flags, int(recipe.nulls), corners(work.inside), work.side, rice.leading_zeros(),
        (maps.weight, maps.weight_ends, code, ends), bins,
    )  # fmt: skip
    _check(bad, work)
    parameters = ("BLOCKSIZE", rice.BLOCK), ("BYTEPIX", 4)
    weights = Tiles(code[: ends[-1]], ends, "RICE_1", parameters, float(maps.step[0]))
    return weights, bins, int(maps.weighty[0]) - nulled


def _check(bad: int, work: CcdWork) -> None:
    """Refuse kept maps of which a row cannot be decoded."""
    if bad >= 0:
        work.base.unlink(missing_ok=True)
        raise DamagedPixels(work.base, f"row {bad + 1} cannot be decoded", remedy="it was removed: run the job again")


def _square_sizes(inside: Area, side: int) -> NDArray[np.int64]:
    """Pixels in each square of the picture; those of the last row and column may be fewer."""
    rows, columns = bin_shape(inside, side)
    heights = np.minimum(side, inside.height - side * np.arange(rows))
    widths = np.minimum(side, inside.width - side * np.arange(columns))
    return np.outer(heights, widths)
