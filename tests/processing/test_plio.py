"""Line lists of flags: every reader gives them back, and our words are those of the standard."""

from pathlib import Path

import fitsio
import numpy as np
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processing.kernels import plio
from processing.mosaic import assemble, compressed_bytes, primary_bytes
from processing.tiles import line_lists


def read(words: list[int], width: int) -> list[int]:
    """Take a row's words as the standard tells them."""
    assert words[:3] == [0, 7, -100]
    assert words[3] + 32768 * words[4] == len(words)
    row: list[int] = []
    value, place = 1, 7
    while place < len(words):
        code, amount = words[place] >> 12, words[place] & 4095
        if code == 1:
            place += 1
            value = (words[place] << 12) | amount
        elif code in {2, 3}:
            value += amount if code == 2 else -amount
        else:
            row += {0: [0] * amount, 4: [value] * amount, 5: [0] * (amount - 1) + [value]}[code]
        place += 1
    return row + [0] * (width - len(row))


def coded(flags: NDArray[np.int16]) -> list[list[int]]:
    words, ends = np.empty(flags.shape[0] * plio.longest_row(flags.shape[1]), np.int16), np.empty(len(flags), np.int64)
    plio.encode_rows(flags, words, ends)
    return [words[begin:end].tolist() for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 4095, 4096, 8192, 32767]), st.integers(1, 40)), min_size=1))
def test_every_row_is_given_back(runs: list[tuple[int, int]]) -> None:
    row = [value for value, length in runs for _ in range(length)]
    [words] = coded(np.array([row], np.int16))
    assert read(words, len(row)) == row


def test_runs_longer_than_twelve_bits_are_parted() -> None:
    flags = np.zeros((3, 20_000), np.int16)
    flags[0, 4095], flags[1, 4096:15_000], flags[2, 8190:8192] = 7, 9, 3
    for row, words in zip(flags.tolist(), coded(flags), strict=True):
        assert read(words, 20_000) == row


def test_other_readers_see_the_same_flags(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    flags = np.where(chance.random((60, 5000)) < 0.02, chance.integers(0, 2**15, (60, 5000)), 0).astype(np.int16)
    flags[20:40, 100:4900] = 8192
    extension = compressed_bytes(line_lists(flags), (60, 5000), 16, {}, name="ccd00")
    path = assemble(tmp_path / "flag.fits.fz", primary_bytes({}), [extension]).path
    with fits.open(path, checksum=True) as opened:
        np.testing.assert_array_equal(opened[1].data, flags)
    np.testing.assert_array_equal(fitsio.read(str(path), ext=1), flags)
