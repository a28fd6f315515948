"""Kernels against plain twins; test_uncompiled.py runs this file again without the compiler."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processing.areas import Area
from processing.flags import BITS, PixelFlag
from processing.kernels import picture, rice, weigh
from processing.weightwatcher.base import corners

EXAMPLES = 20 if os.environ.get("NUMBA_DISABLE_JIT") else 100
LIMITS = {8: (0, 255), 16: (-(2**15), 2**15 - 1), 32: (-(2**31), 2**31 - 1)}
TYPES = {8: np.uint8, 16: np.int16, 32: np.int32}


def code(pixels: NDArray[np.integer]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    bits = pixels.dtype.itemsize * 8
    room = np.empty(pixels.shape[0] * rice.longest_row(pixels.shape[1], bits), np.uint8)
    ends = np.empty(pixels.shape[0], np.int64)
    length = rice.encode_rows(pixels, bits, room, ends)
    return room[:length], ends


def decode(room: NDArray[np.uint8], ends: NDArray[np.int64], shape: tuple[int, int], bits: int) -> NDArray[np.integer]:
    pixels = np.empty(shape, f"i{bits // 8}")
    starts = np.concatenate(([0], ends[:-1]))
    assert rice.decode_rows(room, starts, ends, bits, rice.leading_zeros(), pixels) == -1
    return pixels.view(TYPES[bits])


def rice_by_hand(row: list[int], bits: int) -> bytes:
    """Rice code of a row as the standard words it, in a text of zeros and ones."""
    code_bits, whole = {8: (3, 6), 16: (4, 14), 32: (5, 25)}[bits]
    ring = 2**bits
    text = f"{row[0] % ring:0{bits}b}"
    last = row[0]
    folded = []
    for value in row:
        step = (value - last + ring // 2) % ring - ring // 2
        folded.append(2 * step if step >= 0 else -2 * step - 1)
        last = value
    for at in range(0, len(row), 32):
        block = folded[at : at + 32]
        mean = max(0, (sum(block) - len(block) // 2 - 1) // len(block)) if sum(block) > len(block) // 2 else 0
        low = (mean >> 1).bit_length()
        if low >= whole:
            text += f"{whole + 1:0{code_bits}b}" + "".join(f"{value:0{bits}b}" for value in block)
        elif sum(block) == 0:
            text += "0" * code_bits
        else:
            text += f"{low + 1:0{code_bits}b}"
            for value in block:
                text += "0" * (value >> low) + "1" + (f"{value & ((1 << low) - 1):0{low}b}" if low else "")
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


@st.composite
def rows(draw: st.DrawFn) -> tuple[int, list[int]]:
    bits = draw(st.sampled_from([8, 16, 32]))
    low, high = LIMITS[bits]
    length = draw(st.integers(1, 70))
    spread = draw(st.sampled_from([0, 1, 6, 300, 70000, 2**31]))
    middle = draw(st.integers(low, high))
    value = st.integers(max(low, middle - spread), min(high, middle + spread))
    return bits, draw(st.lists(value, min_size=length, max_size=length))


@settings(deadline=None, max_examples=EXAMPLES)
@given(rows())
def test_rice_code_is_the_standards_and_gives_every_pixel_back(drawn: tuple[int, list[int]]) -> None:
    bits, row = drawn
    pixels = np.array([row, row[::-1]], TYPES[bits])

    room, ends = code(pixels)

    assert room.tobytes() == rice_by_hand(row, bits) + rice_by_hand(row[::-1], bits)
    np.testing.assert_array_equal(decode(room, ends, pixels.shape, bits), pixels)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.binary(max_size=60), st.sampled_from([8, 16, 32]))
def test_bytes_that_are_no_rice_code_never_lead_outside(content: bytes, bits: int) -> None:
    fence = np.frombuffer(content + b"\xff" * 40, np.uint8)
    pixels = np.zeros((1, 50), f"i{bits // 8}")
    ends = np.array([len(content)])
    assert rice.decode_rows(fence, np.zeros(1, np.int64), ends, bits, rice.leading_zeros(), pixels) in {0, -1}


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_a_row_cut_short_is_told(bits: int) -> None:
    pixels = np.random.default_rng(1).integers(*LIMITS[bits], (1, 64)).astype(TYPES[bits])
    room, ends = code(pixels)
    out = np.empty(pixels.shape, f"i{bits // 8}")
    assert rice.decode_rows(room, np.zeros(1, np.int64), ends - 3, bits, rice.leading_zeros(), out) == 0


def test_quantised_values_are_the_nearest_whole_steps_and_nothing_else_is_lost() -> None:
    pixels = np.array([[0.0, -0.0, 0.0004, 0.0006, 1.2345, -3.3, np.nan, np.inf, 1e30]])
    quantised = np.empty(9, np.int32)
    assert rice.quantise_row(pixels[0], 1000.0, quantised) == (1, 2)
    assert quantised.tolist() == [0, 0, 0, 1, 1235, -3300, rice.NULL, 0, 0]

    back = np.empty((1, 9), np.float32)
    rice.restore_rows(quantised[None], np.array([1e-3]), np.array([0.0]), rice.NULL, back)
    assert back[0, :2].tolist() == [0, 0]
    assert np.isnan(back[0, 6])


def flags_by_numpy(
    flat: NDArray[np.float32], mask: NDArray[np.int16], inside: Area, low: float, high: float
) -> NDArray[np.int16]:
    columns, lines = np.arange(flat.shape[1]), np.arange(flat.shape[0])[:, None]
    overscan = (columns < inside.x0) | (columns >= inside.x1) | (lines < inside.y0) | (lines >= inside.y1)
    return (
        np.where(mask == 0, PixelFlag.BAD, 0)
        | np.where(overscan, PixelFlag.OVERSCAN, 0)
        | np.where(np.isnan(flat) | (flat < np.float32(low)), PixelFlag.LOW_RESPONSE, 0)
        | np.where(flat > np.float32(high), PixelFlag.HIGH_RESPONSE, 0)
    ).astype(np.int16)


def test_weight_and_flags_are_those_of_the_rule_in_plain_numpy() -> None:
    chance = np.random.default_rng(7)
    flat = chance.uniform(0, 2, (40, 50)).astype(np.float32)
    edges = np.float32([0.3, 1.3])
    flat[0, :6] = np.stack([np.nextafter(edges, np.float32(0)), edges, np.nextafter(edges, np.float32(9))]).ravel()
    flat[1, :3] = np.nan, np.inf, -np.inf
    mask = chance.integers(0, 2, (40, 50)).astype(np.int16)
    inside = Area(4, 45, 0, 36)
    weight, flags = np.empty((40, 50), np.float32), np.empty((40, 50), np.int16)

    weigh.weigh(flat, mask, corners(inside), np.array([0.3, 1.3], np.float32), weight, flags)

    expected = flags_by_numpy(flat, mask, inside, 0.3, 1.3)
    np.testing.assert_array_equal(flags, expected)
    np.testing.assert_array_equal(weight, np.where(expected == 0, flat, np.float32(0)))


def test_bins_hold_every_pixel_of_the_illuminated_part_once() -> None:
    chance = np.random.default_rng(8)
    pixels = chance.integers(0, 1000, (23, 31)).astype(np.int16)
    flags = chance.integers(0, 2**BITS, (23, 31)).astype(np.int16) * (chance.random((23, 31)) < 0.7)
    inside, side = Area(3, 30, 2, 21), 5
    sums, counts = np.zeros((4, 6), np.int64), np.zeros((BITS, 4, 6), np.int64)

    picture.bin_sums(pixels, corners(inside), side, sums)
    assert weigh.count_flags(flags, corners(inside), side, counts) == np.count_nonzero(flags == 0)

    for row in range(4):
        for column in range(6):
            part = np.s_[2 + 5 * row : min(7 + 5 * row, 21), 3 + 5 * column : min(8 + 5 * column, 30)]
            assert sums[row, column] == pixels[part].sum()
            assert counts[:, row, column].tolist() == [int((flags[part] >> bit & 1).sum()) for bit in range(BITS)]


def test_weights_are_binned_in_the_steps_in_which_they_are_stored() -> None:
    weight = np.random.default_rng(3).choice(np.float32([0, 0.0004, 0.3, 0.70049, 1.3]), (23, 31))
    inside, side = Area(3, 30, 2, 21), 5
    stored = np.floor(weight * 1000.0 + 0.5).astype(np.int64)
    sums, expected = np.zeros((4, 6), np.int64), np.zeros((4, 6), np.int64)

    count = weigh.bin_weights(weight, 1000.0, corners(inside), side, sums)

    picture.bin_sums(stored, corners(inside), side, expected)
    np.testing.assert_array_equal(sums, expected)
    assert count == np.count_nonzero(stored)


@pytest.mark.parametrize("nulls", [int(PixelFlag.COSMIC), int(PixelFlag.COSMIC | PixelFlag.HAND)])
def test_nulling_changes_the_code_as_if_it_had_been_so_from_the_start(nulls: int) -> None:
    chance = np.random.default_rng(9)
    shape, inside, side = (30, 70), Area(5, 64, 0, 28), 8
    weights = chance.integers(300, 1300, shape).astype(np.int32)
    weights[chance.random(shape) < 0.1] = 0
    flags = chance.choice(np.array([0, 0, 0, 1, 32, 33, 16384], np.int16), shape)
    flags[3:9] &= 1
    expected = np.where(flags & nulls, 0, weights).astype(np.int32)
    assert (expected != weights).any(axis=1).sum() == 24
    bins, expected_bins = np.zeros((4, 8), np.int64), np.zeros((4, 8), np.int64)
    picture.bin_sums(weights, corners(inside), side, bins)
    picture.bin_sums(expected, corners(inside), side, expected_bins)
    room, ends = np.empty(shape[0] * rice.longest_row(shape[1], 32), np.uint8), np.empty(shape[0], np.int64)

    bad, nulled = weigh.null_weights(
        flags, nulls, corners(inside), side, rice.leading_zeros(), (*code(weights), room, ends), bins
    )

    assert (bad, nulled) == (-1, np.count_nonzero(weights) - np.count_nonzero(expected))
    expected_code, expected_ends = code(expected)
    assert room[: ends[-1]].tobytes() == expected_code.tobytes()
    np.testing.assert_array_equal(ends, expected_ends)
    np.testing.assert_array_equal(bins, expected_bins)


def test_a_row_of_weights_that_cannot_be_decoded_is_told() -> None:
    weights, flags = np.full((3, 40), 7, np.int32), np.full((3, 40), 32, np.int16)
    packed, ends = code(weights)
    packed[ends[0] : ends[1]] = 255
    room = np.empty(3 * rice.longest_row(40, 32), np.uint8)
    maps = (packed, ends, room, np.empty(3, np.int64))
    inside, bins = np.array([0, 40, 0, 3]), np.zeros((1, 1), np.int64)
    assert weigh.null_weights(flags, 32, inside, 40, rice.leading_zeros(), maps, bins)[0] == 1
