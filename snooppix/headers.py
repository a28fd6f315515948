"""Headers of a FITS file or of a header dump, read without trusting either.

Only the blocks that are needed are read. Sizes are checked against the file
before anything is allocated, so that no header can make us read, or promise
room for, more than the file holds.
"""

import gzip
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Self

from snooppix.errors import Rejection

BLOCK: Final = 2880
"""Bytes of a FITS block."""
CARD: Final = 80
"""Bytes of a header card."""
LONGEST_HEADER: Final = 1000 * BLOCK
"""Bytes. A MegaCam header takes 15 blocks; one of a thousand is an attack or a hole in a disk."""
MOST_HDUS: Final = 500
"""A MegaCam frame has 41."""
LARGEST_DUMP: Final = 64 * 1024**2
"""Bytes of an unpacked header dump."""
LARGEST_UNPACKED: Final = 8 * 1024**3
"""Bytes. A frame of 40 CCDs in 32 bits takes 1.6 GB."""

Value = bool | int | float | str
_VALUED = re.compile(r"([A-Z0-9_-]{1,8}) *= (.*)")
_TEXT = re.compile(r"\s*'((?:[^']|'')*)'")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([EDed][+-]?\d+)?")
_ENCODING = "latin-1"


def parse_value(text: str) -> Value | None:
    """Read the value field of a card; none if it is undefined or makes no sense."""
    quoted = _TEXT.match(text)
    if quoted:
        return quoted[1].replace("''", "'").rstrip()
    word = text.split("/", 1)[0].strip()
    if word in {"T", "F"}:
        return word == "T"
    if not _NUMBER.fullmatch(word):
        return None
    if re.fullmatch(r"[+-]?\d{1,30}", word):
        return int(word)
    number = float(word.upper().replace("D", "E"))
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class Header:
    """Keywords of one HDU; of a keyword that occurs again the first counts, as the standard orders mandatory ones."""

    values: dict[str, Value]
    name: str = ""
    """EXTNAME, where the compressor's own does not hide that of the image."""

    @classmethod
    def of_cards(cls, cards: Iterator[str]) -> Self:
        values: dict[str, Value] = {}
        name = ""
        for card in cards:
            found = _VALUED.match(card)
            if not found or (value := parse_value(found[2])) is None:
                continue
            if found[1] == "EXTNAME" and isinstance(value, str) and value != "COMPRESSED_IMAGE":
                name = value
            values.setdefault(found[1], value)
        return cls(values, name)

    def text(self, keyword: str) -> str:
        """Value of a text keyword without blanks around it; empty if absent."""
        value = self.values.get(keyword)
        return value.strip() if isinstance(value, str) else ""

    def integer(self, keyword: str) -> int | None:
        value = self.values.get(keyword)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def number(self, keyword: str) -> float | None:
        value = self.values.get(keyword)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @property
    def has_sum(self) -> bool:
        """Whether it tells a checksum of itself or of its data."""
        return bool(self.text("CHECKSUM")) or self.values.get("DATASUM") is not None

    @property
    def compressed(self) -> bool:
        return self.values.get("ZIMAGE") is True

    @property
    def is_image(self) -> bool:
        """Whether it holds an image of two axes or a cube of such images, tile-compressed or not."""
        if self.compressed:
            return self.integer("ZNAXIS") in {2, 3}
        kind = self.text("XTENSION")
        return (kind == "IMAGE" or "SIMPLE" in self.values) and self.integer("NAXIS") in {2, 3}

    @property
    def bitpix(self) -> int | None:
        return self.integer("ZBITPIX" if self.compressed else "BITPIX")

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the image in pixels; zeros if there is none."""
        return self._axis(1), self._axis(2)

    @property
    def slices(self) -> int:
        """Images in it: 1, or as many as a cube has."""
        return self._axis(3) if self.is_cube else 1

    @property
    def size(self) -> str:
        """Width, height and slices as people write them: 2112x4644, 2048x2048x12."""
        width, height = self.shape
        return f"{width}x{height}x{self.slices}" if self.is_cube else f"{width}x{height}"

    @property
    def is_cube(self) -> bool:
        """Whether its image has a third axis, be it of one slice."""
        return self.integer("ZNAXIS" if self.compressed else "NAXIS") == 3

    def _axis(self, number: int) -> int:
        return self.integer(f"{'ZNAXIS' if self.compressed else 'NAXIS'}{number}") or 0


@dataclass(frozen=True, slots=True)
class Hdu:
    """One HDU of a file: its header, and where its bytes lie."""

    number: int
    header: Header
    offset: int = 0
    """Bytes before its header."""
    header_size: int = 0
    data_size: int = 0
    """Bytes of data without padding."""

    @property
    def padded(self) -> int:
        """Bytes of its data with padding."""
        return -(-self.data_size // BLOCK) * BLOCK


@dataclass(frozen=True, slots=True)
class Headers:
    """All headers of a file or dump."""

    primary: Header
    extensions: tuple[Header, ...]
    hdus: tuple[Hdu, ...] = field(default=())
    """Where they lie; empty for a dump."""
    size: int = 0
    """Bytes of the file."""

    @property
    def is_dump(self) -> bool:
        return not self.hdus

    @property
    def images(self) -> tuple[Header, ...]:
        """Extensions that hold an image, and the primary HDU if it does."""
        return tuple(header for header in (self.primary, *self.extensions) if header.is_image)

    def text(self, keyword: str) -> str:
        """Look a text keyword up in the primary header, else in the first extension that has it."""
        return next((found for header in (self.primary, *self.extensions) if (found := header.text(keyword))), "")

    def number(self, keyword: str) -> float | None:
        for header in (self.primary, *self.extensions):
            if (found := header.number(keyword)) is not None:
                return found
        return None


def data_size(header: Header, *, number: int) -> int:
    """Return the bytes of data that a header announces.

    Raises
    ------
    Rejection
        If BITPIX, an axis, PCOUNT or GCOUNT is no sensible number.
    """
    bitpix, axes = header.integer("BITPIX"), header.integer("NAXIS")
    if bitpix not in {8, 16, 32, 64, -32, -64}:
        raise Rejection("hostile", f"HDU {number}: BITPIX = {header.values.get('BITPIX')!r} is no pixel format")
    if axes is None or not 0 <= axes <= 99:
        raise Rejection("hostile", f"HDU {number}: NAXIS = {header.values.get('NAXIS')!r} is no number of axes")
    if axes == 0:
        return 0
    total = 1
    for axis in range(1, axes + 1):
        length = header.integer(f"NAXIS{axis}")
        if length is None or length < 0:
            found = header.values.get(f"NAXIS{axis}")
            raise Rejection("hostile", f"HDU {number}: NAXIS{axis} = {found!r} is no length of an axis")
        total *= length
    extra, groups = header.integer("PCOUNT") or 0, header.integer("GCOUNT")
    groups = 1 if groups is None else groups
    if extra < 0 or groups < 0:
        raise Rejection("hostile", f"HDU {number}: PCOUNT = {extra}, GCOUNT = {groups} make no sense")
    return abs(bitpix) // 8 * groups * (extra + total)


Readable = IO[bytes] | gzip.GzipFile


def read_fits(file: Readable, size: int) -> Headers:
    """Read the headers of an open FITS file of `size` bytes.

    Raises
    ------
    Rejection
        ``not-fits``, ``truncated`` or ``hostile``, with the HDU and the value that is wrong.
    """
    hdus: list[Hdu] = []
    offset = 0
    while offset < size and len(hdus) < MOST_HDUS:
        file.seek(offset)
        start = file.read(9)
        if hdus and not start.startswith(b"XTENSION"):
            break  # special records after the last HDU: none of ours
        if not hdus and not start.startswith(b"SIMPLE  ="):
            raise Rejection("not-fits", f"it does not begin with SIMPLE but with {start[:16]!r}")
        file.seek(offset)
        raw = _header_bytes(file, number=len(hdus), size=size - offset)
        text = raw.decode(_ENCODING)
        header = Header.of_cards(text[i : i + CARD] for i in range(0, len(text), CARD))
        length = data_size(header, number=len(hdus))
        hdu = Hdu(len(hdus), header, offset, len(raw), length)
        if offset + len(raw) + length > size:
            missing = offset + len(raw) + length - size
            word = "hostile" if length > 64 * size else "truncated"
            raise Rejection(
                word, f"HDU {hdu.number} announces {length} bytes of data, {missing} more than the file has"
            )
        hdus.append(hdu)
        offset += len(raw) + hdu.padded
    if not hdus:
        raise Rejection("not-fits", "the file is empty")
    return Headers(hdus[0].header, tuple(hdu.header for hdu in hdus[1:]), tuple(hdus), size)


def _header_bytes(file: Readable, *, number: int, size: int) -> bytes:
    raw = bytearray()
    while len(raw) < min(LONGEST_HEADER, size):
        block = file.read(BLOCK)
        if len(block) < BLOCK:
            raise Rejection("truncated", f"the header of HDU {number} ends without END: the file is cut off")
        raw += block
        if any(block[i : i + 8] == b"END     " for i in range(0, BLOCK, CARD)):
            return bytes(raw)
    if len(raw) >= size:
        raise Rejection("truncated", f"the header of HDU {number} ends without END: the file is cut off")
    raise Rejection("hostile", f"the header of HDU {number} has no END within {LONGEST_HEADER} bytes")


def read_dump(text: str) -> Headers:
    """Read a header dump: cards on lines or in a row, HDUs ended by END; lines that begin with ``#`` are remarks."""
    cards = text.splitlines() if "\n" in text[: 2 * CARD] else [text[i : i + CARD] for i in range(0, len(text), CARD)]
    found: list[Header] = []
    block: list[str] = []
    for card in (*cards, "END"):
        if card.rstrip() == "END":
            if any(line.strip() for line in block):
                found.append(Header.of_cards(iter(block)))
            block = []
        elif not card.startswith("#"):
            block.append(card)
    if not found or "SIMPLE" not in found[0].values:
        raise Rejection("not-fits", "it is neither a FITS file nor a dump of FITS headers: no SIMPLE at its beginning")
    return Headers(found[0], tuple(found[1:]))


