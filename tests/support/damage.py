"""FITS files that are not what they should be, made from one that is."""

import re
from collections.abc import Callable
from pathlib import Path

from astropy.io import fits

from snooppix.headers import read_headers

BLOCK = 2880
CARD = 80


def processed_again(source: Path, target: Path) -> None:
    """Write the same frame with another header and checksums that agree: what a second run of Elixir gives."""
    with fits.open(source, disable_image_compression=True, do_not_scale_image_data=True) as frame:
        frame[0].header.add_history("Processed again with a better flat")
        frame.writeto(target, checksum=True)


def negative_axis(source: Path, target: Path) -> None:
    """Let an image have a negative number of rows."""
    _changed(source, target, lambda data: re.sub(rb"NAXIS2  =\s+\d+", _card(b"NAXIS2  =", -4644), data, count=1))


def truncated(source: Path, target: Path) -> None:
    """Leave out the last third."""
    _changed(source, target, lambda data: data[: len(data) * 2 // 3])


def without_end(source: Path, target: Path, *, size: int) -> None:
    """Let the last header never end: blanks up to `size`, most of them a hole in the file."""
    last = read_headers(source).hdus[1]
    begin = last.offset + last.header_size
    data = source.read_bytes()[:begin]
    end = data.rindex(b"END".ljust(CARD))
    with target.open("wb") as file:
        file.write(data[:end] + b" " * (len(data) - end))
        file.truncate(size)


def _changed(source: Path, target: Path, change: Callable[[bytes], bytes]) -> None:
    target.write_bytes(change(source.read_bytes()))


def _card(begin: bytes, value: int) -> bytes:
    return begin + f"{value:>21}".encode()
