"""Maps as files: read in parts by several threads, written where their place is or in Rice code."""

import math
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from processing.cards import RECORD, Entry, descriptive, padding, text_of
from processing.errors import Truncated
from processing.provenance import history, software
from processing.reading import Extension, read_pixels
from processing.weightwatcher.kinds import WeightKind
from processing.weightwatcher.watch import Room

NO_INFORMATION = np.float32(1e30)
"""Variance and rms of a pixel without weight: the AstrOmatic tools take this, and more, for a weight of 0."""
_SHARE = 1e-3
"""A stored weight is less than this part of itself away from the weight."""

_STRETCH = 1 << 17
"""Pixels looked at once: they stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the output files have in common with the first input."""

    extensions: Sequence[Extension]
    primary: str
    """Card images of the primary header."""
    provenance: Mapping[str, Any]
    """Told in HISTORY cards."""


class InputMap:
    """One extension of an input, readable in parts by several threads."""

    def __init__(self, path: Path, extension: Extension) -> None:
        self.path = path
        self.extension = extension
        self._lock = threading.Lock()
        self._whole: NDArray[Any] | None = None
        self._handle = os.open(path, os.O_RDONLY)

    @property
    def plain(self) -> bool:
        """Whether pixels lie in the file as they are."""
        return not self.extension.compressed and (self.extension.bscale, self.extension.bzero) == (1.0, 0.0)

    def part(self, start: int, count: int, room: Room) -> NDArray[Any]:
        """Return pixels in the file's byte order; those of plain files lie in `room`."""
        if self.plain:
            kind = np.dtype(f">{'f' if self.extension.bitpix < 0 else 'i'}{abs(self.extension.bitpix) // 8}")
            kind = np.dtype(np.uint8) if kind.itemsize == 1 else kind
            at = self.extension.data + start * kind.itemsize
            pixels = room.take(f"read {self.path}", (count,), kind)
            if os.preadv(self._handle, [pixels.view(np.uint8).data], at) < pixels.nbytes:
                raise Truncated(self.path, "the file became shorter", hdu=self.extension.hdu, remedy="read it again")
            return pixels
        with self._lock:
            if self._whole is None:
                self._whole = read_pixels(self.path, self.extension).ravel()
        return self._whole[start : start + count]

    def forget(self) -> None:
        self._whole = None

    def close(self) -> None:
        os.close(self._handle)


class OutputMap(Protocol):
    """A file that appears under its name when it is complete."""

    whole: bool
    """Whether an extension has to come in one part."""

    def put(self, index: int, start: int, pixels: NDArray[Any], room: Room) -> None:
        """Take pixels of either byte order, from `start` of the extension `index`."""

    def close(self, index: int) -> None:
        """Do what is left to do when all pixels of an extension are there; several threads may do so at once."""

    def finish_header(self, index: int, notes: Sequence[Entry]) -> None:
        """End an extension; called in their order. `notes` are of the length that the file was begun with."""

    def finish(self) -> None:
        """Give the file its name."""

    def abandon(self) -> None:
        """Close it; what was not finished is removed."""


