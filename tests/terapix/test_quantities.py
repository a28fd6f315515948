"""Bytes and numbers of things as a person reads them."""

import pytest

from terapix.quantities import counted, in_words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1_234_000, "1.23 MB"),
        (30_000_000, "30 MB"),
        (999_400, "999 kB"),
        (999_500, "1 MB"),
        (112 * 10**9, "112 GB"),
        (2 * 10**18, "2000 PB"),
        (-1500, "-1.5 kB"),
    ],
)
def test_bytes_are_told_with_three_digits(count: int, words: str) -> None:
    assert in_words(count) == words


def test_one_thing_is_no_plural() -> None:
    assert [counted(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]
