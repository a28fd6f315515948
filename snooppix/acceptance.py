"""What a file is, and whether we take it: decided from its headers alone.

The first thing that a file fails is its reason: a person reads one sentence and
knows what came.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from dbclient.schema import FrameKind
from snooppix.errors import Rejection
from snooppix.headers import Header, Headers
from terapix.identity import FrameId
from terapix.instruments import Instrument


class FileKind(StrEnum):
    """What a file can be. The word is what people read."""

    FRAME = "elixir-processed frame"  #: what we take of MegaCam
    PROCESSED = "observatory-processed frame"  #: what we take of other cameras
    RAW = "raw frame"  #: an exposure of the sky as the camera wrote it
    AMPLIFIER = "amplifier frame"  #: raw, each amplifier still an image of its own
    FLAT = "flat"  #: an exposure of an even surface, or a master made of many
    MASK = "mask"  #: bad pixels of each CCD
    FLAG = "flag map"  #: kinds of bad pixel of one exposure
    BIAS = "bias"
    DARK = "dark"
    FOCUS = "focus exposure"
    OTHER = "other exposure"  #: of our camera, and of a type that we do not know
    DIAGNOSTIC = "diagnostic"  #: tables about a frame, no pixels
    WIRCAM = "WIRCam frame"
    FOREIGN = "frame of another camera"
    PRODUCT = "product"  #: what another TERAPIX made
    UNKNOWN = "unknown"


_TYPES = {
    "MASK": FileKind.MASK,
    "FLAT": FileKind.FLAT,
    "BIAS": FileKind.BIAS,
    "DARK": FileKind.DARK,
    "FOCUS": FileKind.FOCUS,
}
_WORDS = {
    FileKind.RAW: "raw",
    FileKind.AMPLIFIER: "amplifiers",
    FileKind.WIRCAM: "other-camera",
    FileKind.FOREIGN: "other-camera",
    FileKind.UNKNOWN: "unknown",
}
ELIXIR: Final = "Elixir"
"""The pipeline of MegaCam's frames."""
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}")
_WHY = {
    FileKind.AMPLIFIER: "its images are single amplifiers (amp00, amp01 …), not CCDs: Elixir has not spliced it",
    FileKind.FLAT: "it is a flat field: taken only as a calibration that a frame names in IMRED_FF",
    FileKind.MASK: "it is a mask of bad pixels: taken only as a calibration that a frame names in IMRED_MK",
    FileKind.FLAG: "it is a flag map, a product made from a frame",
    FileKind.BIAS: "it is a bias exposure",
    FileKind.DARK: "it is a dark exposure",
    FileKind.FOCUS: "it is a focus exposure",
    FileKind.DIAGNOSTIC: "it holds tables about a frame and no image",
}


