"""The part of a file that is asked for, read as the archive's own file service reads it."""

import re
from dataclasses import dataclass

from terapix.errors import TerapixError

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file that are asked for."""

    start: int
    count: int
    whole: bool


class Unsatisfiable(TerapixError):
    """A range that begins behind the end of the file."""


def span(header: str | None, size: int) -> Span:
    """Read a Range header as minoc does, which is not as the standard says.

    Several ranges, another unit, numbers that are none, or an end before the
    start give the whole file without a word; ``bytes=-500`` means 0 to 500.

    Raises
    ------
    Unsatisfiable
        The start lies at the end of the file or behind it.
    """
    whole = Span(0, size, whole=True)
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or found[0] == "bytes=-":
        return whole
    start = int(found[1] or 0)
    end = int(found[2]) if found[2] else size - 1
    if start >= size:
        raise Unsatisfiable
    if end < start:
        return whole
    return Span(start, min(end, size - 1) - start + 1, whole=False)