class PlainMap:
    """Pixels as they are: headers and pixels are written wherever their place is, the name comes at the end.

    The file is complete then, and the kernel brings it to disk when it pleases, as the original's: what it was made of
    is still there, and waiting takes 0.2 s for 8 CCDs of 0.6. Maps of the chain are MosaicWriter's, which flushes.
    """

    whole = False

    def __init__(self, path: Path, kind: np.dtype[Any], title: str, layout: Layout, notes: Sequence[Entry]) -> None:
        self.path = path
        self.kind = kind.newbyteorder(">")
        self.title = title
        self.layout = layout
        self._partial = path.with_name(f"{path.name}.part")
        self._handle = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self.heads: list[int] = []
        self.bodies: list[int] = []
        try:
            self._begin(notes)
        except BaseException:
            self.abandon()
            raise

    def _begin(self, notes: Sequence[Entry]) -> None:
        """Write the primary header, find the places of all that follows, and take their room."""
        layout, at = self.layout, 0
        if layout.extensions[0].hdu:
            entries: list[Entry] = [("SIMPLE", True, "FITS"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
            at = self._write(0, text_of(entries) + descriptive(layout.primary) + text_of(history(layout.provenance)))
        for extension in layout.extensions:
            self.heads.append(at)
            at += len(_closed(self._head(extension, notes)))
            self.bodies.append(at)
            size = self.kind.itemsize * extension.shape[0] * extension.shape[1]
            at += size + padding(size)
        self._reserve(at)

    def _head(self, extension: Extension, notes: Sequence[Entry]) -> str:
        ny, nx = extension.shape
        bitpix = self.kind.itemsize * (-8 if self.kind.kind == "f" else 8)
        begin: Entry = ("XTENSION", "IMAGE") if extension.hdu else ("SIMPLE", True, "FITS")
        entries: list[Entry] = [begin, ("BITPIX", bitpix), ("NAXIS", 2), ("NAXIS1", nx), ("NAXIS2", ny)]
        entries += [("PCOUNT", 0), ("GCOUNT", 1)] if extension.hdu else [("EXTEND", True)]
        if extension.name:
            entries.append(("EXTNAME", extension.name))
        told = [] if extension.hdu else history(self.layout.provenance)
        return text_of(entries) + _described(extension, self.title, notes) + text_of(told)

    def _reserve(self, size: int) -> None:
        """Take the file's room on the disk: a full one is found out now, and a rename need not wait for it later."""
        try:
            os.posix_fallocate(self._handle, 0, size)
        except OSError as problem:
            raise OSError(problem.errno, os.strerror(problem.errno or 0), str(self.path)) from problem

    def _write(self, at: int, cards: str) -> int:
        content = _closed(cards).encode("ascii", errors="replace")
        os.pwrite(self._handle, content, at)
        return at + len(content)

    def put(self, index: int, start: int, pixels: NDArray[Any], room: Room) -> None:
        at = self.bodies[index] + start * self.kind.itemsize
        if pixels.dtype != self.kind:
            turned = room.take(f"written {self.title}", pixels.shape, self.kind)
            np.copyto(turned, pixels)
            pixels = turned
        os.pwrite(self._handle, pixels.view(np.uint8).data, at)

    def close(self, index: int) -> None:
        pass

    def finish_header(self, index: int, notes: Sequence[Entry]) -> None:
        self._write(self.heads[index], self._head(self.layout.extensions[index], notes))

    def finish(self) -> None:
        self._partial.replace(self.path)

    def abandon(self) -> None:
        os.close(self._handle)
        self._partial.unlink(missing_ok=True)


class PackedMap:
    """Pixels in Rice code, row by row; floats are rounded to whole numbers of `step`.

    Parameters
    ----------
    step : float
        0: a power of two for each extension, so that no weight misses by a thousandth of itself; infinite: nothing is
        rounded, rows are deflated.
    """

    whole = True

    def __init__(self, path: Path, kind: np.dtype[Any], title: str, layout: Layout, *, step: float) -> None:
        from processing.mosaic import MosaicWriter, primary_bytes  # noqa: PLC0415  brings the compiler

        self.kind = kind
        self.title = title
        self.layout = layout
        self.step = step
        inherited = layout.primary if layout.extensions[0].hdu else None
        self._writer = MosaicWriter(path, primary_bytes(inherited, history(layout.provenance)))
        self._pixels: dict[int, NDArray[Any]] = {}
        self._packed: dict[int, Any] = {}

    def put(self, index: int, start: int, pixels: NDArray[Any], room: Room) -> None:
        del room
        if index not in self._pixels:
            self._pixels[index] = np.empty(self.layout.extensions[index].shape, self.kind)
        self._pixels[index].reshape(-1)[start : start + pixels.size] = pixels

    def close(self, index: int) -> None:
        from processing import tiles  # noqa: PLC0415  brings the compiler

        pixels = self._pixels.pop(index)
        if self.kind.kind != "f":
            self._packed[index] = tiles.rice_integers(pixels)
            return
        step = self.step or _harmless_step(pixels)
        if math.isfinite(step):
            self._packed[index] = tiles.rice_floats(pixels, step)
        else:
            self._packed[index] = tiles.deflated(pixels.astype(">f4"))

    def finish_header(self, index: int, notes: Sequence[Entry]) -> None:
        from processing.mosaic import compressed_bytes  # noqa: PLC0415  brings the compiler

        extension = self.layout.extensions[index]
        bitpix = self.kind.itemsize * (-8 if self.kind.kind == "f" else 8)
        shape = (extension.shape[0], extension.shape[1])
        cards = _described(extension, self.title, notes)
        name = extension.name or "COMPRESSED_IMAGE"
        self._writer.append(compressed_bytes(self._packed.pop(index), shape, bitpix, cards, name=name))

    def finish(self) -> None:
        self._writer.finish()

    def abandon(self) -> None:
        with suppress(OSError):
            self._writer.__exit__()


def _harmless_step(weight: NDArray[np.float32]) -> float:
    """Largest power of two of which half is less than a thousandth of every weight; infinite where none will do."""
    smallest, largest = np.float32(np.inf), np.float32(0)
    flat = weight.reshape(-1)
    for at in range(0, flat.size, _STRETCH):
        sizes = np.abs(flat[at : at + _STRETCH])
        largest = max(largest, sizes.max())
        np.copyto(sizes, np.inf, where=sizes == 0)
        smallest = min(smallest, sizes.min())
    if largest == 0:
        return 1.0
    step = 2.0 ** math.floor(math.log2(_SHARE * float(smallest))) if np.isfinite(largest) else math.inf
    return step if largest < step * 2.0**24 else math.inf


def converted(weight: NDArray[np.float32], kind: WeightKind, room: Room) -> NDArray[np.float32]:
    """Return what `kind` makes of weights."""
    if kind is WeightKind.WEIGHT:
        return weight
    other = room.take("converted", weight.shape, np.float32)
    other[...] = NO_INFORMATION
    np.divide(np.float32(1), weight, out=other, where=weight > 0)
    if kind is WeightKind.RMS:
        np.sqrt(other, out=other, where=weight > 0)
    return other


def _described(extension: Extension, title: str, notes: Sequence[Entry]) -> str:
    """Cards of the input that tell about the sky and the CCD, and those that tell about the map."""
    about: list[Entry] = [("OBJECT", f"{title} MAP")] if extension.values.text("OBJECT") else []
    replaced = {"OBJECT", "SOFTNAME", "EFF_AREA", "WEIGAREA", "FLAGAREA"} | {entry[0] for entry in notes}
    own: list[Entry] = [("SOFTNAME", software(), "made this map"), *notes]
    return text_of(about) + descriptive(extension.cards, replaced) + text_of(own)


def _closed(cards: str) -> str:
    text = cards + "END".ljust(80)
    return text.ljust(-(-len(text) // RECORD) * RECORD)
