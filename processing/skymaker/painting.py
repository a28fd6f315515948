"""What is to be painted: files, the plan that each follows from, and the painting of one CCD of one file."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from processing.mosaic import hdu_bytes
from processing.skymaker.defects import mask_of
from processing.skymaker.detector import fringe_frame
from processing.skymaker.effects import FULL, Effects
from processing.skymaker.exposures import BANDS, PROGRAMMES, Exposure, moment
from processing.skymaker.frame import Exposed, Shot, flat_frame, processed, raw
from processing.skymaker.headers import Manner, calibration_header, ccd_header, primary_header
from processing.skymaker.plain_headers import plain_calibration, plain_header
from processing.skymaker.previews import tile_of
from processing.skymaker.sources import Stock
from processing.skymaker.truth import CcdTruth, truth_of
from terapix.instruments import Instrument, load_instrument

EDITION = 4
"""Raised whenever the painter's files change, so that files of an earlier one are painted again."""
FLAT_STEP = 0.004
"""Step to which flats are rounded: an eighth of their grain. Half the size of a file without loss."""
FRINGE_STEP = 0.0002
"""Step to which fringe patterns are rounded, share of the sky."""
RAW_CCDS = 2
"""CCDs in a raw file: enough to be mistaken for a frame, too few to be one."""
ELIXIR = "MegaCam"
"""DETECTOR of the camera whose headers are told card by card."""
_MASK_DATE = "2003-03-14T00:00:00"
_HEAD = 40 * 2880
"""Bytes at the beginning of a file in which the primary header lies."""


class Kind(StrEnum):
    """What a painted file is."""

    PROCESSED = "processed"  #: p frame
    RAW = "raw"  #: o frame
    FLAT = "flat"  #: flat field
    MASK = "mask"  #: mask of bad pixels
    FRINGE = "fringe"  #: fringe pattern


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
    """Of a frame; of a flat or fringe pattern, the first exposure that names it."""
    camera: str = "megacam"
    """Instrument's name, or the path of its file."""
    manner: Manner = field(default_factory=Manner)
    stock: Stock = field(default_factory=Stock)
    truth: bool = False
    """Whether the truth is written beside a processed frame; previews are, where it is not."""
    sources: str = ""
    """Digest of the lists of sources."""
    threads: int = 1

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
        facts = (
            EDITION, self.kind.value, self.name, self.ccds, self.seed, self.exposure, self.camera, self.manner,
            self.stock if self.kind in {Kind.PROCESSED, Kind.RAW} else None, self.sources, self.truth,
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]

    @property
    def effects(self) -> Effects:
        return self.manner.effects

    def instrument(self) -> Instrument:
        """The camera, with as many CCDs as are painted."""
        return load_instrument(self.camera).with_ccds(self.ccds)


@dataclass(frozen=True, slots=True)
class Task:
    """One CCD of one file, and where its HDU goes."""

    painting: Painting
    index: int
    part: Path
    told: bool = False
    """Whether the truth is wanted beside a preview."""


@dataclass(frozen=True, slots=True)
class Painted:
    """What is known of a painted CCD beside its pixels."""

    tile: NDArray[np.float32] | None = None
    """Its share of the preview."""
    truth: CcdTruth | None = None


def truth_files(name: str) -> tuple[str, str]:
    """Names of the table and of the mask that tell the truth about a frame."""
    return f"{name}.truth.fits", f"{name}.truth-mask.fits.fz"


def files_of(painting: Painting) -> list[str]:
    """Names of the files that a painting leaves: itself, and the previews or the truth of a processed frame."""
    if painting.kind is not Kind.PROCESSED:
        return [painting.file]
    if painting.truth:
        return [painting.file, *truth_files(painting.name)]
    return [painting.file, *(f"{painting.name}_preview_{size}.jpg" for size in (256, 1024))]


def is_painted(directory: Path, painting: Painting) -> bool:
    """Tell whether the file is there and was painted from the same plan."""
    if not all((directory / name).is_file() for name in files_of(painting)):
        return False
    with (directory / painting.file).open("rb") as stream:
        return f"plan {painting.plan}".encode() in stream.read(_HEAD)


