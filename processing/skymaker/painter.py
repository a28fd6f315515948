"""Paint an observing run of MegaCam: processed frames, the flats and the mask that they name, and what goes with them.

Every CCD of every file is a task of its own; workers leave compressed HDUs as
files in a scratch folder and the owner puts them behind each other. What is
painted follows from the seed alone, to the bit, whoever paints it and in whatever order.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processing.crew import crew
from processing.errors import ProcessingError
from processing.mosaic import assemble, hdu_bytes, primary_bytes
from processing.skymaker.detector import flat_of, mask_of
from processing.skymaker.exposures import BANDS, MASK, PROGRAMMES, Exposure, exposure_of, moment
from processing.skymaker.frame import processed, raw
from processing.skymaker.headers import calibration_header, ccd_header, primary_header
from processing.skymaker.previews import pictures, tile_of
from terapix.instruments import Instrument, load_instrument

EDITION = 2
"""Raised whenever the painter's files change, so that files of an earlier one are painted again."""
FLAT_STEP = 0.004
"""Step to which flats are rounded: an eighth of their grain. Half the size of a file without loss."""
RAW_EVERY = 4
"""Every which frame has its raw form beside it."""
RAW_CCDS = 2
"""CCDs in a raw file: enough to be mistaken for a frame, too few to be one."""
_SCRATCH = ".painting-"
"""Beginning of the name of the scratch folder; the number of the painting process follows."""
_MASK_DATE = "2003-03-14T00:00:00"
_HEAD = 40 * 2880
"""Bytes at the beginning of a file in which the primary header lies."""


class Kind(StrEnum):
    """What a painted file is."""

    PROCESSED = "processed"  #: p frame
    RAW = "raw"  #: o frame
    FLAT = "flat"  #: flat field
    MASK = "mask"  #: mask of bad pixels


@dataclass(frozen=True, slots=True)
class Painting:
    """One file that is to be painted."""

    kind: Kind
    name: str
    """Without directory and ending."""
    ccds: int
    """CCDs of the camera that is painted."""
    seed: int
    exposure: Exposure | None = None
    """Of a frame; of a flat, the first exposure that names it."""

    @property
    def file(self) -> str:
        return f"{self.name}.fits.fz"

    @property
    def extensions(self) -> int:
        """CCDs in the file."""
        return min(self.ccds, RAW_CCDS) if self.kind is Kind.RAW else self.ccds

    @property
    def plan(self) -> str:
        """Digest of everything that the file follows from."""
        facts = (EDITION, self.kind.value, self.name, self.ccds, self.seed, self.exposure)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Task:
    """One CCD of one file, and where its HDU goes."""

    painting: Painting
    index: int
    part: Path


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
    directory.mkdir(parents=True, exist_ok=True)
    wanted = paintings(frames, ccds=len(instrument.ccds), seed=seed)
    missing = [painting for painting in wanted if not is_painted(directory, painting)]
    if missing:
        with _scratch(directory) as scratch:
            _paint(instrument, missing, directory, scratch, workers, progress)
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


def files_of(painting: Painting) -> list[str]:
    """Names of the files that a painting leaves: itself, and the previews of a processed frame."""
    if painting.kind is not Kind.PROCESSED:
        return [painting.file]
    return [painting.file, *(f"{painting.name}_preview_{size}.jpg" for size in (256, 1024))]


def is_painted(directory: Path, painting: Painting) -> bool:
    """Tell whether the file is there and was painted from the same plan."""
    if not all((directory / name).is_file() for name in files_of(painting)):
        return False
    with (directory / painting.file).open("rb") as stream:
        return f"plan {painting.plan}".encode() in stream.read(_HEAD)


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
    progress: Callable[[str, float], None],
) -> None:
    """Paint all files of `wanted`, CCD by CCD."""
    _ensure_room(directory, wanted)
    told = Progress(progress, sum(painting.extensions for painting in wanted))
    tasks = [
        Task(painting, index, scratch / f"{painting.name}.{index:02}")
        for painting in wanted
        for index in range(painting.extensions)
    ]
    with _hands(workers) as every, closing(every(tasks)) as results:
        for painting in wanted:
            tiles = []
            for _ in range(painting.extensions):
                tiles.append(next(results))
                told.step(painting.name)
            _finish(instrument, painting, tiles, directory, scratch)