def read_headers(path: Path) -> Headers:
    """Read the headers of a FITS file or of a header dump, plain or packed with gzip.

    Raises
    ------
    Rejection
        If the file is no FITS file, is cut off, or announces what cannot be.
    OSError
        If it cannot be read at all.
    """
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    try:
        if packed:
            return _read_packed(path)
        size = path.stat().st_size
        with path.open("rb") as file:
            if _is_dump(file.read(BLOCK)):
                file.seek(0)
                return read_dump(_limited(file))
            return read_fits(file, size)
    except (gzip.BadGzipFile, EOFError) as problem:
        raise Rejection("truncated", f"the gzip packing is broken: {problem}") from problem


def _read_packed(path: Path) -> Headers:
    with gzip.open(path) as file:
        start = file.read(BLOCK)
        if _is_dump(start):
            file.seek(0)
            return read_dump(_limited(file))
        size = len(start)
        while block := file.read(2**20):
            size += len(block)
            if size > LARGEST_UNPACKED:
                raise Rejection("hostile", f"its gzip packing holds more than {LARGEST_UNPACKED} bytes")
        return read_fits(file, size)


def _is_dump(start: bytes) -> bool:
    """Tell a dump by its lines, or by a header that is followed at once by another."""
    return not start.startswith(b"SIMPLE  =") or b"\n" in start[: CARD + 2]


def _limited(file: Readable) -> str:
    raw = file.read(LARGEST_DUMP + 1)
    if len(raw) > LARGEST_DUMP:
        raise Rejection("hostile", f"a header dump of more than {LARGEST_DUMP} bytes")
    return raw.decode(_ENCODING)