def paint_ccd(task: Task) -> Painted:
    """Paint one CCD of one file and leave its HDU at `task.part`; the truth mask's goes beside it."""
    painting = task.painting
    instrument = painting.instrument()
    ccd = instrument.ccds[task.index]
    header = header_of(instrument, painting, task.index)
    exposure, effects = painting.exposure, painting.effects
    if painting.kind is Kind.MASK or exposure is None:
        task.part.write_bytes(hdu_bytes(mask_of(instrument, ccd, effects.defects), header, name=ccd.name))
        return Painted()
    serial = flat_serial(exposure)
    shot = Shot(instrument, ccd, exposure, painting.seed, serial, effects, painting.stock, painting.threads)
    if painting.kind is Kind.FLAT:
        task.part.write_bytes(hdu_bytes(flat_frame(shot), header, name=ccd.name, quantize=FLAT_STEP))
        return Painted()
    if painting.kind is Kind.FRINGE:
        frame = fringe_frame(instrument, ccd, effects, exposure.band)
        task.part.write_bytes(hdu_bytes(frame, header, name=ccd.name, quantize=FRINGE_STEP))
        return Painted()
    if painting.kind is Kind.RAW:
        task.part.write_bytes(hdu_bytes(raw(shot), header, name=ccd.name))
        return Painted()
    levels, exposed = processed(shot)
    task.part.write_bytes(hdu_bytes(levels, header, name=ccd.name, bzero=instrument.bzero))
    if not painting.truth:
        truth = truth_of(shot, exposed, levels) if task.told else None
        return Painted(tile=tile_of(instrument, ccd, levels), truth=truth)
    truth = truth_of(shot, exposed, levels)
    _leave_marks(task, instrument, ccd.name, exposed)
    return Painted(truth=truth)


def marks_part(part: Path) -> Path:
    """Where the HDU of the truth mask of a CCD is left."""
    return part.with_name(f"{part.name}.marks")


def _leave_marks(task: Task, instrument: Instrument, name: str, exposed: Exposed) -> None:
    x0, x1, y0, y1 = instrument.datasec
    marks = np.zeros((instrument.height, instrument.width), np.uint8)
    marks[y0:y1, x0:x1] = exposed.marks
    marks_part(task.part).write_bytes(hdu_bytes(marks, fits.Header(), name=name))


def flat_serial(exposure: Exposure) -> int:
    """Number that tells a flat from those of other camera runs and filters."""
    runs = sorted({programme.camera_run for programme in PROGRAMMES})
    run = exposure.programme.camera_run
    if exposure.band not in BANDS or run not in runs:
        words = f"{run} {exposure.band.filter}".encode()
        return 1000 + int.from_bytes(hashlib.sha256(words).digest()[:4], "big")
    return runs.index(run) * len(BANDS) + BANDS.index(exposure.band)


def header_of(instrument: Instrument, painting: Painting, index: int | None) -> fits.Header:
    """Header of a file's CCD, or its primary one."""
    ccd = None if index is None else instrument.ccds[index]
    exposure, ccds, plan = painting.exposure, painting.extensions, painting.plan
    if painting.kind in {Kind.MASK, Kind.FLAT, Kind.FRINGE} or exposure is None:
        header = calibration_header(
            instrument,
            kind=painting.kind.value.upper(),
            name=painting.name,
            run=exposure.programme.camera_run if exposure else "2003A",
            ccds=ccds,
            ccd=ccd,
            plan=plan,
            date=moment(exposure.mjd).isoformat(timespec="seconds") if exposure else _MASK_DATE,
            filter_name=exposure.band.filter if exposure else None,
            effects=painting.effects,
        )
        return header if instrument.detector == ELIXIR else plain_calibration(header, instrument)
    is_processed, manner = painting.kind is Kind.PROCESSED, painting.manner
    if instrument.detector != ELIXIR:
        return plain_header(instrument, ccd, exposure, ccds=ccds, plan=plan, manner=manner)
    if ccd is None:
        return primary_header(instrument, exposure, ccds=ccds, plan=plan, processed=is_processed, manner=manner)
    return ccd_header(instrument, ccd, exposure, ccds=ccds, plan=plan, processed=is_processed, manner=manner)


__all__ = ["EDITION", "FULL", "Kind", "Painted", "Painting", "Task", "files_of", "is_painted", "paint_ccd"]
