"""Waits grow to a ceiling, whatever the number of tries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terapix.retry import Backoff


def test_waits_grow_to_the_ceiling() -> None:
    backoff = Backoff(first=5, factor=2, ceiling=60, attempts=8)
    assert [backoff.delay(attempt) for attempt in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert [backoff.spent(attempt) for attempt in (7, 8, 9)] == [False, True, True]


@given(
    attempt=st.integers(1, 10**9),
    first=st.floats(0.01, 100),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
)
def test_no_wait_is_shorter_than_the_first_or_longer_than_the_ceiling_with_its_jitter(
    attempt: int, first: float, factor: float, jitter: float
) -> None:
    delay = Backoff(first=first, factor=factor, ceiling=900, attempts=1).delay(attempt, jitter=jitter)
    assert first <= delay <= 900 * (1 + jitter)


@pytest.mark.parametrize(
    "wrong",
    [{"first": 0}, {"factor": 0.5}, {"ceiling": 1}, {"attempts": 0}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_is_no_backoff_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is no backoff"):
        Backoff(**{"first": 5, "factor": 2, "ceiling": 60, "attempts": 8, **wrong})


def test_tries_are_counted_from_one() -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        Backoff(first=5, factor=2, ceiling=60, attempts=8).delay(0)
