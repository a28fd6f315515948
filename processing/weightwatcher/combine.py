"""Weight maps, flag maps and regions: read in parts, combined on several threads, written where their place is."""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from processing.cards import Entry
from processing.errors import BadHeader, BadRegions, BadSetting, NotFits, ShapeMismatch
from processing.reading import Extension, Mosaic
from processing.sharing import shared
from processing.weightwatcher.kinds import WeightKind
from processing.weightwatcher.maps import InputMap, Layout, OutputMap, PackedMap, PlainMap, converted
from processing.weightwatcher.watch import Mask, Room, Rules, watch

if TYPE_CHECKING:
    from processing.regions.shapes import Region

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


@dataclass(frozen=True, slots=True)
class Inputs:
    """Files that are combined."""

    weights: Sequence[Path] = ()
    """Of multi-extension or single images, compressed or not, all of as many images of the same sizes."""
    flags: Sequence[Path] = ()
    regions: Sequence[Path] = ()
    """Of DS9."""
    union: bool = True
    """A pixel is covered where a region of the file lies; otherwise where an odd number of them does."""
    single: bool = True
    """Corners of polygons are numbers of single precision, as the peer has them."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Files that are made; a name that ends in ``.fz`` has them compressed."""

    weight: Path | None
    """Float32; None: not made."""
    flag: Path | None
    flag_kind: np.dtype[Any]
    """Of the flag map: uint8, int16 or int32."""
    weight_kind: WeightKind = WeightKind.WEIGHT
    step: float = 0.0
    """To whole numbers of which compressed weights are rounded; 0: harmless to every weight."""
    areas: Areas | None = None
    """Measured and written into the headers; None: not measured."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Told in the headers."""


def combine(
    inputs: Inputs, rules: Rules, outputs: Outputs, *, threads: int = 1, told: Callable[[Made], None] = lambda _: None
) -> list[Made]:
    """Combine files, extension by extension, into files of the layout of the first map, complete or not at all.

    Parameters
    ----------
    threads : int
        Never changes a bit.

    Returns
    -------
    made : one record an extension; areas are 0 where they were not to be measured

    Raises
    ------
    FileProblem
        A map is damaged, of another size, or holds no integers where flags were expected; regions cannot be drawn.
    """
    files = [*inputs.weights, *inputs.flags]
    if not files:
        raise BadSetting("no input: WEIGHT_NAMES or FLAG_NAMES has to name a file")
    with ExitStack() as stack:
        opened = [stack.enter_context(Mosaic(path)) for path in files]
        layout = Layout(opened[0].extensions, opened[0].primary_cards, outputs.provenance)
        _check(opened, len(inputs.weights))
        drawn = _drawn(inputs.regions)
        for region in (region for each in drawn for region in each if not region.system.on_the_sky):
            if region.tile > len(layout.extensions):
                found = f"line {region.line}: tile {region.tile}, but the maps have {len(layout.extensions)} images"
                raise BadRegions(region.path or "regions", found, remedy="regions of the same camera were expected")
        sources = [[InputMap(mosaic.path, extension) for extension in mosaic.extensions] for mosaic in opened]
        for source in (each for file in sources for each in file):
            stack.callback(source.close)
        written: dict[str, OutputMap] = {}
        weight, flag = (np.dtype(np.float32), outputs.weight), (outputs.flag_kind, outputs.flag)
        for title, (kind, path) in {"WEIGHT": weight, "FLAG": flag}.items():
            if path is not None:
                written[title] = _output(path, kind, title, layout, outputs)
                stack.callback(written[title].abandon)
        work = _Combination(sources, _Covers(drawn, inputs, layout.extensions), rules, outputs, written)
        made = work.run(threads, told)
        for target in written.values():
            target.finish()
    return made


def _output(path: Path, kind: np.dtype[Any], title: str, layout: Layout, outputs: Outputs) -> OutputMap:
    if path.suffix == ".fz":
        step = outputs.step if outputs.weight_kind is WeightKind.WEIGHT else np.inf
        return PackedMap(path, kind, title, layout, step=step)
    return PlainMap(path, kind, title, layout, _notes(title, 0.0, outputs))


def _drawn(paths: Sequence[Path]) -> "list[list[Region]]":
    if not paths:
        return []
    from processing.regions.reading import read_regions  # noqa: PLC0415  seldom needed

    return [read_regions(path) for path in paths]


def _notes(title: str, share: float, outputs: Outputs) -> list[Entry]:
    """Cards about one extension of a map; of the same length whatever `share` is."""
    notes: list[Entry] = []
    if title == "WEIGHT":
        notes.append(("WGHTTYPE", outputs.weight_kind.value, "what the pixels are"))
    if outputs.areas is not None:
        notes.append(("EFF_AREA", share, "share of pixels that count"))
        if title == "WEIGHT":
            notes.append(("WEIGAREA", outputs.areas.weight, "a pixel counts above this weight"))
        else:
            notes.append(("FLAGAREA", outputs.areas.flags, "a pixel with any of these does not count"))
    return notes


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


