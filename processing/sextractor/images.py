"""Images from FITS files, row by row: plain files as rows are wanted, compressed ones a CCD at a time.

Names may end in a number of an HDU in brackets, as in ``image.fits[2]``.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from io import RawIOBase
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import CARD
from processing.errors import BadHeader, BadSetting, ShapeMismatch, Truncated
from processing.kernels import stored
from processing.reading import Extension, Mosaic, read_pixels
from processing.sextractor.records import Pixels, Rows

_NAME = re.compile(r"(.*?)\[(\d+)\]")
_NEAR = 1 << 18
"""Bytes that are read and turned into pixels at once, while they are near to the processor."""
_LITTLE = sys.byteorder == "little"
_RAW = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


class OddPixels(Exception):
    """A pixel of an image that is measured is no number."""


class FitsRows:
    """Rows of an image in a file, in physical values.

    Parameters
    ----------
    kind : type of what `read` returns: float32 of pixels and weights, int32 of flags
    unsigned : take stored whole numbers for unsigned ones, whatever BZERO says

    Raises
    ------
    Truncated, DamagedPixels
        On reading.
    """

    def __init__(self, path: Path, extension: Extension, *, kind: str = "f4", unsigned: bool = False) -> None:
        self.path = path
        self.extension = extension
        self._kind = np.dtype(kind)
        self._unsigned = unsigned and extension.bitpix in {16, 32} and not extension.bzero
        self._stored: NDArray[Any] | None = None
        self._lock = Lock()
        self.odd = False
        """Whether a pixel that was read is no number; told of plain images of float32 only."""

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to read the same."""
        return {name: value for name, value in vars(self).items() if name not in {"_lock", "_stored"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was, with nothing read yet."""
        vars(self).update(state, _stored=None, _lock=Lock())

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        rows, columns = self.extension.shape
        return rows, columns

    @property
    def whole(self) -> bool:
        """Whether all pixels are numbers because they are stored as whole ones."""
        return self.extension.bitpix > 0

    def read(self, first: int, end: int) -> NDArray[Any]:
        """Rows `first` to `end`, C-contiguous and the caller's own."""
        raw = self._raw(first, end)
        if self._quick:
            rows = np.empty(raw.shape, np.float32)
            self._turn(raw, rows)
            return rows
        return self._physical(raw)

    def at(self, y: NDArray[np.int32], x: NDArray[np.int32], first: int, end: int) -> NDArray[Any]:
        """Return the pixels (n,) at places within rows `first` to `end`."""
        if self.extension.compressed:
            return self._physical(self._raw(first, end)[y - first, x])
        order = np.argsort(y, kind="stable")
        rows, columns = y[order], x[order]
        found = np.empty(len(y), _RAW[self.extension.bitpix])
        for begin, words in self._pieces(first, end):
            low, high = np.searchsorted(rows, (begin, begin + len(words)))
            found[order[low:high]] = words[rows[low:high] - begin, columns[low:high]]
        return self._physical(found)

    def _physical(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Stored values as physical ones."""
        if self._unsigned:
            raw = raw.view(raw.dtype.str.replace("i", "u"))
        extension = self.extension
        if extension.compressed or (extension.bscale, extension.bzero) == (1.0, 0.0):
            return np.ascontiguousarray(raw, self._kind)
        if self._kind.kind == "i" or extension.bitpix not in {8, 16, -32}:
            return (raw * np.float64(extension.bscale) + extension.bzero).astype(self._kind)
        rows = raw.astype(self._kind)
        if extension.bscale != 1.0:
            rows *= self._kind.type(extension.bscale)
        rows += self._kind.type(extension.bzero)
        return rows

    def leave(self) -> None:
        """Let go of what a compressed image was unpacked to; who reads again unpacks it again."""
        with self._lock:
            self._stored = None

    def fill(self, first: int, rows: Pixels) -> None:
        """Fill `rows` (any, nx) with those from `first` on."""
        if not self._quick:
            rows[:] = self.read(first, first + len(rows))
            return
        for begin, words in self._pieces(first, first + len(rows)):
            self._turn(words, rows[begin - first : begin - first + len(words)])

    def _pieces(self, first: int, end: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Give rows of a plain image as they are stored, a few at a time, in the same place; and the first's number."""
        kind, width = np.dtype(_RAW[self.extension.bitpix]), self.shape[1]
        together = max(_NEAR // (width * kind.itemsize), 1)
        room = np.empty(min(together, end - first) * width * kind.itemsize, np.uint8)
        with self.path.open("rb", buffering=0) as stream:
            stream.seek(self.extension.data + first * width * kind.itemsize)
            for begin in range(first, end, together):
                held = room[: min(together, end - begin) * width * kind.itemsize]
                got = _read(stream, held.data)
                if got < held.size:
                    raise self._short(first, end, (begin - first) * width + got // kind.itemsize)
                yield begin, held.view(kind).reshape(-1, width)

    @property
    def tells_odd(self) -> bool:
        """Whether `odd` is told."""
        return self._quick and self.extension.bitpix < 0

    @property
    def _quick(self) -> bool:
        """Whether words become pixels in one loop."""
        extension = self.extension
        if extension.compressed or self._unsigned or self._kind != np.float32 or not _LITTLE:
            return False
        plain = (extension.bscale, extension.bzero) == (1.0, 0.0)
        return extension.bitpix == 16 or (extension.bitpix == -32 and plain)

    def _turn(self, raw: NDArray[Any], rows: Pixels) -> None:
        extension = self.extension
        if extension.bitpix == 16:
            stored.whole(raw.view("u2"), np.float32(extension.bscale), np.float32(extension.bzero), rows)
        elif stored.floating(raw.view("u4"), rows.view("u4")):
            self.odd = True

    def _raw(self, first: int, end: int) -> NDArray[Any]:
        """Rows as they are stored; those of plain images are read, not mapped, so that a stack fills no memory."""
        extension = self.extension
        if extension.compressed:
            with self._lock:
                if self._stored is None:
                    self._stored = read_pixels(self.path, extension)
                return self._stored[first:end]
        height, width = self.shape
        kind = np.dtype(_RAW[extension.bitpix])
        first, end, _ = slice(first, end).indices(height)
        count = max(end - first, 0) * width
        raw = np.fromfile(self.path, kind, count, offset=extension.data + first * width * kind.itemsize)
        if raw.size < count:
            raise self._short(first, end, raw.size)
        return raw.reshape(-1, width)

    def _short(self, first: int, end: int, there: int) -> Truncated:
        found = f"{there} of {(end - first) * self.shape[1]} pixels of its rows {first + 1} to {end} are there"
        remedy = "the file changed while it was read: run again"
        return Truncated(self.path, found, hdu=self.extension.hdu, remedy=remedy)


def _read(stream: RawIOBase, room: memoryview) -> int:
    """Fill `room`; return the number of bytes, fewer at the end of the file."""
    got = 0
    while got < len(room):
        more = stream.readinto(room[got:])
        if not more:
            break
        got += more
    return got


class ArrayRows:
    """Rows of an array in memory, (ny, nx)."""

    def __init__(self, pixels: NDArray[Any], *, kind: str = "f4") -> None:
        if pixels.ndim != 2:
            raise BadSetting(f"an array of shape {pixels.shape}: (ny, nx) was expected")
        if not pixels.size or pixels.dtype.kind not in "biuf":
            raise BadSetting(f"an array of shape {pixels.shape} and type {pixels.dtype}: real numbers were expected")
        self._kind = np.dtype(kind)
        self._pixels = _unmasked(pixels, self._kind)
        self.whole = self._pixels.dtype.kind in "biu"

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)."""
        rows, columns = self._pixels.shape
        return rows, columns

    def read(self, first: int, end: int) -> NDArray[Any]:
        """Rows `first` to `end`; those of the array itself where it has the type."""
        with np.errstate(over="ignore"):  # what single precision does not hold is no number
            return np.ascontiguousarray(self._pixels[first:end], self._kind)


def _unmasked(pixels: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    """Pixels whose masked ones are no numbers; of whole ones, 0."""
    if not isinstance(pixels, np.ma.MaskedArray):
        return pixels
    mask = np.ma.getmaskarray(pixels)
    if not mask.any():
        return np.asarray(pixels.data)
    return np.where(mask, kind.type(0 if kind.kind == "i" else np.nan), pixels.data.astype(kind))


class FiniteRows:
    """An image whose pixels that are no numbers are 0; `Finite` weighs them 0."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.shape = rows.shape

    def read(self, first: int, end: int) -> Pixels:
        """Rows `first` to `end`."""
        rows = self._rows.read(first, end)
        finite: Pixels = np.where(np.isfinite(rows), rows, np.float32(0.0))
        return finite


class FiniteWeights:
    """Weights of an image with pixels that are no numbers: 0 there, else those of a map, or 1 without one.

    Parameters
    ----------
    bad : value of a pixel that is not to be used: 0 of weights, 1e30 of variances
    """

    def __init__(self, rows: Rows, weights: Rows | None, *, bad: float = 0.0) -> None:
        self._rows = rows
        self._weights = weights
        self._bad = np.float32(bad)
        self.shape = rows.shape

    def read(self, first: int, end: int) -> Pixels:
        """Rows `first` to `end`."""
        good = np.isfinite(self._rows.read(first, end))
        if self._weights is None:
            return np.asarray(good, np.float32)
        return np.asarray(np.where(good, self._weights.read(first, end), self._bad), np.float32)


def not_numbers(rows: Rows, *, band: int = 512) -> int:
    """Count the pixels that are NaN or infinite; those of whole numbers are not read for it."""
    if getattr(rows, "whole", False):
        return 0
    count = 0
    for first in range(0, rows.shape[0], band):
        values = rows.read(first, min(first + band, rows.shape[0]))
        # a sum is finite where all its terms are, and costs a tenth of looking at each of them
        if not np.isfinite(values.sum(dtype=np.float64)):
            count += int(np.count_nonzero(~np.isfinite(values)))
    return count


@dataclass(frozen=True, slots=True)
class Images:
    """Images of one file that are asked for."""

    path: Path
    extensions: tuple[Extension, ...]
    picked: bool
    """Whether the name had a number in brackets."""
    passed_over: tuple[int, ...]
    """HDUs with pixels, but not in two dimensions."""
    primary_cards: str

    def rows(self, index: int, *, kind: str = "f4", unsigned: bool = False) -> FitsRows:
        """Return the rows of an image; the only one of a file stands for all."""
        return FitsRows(self.path, self.extensions[index], kind=kind, unsigned=unsigned)


def images(name: str) -> Images:
    """Open a file by its name.

    Raises
    ------
    NotFits, BadHeader, Truncated
        It is none, or has no image, or not the HDU in brackets.
    """
    found = _NAME.fullmatch(name)
    path = Path(found[1] if found else name)
    mosaic = Mosaic(path)
    every = [each for each in mosaic.extensions if 0 not in each.shape]
    flat = [_flattened(each) for each in every]
    kept = [each for each in flat if each is not None]
    if found:
        kept = [each for each in kept if each.hdu == int(found[2])]
        if not kept:
            has = ", ".join(str(each.hdu) for each in every) or "none"
            raise BadHeader(path, "holds no image", hdu=int(found[2]), remedy=f"HDUs with an image: {has}")
    if not kept:
        raise BadHeader(path, "holds no image of two dimensions", remedy="name a file with one")
    over = tuple(each.hdu for each, one in zip(every, flat, strict=True) if one is None)
    return Images(path, tuple(kept), found is not None, () if found else over, mosaic.primary_cards)


def _flattened(extension: Extension) -> Extension | None:
    """The image without axes of length 1; None where it has more than two others."""
    shape = tuple(length for length in extension.shape if length != 1)
    if len(extension.shape) == 2:
        return extension
    return replace(extension, shape=shape) if len(shape) == 2 and not extension.compressed else None


def matched(image: FitsRows, others: Images, index: int, what: str) -> FitsRows | None:
    """Return the map that belongs to image `index`, of the same size; None where its file has fewer images.

    Raises
    ------
    ShapeMismatch
        Names both files and both sizes.
    """
    place = 0 if others.picked else index
    if place >= len(others.extensions):
        return None
    found = others.rows(place, kind="i4" if what == "flag map" else "f4")
    if found.shape != image.shape:
        sizes = f"{what} of {found.shape[1]} x {found.shape[0]} pixels"
        belongs = f"{image.path}[{image.extension.hdu}] has {image.shape[1]} x {image.shape[0]}"
        raise ShapeMismatch(found.path, sizes, hdu=found.extension.hdu, remedy=f"{belongs}; give the map of that image")
    return found


def with_head(cards: str, path: Path, suffix: str, index: int) -> str:
    """Return the cards of an image with those of the file of headers beside it, where there is one."""
    if not suffix or path.with_suffix(suffix) == path or not path.with_suffix(suffix).is_file():
        return cards
    from processing.missfits.editing import read_head, under  # noqa: PLC0415  seldom needed

    head = read_head(path.with_suffix(suffix))
    if head is None or index >= len(head.blocks):
        return cards
    own = [cards[place : place + CARD] for place in range(0, len(cards), CARD)]
    return "".join(under(own, head.blocks[index]))
