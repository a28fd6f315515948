"""Reading multi-extension FITS whose headers may be wrong on purpose.

Headers are walked here, with every length checked against the file before a
byte of pixels is touched; cfitsio is asked only for forms of compression that are
not Rice by rows, after the same checks.
"""

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from processing.cards import CARD, LONGEST_HEADER, RECORD, CardValues, descriptive
from processing.errors import BadHeader, DamagedPixels, NotFits, Truncated

if TYPE_CHECKING:
    from astropy.io.fits import Header

LARGEST_IMAGE = 2**31
"""Pixels of one extension."""
_BLOCK = 32
"""Pixels a block that the decoder here takes."""
_KINDS: dict[int, np.dtype[Any]] = {
    8: np.dtype("u1"), 16: np.dtype(">i2"), 32: np.dtype(">i4"), 64: np.dtype(">i8"),
    -32: np.dtype(">f4"), -64: np.dtype(">f8"),
}  # fmt: skip
_FETCH_AGAIN = "the file is damaged: fetch it again"
_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])")
_WIDTHS = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16, "P": 8, "Q": 16}


@dataclass(frozen=True)
class Extension:
    """An HDU that holds an image."""

    hdu: int
    """Number of the HDU in the file, the primary one being 0."""
    name: str
    """EXTNAME, or an empty text."""
    shape: tuple[int, ...]
    """(ny, nx)."""
    bitpix: int
    """Of the image, compressed or not."""
    compressed: bool
    cards: str = field(repr=False)
    """Card images, one behind the other."""
    data: int
    """Offset of the data in the file, bytes."""
    size: int
    """Length of the data, bytes."""
    bscale: float
    """Value of one stored unit; the steps of quantised floats are undone on reading and not meant here."""
    bzero: float
    """Value of a stored 0."""

    @cached_property
    def values(self) -> CardValues:
        """Values of the keywords, as they stand in the file."""
        return CardValues(self.cards)

    @cached_property
    def header(self) -> "Header":
        """Header of the image without the keywords of storage."""
        return _header(descriptive(self.cards))


def _header(cards: str) -> "Header":
    from astropy.io.fits import Header  # noqa: PLC0415  slow to import, and tools live without it

    return Header.fromstring(cards)