class _Covers:
    """What regions cover, extension by extension: laid on it when it is begun, dropped when it is done."""

    def __init__(self, drawn: Sequence[Sequence[Any]], inputs: Inputs, extensions: Sequence[Extension]) -> None:
        self.drawn = drawn
        self.inputs = inputs
        self.extensions = extensions
        self._locks = [threading.Lock() for _ in extensions]
        self._laid: dict[int, list[Any]] = {}

    def part(self, index: int, start: int, count: int) -> list[Mask | None]:
        """Return for each file what it covers of pixels from `start` on; None where that is nothing."""
        return [masks.part(start, start + count) for masks in self.lay(index)]

    def lay(self, index: int) -> list[Any]:
        """Lay the regions of each file on an extension, unless that is done."""
        if not self.drawn:
            return []
        from processing.regions.masks import Masks  # noqa: PLC0415  seldom needed

        with self._locks[index]:
            if index not in self._laid:
                extension = self.extensions[index]
                shape, cards = (extension.shape[0], extension.shape[1]), extension.cards
                union, single = self.inputs.union, self.inputs.single
                self._laid[index] = [
                    Masks(regions, shape, cards, index + 1, union=union, single=single) for regions in self.drawn
                ]
            return self._laid[index]

    def forget(self, index: int) -> None:
        self._laid.pop(index, None)


class _Combination:
    """The work of one call, shared out to threads in parts."""

    def __init__(
        self,
        sources: Sequence[Sequence[InputMap]],
        covers: _Covers,
        rules: Rules,
        outputs: Outputs,
        targets: dict[str, OutputMap],
    ) -> None:
        self.sources = sources
        self.covers = covers
        self.rules = rules
        self.outputs = outputs
        self.targets = targets
        self._rooms = threading.local()

    def run(self, threads: int, told: Callable[[Made], None]) -> list[Made]:
        made: list[Made] = []
        parts = [self._parts(index) for index in range(len(self.sources[0]))]
        with closing(shared(self._tasks(parts), threads)) as counted:
            for index, own in enumerate(parts):
                counts = [next(counted) for _ in range(len(own) + 1)]
                made.append(self._finish(index, np.sum(counts, axis=0)))
                told(made[-1])
        return made

    def _tasks(self, parts: Sequence[Sequence[tuple[int, int, int]]]) -> list[Callable[[], tuple[int, int]]]:
        """Return for each extension a task that lays regions on the next one, and those of its parts."""
        tasks: list[Callable[[], tuple[int, int]]] = []
        for index, own in enumerate(parts):
            tasks.append(partial(self._lay, index + 1))
            tasks += [partial(self._part, *part) for part in own]
        return tasks

    def _lay(self, index: int) -> tuple[int, int]:
        """Lay regions on an extension while another thread is at work on the one before; it has no pixels to count."""
        if index < len(self.covers.extensions):
            self.covers.lay(index)
        return 0, 0

    def _parts(self, index: int) -> list[tuple[int, int, int]]:
        ny, nx = self.sources[0][index].extension.shape
        split = all(file[index].plain for file in self.sources) and not any(t.whole for t in self.targets.values())
        step = PART if split else ny * nx
        return [(index, start, min(start + step, ny * nx)) for start in range(0, ny * nx, step)]

    def _part(self, index: int, begin: int, end: int) -> tuple[int, int]:
        room = self._rooms.__dict__.setdefault("room", Room())
        areas, number = self.outputs.areas, len(self.rules.weights)
        weighty = clear = 0
        for start in range(begin, end, BAND):
            count = min(BAND, end - start)
            read = [file[index].part(start, count, room) for file in self.sources]
            covered = self.covers.part(index, start, count)
            kind, spend = self.outputs.flag_kind, self.sources[0][index].plain
            weight, flag = watch(read[:number], read[number:], covered, self.rules, kind, room, spend=spend)
            if areas is not None:
                weighty += int(np.count_nonzero(weight > np.float32(areas.weight)))
                clear += int(np.count_nonzero((flag & areas.flags) == 0))
            if "WEIGHT" in self.targets:
                shown = converted(weight, self.outputs.weight_kind, room)
                self.targets["WEIGHT"].put(index, start, shown, room)
            if "FLAG" in self.targets:
                self.targets["FLAG"].put(index, start, flag, room)
        for target in self.targets.values():
            target.close(index)
        return weighty, clear

    def _finish(self, index: int, counted: NDArray[np.int64]) -> Made:
        ny, nx = self.sources[0][index].extension.shape
        weighty, clear = (counted / (ny * nx)).tolist()
        for title, target in self.targets.items():
            target.finish_header(index, _notes(title, weighty if title == "WEIGHT" else clear, self.outputs))
        for file in self.sources:
            file[index].forget()
        self.covers.forget(index)
        return Made(index + 1, weighty, clear)
