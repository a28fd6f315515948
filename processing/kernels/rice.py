"""Rice coding of rows of pixels, as the FITS standard (4.0, section 10.4.1) defines RICE_1.

Pixels are coded by differences to the left neighbour in blocks of 32; each
block is preceded by the number of low bits that are written as they are. The
codes are those that cfitsio writes and reads, for 8, 16 and 32 bits a pixel.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing.compiler import njit

Array = NDArray[Any]

BLOCK = 32
"""Pixels a block."""
NULL = -2147483647
"""Stored integer of a quantised pixel that is not a number."""
LARGEST = 2147483000.0
"""Steps: a quantised pixel beyond this cannot be stored."""


@njit(cache=True, nogil=True)
def split_bits(bits: int) -> tuple[int, int]:
    """Return bits of the block's code and the code from which differences are written whole."""
    if bits == 8:
        return 3, 6
    if bits == 16:
        return 4, 14
    return 5, 25


def longest_row(width: int, bits: int) -> int:
    """Bytes that a row can take at most."""
    return width * bits // 8 + (width // BLOCK + 1) + bits // 8 + 8


@njit(cache=True, nogil=True)
def encode_row(row: Array, bits: int, differences: Array, out: Array, at: int) -> int:  # noqa: C901, PLR0912  one tight loop
    """Append the code of `row` (integers of `bits` bits) to `out` from `at` on; return the end."""
    code_bits, whole = split_bits(bits)
    half = 1 << (bits - 1)
    ring = (1 << bits) - 1
    width = row.size
    last = int(row[0])
    held = last & ring
    held_bits = bits
    start = 0
    while start < width:
        count = min(BLOCK, width - start)
        total = 0
        for k in range(count):
            value = int(row[start + k])
            step = ((value - last + half) & ring) - half
            last = value
            folded = (step << 1) ^ (step >> 63)
            differences[k] = folded
            total += folded
        mean = (total - count // 2 - 1) // count if total > count // 2 else 0
        low = 0
        rest = mean >> 1
        while rest > 0:
            rest >>= 1
            low += 1
        if held_bits >= 32:
            held_bits -= 32
            word = held >> held_bits
            held &= (1 << held_bits) - 1
            out[at] = word >> 24
            out[at + 1] = (word >> 16) & 255
            out[at + 2] = (word >> 8) & 255
            out[at + 3] = word & 255
            at += 4
        if low >= whole:
            held = (held << code_bits) | (whole + 1)
            held_bits += code_bits
            for k in range(count):
                if held_bits >= 31:
                    held_bits -= 24
                    word = held >> held_bits
                    held &= (1 << held_bits) - 1
                    out[at] = word >> 16
                    out[at + 1] = (word >> 8) & 255
                    out[at + 2] = word & 255
                    at += 3
                held = (held << bits) | int(differences[k])
                held_bits += bits
                while held_bits >= 32:
                    held_bits -= 8
                    out[at] = held >> held_bits
                    held &= (1 << held_bits) - 1
                    at += 1
        elif total == 0:
            held <<= code_bits
            held_bits += code_bits
        else:
            held = (held << code_bits) | (low + 1)
            held_bits += code_bits
            marker = 1 << low
            below = marker - 1
            for k in range(count):
                value = int(differences[k])
                zeros = value >> low
                if held_bits >= 32:
                    held_bits -= 32
                    word = held >> held_bits
                    held &= (1 << held_bits) - 1
                    out[at] = word >> 24
                    out[at + 1] = (word >> 16) & 255
                    out[at + 2] = (word >> 8) & 255
                    out[at + 3] = word & 255
                    at += 4
                if zeros + 1 + low > 31:
                    while zeros > 0:
                        some = min(zeros, 24)
                        held <<= some
                        held_bits += some
                        zeros -= some
                        while held_bits >= 8:
                            held_bits -= 8
                            out[at] = held >> held_bits
                            held &= (1 << held_bits) - 1
                            at += 1
                length = zeros + 1 + low
                held = (held << length) | marker | (value & below)
                held_bits += length
        start += count
    while held_bits >= 8:
        held_bits -= 8
        out[at] = held >> held_bits
        held &= (1 << held_bits) - 1
        at += 1
    if held_bits > 0:
        out[at] = (held << (8 - held_bits)) & 255
        at += 1
    return at


@njit(cache=True, nogil=True)
def encode_rows(pixels: Array, bits: int, out: Array, ends: Array) -> int:
    """Code each row of integer `pixels` into `out`; `ends` receives where each row ends."""
    differences = np.empty(BLOCK, np.int64)
    at = 0
    for y in range(pixels.shape[0]):
        at = encode_row(pixels[y], bits, differences, out, at)
        ends[y] = at
    return at


@njit(cache=True, nogil=True)
def quantise_row(row: Array, steps: float, quantised: Array) -> tuple[int, int]:
    """Round ``row * steps`` into `quantised`; return how many were NaN and how many were too large."""
    missing = 0
    beyond = 0
    for x in range(row.size):
        scaled = float(row[x]) * steps
        if scaled != scaled:  # noqa: PLR0124  NaN differs from itself
            quantised[x] = NULL
            missing += 1
        elif abs(scaled) > LARGEST:
            quantised[x] = 0
            beyond += 1
        else:
            quantised[x] = math.floor(scaled + 0.5)
    return missing, beyond


@njit(cache=True, nogil=True)
def encode_quantised_rows(pixels: Array, steps: float, out: Array, ends: Array) -> tuple[int, int, int]:
    """Quantise each row of `pixels` to whole numbers of ``1 / steps`` and code it; return end, NaNs, too large ones."""
    differences = np.empty(BLOCK, np.int64)
    quantised = np.empty(pixels.shape[1], np.int32)
    at = 0
    missing = 0
    beyond = 0
    for y in range(pixels.shape[0]):
        lacking, outside = quantise_row(pixels[y], steps, quantised)
        missing += lacking
        beyond += outside
        at = encode_row(quantised, 32, differences, out, at)
        ends[y] = at
    return at, missing, beyond


@njit(cache=True, nogil=True)
def decode_row(code: Array, at: int, end: int, bits: int, zeros_of: Array, row: Array) -> bool:  # noqa: C901, PLR0912  one tight loop
    """Decode `row` from ``code[at:end]``; return False where the code ends too early or is not Rice code."""
    code_bits, whole = split_bits(bits)
    half = 1 << (bits - 1)
    ring = (1 << bits) - 1
    width = row.size
    if end - at < bits // 8:
        return False
    last = 0
    for _ in range(bits // 8):
        last = (last << 8) | int(code[at])
        at += 1
    held = 0
    held_bits = 0
    start = 0
    while start < width:
        count = min(BLOCK, width - start)
        while held_bits < code_bits:
            if at >= end:
                return False
            held = (held << 8) | int(code[at])
            held_bits += 8
            at += 1
        held_bits -= code_bits
        low = (held >> held_bits) - 1
        held &= (1 << held_bits) - 1
        if low < 0:
            for k in range(count):
                row[start + k] = ((last + half) & ring) - half
        elif low >= whole:
            if low > whole:
                return False
            for k in range(count):
                while held_bits < bits:
                    if at >= end:
                        return False
                    held = (held << 8) | int(code[at])
                    held_bits += 8
                    at += 1
                held_bits -= bits
                value = held >> held_bits
                held &= (1 << held_bits) - 1
                last += (value >> 1) ^ -(value & 1)
                row[start + k] = ((last + half) & ring) - half
        else:
            for k in range(count):
                if held_bits <= 24:
                    if at + 4 <= end:
                        word = (int(code[at]) << 24) | (int(code[at + 1]) << 16) | (int(code[at + 2]) << 8)
                        held = (held << 32) | word | int(code[at + 3])
                        held_bits += 32
                        at += 4
                    else:
                        while at < end and held_bits <= 24:
                            held = (held << 8) | int(code[at])
                            held_bits += 8
                            at += 1
                zeros = 0
                while held == 0:
                    zeros += held_bits
                    held_bits = 0
                    if at >= end:
                        return False
                    held = int(code[at])
                    held_bits = 8
                    at += 1
                top = held_bits - 8
                while top > 0 and held >> top == 0:
                    top -= 8
                top = max(top, 0)
                leading = held_bits - top - 8 + int(zeros_of[held >> top])
                zeros += leading
                held_bits -= leading + 1
                held &= (1 << held_bits) - 1
                while held_bits < low:
                    if at >= end:
                        return False
                    held = (held << 8) | int(code[at])
                    held_bits += 8
                    at += 1
                held_bits -= low
                value = (zeros << low) | (held >> held_bits)
                held &= (1 << held_bits) - 1
                last += (value >> 1) ^ -(value & 1)
                row[start + k] = ((last + half) & ring) - half
        start += count
    return True


@njit(cache=True, nogil=True)
def decode_rows(code: Array, starts: Array, ends: Array, bits: int, zeros_of: Array, pixels: Array) -> int:
    """Decode each row of `pixels` from ``code[starts[y]:ends[y]]``; return the first bad row, or -1."""
    for y in range(pixels.shape[0]):
        if not decode_row(code, starts[y], ends[y], bits, zeros_of, pixels[y]):
            return y
    return -1


def leading_zeros() -> Array:
    """Zeros before the first one of each byte."""
    return np.array([8 - int(value).bit_length() for value in range(256)], np.uint8)


@njit(cache=True, nogil=True)
def restore_rows(stored: Array, scale: Array, zero: Array, null: int, pixels: Array) -> None:
    """Undo the quantisation of each row: ``stored * scale + zero``; NaN where `stored` is `null`."""
    for y in range(stored.shape[0]):
        for x in range(stored.shape[1]):
            value = stored[y, x]
            pixels[y, x] = np.nan if value == null else value * scale[y] + zero[y]
