"""What a file reads as: its digest, and whether the checksums that it tells of itself agree. Everything here blocks.

The file is read from the disk and not from memory, where the system keeps what
was written or read lately: damage is on the disk.
"""

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from datatransfer.agent.roots import Root, open_file
from datatransfer.errors import SourceGone, Stopped
from datatransfer.mover import BLOCK
from terapix.checksum import datasum, is_zero
from terapix.identity import Digest

FITS: Final = (".fits", ".fits.fz")
"""Endings of files that may tell their own checksums."""
RECORD: Final = 2880
"""Bytes of a record of FITS."""
CARD: Final = 80
LONGEST: Final = 4000 * RECORD
"""Bytes of a header at most; what is longer is none."""
MOST: Final = 2000
"""HDUs of a file at most."""
TOLD: Final = 8
"""HDUs that are named at most."""
_VALUE: Final = re.compile(r"(?P<keyword>[A-Z0-9_-]{1,8})\s*=\s*(?:'(?P<text>[^']*)'|(?P<plain>[^ /]+))")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file reads as."""

    digest: str | None
    """As md5:<hex>; none if it is not there or cannot be read."""
    size: int | None
    """Bytes; none if it is not there."""
    wrong: tuple[str, ...] = ()
    """HDUs whose own checksum does not agree, in words; the first few."""
    summed: int = 0
    """HDUs that tell a checksum."""

    def agrees(self, digest: str, size: int) -> bool:
        """Tell whether it is the file of this digest and size."""
        return (self.digest, self.size) == (digest, size)

    @property
    def sentence(self) -> str:
        """As ``reads as md5:… (8640 bytes); HDU 3 (ccd02): DATASUM does not agree``."""
        if self.size is None:
            return "is not there"
        if self.digest is None:
            return "cannot be read"
        pixels = "; ".join(self.wrong) or (f"the checksums of its {self.summed} HDUs agree" if self.summed else "")
        return f"reads as {self.digest} ({self.size} bytes){f'; {pixels}' if pixels else ''}"


NOT_THERE: Final = Reading(None, None)


def read(root: Root, path: str, *, rate: float = 0.0, stop: threading.Event | None = None) -> Reading:
    """Read a whole file again.

    Parameters
    ----------
    rate : bytes a second at most; 0: as fast as the disk gives them
    stop : when set, the reading ends within a block

    Raises
    ------
    Stopped
    """
    try:
        handle = open_file(root, path)
    except SourceGone:
        return NOT_THERE
    size = os.fstat(handle).st_size
    try:
        _forget(handle)
        digest = _digest(handle, rate=rate, stop=stop or threading.Event())
        wrong, summed = _own_sums(handle, size) if path.endswith(FITS) else ((), 0)
        return Reading(digest, size, wrong, summed)
    except OSError:
        return Reading(None, size)
    finally:
        _forget(handle)
        os.close(handle)


def _digest(handle: int, *, rate: float, stop: threading.Event) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    buffer = memoryview(bytearray(BLOCK))
    begin, done = time.monotonic(), 0
    while count := os.preadv(handle, [buffer], done):
        md5.update(buffer[:count])
        done += count
        early = begin + done / rate - time.monotonic() if rate else 0.0
        if stop.wait(early) if early > 0 else stop.is_set():
            raise Stopped
    return str(Digest("md5", md5.hexdigest()))


def _own_sums(handle: int, size: int) -> tuple[tuple[str, ...], int]:
    """Compare each HDU with the checksums in its header; what is no FITS has none."""
    wrong: list[str] = []
    summed = 0
    for number, (name, cards, head, begin, length) in enumerate(_hdus(handle, size)):
        if not cards.keys() & {"DATASUM", "CHECKSUM"}:
            continue
        summed += 1
        data = _sum(handle, begin, length)
        said = cards.get("DATASUM")
        if said is not None and said.strip() != str(data):
            wrong.append(f"HDU {number} ({name}): DATASUM does not agree with its pixels")
        elif cards.get("CHECKSUM", "").strip() and not is_zero(head, data):
            wrong.append(f"HDU {number} ({name}): CHECKSUM does not agree, though its pixels are whole")
    told = wrong[:TOLD] + ([f"and {len(wrong) - TOLD} more"] if len(wrong) > TOLD else [])
    return tuple(told), summed


def _hdus(handle: int, size: int) -> Iterator[tuple[str, dict[str, str], int, int, int]]:
    """Give of each HDU its name, its values, the sum of its header, and where its data begin and how long they are."""
    at = 0
    for _ in range(MOST):
        header = _header(handle, at, size)
        if header is None:
            return
        cards = dict(_values(header))
        try:
            length = _data_size(cards)
        except (ValueError, KeyError):
            return
        begin = at + len(header)
        padded = -(-length // RECORD) * RECORD
        name = cards.get("EXTNAME", "").strip() or "primary"
        yield name, cards, datasum(header), begin, padded
        at = begin + padded


def _header(handle: int, at: int, size: int) -> bytes | None:
    header = b""
    while at + len(header) < size and len(header) < LONGEST:
        record = os.pread(handle, RECORD, at + len(header))
        if len(record) < RECORD or (not header and not record.startswith((b"SIMPLE  =", b"XTENSION="))):
            return None
        header += record
        if any(record[card : card + 8] == b"END     " for card in range(0, RECORD, CARD)):
            return header
    return None


def _values(header: bytes) -> Iterator[tuple[str, str]]:
    for begin in range(0, len(header), CARD):
        found = _VALUE.match(header[begin : begin + CARD].decode("ascii", "replace"))
        if found:
            yield found["keyword"], found["text"] if found["text"] is not None else found["plain"]


def _data_size(cards: dict[str, str]) -> int:
    """Bytes of an HDU's data without padding; raise ValueError or KeyError where the header makes no sense."""
    axes = [
        int(cards[f"NAXIS{axis}"]) for axis in range(1, int(cards.get("NAXIS", "0")) + 1) if f"NAXIS{axis}" in cards
    ]
    if not axes:
        return 0
    elements = 1
    for axis in axes:
        elements *= axis
    size = abs(int(cards["BITPIX"])) // 8 * int(cards.get("GCOUNT", "1")) * (int(cards.get("PCOUNT", "0")) + elements)
    if size < 0:
        raise ValueError(f"{size} bytes of data")
    return size


def _sum(handle: int, begin: int, length: int) -> int:
    total, done = 0, 0
    while done < length and (block := os.pread(handle, min(BLOCK, length - done), begin + done)):
        total = datasum(block, total)
        done += len(block)
    return total


def _forget(handle: int) -> None:
    """Let the system forget what it keeps of a file in memory, so that the disk is read, and others lose no memory."""
    with contextlib.suppress(OSError):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