class Mosaic:
    """A FITS file of images: its headers; pixels are read when they are asked for, and nothing stays open.

    Raises
    ------
    NotFits, BadHeader, Truncated
        On opening: every header is walked and every length is checked against the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.primary_cards = ""
        """Card images of the primary header."""
        self.extensions: list[Extension] = []
        with self.path.open("rb") as stream:
            self._walk(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @cached_property
    def primary(self) -> "Header":
        """Primary header."""
        return _header(self.primary_cards)

    def _walk(self, stream: BinaryIO) -> None:
        total = os.fstat(stream.fileno()).st_size
        if total == 0:
            raise NotFits(self.path, "is empty", remedy=_FETCH_AGAIN)
        offset, hdu = 0, 0
        while offset < total:
            cards = self._cards(stream, offset, hdu)
            if cards is None:
                break
            offset += -(-(len(cards) + CARD) // RECORD) * RECORD
            numbers = _Numbers(self.path, hdu, cards)
            size, shape, bitpix = numbers.extent()
            if offset + size > total:
                found = f"its pixels end at byte {offset + size}, the file at {total}"
                raise Truncated(self.path, found, hdu=hdu, remedy=_FETCH_AGAIN)
            if hdu == 0:
                self.primary_cards = cards
            if numbers.is_image or numbers.is_compressed:
                scale, zero = numbers.real("BSCALE", 1.0), numbers.real("BZERO", 0.0)
                name, packed = numbers.text("EXTNAME"), numbers.is_compressed
                self.extensions.append(Extension(hdu, name, shape, bitpix, packed, cards, offset, size, scale, zero))
            offset += -(-size // RECORD) * RECORD
            hdu += 1

    def _cards(self, stream: BinaryIO, offset: int, hdu: int) -> str | None:
        """Card images of the header at `offset` up to END; None where only filling follows the last HDU."""
        stream.seek(offset)
        pieces: list[str] = []
        while len(pieces) * RECORD < LONGEST_HEADER:
            record = stream.read(RECORD)
            begin = b"SIMPLE  =" if hdu == 0 else b"XTENSION="
            if not pieces and not record.startswith(begin):
                if hdu:
                    return None
                raise NotFits(self.path, f"begins with {record[:16]!r}, not with SIMPLE", remedy="it is no FITS file")
            if len(record) < RECORD:
                raise Truncated(self.path, "the file ends inside a header", hdu=hdu, remedy=_FETCH_AGAIN)
            text = record.decode("ascii", errors="replace")
            if "END     " in text:
                for place in range(0, RECORD, CARD):
                    if text[place : place + CARD].rstrip() == "END":
                        return "".join(pieces) + text[:place]
            pieces.append(text)
        found = f"a header of more than {LONGEST_HEADER} bytes"
        raise NotFits(
            self.path, found, hdu=hdu, remedy="no camera writes such a header; the file is damaged or hostile"
        )

    def read(self, index: int) -> NDArray[Any]:
        """Return the pixels of the image `index` of `extensions`, as `read_pixels` does."""
        return read_pixels(self.path, self.extensions[index])


def read_pixels(path: Path, extension: Extension) -> NDArray[Any]:
    """Return the pixels of an image in their physical values.

    Returns
    -------
    pixels : (ny, nx) of the smallest type that holds them: uint8, int16, int32, uint16 where BZERO is 32768,
        int32 for 16 bits with another whole BZERO, float32 or float64; NaN where a float has no value

    Raises
    ------
    BadHeader, Truncated, DamagedPixels
    """
    return _physical(read_stored(path, extension), extension.bscale, extension.bzero)


def read_stored(path: Path, extension: Extension) -> NDArray[Any]:
    """Return the pixels as stored, before BSCALE and BZERO, in the machine's byte order."""
    if len(extension.shape) != 2 or 0 in extension.shape:
        found = f"an image of axes {extension.shape}"
        raise BadHeader(path, found, hdu=extension.hdu, remedy="2 axes with pixels were expected")
    table = _Table(path, extension) if extension.compressed else None
    if table is not None and not table.is_rice_by_rows:
        return _by_cfitsio(path, extension)
    with path.open("rb") as stream:
        data = np.fromfile(stream, np.uint8, extension.size, offset=extension.data)
    if data.size < extension.size:
        raise Truncated(path, "the file became shorter", hdu=extension.hdu, remedy=_FETCH_AGAIN)
    if table is not None:
        return table.decode(data)
    kind = _KINDS[extension.bitpix]
    return data.view(kind).reshape(extension.shape).astype(kind.newbyteorder("="))


def step_of(path: Path, extension: Extension) -> float | None:
    """Step of which all floats of an image are whole numbers, zero included; None where they are anything else."""
    table = _Table(path, extension) if extension.compressed else None
    if table is None or not table.is_rice_by_rows or extension.bitpix > 0:
        return None
    with path.open("rb") as stream:
        rows = np.fromfile(stream, np.uint8, extension.shape[0] * table.record, offset=extension.data)
    if rows.size < extension.shape[0] * table.record:
        raise Truncated(path, "the file became shorter", hdu=extension.hdu, remedy=_FETCH_AGAIN)
    return table.step(rows.reshape(-1, table.record))


def _by_cfitsio(path: Path, extension: Extension) -> NDArray[Any]:
    import fitsio  # noqa: PLC0415  slow to import, and needed for rare files only

    try:
        with fitsio.FITS(str(path)) as file:
            pixels: NDArray[Any] = np.asarray(file[extension.hdu].read())
    except (OSError, ValueError) as problem:
        found = f"cfitsio cannot decompress it ({' '.join(str(problem).split())})"
        raise DamagedPixels(path, found, hdu=extension.hdu, remedy=_FETCH_AGAIN) from problem
    if extension.bitpix > 0 and (extension.bscale, extension.bzero) != (1.0, 0.0):
        pixels = np.rint((pixels.astype(np.float64) - extension.bzero) / extension.bscale)
        return pixels.astype(_KINDS[extension.bitpix].newbyteorder("="))
    return pixels