def identify(headers: Headers, instrument: Instrument) -> FileKind:
    """Say what a file is."""
    camera, detector = headers.text("INSTRUME"), headers.text("DETECTOR")
    if not headers.images:
        tables = any(header.text("XTENSION") in {"BINTABLE", "TABLE"} for header in headers.extensions)
        return FileKind.DIAGNOSTIC if tables else FileKind.UNKNOWN
    if not camera and not detector:
        return FileKind.UNKNOWN
    if camera != instrument.camera or detector != instrument.detector:
        return FileKind.WIRCAM if "WIRCAM" in {camera.upper(), detector.upper()} else FileKind.FOREIGN
    if any(header.name.lower().startswith("amp") for header in headers.images):
        return FileKind.AMPLIFIER
    if headers.text("OBJECT").upper() == "FLAG MAP":
        return FileKind.FLAG
    kind = headers.text("OBSTYPE") or headers.text("EXPTYPE")
    if kind != instrument.acceptance.obstype:
        return _TYPES.get(kind, FileKind.OTHER)
    if not all(headers.text(keyword) for keyword in instrument.acceptance.elixir):
        return FileKind.RAW
    return FileKind.FRAME if instrument.acceptance.pipeline == ELIXIR else FileKind.PROCESSED


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file is, and whether its header lets it in."""

    kind: FileKind
    rejection: Rejection | None
    excused: tuple[Rejection, ...] = ()
    """What would have kept it out, had nobody excused it."""

    @property
    def accepted(self) -> bool:
        return self.rejection is None


def judge(headers: Headers, instrument: Instrument, *, name: str = "", lenient: bool = False) -> Verdict:
    """Decide about a frame.

    Parameters
    ----------
    name : what it is called at the archive, if that is known
    lenient : excuse what its pixels can do without: unfinished processing, missing keywords, a WCS that says nothing.
        What it is, how many CCDs of what size it has, and whose exposure it is, is never excused.
    """
    kind = identify(headers, instrument)
    if kind not in {FileKind.FRAME, FileKind.PROCESSED}:
        return Verdict(kind, Rejection(_WORDS.get(kind, kind.value.split()[-1]), _why(kind, headers, instrument)))
    excused: list[Rejection] = []
    checks: list[tuple[bool, Callable[[], None]]] = [
        (False, partial(_check_mosaic, headers, instrument)),
        (lenient, partial(_check_processing, headers, instrument)),
        (False, partial(_check_identity, headers, name)),
        (lenient, partial(_check_sky, headers)),
    ]
    for excusable, check in checks:
        try:
            check()
        except Rejection as rejection:
            if not excusable:
                return Verdict(kind, rejection, tuple(excused))
            excused.append(rejection)
    return Verdict(kind, None, tuple(excused))


def judge_calibration(headers: Headers, instrument: Instrument, *, wanted: FrameKind) -> Verdict:
    """Decide about a flat field or mask that frames name."""
    kind = identify(headers, instrument)
    allowed = {FrameKind.FLAT: FileKind.FLAT, FrameKind.MASK: FileKind.MASK}
    if kind is not allowed.get(wanted):
        return Verdict(kind, Rejection("not-calibration", f"a {wanted.value} was asked for and it is: {kind.value}"))
    try:
        _check_mosaic(headers, instrument)
    except Rejection as rejection:
        return Verdict(kind, rejection)
    return Verdict(kind, None)


def _why(kind: FileKind, headers: Headers, instrument: Instrument) -> str:
    if kind in {FileKind.WIRCAM, FileKind.FOREIGN}:
        found = f"INSTRUME = {headers.text('INSTRUME')!r}, DETECTOR = {headers.text('DETECTOR')!r}"
        return f"it comes from another camera: {found}; {instrument.camera} with {instrument.detector} is wanted"
    if kind is FileKind.OTHER:
        return f"OBSTYPE = {headers.text('OBSTYPE')!r} is no exposure of the sky"
    if kind is FileKind.UNKNOWN:
        return "it names no camera (INSTRUME, DETECTOR) or holds nothing: what it is cannot be told"
    if kind is FileKind.RAW:
        accepted = instrument.acceptance
        signs = f"{' and '.join(accepted.elixir)} of {accepted.pipeline}"
        return f"it is a raw exposure, without {signs}: the processed {accepted.suffix} frame is taken instead"
    return _WHY[kind]


def _check_mosaic(headers: Headers, instrument: Instrument) -> None:
    images = headers.images
    found = len(images)
    announced = headers.primary.integer("NEXTEND")
    if announced is not None and announced != len(headers.extensions):
        raise Rejection(
            "incomplete", f"NEXTEND = {announced} extensions are announced and {len(headers.extensions)} are there"
        )
    if found not in instrument.ccd_counts:
        allowed = " or ".join(map(str, instrument.ccd_counts))
        raise Rejection("ccds", f"it has {found} CCD images; {instrument.detector} frames have {allowed}")
    ccds = headers.primary.integer("NCCDS")
    if ccds is not None and ccds != found:
        raise Rejection("ccds", f"NCCDS = {ccds} and {found} CCD images are there")
    for number, header in enumerate(images, start=1):
        if header.shape != (instrument.width, instrument.height):
            width, height = header.shape
            raise Rejection(
                "shape",
                f"HDU {number} ({header.name}) has {width}x{height} pixels, not {instrument.width}x{instrument.height}",
            )
        most = instrument.acceptance.slices
        if header.is_cube and (most == 1 or not 1 <= header.slices <= most):
            wanted = "an image" if most == 1 else f"1 to {most} images"
            raise Rejection("shape", f"HDU {number} ({header.name}) is a cube of {header.size} pixels, not {wanted}")
        if header.bitpix not in {8, 16, 32, -32}:
            raise Rejection("shape", f"HDU {number} ({header.name}) has BITPIX = {header.bitpix}, which no frame has")


def _check_processing(headers: Headers, instrument: Instrument) -> None:
    accepted = instrument.acceptance
    word = f"not-{re.sub('[^a-z]', '', accepted.pipeline.lower())}"
    done = {operation.strip() for operation in headers.text("IMRED_OP").split("+")}
    lacking = [operation for operation in accepted.operations if operation not in done]
    if lacking:
        said = f"IMRED_OP = {headers.text('IMRED_OP')!r} lacks {' and '.join(lacking)}"
        raise Rejection(word, f"{said}: {accepted.pipeline} did not finish it")
    for number, header in enumerate(headers.images, start=1):
        for keyword, wanted in accepted.done.items():
            if (found := header.text(keyword)) != wanted:
                said = f"{keyword} = {found!r} where {wanted!r} is needed"
                raise Rejection(word, f"HDU {number} ({header.name}): {said}: {accepted.pipeline} did not finish it")
    for keyword in accepted.primary:
        if not any(_holds(header, keyword) for header in (headers.primary, *headers.extensions)):
            raise Rejection("header", f"the keyword {keyword} is missing or empty")
    for number, header in enumerate(headers.images, start=1):
        for keyword in accepted.ccd:
            if not _holds(header, keyword):
                raise Rejection("header", f"HDU {number} ({header.name}): the keyword {keyword} is missing or empty")


def _holds(header: Header, keyword: str) -> bool:
    value = header.values.get(keyword)
    return value is not None and not (isinstance(value, str) and not value.strip())


def _check_identity(headers: Headers, name: str) -> None:
    for keyword in ("RUNID", "CRUNID", "QRUNID"):
        if (value := headers.text(keyword)) and not _RUN.fullmatch(value):
            raise Rejection("header", f"{keyword} = {value[:40]!r} is no name of a run: letters, digits, - and _ only")
    number = FrameId(name).number if name else None
    found = headers.number("EXPNUM")
    if number is not None and found is not None and int(found) != number:
        raise Rejection("other-exposure", f"it was listed as {name} and its header says EXPNUM = {int(found)}")


def _check_sky(headers: Headers) -> None:
    for number, header in enumerate(headers.images, start=1):
        _check_wcs(header, number)


def _check_wcs(header: Header, number: int) -> None:
    for axis, kind in ((1, "RA---"), (2, "DEC--")):
        if not header.text(f"CTYPE{axis}").startswith(kind):
            found = header.text(f"CTYPE{axis}") or "missing"
            raise Rejection("wcs", f"HDU {number} ({header.name}): CTYPE{axis} is {found}, {kind}… is needed")
        for keyword in (f"CRVAL{axis}", f"CRPIX{axis}"):
            if header.number(keyword) is None:
                raise Rejection("wcs", f"HDU {number} ({header.name}): {keyword} is missing or no number")
    matrix = [header.number(f"CD{i}_{j}") or 0.0 for i in (1, 2) for j in (1, 2)]
    if abs(matrix[0] * matrix[3] - matrix[1] * matrix[2]) < 1e-14:
        raise Rejection("wcs", f"HDU {number} ({header.name}): the CD matrix {matrix} cannot be inverted")
