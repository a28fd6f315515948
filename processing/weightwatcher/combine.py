"""Weight and flag maps as files: read in parts, combined on several threads, written in place."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import RECORD, Entry, descriptive, padding, text_of
from processing.errors import BadHeader, BadSetting, NotFits, ShapeMismatch, Truncated
from processing.provenance import software
from processing.reading import Extension, Mosaic, read_pixels
from processing.weightwatcher.watch import FlagRule, Room, WeightRule, watch

BAND = 1 << 17
"""Pixels worked on at once by a thread: bands of all maps stay in a core's cache."""
PART = 1 << 22
"""Pixels that a thread takes at once from plain files; a thread takes a whole extension of others."""


@dataclass(frozen=True, slots=True)
class Areas:
    """How the effective area is measured."""

    weight: float
    """A pixel counts in the weight map's area above this."""
    flags: int
    """A pixel with any of these does not count in the flag map's area."""


@dataclass(frozen=True, slots=True)
class Made:
    """One extension of the output, and how much of it is good."""

    number: int
    """Of the extension, from 1."""
    weight_area: float
    """Share of pixels."""
    flag_area: float


def combine(
    weights: Sequence[Path],
    flags: Sequence[Path],
    *,
    weight_rules: Sequence[WeightRule],
    flag_rules: Sequence[FlagRule],
    flag_kind: np.dtype[Any],
    outweight: Path | None,
    outflag: Path | None,
    areas: Areas | None = None,
    threads: int = 1,
    told: Callable[[Made], None] = lambda _: None,
) -> list[Made]:
    """Combine files of maps, extension by extension, into uncompressed files of the layout of the first one.

    Parameters
    ----------
    weights, flags : paths
        Of multi-extension or single images, compressed or not, all of as many images of the same sizes.
    flag_kind : dtype
        Of the flag map: uint8, int16 or int32.
    outweight, outflag : Path
        Appear when they are complete; None: not made.
    areas : Areas
        Measure effective areas and write them into the headers.
    threads : int
        Never changes a bit.

    Returns
    -------
    made : one record an extension; areas are 0 where they were not to be measured

    Raises
    ------
    FileProblem
        A map is damaged, of another size, or holds no integers where flags were expected.
    """
    inputs = [*weights, *flags]
    if not inputs:
        raise BadSetting("no input: WEIGHT_NAMES or FLAG_NAMES has to name a file")
    with ExitStack() as stack:
        opened = [stack.enter_context(Mosaic(path)) for path in inputs]
        layout, primary = opened[0].extensions, opened[0].primary_cards
        _check(opened, len(weights))
        sources = [[_Source(mosaic.path, extension) for extension in mosaic.extensions] for mosaic in opened]
        for source in (each for file in sources for each in file):
            stack.callback(source.close)
        targets = [
            (path, kind, title) for path, kind, title in
            ((outweight, np.dtype(np.float32), "WEIGHT"), (outflag, flag_kind, "FLAG")) if path is not None
        ]  # fmt: skip
        written = {}
        for path, kind, title in targets:
            written[title] = _Target(path, kind, title, layout, primary, measured=areas is not None)
            stack.callback(written[title].abandon)
        made = _Combination(sources, len(weights), weight_rules, flag_rules, flag_kind, written, areas).run(
            threads, told
        )
        for target in written.values():
            target.finish()
    return made


def _check(opened: Sequence[Mosaic], weights: int) -> None:
    first = opened[0]
    if not first.extensions:
        raise NotFits(first.path, "no image in it", remedy="a map with one image a CCD was expected")
    for number, mosaic in enumerate(opened):
        if len(mosaic.extensions) != len(first.extensions):
            found = f"{len(mosaic.extensions)} images where {first.path.name} has {len(first.extensions)}"
            raise ShapeMismatch(mosaic.path, found, remedy="maps of the same camera were expected")
        for extension, like in zip(mosaic.extensions, first.extensions, strict=True):
            if len(extension.shape) != 2 or extension.shape != like.shape:
                found = f"an image of shape {extension.shape} where {first.path.name} has {like.shape}"
                raise ShapeMismatch(
                    mosaic.path, found, hdu=extension.hdu, remedy="maps of the same camera were expected"
                )
            if number >= weights and (extension.bitpix < 0 or extension.bscale != 1.0):
                raise BadHeader(mosaic.path, "no integer data", hdu=extension.hdu, remedy="flag maps hold integers")


