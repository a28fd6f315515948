"""Bounds in time and on the sky: what settings may say, and in what words they are refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from terapix.bounds import box, interval, moment
from terapix.settings import SettingsError, load


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "terapix.toml"
    path.write_text(f"[selection]\n{text}\n")
    with pytest.raises(SettingsError) as refusal:
        load(path, environment={})
    [problem] = refusal.value.problems
    return problem.removeprefix(f"file {path}:")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("box = [1, 2, 3]", "2: selection.box: four numbers were expected (least and greatest right ascension,"),
        ("box = [10, 400, 0, 1]", "2: selection.box: right ascensions from 0 to 360 degrees were expected, not 10 and"),
        ("box = [10, 20, 5, 5]", "2: selection.box: declinations from -90 to 90 degrees, the lesser first"),
        ("box = [10, 10, 0, 5]", "2: selection.box: right ascensions 10 to 10 bound nothing"),
        ('begin = "spring"', "2: selection.begin: a day as 2008-03-01 or a moment as 2008-03-01T12:00:00 was"),
        ('end = "2008-13-01"', "2: selection.end: a day as 2008-03-01 or a moment"),
        ('begin = "2008-03-02"\nend = "2008-03-01"', "1: selection: begin = '2008-03-02' is not before end = '2008-0"),
    ],
)
def test_bounds_that_hold_nothing_are_errors_of_the_settings(tmp_path: Path, text: str, problem: str) -> None:
    assert refused(tmp_path, text).startswith(problem)


def test_a_day_begins_at_midnight_utc_and_zones_are_heard() -> None:
    assert moment("2008-03-01") == datetime(2008, 3, 1, tzinfo=UTC)
    assert moment("2008-03-01T02:00:00+02:00") == datetime(2008, 3, 1, tzinfo=UTC)
    assert moment(" ") is None
    assert interval("", "") == (None, None)


def test_a_box_may_cross_right_ascension_0() -> None:
    assert box((350, 10, -5, 5)) == (350.0, 10.0, -5.0, 5.0)
    assert box(()) == ()
