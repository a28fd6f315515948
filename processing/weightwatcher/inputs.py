"""What the stage reads from headers: illuminated parts, places, and which CCD belongs to which."""

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path

from processing.areas import Area
from processing.cards import CardValues
from processing.errors import BadHeader, DamagedPixels, NotFits, ShapeMismatch
from processing.reading import Extension, Mosaic
from processing.weightwatcher.base import Calibration

LARGEST_UNPACKED = 8_000_000_000
"""Bytes that a gzipped calibration may unpack to: ten times a mosaic of 16-bit integers."""
_CHUNK = 1 << 22
_GZIP = b"\x1f\x8b"


def open_frame(frame: Path) -> tuple[str, list[Extension]]:
    """Return the cards of a frame's primary header and its CCDs.

    Raises
    ------
    FileProblem
        No image, an image that has not two axes, or another number of them than NEXTEND says.
    """
    with Mosaic(frame) as opened:
        primary, extensions = opened.primary_cards, opened.extensions
    if not extensions:
        raise NotFits(frame, "no image in it", remedy="a frame with one image a CCD was expected")
    for extension in extensions:
        if len(extension.shape) != 2 or 0 in extension.shape:
            found = f"an image of axes {extension.shape}"
            raise BadHeader(frame, found, hdu=extension.hdu, remedy="two axes with pixels were expected")
    promised = CardValues(primary).number("NEXTEND")
    if promised is not None and promised != len(extensions):
        found = f"{len(extensions)} images where NEXTEND promises {promised:g}"
        raise ShapeMismatch(frame, found, remedy="a CCD is missing: fetch the frame again")
    return primary, extensions


def illuminated(frame: Path, extension: Extension) -> Area:
    """Part of a CCD that saw the sky, from DATASEC; the whole of it where there is no DATASEC."""
    text = extension.values.text("DATASEC")
    area = Area.parse(text) or Area(0, extension.shape[1], 0, extension.shape[0])
    if not area.within(extension.shape):
        remedy = f"it has to lie within {extension.shape[1]} x {extension.shape[0]} pixels"
        raise BadHeader(frame, f"DATASEC = {text}", hdu=extension.hdu, remedy=remedy)
    return area


def places(extensions: Sequence[Extension], insides: Sequence[Area]) -> list[Area]:
    """Where the illuminated parts lie on the mosaic, from DETSEC; side by side where it does not fit."""
    told = [Area.parse(extension.values.text("DETSEC")) for extension in extensions]
    if all(
        place is not None and (place.width, place.height) == (inside.width, inside.height)
        for place, inside in zip(told, insides, strict=True)
    ):
        return [place for place in told if place is not None]
    across = math.ceil(math.sqrt(len(insides) * max(i.height for i in insides) / max(i.width for i in insides)))
    width, height = max(i.width for i in insides), max(i.height for i in insides)
    laid = []
    for index, inside in enumerate(insides):
        row, column = divmod(index, across)
        x, y = column * width * 33 // 32, row * height * 33 // 32
        laid.append(Area(x, x + inside.width, y, y + inside.height))
    return laid


def matched(calibration: Path, extensions: Sequence[Extension], original: Path) -> tuple[Calibration, ...]:
    """Return the CCD of `calibration` for each of `extensions`, by EXTNAME; by order where names are missing.

    `original` is the file to name in errors, where `calibration` is its unpacked form.
    """
    with Mosaic(calibration) as opened:
        held = opened.extensions
    named = {extension.name.lower(): extension for extension in held if extension.name}
    if len(named) == len(held) and all(extension.name for extension in extensions):
        missing = [extension.name for extension in extensions if extension.name.lower() not in named]
        chosen = [named.get(extension.name.lower()) for extension in extensions]
    else:
        missing = [f"number {number + 1}" for number in range(len(held), len(extensions))]
        chosen = [*held, *[None] * len(missing)][: len(extensions)]
    if missing:
        remedy = f"the frame has {len(extensions)} CCDs and needs each of them: use a calibration of the same camera"
        raise ShapeMismatch(original, f"has no image for CCD {', '.join(missing[:3])}", remedy=remedy)
    found = tuple(Calibration(calibration, extension) for extension in chosen if extension is not None)
    for wanted, each in zip(extensions, found, strict=True):
        if each.extension.shape != wanted.shape:
            raise ShapeMismatch(
                original, f"an image of {size(each.extension.shape)}", hdu=each.extension.hdu,
                remedy=f"CCD {wanted.name} of the frame has {size(wanted.shape)}: use a calibration of the same camera",
            )  # fmt: skip
    return found


def size(shape: tuple[int, ...]) -> str:
    """As people say it: 2112 x 4644 pixels."""
    return " x ".join(str(length) for length in reversed(shape)) + " pixels"


def unzipped(path: Path, directory: Path) -> Path:
    """Return `path`, or its unpacked form in `directory` where it is gzipped as a whole."""
    with path.open("rb") as stream:
        if stream.read(len(_GZIP)) != _GZIP:
            return path
    target = directory / f"{path.name}.unpacked"
    length = 0
    try:
        with gzip.open(path) as source, target.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                length += len(chunk)
                if length > LARGEST_UNPACKED:
                    remedy = "no calibration is that large; the file is damaged or hostile"
                    raise NotFits(path, f"unpacks to more than {LARGEST_UNPACKED} bytes", remedy=remedy)
                sink.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as problem:
        raise DamagedPixels(path, f"cannot be unpacked ({problem})", remedy="fetch it again") from problem
    return target