class _Combination:
    """The work of one call, shared out to threads in parts."""

    def __init__(
        self,
        sources: Sequence[Sequence["_Source"]],
        weights: int,
        weight_rules: Sequence[WeightRule],
        flag_rules: Sequence[FlagRule],
        flag_kind: np.dtype[Any],
        targets: dict[str, "_Target"],
        areas: Areas | None,
    ) -> None:
        self.sources = sources
        self.weights = weights
        self.weight_rules = weight_rules
        self.flag_rules = flag_rules
        self.flag_kind = flag_kind
        self.targets = targets
        self.areas = areas
        self._rooms = threading.local()

    def run(self, threads: int, told: Callable[[Made], None]) -> list[Made]:
        made: list[Made] = []
        with ThreadPoolExecutor(threads, thread_name_prefix="watch") as pool:
            running = [
                [pool.submit(self._part, *part) for part in self._parts(index)] for index in range(len(self.sources[0]))
            ]
            try:
                for index, parts in enumerate(running):
                    counted = np.sum([part.result() for part in parts], axis=0)
                    made.append(self._finish(index, counted))
                    told(made[-1])
            finally:
                pool.shutdown(cancel_futures=True)
        return made

    def _parts(self, index: int) -> list[tuple[int, int, int]]:
        ny, nx = self.sources[0][index].extension.shape
        step = PART if all(file[index].plain for file in self.sources) else ny * nx
        return [(index, start, min(start + step, ny * nx)) for start in range(0, ny * nx, step)]

    def _part(self, index: int, begin: int, end: int) -> tuple[int, int]:
        room = self._rooms.__dict__.setdefault("room", Room())
        weighty = clear = 0
        for start in range(begin, end, BAND):
            read = [file[index].part(start, min(BAND, end - start), room) for file in self.sources]
            weight, flag = watch(
                read[: self.weights], read[self.weights :], self.weight_rules, self.flag_rules, self.flag_kind, room
            )
            if self.areas is not None:
                weighty += int(np.count_nonzero(weight > np.float32(self.areas.weight)))
                clear += int(np.count_nonzero((flag & self.areas.flags) == 0))
            for title, pixels in (("WEIGHT", weight), ("FLAG", flag)):
                if title in self.targets:
                    self.targets[title].put(index, start, pixels)
        return weighty, clear

    def _finish(self, index: int, counted: NDArray[np.int64]) -> Made:
        ny, nx = self.sources[0][index].extension.shape
        weighty, clear = (counted / (ny * nx)).tolist()
        limits: dict[str, tuple[float, Entry]] = {}
        areas = self.areas or Areas(0.0, 0)
        limits["WEIGHT"] = weighty, ("WEIGAREA", areas.weight, "a pixel counts above this weight")
        limits["FLAG"] = clear, ("FLAGAREA", areas.flags, "a pixel with any of these does not count")
        for title, target in self.targets.items():
            target.finish_header(index, *limits[title])
        for file in self.sources:
            file[index].forget()
        return Made(index + 1, weighty, clear)


class _Source:
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


class _Target:
    """A growing output file: headers and pixels are written wherever their place is, the name comes at the end."""

    def __init__(
        self, path: Path, kind: np.dtype[Any], title: str, layout: Sequence[Extension], primary: str, *, measured: bool
    ) -> None:
        self.path = path
        self.kind = kind.newbyteorder(">")
        self.title = title
        self.measured = measured
        self.layout = layout
        self._partial = path.with_name(f"{path.name}.part")
        self._handle = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        at = 0
        if layout[0].hdu:
            entries: list[Entry] = [("SIMPLE", True, "FITS"), ("BITPIX", 8), ("NAXIS", 0), ("EXTEND", True)]
            at = self._write(0, text_of(entries) + descriptive(primary))
        self.heads: list[int] = []
        self.bodies: list[int] = []
        for extension in layout:
            self.heads.append(at)
            at += len(_closed(self._head(extension, None)))
            self.bodies.append(at)
            size = kind.itemsize * extension.shape[0] * extension.shape[1]
            at += size + padding(size)
        os.truncate(self._handle, at)

    def _head(self, extension: Extension, area: tuple[float, Entry] | None) -> str:
        ny, nx = extension.shape
        bitpix = self.kind.itemsize * (-8 if self.kind.kind == "f" else 8)
        begin: Entry = ("XTENSION", "IMAGE") if extension.hdu else ("SIMPLE", True, "FITS")
        entries: list[Entry] = [begin, ("BITPIX", bitpix), ("NAXIS", 2), ("NAXIS1", nx), ("NAXIS2", ny)]
        entries += [("PCOUNT", 0), ("GCOUNT", 1)] if extension.hdu else [("EXTEND", True)]
        if extension.name:
            entries.append(("EXTNAME", extension.name))
        if extension.values.text("OBJECT"):
            entries.append(("OBJECT", f"{self.title} MAP"))
        share, limit = area or (0.0, ("AREA", 0.0))
        notes: list[Entry] = [("SOFTNAME", software(), "made this map")]
        notes += [("EFF_AREA", share, "share of pixels that count"), limit] if self.measured else []
        replaced = {"OBJECT", "SOFTNAME", "EFF_AREA", "WEIGAREA", "FLAGAREA"}
        return text_of(entries) + descriptive(extension.cards, replaced) + text_of(notes)

    def _write(self, at: int, cards: str) -> int:
        content = _closed(cards).encode("ascii", errors="replace")
        os.pwrite(self._handle, content, at)
        return at + len(content)

    def finish_header(self, index: int, share: float, limit: Entry) -> None:
        """Write the header of an extension; its room was measured with other values in the same cards."""
        self._write(self.heads[index], self._head(self.layout[index], (share, limit)))

    def put(self, index: int, start: int, pixels: NDArray[Any]) -> None:
        """Write pixels in the machine's byte order, which are turned round where they lie."""
        at = self.bodies[index] + start * self.kind.itemsize
        if pixels.dtype != self.kind:
            pixels.byteswap(inplace=True)
        os.pwrite(self._handle, pixels.data, at)

    def finish(self) -> None:
        self._partial.replace(self.path)

    def abandon(self) -> None:
        """Close it; what was not finished is removed."""
        os.close(self._handle)
        self._partial.unlink(missing_ok=True)


def _closed(cards: str) -> str:
    text = cards + "END".ljust(80)
    return text.ljust(-(-len(text) // RECORD) * RECORD)
