"""Numbers and dates of a page are read by columns to the last bit as Python reads each of them alone."""

from datetime import datetime, timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from snooppix.columns import Column, days, decimals

WIDTH = 27


def cells(texts: list[str]) -> Column:
    letters = np.frombuffer("".join(text.ljust(WIDTH)[:WIDTH] for text in texts).encode(), dtype=np.uint8)
    return Column(letters.reshape(-1, WIDTH), np.array([len(text) for text in texts]))


WRITTEN = some.text("0123456789.", max_size=WIDTH) | some.floats(0, 1e5).map(lambda number: f"{number:.7f}")


@given(texts=some.lists(WRITTEN, min_size=1))
def test_each_decimal_is_the_nearest_float(texts):
    found = decimals(cells(texts))
    for text, value, holds in zip(texts, found.values.tolist(), found.holds.tolist(), strict=True):
        assert holds == (text.replace(".", "", 1).isdigit())
        assert value == (float(text) if holds else 0)


@given(numbers=some.lists(some.floats(1e-4, 99_999.9), min_size=1), figures=some.integers(0, 12))
def test_each_julian_date_is_the_moment_that_datetime_gives(numbers, figures):
    texts = [f"{number:.{figures}f}" for number in numbers]
    letters, holds = days(cells(texts))
    for text, line, held in zip(texts, letters, holds.tolist(), strict=True):
        assert held == (float(text) > 0 and float(text) < 100_000)
        if held:
            moment = datetime(1858, 11, 17) + timedelta(days=float(text))  # noqa: DTZ001 - as the page writes it
            assert line.tobytes().decode() == moment.isoformat(" ", "microseconds")
