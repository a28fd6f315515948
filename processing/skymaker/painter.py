"""Paint an observing run of MegaCam: processed frames, the flats and the mask that they name, and what goes with them.

Every CCD of every file is a task of its own; workers leave compressed HDUs as
files in a scratch folder and the owner puts them behind each other. What is
painted follows from the seed alone, to the bit, whoever paints it and in whatever order.
"""

import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from processing.crew import crew
from processing.errors import ProcessingError
from processing.mosaic import assemble, primary_bytes
from processing.skymaker.exposures import MASK, exposure_of
from processing.skymaker.painting import (
    Kind,
    Painted,
    Painting,
    Task,
    files_of,
    header_of,
    is_painted,
    marks_part,
    paint_ccd,
    truth_files,
)
from processing.skymaker.previews import pictures
from processing.skymaker.truth import write_truth
from terapix.instruments import Instrument, load_instrument

__all__ = ["Kind", "Painting", "files_of", "is_painted", "paint_all", "paint_run", "paintings"]

RAW_EVERY = 4
"""Every which frame has its raw form beside it."""
_SCRATCH = ".painting-"
"""Beginning of the name of the scratch folder; the number of the painting process follows."""


@dataclass(slots=True)
class Progress:
    """Tasks done, told to whoever wants to know."""

    tell: Callable[[str, float], None]
    total: int
    done: int = field(default=0)

    def step(self, name: str) -> None:
        self.done += 1
        self.tell(name, self.done / self.total)


def paint_run(
    directory: Path,
    *,
    frames: int,
    ccds: int = 36,
    seed: int = 1,
    workers: int = 1,
    truth: Path | None = None,
    progress: Callable[[str, float], None] = lambda _name, _share: None,
) -> list[Path]:
    """Paint `frames` processed frames and all that goes with them.

    Parameters
    ----------
    directory : Path
        Where the files go; made if it is not there.
    frames : int
        Number of processed frames. Filters and programmes take turns, so that 4 frames show all of them.
    ccds : int
        How many CCDs of MegaCam each frame has, the first ones; fewer than 36 make test frames, which only an
        instrument like ``megacam:4`` accepts.
    seed : int
        Everything follows from it, to the bit.
    workers : int
        Processes; 1 paints in this one.
    truth : Path
        Directory for a table of every frame's sources, trails, cosmic rays and defects; made if it is not there. None:
        they are not written.
    progress : callable
        Receives the name of the file that is painted and the share of the whole that is done, from 0 to 1. What it
        raises ends the painting within a second and leaves complete files only.

    Returns
    -------
    files : list of Path
        Everything that belongs to the run, mask and flats before the frames that name them. Files that were painted
        before from the same plan are kept as they are.

    Raises
    ------
    ValueError
        If `frames` is negative or there are not so many CCDs.
    ProcessingError
        If the disk does not have room.
    """
    if frames < 0:
        raise ValueError(f"{frames} frames cannot be painted")
    instrument = load_instrument("megacam").with_ccds(ccds)
    wanted = paintings(frames, ccds=len(instrument.ccds), seed=seed)
    return paint_all(directory, wanted, instrument=instrument, workers=workers, truth=truth, progress=progress)


def paint_all(
    directory: Path,
    wanted: Sequence[Painting],
    *,
    instrument: Instrument,
    workers: int = 1,
    truth: Path | None = None,
    progress: Callable[[str, float], None] = lambda _name, _share: None,
) -> list[Path]:
    """Paint files, in order; those that were painted before from the same plan are kept. As `paint_run` otherwise."""
    directory.mkdir(parents=True, exist_ok=True)
    if truth is not None:
        truth.mkdir(parents=True, exist_ok=True)
    missing = [painting for painting in wanted if not (is_painted(directory, painting) and _is_told(painting, truth))]
    if missing:
        with _scratch(directory) as scratch:
            _paint(instrument, missing, directory, scratch, workers, truth, progress)
    progress("", 1.0)
    return [directory / name for painting in wanted for name in files_of(painting)]


