"""When a disk will be full, by how it filled lately."""

from datetime import UTC, datetime, timedelta

from dbclient.stores.fillings import Filled
from spica.forecast import forecast

NOW = datetime(2008, 3, 30, 12, tzinfo=UTC)
GB = 10**9


def history(*held: float) -> list[Filled]:
    """Days up to today, by what was held."""
    first = NOW.date() - timedelta(days=len(held) - 1)
    return [Filled(first + timedelta(days=day), int(value * GB), 0) for day, value in enumerate(held)]


def test_a_disk_that_fills_evenly_is_full_when_its_room_is_used_up():
    said = forecast(history(10, 12, 14, 16), 20 * GB, now=NOW)
    assert (said.pace, said.days, said.full_at) == (2 * GB, 3, NOW + timedelta(days=10))


def test_one_odd_day_does_not_turn_the_line():
    said = forecast(history(10, 12, 9, 16, 18, 20), 20 * GB, now=NOW)
    assert said.full_at
    assert timedelta(days=8) < said.full_at - NOW < timedelta(days=11)


def test_a_disk_that_empties_or_stands_still_is_never_full():
    assert forecast(history(16, 14, 12), GB, now=NOW).full_at is None
    assert forecast(history(16, 16, 16), GB, now=NOW).full_at is None


def test_one_day_tells_nothing_and_what_is_old_does_not_count():
    assert forecast(history(16), GB, now=NOW).pace is None
    assert forecast([], GB, now=NOW).full_at is None
    old = [Filled(NOW.date() - timedelta(days=back), (100 - back) * GB, 0) for back in (40, 30, 20)]
    assert forecast([*old, *history(16)], GB, now=NOW).pace is None


def test_without_room_it_is_full_now_and_a_date_beyond_ten_years_says_nothing():
    assert forecast(history(10, 12), 0, now=NOW).full_at == NOW
    assert forecast(history(16), 0, now=NOW).full_at == NOW
    assert forecast(history(10, 10.000001), 10**15, now=NOW).full_at is None