class _Numbers(CardValues):
    """Structural keywords of one header, each checked."""

    def __init__(self, path: Path, hdu: int, cards: str) -> None:
        super().__init__(cards)
        self.path = path
        self.hdu = hdu

    def whole(self, keyword: str, low: int, high: int, default: int | None = None) -> int:
        text = self.plain(keyword)
        if not text and default is not None:
            return default
        expected = f"a whole number from {low} to {high} was expected"
        if not re.fullmatch(r"[+-]?\d{1,19}", text):
            raise BadHeader(self.path, f"{keyword} = {text or 'nothing'}", hdu=self.hdu, remedy=expected)
        value = int(text)
        if not low <= value <= high:
            raise BadHeader(self.path, f"{keyword} = {value}", hdu=self.hdu, remedy=expected)
        return value

    def real(self, keyword: str, default: float) -> float:
        if not self.plain(keyword):
            return default
        value = self.number(keyword)
        if value is None or (keyword == "BSCALE" and value <= 0):
            found = f"{keyword} = {self.plain(keyword)}"
            raise BadHeader(self.path, found, hdu=self.hdu, remedy="a number was expected, BSCALE above 0")
        return value

    @property
    def is_compressed(self) -> bool:
        return self.text("XTENSION") == "BINTABLE" and self.plain("ZIMAGE") == "T"

    @property
    def is_image(self) -> bool:
        return (self.hdu == 0 or self.text("XTENSION") == "IMAGE") and self.whole("NAXIS", 0, 999) > 0

    def _axes(self, prefix: str) -> tuple[int, ...]:
        count = self.whole(f"{prefix}NAXIS", 0, 999)
        return tuple(self.whole(f"{prefix}NAXIS{axis}", 0, 2**40) for axis in range(count, 0, -1))

    def _bitpix(self, keyword: str) -> int:
        value = self.whole(keyword, -64, 64)
        if value not in _KINDS:
            raise BadHeader(
                self.path, f"{keyword} = {value}", hdu=self.hdu, remedy="8, 16, 32, 64, -32 or -64 was expected"
            )
        return value

    def extent(self) -> tuple[int, tuple[int, ...], int]:
        """Bytes of the data, and shape and BITPIX of the image in it."""
        bitpix = self._bitpix("BITPIX")
        shape = self._axes("")
        pixels = 1
        for length in shape:
            pixels *= length
        extra, groups = self.whole("PCOUNT", 0, 2**48, 0), self.whole("GCOUNT", 1, 2**31, 1)
        size = abs(bitpix) // 8 * groups * (extra + (pixels if shape else 0))
        if self.is_compressed:
            rows = shape[0] if len(shape) == 2 else -1
            bitpix, shape = self._bitpix("ZBITPIX"), self._axes("Z")
            if len(shape) == 2 and 0 not in shape and self.whole("ZTILE2", 1, 2**31, 1) == 1 and rows != shape[0]:
                tile = self.whole("ZTILE1", 1, 2**40, shape[1])
                if rows != shape[0] * -(-shape[1] // tile):
                    found = f"a table of {rows} rows for {shape[0]} rows of pixels"
                    raise BadHeader(self.path, found, hdu=self.hdu, remedy=_FETCH_AGAIN)
            pixels = 1
            for length in shape:
                pixels *= length
            if pixels > max(size, 1) * 1024:
                raise BadHeader(self.path, f"{pixels} pixels in {size} bytes", hdu=self.hdu, remedy=_FETCH_AGAIN)
        if pixels > LARGEST_IMAGE and shape:
            raise BadHeader(self.path, f"{pixels} pixels", hdu=self.hdu, remedy=f"at most {LARGEST_IMAGE} are read")
        return size, shape, bitpix


class _Table:
    """The table inside a compressed HDU, whose lengths were checked on opening."""

    def __init__(self, path: Path, extension: Extension) -> None:
        self.path = path
        self.extension = extension
        self.values = extension.values
        self.columns: dict[str, tuple[int, str]] = {}
        at = 0
        for number in range(1, min(self._whole("TFIELDS", 0), 999) + 1):
            found = _FORM.match(self.values.text(f"TFORM{number}").strip())
            if not found:
                break
            self.columns[self.values.text(f"TTYPE{number}").strip()] = (at, found[2])
            at += int(found[1] or 1) * _WIDTHS.get(found[2], 1)
        self.record = at

    def _whole(self, keyword: str, default: int) -> int:
        value = self.values.number(keyword)
        return default if value is None else int(value)

    def _parameter(self, name: str, default: int) -> int:
        for number in range(1, 10):
            if self.values.text(f"ZNAME{number}").strip() == name:
                return self._whole(f"ZVAL{number}", default)
        return default

    @property
    def is_rice_by_rows(self) -> bool:
        """Whether the kernels here decode it; everything else is left to cfitsio."""
        whole_rows = self._whole("ZTILE1", self.extension.shape[1]) == self.extension.shape[1]
        dithered = self.values.text("ZQUANTIZ").startswith("SUBTRACTIVE")
        return (
            self.values.text("ZCMPTYPE").strip() in {"RICE_1", "RICE_ONE"}
            and whole_rows
            and self._whole("ZTILE2", 1) == 1
            and self._whole("NAXIS2", -1) == self.extension.shape[0]
            and self._whole("NAXIS1", -1) == self.record
            and not dithered
            and self._parameter("BLOCKSIZE", 32) == _BLOCK
            and self.bytes_a_pixel in {1, 2, 4}
            and "COMPRESSED_DATA" in self.columns
            and not {"GZIP_COMPRESSED_DATA", "UNCOMPRESSED_DATA", "ZBLANK"} & set(self.columns)
            and (self.extension.bitpix > 0) == ("ZSCALE" not in self.columns)
            and self.extension.bitpix in {8, 16, 32, -32}
        )

    @property
    def bytes_a_pixel(self) -> int:
        return self._parameter("BYTEPIX", 4)

    def _column(self, table: NDArray[np.uint8], name: str, kind: str, skip: int = 0) -> NDArray[Any]:
        at = self.columns[name][0] + skip
        width = np.dtype(kind).itemsize
        return np.ascontiguousarray(table[:, at : at + width]).view(kind)[:, 0]

    def step(self, table: NDArray[np.uint8]) -> float | None:
        """Step of the quantised floats, where it is the same in all rows and zero is one of its multiples."""
        scale, zero = (self._column(table, name, ">f8").astype(np.float64) for name in ("ZSCALE", "ZZERO"))
        return float(scale[0]) if (scale == scale[0]).all() and scale[0] > 0 and not zero.any() else None

    def decode(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        from processing.kernels import rice  # noqa: PLC0415  brings the compiler, which uncompressed files need not

        rows, width = self.extension.shape[0], self.record
        table = data[: rows * width].reshape(rows, width)
        heap = data[max(rows * width, self._whole("THEAP", 0)) :]
        word = ">i8" if self.columns["COMPRESSED_DATA"][1] == "Q" else ">i4"
        lengths = self._column(table, "COMPRESSED_DATA", word).astype(np.int64)
        starts = self._column(table, "COMPRESSED_DATA", word, np.dtype(word).itemsize).astype(np.int64)
        if (lengths < 0).any() or (starts < 0).any() or (starts + lengths > heap.size).any():
            raise self._damaged("a row of pixels lies outside the heap")
        bits = self.bytes_a_pixel * 8
        pixels = np.empty(self.extension.shape, f"i{self.bytes_a_pixel}")
        bad = rice.decode_rows(heap, starts, starts + lengths, bits, rice.leading_zeros(), pixels)
        if bad >= 0:
            raise self._damaged(f"row {bad + 1} cannot be decoded")
        if self.extension.bitpix > 0:
            return pixels.view(np.uint8) if bits == 8 else pixels.astype(f"i{self.extension.bitpix // 8}", copy=False)
        scale = self._column(table, "ZSCALE", ">f8").astype(np.float64)
        zero = self._column(table, "ZZERO", ">f8").astype(np.float64)
        floats = np.empty(self.extension.shape, np.float32)
        rice.restore_rows(pixels, scale, zero, self._whole("ZBLANK", rice.NULL), floats)
        return floats

    def _damaged(self, found: str) -> DamagedPixels:
        return DamagedPixels(self.path, found, hdu=self.extension.hdu, remedy=_FETCH_AGAIN)


def _physical(stored: NDArray[Any], bscale: float, bzero: float) -> NDArray[Any]:
    if (bscale, bzero) == (1.0, 0.0):
        return stored
    unsigned = {(2, 2.0**15): np.uint16, (4, 2.0**31): np.uint32}.get((stored.dtype.itemsize, bzero))
    if bscale == 1.0 and stored.dtype.kind == "i" and unsigned is not None:
        flipped: NDArray[Any] = stored ^ np.array(1 << (stored.dtype.itemsize * 8 - 1)).astype(stored.dtype)
        return flipped.view(unsigned)
    if bscale == 1.0 and bzero.is_integer() and stored.dtype.kind in "iu":
        return stored.astype(np.int32 if stored.dtype.itemsize <= 2 else np.int64) + int(bzero)
    wide = np.float32 if stored.dtype.itemsize <= 2 or stored.dtype == np.float32 else np.float64
    return (stored * np.float64(bscale) + bzero).astype(wide)
