"""Geometry of the bars over time, as numbers for SVG; the page stretches them, words stand beside the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

HEIGHT: Final = 100.0
GAP: Final = 0.18
"""Share of a step that stays empty between two bars."""
MONTHS: Final = 12
"""Months ahead that are drawn."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One step of time."""

    x: float
    y: float
    width: float
    height: float
    begin: datetime
    value: float
    """Bytes, or a number of files."""
    files: int
    now: bool
    """Whether the step has not ended yet."""


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars in a box of `len(bars)` x `HEIGHT`."""

    bars: tuple[Bar, ...]
    top: float
    """Value of the greatest bar."""
    total: float
    files: int
    marks: tuple[datetime, ...]
    """Moments named below the picture, evenly spread from the first to the last step."""

    @property
    def width(self) -> int:
        return len(self.bars)


def over_time(
    values: Mapping[datetime, tuple[float, int]], *, begins: Sequence[datetime], marks: int, value: int = 0
) -> Chart:
    """Draw a bar a step.

    Parameters
    ----------
    values : value and number of files of each step that has any, by its beginning
    begins : beginnings of all steps; the last one has not ended
    marks : how many moments are named
    value : which of the two is drawn: 0 the value, 1 the files
    """
    drawn = [values.get(begin, (0.0, 0)) for begin in begins]
    top = max((pair[value] for pair in drawn), default=0.0)
    bars = []
    for number, (begin, pair) in enumerate(zip(begins, drawn, strict=True)):
        height = HEIGHT * pair[value] / top if top else 0.0
        height = max(height, 1.5) if pair[value] else 0.0
        bars.append(
            Bar(
                x=round(number + GAP / 2, 3),
                y=round(HEIGHT - height, 2),
                width=1 - GAP,
                height=round(height, 2),
                begin=begin,
                value=pair[0],
                files=pair[1],
                now=number == len(begins) - 1,
            )
        )
    spread = [round(number * (len(begins) - 1) / max(1, marks - 1)) for number in range(marks)]
    named = tuple(begins[number] for number in dict.fromkeys(spread)) if begins else ()
    return Chart(tuple(bars), top, sum(pair[0] for pair in drawn), sum(pair[1] for pair in drawn), named)


def hours(now: datetime, count: int) -> list[datetime]:
    """Give the beginnings of the last hours, the present one last."""
    last = now.replace(minute=0, second=0, microsecond=0)
    return [last - timedelta(hours=back) for back in reversed(range(count))]


def days(now: datetime, count: int) -> list[datetime]:
    """Give the beginnings of the last days (UTC), the present one last."""
    last = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [last - timedelta(days=back) for back in reversed(range(count))]


def months_ahead(now: datetime, count: int = MONTHS) -> list[datetime]:
    """Give the beginnings of the present month and of those that follow."""
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found = [first]
    while len(found) < count:
        found.append((found[-1] + timedelta(days=32)).replace(day=1))
    return found


def by_month(counts: Sequence[tuple[datetime, int]]) -> dict[datetime, tuple[float, int]]:
    """Sum counts of days into months."""
    sums: dict[datetime, int] = {}
    for day, count in counts:
        month = day.replace(day=1)
        sums[month] = sums.get(month, 0) + count
    return {begin: (float(count), count) for begin, count in sums.items()}