def paintings(frames: int, *, ccds: int, seed: int) -> list[Painting]:
    """List the files of a run: each frame behind the calibrations that it names."""
    listed: dict[str, Painting] = {}
    if frames:
        listed[MASK] = Painting(Kind.MASK, MASK, ccds, 0)
    for index in range(frames):
        exposure = exposure_of(index, seed)
        if exposure.flat not in listed:
            listed[exposure.flat] = Painting(Kind.FLAT, exposure.flat, ccds, seed, exposure)
        name = f"{exposure.number}p"
        listed[name] = Painting(Kind.PROCESSED, name, ccds, seed, exposure)
        if index % RAW_EVERY == 0:
            name = f"{exposure.number}o"
            listed[name] = Painting(Kind.RAW, name, ccds, seed, exposure)
    return list(listed.values())


def _is_told(painting: Painting, truth: Path | None) -> bool:
    """Tell whether the truth about a frame is there, where it is wanted."""
    return truth is None or painting.kind is not Kind.PROCESSED or (truth / truth_files(painting.name)[0]).is_file()


@contextmanager
def _scratch(directory: Path) -> Iterator[Path]:
    """Give a hidden folder for parts of files in `directory`, and clear away those of painters that were killed."""
    for left in directory.glob(f"{_SCRATCH}*"):
        owner = left.name.removeprefix(_SCRATCH)
        if not (owner.isdecimal() and Path("/proc", owner).exists()):
            shutil.rmtree(left, ignore_errors=True)
    scratch = directory / f"{_SCRATCH}{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _paint(
    instrument: Instrument,
    wanted: list[Painting],
    directory: Path,
    scratch: Path,
    workers: int,
    truth: Path | None,
    progress: Callable[[str, float], None],
) -> None:
    """Paint all files of `wanted`, CCD by CCD."""
    _ensure_room(directory, wanted)
    told = Progress(progress, sum(painting.extensions for painting in wanted))
    tasks = [
        Task(painting, index, scratch / f"{painting.name}.{index:02}", told=truth is not None)
        for painting in wanted
        for index in range(painting.extensions)
    ]
    with _hands(workers) as every, closing(every(tasks)) as results:
        for painting in wanted:
            made = []
            for _ in range(painting.extensions):
                made.append(next(results))
                told.step(painting.name)
            _finish(instrument, painting, made, directory, scratch, truth)


@contextmanager
def _hands(workers: int) -> Iterator[Callable[[Iterable[Task]], Generator[Painted]]]:
    """Give a function that paints tasks in order, with `workers` processes or here."""
    if workers <= 1:
        yield lambda tasks: (paint_ccd(task) for task in tasks)
        return
    with crew(workers) as hands:
        yield lambda tasks: hands.map(paint_ccd, tasks)


def _finish(
    instrument: Instrument,
    painting: Painting,
    made: Sequence[Painted],
    directory: Path,
    scratch: Path,
    truth: Path | None,
) -> None:
    """Put the HDUs of a file behind each other, what goes with it first: the file itself says that all is there."""
    parts = [scratch / f"{painting.name}.{index:02}" for index in range(painting.extensions)]
    primary = primary_bytes(header_of(instrument, painting, None))
    tiles = [ccd.tile for ccd in made if ccd.tile is not None]
    if tiles:
        for size, content in pictures(instrument, tiles).items():
            (directory / f"{painting.name}_preview_{size}.jpg").write_bytes(content)
    truths = [ccd.truth for ccd in made if ccd.truth is not None]
    if truths and painting.exposure is not None:
        table, mask = truth_files(painting.name)
        beside = directory if painting.truth or truth is None else truth
        write_truth(beside / table, truths, painting.exposure, frame=painting.file)
        if painting.truth:
            assemble(directory / mask, primary, [marks_part(part) for part in parts])
    assemble(directory / painting.file, primary, parts)
    for part in parts:
        part.unlink()
        marks_part(part).unlink(missing_ok=True)


_BYTES_A_CCD = {
    Kind.PROCESSED: 9_500_000,
    Kind.RAW: 12_000_000,
    Kind.FLAT: 7_500_000,
    Kind.MASK: 500_000,
    Kind.FRINGE: 7_500_000,
}
"""What a compressed CCD takes at most."""


def _ensure_room(directory: Path, wanted: list[Painting]) -> None:
    needed = sum(painting.extensions * _BYTES_A_CCD[painting.kind] for painting in wanted) + 500_000_000
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise ProcessingError(
            f"{directory}: {needed / 1e9:.1f} GB are needed for {len(wanted)} files, {free / 1e9:.1f} GB are free; "
            "ask for fewer frames or for another directory"
        )
