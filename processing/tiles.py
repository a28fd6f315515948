"""Images as rows of compressed tiles inside a binary table, as the FITS standard (4.0, chapter 10) lays them out.

Integers are coded by Rice without loss. Floats are rounded to whole numbers of
one step, without dither, so that zero stays exactly zero and equal pixels stay
equal wherever they lie; the error is at most half a step. Where not a bit may be
lost, floats are deflated.
"""

import gzip
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.cards import Entry
from processing.errors import NotStorable
from processing.kernels import plio, rice


@dataclass(frozen=True, slots=True)
class Tiles:
    """Compressed rows, and how a reader has to take them."""

    code: NDArray[np.uint8]
    """All rows, one behind the other."""
    ends: NDArray[np.int64]
    """Where each row ends in `code`."""
    algorithm: str
    """ZCMPTYPE."""
    parameters: tuple[tuple[str, int], ...] = ()
    """ZNAMEn, ZVALn."""
    step: float | None = None
    """Value of one stored unit, for quantised floats."""
    nulls: int = 0
    """Pixels that are not numbers."""
    word: int = 1
    """Bytes of an element of the code."""

    def table(self) -> tuple[bytes, list[Entry]]:
        """Return the table with its heap, and the keywords that describe it, up to TFIELDS' columns."""
        rows = self.ends.size
        starts = np.concatenate(([0], self.ends[:-1]))
        columns: list[tuple[str, str]] = [("descriptor", ">i4")]
        lengths = self.ends - starts
        if self.code.size >= 2**31:
            raise NotStorable(f"{self.code.size} bytes of compressed pixels: at most 2**31 - 1 fit in one extension")
        lengths = lengths // self.word
        form = {1: "B", 2: "I"}[self.word]
        forms = [("COMPRESSED_DATA", f"1P{form}({int(lengths.max(initial=0))})")]
        if self.step is not None:
            columns += [("scale", ">f8"), ("zero", ">f8")]
            forms += [("ZSCALE", "1D"), ("ZZERO", "1D")]
        record = np.zeros(rows, np.dtype([("length", ">i4"), ("start", ">i4"), *columns[1:]]))
        record["length"] = lengths
        record["start"] = starts
        if self.step is not None:
            record["scale"] = self.step
        entries: list[Entry] = [
            ("XTENSION", "BINTABLE", "compressed image"), ("BITPIX", 8), ("NAXIS", 2),
            ("NAXIS1", record.dtype.itemsize), ("NAXIS2", rows), ("PCOUNT", self.code.size), ("GCOUNT", 1),
            ("TFIELDS", len(forms)),
        ]  # fmt: skip
        for number, (title, form) in enumerate(forms, 1):
            entries += [(f"TTYPE{number}", title), (f"TFORM{number}", form)]
        return record.tobytes() + self.code.tobytes(), entries

    def keywords(self, shape: tuple[int, int], bitpix: int) -> list[Entry]:
        """Keywords that describe the image inside the table."""
        entries: list[Entry] = [
            ("ZIMAGE", True), ("ZTENSION", "IMAGE"), ("ZBITPIX", bitpix), ("ZNAXIS", 2), ("ZNAXIS1", shape[1]),
            ("ZNAXIS2", shape[0]), ("ZPCOUNT", 0), ("ZGCOUNT", 1), ("ZTILE1", shape[1]), ("ZTILE2", 1),
            ("ZCMPTYPE", self.algorithm),
        ]  # fmt: skip
        for number, (title, value) in enumerate(self.parameters, 1):
            entries += [(f"ZNAME{number}", title), (f"ZVAL{number}", value)]
        if self.step is not None:
            entries.append(("ZQUANTIZ", "NO_DITHER"))
        if self.nulls:
            entries.append(("ZBLANK", rice.NULL, "stored value of a pixel that is no number"))
        return entries


def rice_integers(stored: NDArray[np.integer]) -> Tiles:
    """Code (ny, nx) pixels of uint8, int16 or int32 without loss."""
    bits = stored.dtype.itemsize * 8
    out, ends = _room(stored.shape, bits)
    length = rice.encode_rows(stored, bits, out, ends)
    return Tiles(out[:length], ends, "RICE_1", (("BLOCKSIZE", rice.BLOCK), ("BYTEPIX", bits // 8)))


def line_lists(flags: NDArray[np.integer]) -> Tiles:
    """Code (ny, nx) flags, none of them negative, as lists of runs: the smaller the more of them are alike."""
    rows, width = flags.shape
    room, ends = np.empty(rows * plio.longest_row(width), np.int16), np.empty(rows, np.int64)
    length = plio.encode_rows(flags, room, ends)
    return Tiles(room[:length].astype(">i2").view(np.uint8), 2 * ends, "PLIO_1", word=2)


def rice_floats(image: NDArray[np.floating], step: float) -> Tiles:
    """Code (ny, nx) floats rounded to whole numbers of `step`; NaN is kept as NaN."""
    if not step > 0:
        raise NotStorable(f"a step of {step} cannot quantise pixels: it has to be above 0")
    out, ends = _room(image.shape, 32)
    length, nulls, beyond = rice.encode_quantised_rows(image, 1.0 / step, out, ends)
    if beyond:
        raise NotStorable(f"{beyond} pixels are infinite or beyond {rice.LARGEST:g} steps of {step:g}")
    return Tiles(out[:length], ends, "RICE_1", (("BLOCKSIZE", rice.BLOCK), ("BYTEPIX", 4)), step, nulls)


def deflated(stored: NDArray[np.generic]) -> Tiles:
    """Deflate each row of (ny, nx) big-endian pixels, bytes of equal weight together; nothing is lost."""
    rows = [
        gzip.compress(row.view(np.uint8).reshape(-1, stored.dtype.itemsize).T.tobytes(), 1, mtime=0)
        for row in np.ascontiguousarray(stored)
    ]
    ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
    return Tiles(np.frombuffer(b"".join(rows), np.uint8), ends, "GZIP_2")


def _room(shape: tuple[int, ...], bits: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    return np.empty(shape[0] * rice.longest_row(shape[1], bits), np.uint8), np.empty(shape[0], np.int64)
