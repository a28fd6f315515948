"""Checksums of HDUs, and the digest of a file's pixels whatever their compression.

Runs in processes of its own: fitsio holds the interpreter's lock while it
unpacks, and a file that breaks the decoder must not take the daemon with it.
What they need is here, so that starting them takes a fifth of a second.
"""

import hashlib
import importlib
import multiprocessing
import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from snooppix.errors import Rejection
from snooppix.headers import Hdu
from terapix.checksum import datasum, is_zero
from terapix.identity import Digest

_TYPES: Final = {8: ">u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


@dataclass(frozen=True, slots=True)
class PixelSum:
    """What one image HDU decodes to."""

    number: int
    line: str
    """Number, format, size and DATASUM of the decoded pixels."""


def examine(path: Path, hdus: Sequence[Hdu]) -> list[PixelSum]:
    """Verify the checksums of some HDUs of a file and sum their decoded pixels.

    Raises
    ------
    Rejection
        ``checksum`` if a DATASUM, CHECKSUM or ZDATASUM does not agree, ``pixels`` if an image cannot be decoded.
    """
    import fitsio  # noqa: PLC0415 - only the processes that unpack need it

    found = []
    with path.open("rb") as file, fitsio.FITS(str(path)) as fits:
        for hdu in hdus:
            file.seek(hdu.offset)
            head, data = file.read(hdu.header_size), file.read(hdu.padded)
            _check(hdu, datasum(head), data_sum := datasum(data))
            if hdu.header.is_image:
                found.append(_pixels(hdu, fits, data_sum))
    return found


def _check(hdu: Hdu, head: int, data: int) -> None:
    said = hdu.header.values.get("DATASUM")
    name = f"HDU {hdu.number} ({hdu.header.name or 'primary'})"
    if said is not None and str(said).strip() != str(data):
        raise Rejection(
            "checksum", f"{name}: DATASUM = {str(said).strip()} and the data sum up to {data}: they were damaged"
        )
    if hdu.header.text("CHECKSUM") and not is_zero(head, data):
        raise Rejection("checksum", f"{name}: CHECKSUM does not agree with header and data: one was changed or damaged")


def _pixels(hdu: Hdu, fits: Any, data_sum: int) -> PixelSum:
    if hdu.header.compressed:
        data_sum = _decoded(hdu, fits)
        said = hdu.header.values.get("ZDATASUM")
        exact = (hdu.header.bitpix or 0) > 0
        if said is not None and exact and str(said).strip() != str(data_sum):
            name = f"HDU {hdu.number} ({hdu.header.name})"
            raise Rejection("checksum", f"{name}: ZDATASUM = {said} and the unpacked pixels sum up to {data_sum}")
    return PixelSum(hdu.number, f"{hdu.number} {hdu.header.bitpix} {hdu.header.size} {data_sum}")


def _decoded(hdu: Hdu, fits: Any) -> int:
    try:
        image = fits[hdu.number]
        image.ignore_scaling = True
        pixels = image.read()
    except Exception as problem:  # fitsio raises OSError, ValueError, RuntimeError and more for broken tiles
        raise Rejection(
            "pixels", f"HDU {hdu.number} ({hdu.header.name}): its pixels cannot be unpacked: {problem}"
        ) from problem
    width, height = hdu.header.shape
    expected = (hdu.header.slices, height, width) if hdu.header.is_cube else (height, width)
    if pixels is None or pixels.shape != expected:
        found = None if pixels is None else pixels.shape[::-1]
        raise Rejection(
            "pixels", f"HDU {hdu.number} ({hdu.header.name}): {found} pixels where {hdu.header.size} are announced"
        )
    return datasum(np.ascontiguousarray(pixels, dtype=_TYPES[hdu.header.bitpix or 16]).reshape(-1).view(np.uint8))


def pixel_digest(sums: Iterable[PixelSum]) -> Digest:
    """Digest of all decoded pixels of a file; it outlives another compression."""
    lines = [item.line for item in sorted(sums, key=lambda item: item.number)]
    return Digest("sha256", hashlib.sha256("\n".join(lines).encode()).hexdigest())


def load_decoder() -> None:
    """Load the library that unpacks, which the first file would otherwise wait for."""
    importlib.import_module("fitsio")


def follow_parent() -> None:
    """Let this process end with the one that started it, however that one ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.join,), daemon=True, name="follow-parent").start()


def _end_after(join: Any) -> None:
    join()
    os._exit(1)
