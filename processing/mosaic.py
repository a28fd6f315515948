"""Multi-extension FITS: HDUs as bytes, whole files put in place at once, and a reader that trusts no header.

HDUs are made as bytes, so that processes make them side by side and one writer
puts them behind each other. A file appears under its name complete or not at all.
"""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from processing.cards import Entry, HeaderLike, descriptive, padding, sealed, text_of
from processing.errors import NotStorable
from processing.placing import place
from processing.reading import Extension, Mosaic
from processing.tiles import Tiles, deflated, rice_floats, rice_integers

__all__ = [
    "Compression",
    "Extension",
    "Mosaic",
    "MosaicWriter",
    "Written",
    "assemble",
    "compressed_bytes",
    "hdu_bytes",
    "place",
    "primary_bytes",
]

_CHUNK = 1 << 22
"""Bytes copied at once."""
_UNSIGNED = {np.dtype(np.uint16): 2**15, np.dtype(np.uint32): 2**31, np.dtype(np.int8): -(2**7)}


class Compression(StrEnum):
    """How pixels are stored."""

    NONE = "none"  #: as an IMAGE extension
    RICE = "rice"  #: row by row in a table; floats by `quantize`, or deflated where that is None


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is complete and on disk."""

    path: Path
    size: int
    """Bytes."""
    md5: str
    """Hexadecimal digest of the file."""


def primary_bytes(header: HeaderLike, notes: Sequence[Entry] = ()) -> bytes:
    """Return a primary HDU without pixels that carries `header` and then `notes`, with CHECKSUM and DATASUM."""
    entries: list[Entry] = [("SIMPLE", True, "FITS"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
    return sealed(
        text_of(entries) + descriptive(header, {entry[0] for entry in notes} - {"HISTORY"}) + text_of(notes), b""
    )


def hdu_bytes(
    image: NDArray[Any],
    header: HeaderLike,
    *,
    name: str,
    compression: Compression = Compression.RICE,
    quantize: float | None = None,
    bzero: int | None = None,
) -> bytes:
    """Return a complete image extension with CHECKSUM and DATASUM.

    Parameters
    ----------
    image : (ny, nx) of integers of 8, 16 or 32 bits, float32 or float64
    header : cards to carry; keywords of storage (BITPIX, NAXISn, BZERO, ZCMPTYPE, CHECKSUM …) are left out
    name : str
        EXTNAME.
    quantize : float
        For floats: step to which values are rounded, in the unit of the pixels. Zero stays exactly zero,
        the error is at most half a step, NaN stays NaN. None: nothing is lost (deflate).
    bzero : int
        For integers: value of a stored 0. None: 32768 for uint16, as readers expect, else 0. With `bzero`, 16-bit
        pixels of any integer type are stored as int16 (Elixir's frames have 32668).

    Raises
    ------
    NotStorable
        If the pixels do not fit the form of storage, or are infinite.
    """
    if image.ndim != 2 or 0 in image.shape:
        raise NotStorable(f"pixels of shape {image.shape}: an image has two axes and at least one pixel")
    stored, zero = _stored(image, bzero)
    bitpix = 8 * stored.dtype.itemsize * (-1 if stored.dtype.kind == "f" else 1)
    scaling: list[Entry] = [("EXTNAME", name)]
    if zero:
        scaling += [("BSCALE", 1), ("BZERO", zero)]
    if compression is Compression.NONE:
        data = stored.astype(stored.dtype.newbyteorder(">"), copy=False).tobytes()
        entries: list[Entry] = [
            ("XTENSION", "IMAGE"), ("BITPIX", bitpix), ("NAXIS", 2), ("NAXIS1", image.shape[1]),
            ("NAXIS2", image.shape[0]), ("PCOUNT", 0), ("GCOUNT", 1),
        ]  # fmt: skip
    else:
        if bitpix > 0:
            tiles = rice_integers(stored)
        elif quantize is not None:
            bitpix = -32
            tiles = rice_floats(stored, quantize)
        else:
            tiles = deflated(stored.astype(stored.dtype.newbyteorder(">"), copy=False))
        shape = (image.shape[0], image.shape[1])
        return compressed_bytes(tiles, shape, bitpix, header, name=name, notes=scaling[1:])
    return sealed(text_of([*entries, *scaling]) + descriptive(header), data + bytes(padding(len(data))))


def compressed_bytes(
    tiles: Tiles, shape: tuple[int, int], bitpix: int, header: HeaderLike, *, name: str, notes: Sequence[Entry] = ()
) -> bytes:
    """Return a complete extension of `tiles` that are compressed already; `notes` are cards beside `header`."""
    data, entries = tiles.table()
    entries += tiles.keywords(shape, bitpix)
    replaced = {entry[0] for entry in notes} - {"HISTORY"}
    text = text_of([*entries, ("EXTNAME", name)]) + descriptive(header, replaced) + text_of(notes)
    return sealed(text, data + bytes(padding(len(data))))


def _stored(image: NDArray[Any], bzero: int | None) -> tuple[NDArray[Any], int]:
    """Pixels as they are written, in the machine's byte order, and their BZERO."""
    native = image.astype(image.dtype.newbyteorder("="), copy=False)
    if native.dtype.kind == "b":
        return native.astype(np.uint8), 0
    if native.dtype.kind == "f":
        return native if native.dtype.itemsize >= 4 else native.astype(np.float32), 0
    if native.dtype.kind not in "iu" or (native.dtype.itemsize > 4 and bzero is None):
        raise NotStorable(f"pixels of type {image.dtype}: integers of at most 32 bits or floats were expected")
    zero = _UNSIGNED.get(native.dtype, 0) if bzero is None else bzero
    if bzero is not None and native.dtype != np.uint8:
        shifted = native.astype(np.int64) - zero
        low, high = int(shifted.min()), int(shifted.max())
        if low < -(2**15) or high >= 2**15:
            raise NotStorable(f"pixels from {low + zero} to {high + zero} do not fit 16 bits with BZERO {zero}")
        return shifted.astype(np.int16), zero
    if zero:
        flipped = native.view(f"i{native.dtype.itemsize}" if zero > 0 else np.uint8)
        return flipped ^ np.array(1 << (native.dtype.itemsize * 8 - 1)).astype(flipped.dtype), zero
    return native, 0


def assemble(path: Path, primary: bytes, parts: Iterable[bytes | Path]) -> Written:
    """Write `primary` and `parts` behind each other to `path`: there complete and on disk, or not at all.

    Parts that are paths are copied and stay. An interrupted call leaves ``path + ".part"`` at most.
    """
    with MosaicWriter(path, primary) as writer:
        for part in parts:
            writer.append(part)
        return writer.finish()


class MosaicWriter:
    """A file that grows HDU by HDU under ``path + ".part"`` and gets its name when it is finished.

    Left as a context without `finish`, nothing of it remains.
    """

    def __init__(self, path: Path, primary: bytes) -> None:
        self.path = path
        self._partial = path.with_name(f"{path.name}.part")
        self._digest = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._stream = self._partial.open("wb")
        try:
            self.append(primary)
        except BaseException:
            self.__exit__()
            raise

    def append(self, part: bytes | Path) -> None:
        """Add one HDU, or a file of HDUs."""
        if isinstance(part, bytes):
            self._digest.update(part)
            self._stream.write(part)
            self._size += len(part)
            return
        with part.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                self.append(chunk)

    def finish(self) -> Written:
        """Put the file in place, complete and on disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        place(self._partial, self.path)
        return Written(self.path, self._size, self._digest.hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._partial.unlink(missing_ok=True)