@contextmanager
def _hands(workers: int) -> Iterator[Callable[[Iterable[Task]], Generator[NDArray[np.float32] | None]]]:
    """Give a function that paints tasks in order, with `workers` processes or here."""
    if workers <= 1:
        yield lambda tasks: (paint_ccd(task) for task in tasks)
        return
    with crew(workers) as hands:
        yield lambda tasks: hands.map(paint_ccd, tasks)


def paint_ccd(task: Task) -> NDArray[np.float32] | None:
    """Paint one CCD of one file, leave its HDU at `task.part` and return its share of the preview, if there is one."""
    painting = task.painting
    instrument = load_instrument("megacam").with_ccds(painting.ccds)
    ccd = instrument.ccds[task.index]
    tile = None
    header = _header(instrument, painting, task.index)
    exposure = painting.exposure
    if painting.kind is Kind.MASK or exposure is None:
        content = hdu_bytes(mask_of(instrument, ccd), header, name=ccd.name)
    elif painting.kind is Kind.FLAT:
        flat = flat_of(instrument, ccd, seed=painting.seed, serial=flat_serial(exposure))
        content = hdu_bytes(flat, header, name=ccd.name, quantize=FLAT_STEP)
    elif painting.kind is Kind.RAW:
        pixels = raw(instrument, ccd, exposure, seed=painting.seed, flat_serial=flat_serial(exposure))
        content = hdu_bytes(pixels, header, name=ccd.name)
    else:
        levels = processed(instrument, ccd, exposure, seed=painting.seed)
        tile = tile_of(instrument, ccd, levels)
        content = hdu_bytes(levels, header, name=ccd.name, bzero=instrument.bzero)
    task.part.write_bytes(content)
    return tile


def flat_serial(exposure: Exposure) -> int:
    """Number that tells a flat from those of other camera runs and filters."""
    runs = sorted({programme.camera_run for programme in PROGRAMMES})
    return runs.index(exposure.programme.camera_run) * len(BANDS) + BANDS.index(exposure.band)


def _header(instrument: Instrument, painting: Painting, index: int | None) -> fits.Header:
    """Header of a file's CCD, or its primary one."""
    ccd = None if index is None else instrument.ccds[index]
    exposure = painting.exposure
    if painting.kind in {Kind.MASK, Kind.FLAT} or exposure is None:
        is_flat = exposure is not None
        return calibration_header(
            instrument,
            kind="FLAT" if is_flat else "MASK",
            name=painting.name,
            run=exposure.programme.camera_run if exposure else "2003A",
            ccds=painting.extensions,
            ccd=ccd,
            plan=painting.plan,
            date=moment(exposure.mjd).isoformat(timespec="seconds") if exposure else _MASK_DATE,
            filter_name=exposure.band.filter if exposure else None,
        )
    ccds, plan, is_processed = painting.extensions, painting.plan, painting.kind is Kind.PROCESSED
    if ccd is None:
        return primary_header(instrument, exposure, ccds=ccds, plan=plan, processed=is_processed)
    return ccd_header(instrument, ccd, exposure, ccds=ccds, plan=plan, processed=is_processed)


def _finish(
    instrument: Instrument,
    painting: Painting,
    tiles: list[NDArray[np.float32] | None],
    directory: Path,
    scratch: Path,
) -> None:
    """Put the HDUs of a file behind each other, its pictures first, so that the file itself says that all is there."""
    shown = [tile for tile in tiles if tile is not None]
    if shown:
        for size, content in pictures(instrument, shown).items():
            (directory / f"{painting.name}_preview_{size}.jpg").write_bytes(content)
    parts = [scratch / f"{painting.name}.{index:02}" for index in range(painting.extensions)]
    assemble(directory / painting.file, primary_bytes(_header(instrument, painting, None)), parts)
    for part in parts:
        part.unlink()


_BYTES_A_CCD = {Kind.PROCESSED: 9_500_000, Kind.RAW: 12_000_000, Kind.FLAT: 7_500_000, Kind.MASK: 500_000}
"""What a compressed CCD takes at most."""


def _ensure_room(directory: Path, wanted: list[Painting]) -> None:
    needed = sum(painting.extensions * _BYTES_A_CCD[painting.kind] for painting in wanted) + 500_000_000
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise ProcessingError(
            f"{directory}: {needed / 1e9:.1f} GB are needed for {len(wanted)} files, {free / 1e9:.1f} GB are free; "
            "ask for fewer frames or for another directory"
        )
