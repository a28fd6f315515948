"""When a disk will be full, if it fills as it did lately. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from dbclient.stores.fillings import Filled

LATELY: Final = 14
"""Days of which the pace is taken: a fortnight of a queue run and its pause."""
FAR: Final = timedelta(days=3650)
"""A date that is later than this says nothing."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a disk fills."""

    pace: float | None
    """Bytes a day, by a line through the days; negative where it empties; none where fewer than two are known."""
    days: int
    """Days from the first to the last that this was taken from."""
    full_at: datetime | None
    """When nothing more can be promised; none if it does not fill."""


def forecast(history: Sequence[Filled], room: int, *, now: datetime) -> Forecast:
    """Say when a disk has no room any more.

    Parameters
    ----------
    history : by day, oldest first
    room : bytes that can still be promised now
    now : the moment that `room` is of
    """
    latest = [one for one in history if (now.date() - one.day).days <= LATELY]
    days = (latest[-1].day - latest[0].day).days if latest else 0
    if not days:
        return Forecast(None, 0, now if room <= 0 else None)
    pace = slope([(one.day, one.used) for one in latest])
    if room <= 0:
        return Forecast(pace, days, now)
    if pace <= 0 or room / pace > FAR.days:
        return Forecast(pace, days, None)
    return Forecast(pace, days, now + timedelta(days=room / pace))


def slope(points: Sequence[tuple[date, int]]) -> float:
    """Give the slope of the straight line through some days, least squares, per day."""
    first = points[0][0]
    xs = [float((day - first).days) for day, _ in points]
    ys = [float(value) for _, value in points]
    middle, height = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle) ** 2 for x in xs)
    return sum((x - middle) * (y - height) for x, y in zip(xs, ys, strict=True)) / spread
